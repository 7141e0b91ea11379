"""A model whose weights are not there yet: a question fetches them, a plan says so and fetches nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from molt_magic import Orchestrator, load_settings
from molt_magic.batch import Forecast
from molt_magic.errors import BudgetExceeded, MoltError, NoCandidate
from molt_magic.providers.base import Missing
from molt_magic.types import ModelSpec
from molt_magic.views.rows import page
from tests.scripted import ScriptedProviders

LACKING = "its weights (1.1 GB) are not on this machine"


class Fetching(ScriptedProviders):
    """Local models that have to be fetched."""

    def __init__(self) -> None:
        super().__init__({"qwen-local": "From qwen-local.", "tiny-local": "From tiny-local.", "remote": "From remote."})
        self.fetched: list[str] = []
        self.lacking = {"qwen-local", "tiny-local", "remote"}

    def missing(self, spec: ModelSpec) -> Missing | None:
        return Missing(LACKING, f"molt models pull {spec.name}") if spec.name in self.lacking else None

    def can_pull(self, spec: ModelSpec) -> bool:
        return spec.name.endswith("-local")

    async def apull(self, spec: ModelSpec) -> None:
        self.fetched.append(spec.name)
        self.lacking.remove(spec.name)


@pytest.fixture
def orch(tmp_path: Path) -> Iterator[Orchestrator]:
    names = ("tiny-local", "qwen-local", "remote")
    models = {f"models.{name}": {"provider": "openai", "model": name, "context_window": 8000} for name in names}
    models["models.remote"] |= {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 1.0}
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


IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]


@pytest.mark.parametrize(
    ("prompt", "limits", "error"),
    [("Hello?", {"max_cost": 0.0}, NoCandidate), ("Hello?", {}, BudgetExceeded), (IMAGE, {}, NoCandidate)],
)
def test_who_is_there_and_too_dear_or_unfit_has_no_model_fetched_in_its_place(
    orch: Orchestrator, prompt: Any, limits: dict[str, float], error: type[MoltError]
) -> None:
    orch.providers.lacking.discard("remote")  # type: ignore[attr-defined]
    if not limits:
        orch.configure({"budget.session_usd": 0.0})
    with pytest.raises(error):
        orch.route(prompt, **limits)
    frame = orch.map([prompt, "again"], max_tokens=5, **limits)
    assert "ok" not in set(frame["status"])
    assert orch.providers.fetched == []  # type: ignore[attr-defined]


def test_nothing_is_fetched_for_what_it_cannot_take(orch: Orchestrator) -> None:
    with pytest.raises(NoCandidate, match="qwen-local: cannot take images"):
        orch.route(IMAGE)
    assert orch.providers.fetched == []  # type: ignore[attr-defined]
