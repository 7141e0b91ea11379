"""A model whose weights are not there yet: a question fetches them, a plan says so and fetches nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from molt_magic import Orchestrator, load_settings
from molt_magic.batch import Forecast
from molt_magic.errors import NoCandidate
from molt_magic.providers.base import Missing
from molt_magic.types import ModelSpec
from molt_magic.views.rows import page
from tests.scripted import ScriptedProviders

LACKING = "its weights (1.1 GB) are not on this machine"


class Fetching(ScriptedProviders):
    """Local models that have to be fetched."""

    def __init__(self) -> None:
        super().__init__({"qwen-local": "From qwen-local.", "tiny-local": "From tiny-local."})
        self.fetched: list[str] = []

    def missing(self, spec: ModelSpec) -> Missing | None:
        return None if spec.name in self.fetched else Missing(LACKING, f"molt models pull {spec.name}")

    def can_pull(self, spec: ModelSpec) -> bool:
        return spec.name in self.script

    async def apull(self, spec: ModelSpec) -> None:
        self.fetched.append(spec.name)


@pytest.fixture
def orch(tmp_path: Path) -> Iterator[Orchestrator]:
    names = ("tiny-local", "qwen-local", "remote")
    models = {f"models.{name}": {"provider": "openai", "model": name, "context_window": 8000} for name in names}
    settings = load_settings(cwd=tmp_path).with_values({"catalog": "none", **models})
    with Orchestrator(settings=settings, providers=Fetching()) as made:  # type: ignore[arg-type]
        yield made


@pytest.mark.parametrize("model", [None, "tiny-local"])
def test_a_plan_asks_whom_the_question_will_ask_and_says_what_it_fetches(orch: Orchestrator, model: str | None) -> None:
    plan = orch.route("What is the capital of Peru?", model=model, dry_run=True)
    assert plan.decision.reason.endswith(f"; {LACKING}: they are fetched first")
    assert orch.providers.fetched == []  # type: ignore[attr-defined]
    asked = orch.route("What is the capital of Peru?", model=model)
    assert (asked.model, asked.text) == (plan.model, f"From {plan.model}.")
    assert orch.providers.fetched == [plan.model]  # type: ignore[attr-defined]
    assert LACKING not in orch.route("What is the capital of Chile?", model=model, dry_run=True).decision.reason


def test_a_forecast_says_what_is_fetched_first(orch: Orchestrator) -> None:
    found: Forecast = orch.map(["a", "b"], dry_run=True)
    assert (found.models, found.refused, found.fetched) == ({"qwen-local": 1.0}, {}, {"qwen-local": LACKING})
    said = f"qwen-local is fetched first: {LACKING}"
    assert said in str(found)
    assert said in page(found).to_plain()
    assert orch.providers.fetched == []  # type: ignore[attr-defined]
    orch.map(["a"])
    assert orch.map(["a", "b"], dry_run=True).fetched == {}


def test_a_plan_for_a_model_that_cannot_be_fetched_is_refused(orch: Orchestrator) -> None:
    ask: Callable[..., object] = orch.route
    with pytest.raises(NoCandidate, match="remote: its weights"):
        ask("Hello?", model="remote", dry_run=True)
    unasked = orch.map(["a", "b"], model="remote", dry_run=True)
    assert (unasked.cost_usd, unasked.seconds, sum(unasked.refused.values())) == (0.0, None, 1.0)
