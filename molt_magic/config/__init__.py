"""Settings: where they are looked for, what they may hold, and who wins.

Precedence, strongest first: overrides (a flag, `%config`) > `MOLT_*` environment > `molt.toml` > `[tool.molt]` of
`pyproject.toml` > defaults.
"""

from __future__ import annotations

from molt_magic.config.schema import (
    ArbitrageSettings,
    BudgetSettings,
    CacheSettings,
    CassetteSettings,
    ContextSettings,
    Defaults,
    EmbedSettings,
    LocalSettings,
    LogSettings,
    NetworkSettings,
)
from molt_magic.config.secrets import Secrets, without_keys
from molt_magic.config.settings import Settings, load_settings

__all__ = [
    "ArbitrageSettings",
    "BudgetSettings",
    "CacheSettings",
    "CassetteSettings",
    "ContextSettings",
    "Defaults",
    "EmbedSettings",
    "LocalSettings",
    "LogSettings",
    "NetworkSettings",
    "Secrets",
    "Settings",
    "load_settings",
    "without_keys",
]
