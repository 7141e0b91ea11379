"""Fixtures shared by all tests. Nothing reaches a real provider; state lives in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from molt_magic.config import load_settings
from molt_magic.orchestrator import Orchestrator
from tests.scripted import ScriptedProviders


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _state_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's keys, settings, log or cache. The weights stay where they are: they are large and read only."""
    import os

    models = os.environ.get("MOLT_MODELS") or str(load_settings(cwd=Path("/")).models_dir)
    for name in list(os.environ):
        if name.startswith("MOLT_") or name.endswith(("_API_KEY", "_BASE_URL", "_AUTH_TOKEN")) or name == "OLLAMA_HOST":
            monkeypatch.delenv(name)
    monkeypatch.setenv("MOLT_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("MOLT_MODELS", models)


MODELS: Mapping[str, Mapping[str, Any]] = {
    "small": {"provider": "openai", "model": "s", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0, "prior_quality": 0.5},
    "big": {"provider": "openai", "model": "b", "input_usd_per_mtok": 10.0, "output_usd_per_mtok": 40.0, "prior_quality": 0.9},
}

MakeOrchestrator = Callable[..., Orchestrator]


@pytest.fixture
def orchestrator(tmp_path: Path) -> Iterator[MakeOrchestrator]:
    """Makes orchestrators over two scripted models, `small` ($1/$2 per Mtok) and `big` ($10/$40), closed at the end."""
    made: list[Orchestrator] = []

    def make(script: Mapping[str, Any], *, values: Mapping[str, Any] | None = None, **scripted: Any) -> Orchestrator:
        models = {f"models.{name}": {"context_window": 8000, "api_key_env": "NONE", **table} for name, table in MODELS.items()}
        settings = load_settings(cwd=tmp_path).with_values(
            {
                "catalog": "none",
                **models,
                "cascade.ladder": ("small", "big"),
                "routes.simple_qa": {"primary": "small", "fallback": "big"},
                "routes.code_generation": {"primary": "big"},
                **(values or {}),
            }
        )
        orch = Orchestrator(settings=settings, providers=ScriptedProviders(script, **scripted))  # type: ignore[arg-type]
        made.append(orch)
        return orch

    yield make
    for orch in made:
        orch.close()
