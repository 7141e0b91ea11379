"""The command `molt`."""

from __future__ import annotations

from molt_magic.cli.commands import main

__all__ = ["main"]
