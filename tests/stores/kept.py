"""An orchestrator whose stores all hold something, for tests that then break them: scripted models, real files."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from molt_magic.config import load_settings
from molt_magic.orchestrator import Orchestrator
from tests.conftest import MODELS
from tests.scripted import ScriptedProviders
from tests.stress.kernel import taught

ANSWERS = {"small": "Small says so.", "big": "Big says so."}


def an_orchestrator(**values: Any) -> Orchestrator:
    """Over two scripted models, with the state in MOLT_HOME."""
    models = {f"models.{name}": {"context_window": 8000, "api_key_env": "NONE", **table} for name, table in MODELS.items()}
    routes = {"routes.simple_qa": {"primary": "small", "fallback": "big"}}
    settings = load_settings(cwd=Path("/")).with_values({"catalog": "none", **models, **routes, **values})
    return Orchestrator(settings=settings, providers=ScriptedProviders(ANSWERS))  # type: ignore[arg-type]


def fill(orch: Orchestrator) -> None:
    """Put something into every store; the fit, which is made in a thread of its own, is waited for."""
    for n in range(20):
        result = orch.route(f"What is number {n} of the things that are kept?", model="small")
    orch.feedback(result.decision.decision_id, 1.0)
    orch.classifier.add([("a prompt of my own", "simple_qa")])
    orch.learn(taught(1, rows=110))
    for thread in threading.enumerate():
        if thread.name == "molt-quality":
            thread.join(120)
    assert (orch.settings.data_dir / "quality.npz").exists()
