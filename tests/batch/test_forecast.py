"""What a run is expected to cost and to take, before anything is asked."""

from __future__ import annotations

import pytest

from molt_magic.batch import Forecast
from molt_magic.batch.forecast import SAMPLE, Step, forecast, sampled
from molt_magic.errors import NoCandidate
from tests.conftest import MakeOrchestrator


def made(plans: list[object], **how: object) -> Forecast:
    given = {
        "rows": 10,
        "questions": 10,
        "known": 0,
        "concurrency": 2,
        "answers_seen": lambda _: 1e9,
        "seconds_of": lambda _: 1.0,
        "per_minute": lambda _: None,
        "missing": lambda _: None,
    }
    return forecast(plans, **{**given, **how})  # type: ignore[arg-type]


def test_a_forecast_asks_nothing_and_begins_no_run(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "a"}, usage=(7, 50))
    found = orch.map([f"question {n % 50}" for n in range(60)] + [None], model="small", max_tokens=50, dry_run=True, resume="r")
    assert isinstance(found, Forecast)
    assert (found.rows, found.questions, found.known, found.sampled, found.models) == (
        61,
        50,
        0,
        50,
        {"small": pytest.approx(1.0)},
    )
    assert found.seconds is None
    assert found.low_usd < found.cost_usd == found.high_usd  # type: ignore[operator]  # at the limit of every answer
    assert (orch.providers.calls, len(orch.log.to_frame()), list(orch.runs)) == ([], 0, [])  # type: ignore[attr-defined]
    assert "61 rows, 50 questions to ask; about $" in str(found)


def test_what_was_learned_makes_it_exact(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "a"}, usage=(11, 50), delay_s=0.01)
    column = [f"Say what number {n} is." for n in range(120)]
    orch.map(column[:60], model="small", resume="r", concurrency=8)
    found = orch.map(column, model="small", resume="r", dry_run=True, concurrency=8)
    frame = orch.map(column, model="small", resume="r", concurrency=8)
    true = frame["cost_usd"].iloc[60:].sum()
    assert isinstance(found, Forecast)
    assert (found.questions, found.known) == (120, 60)
    assert found.low_usd <= true <= found.high_usd  # type: ignore[operator]
    assert found.cost_usd == pytest.approx(true, rel=0.15)
    assert 0.0 < found.seconds < 60.0  # type: ignore[operator]


def test_a_cascade_costs_its_first_model_and_what_is_expected_of_the_others(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "a", "big": "a"})
    column = [f"Say what number {n} is." for n in range(30)]
    alone, ladder = (orch.map(column, dry_run=True, **how) for how in ({"model": "small"}, {"strategy": "cascade"}))
    both = orch.map(column, dry_run=True, model="big").cost_usd + alone.cost_usd  # type: ignore[union-attr]
    assert alone.cost_usd < ladder.cost_usd < both  # type: ignore[union-attr]
    assert ladder.models["small"] + ladder.models["big"] == pytest.approx(1.0)  # type: ignore[union-attr]


def test_the_sums_are_those_of_the_plans() -> None:
    cheap, dear = Step("small", 0.001, 0.001, 0.5), Step("big", 0.01, 0.01, 0.0)
    found = made([[cheap, dear]] * 10)
    assert found.cost_usd == pytest.approx(10 * (0.002 + 0.5 * 0.02))
    assert found.low_usd == pytest.approx(10 * (0.002 + 0.25 * 0.02), rel=1e-3)
    assert found.high_usd == pytest.approx(10 * (0.002 + 0.75 * 0.02), rel=1e-3)
    assert found.models == {"small": pytest.approx(0.5), "big": pytest.approx(0.5)}
    assert found.seconds == pytest.approx(10 * 1.5 / 2)
    assert made([[cheap, dear]] * 10, per_minute={"small": 20, "big": None}.get).seconds == pytest.approx(30.0)


def test_the_less_was_seen_the_wider_it_is() -> None:
    plans = [[Step("small", 0.001, 0.001, 0.0)]] * 10
    wide, narrow = (made(plans, answers_seen=lambda _, n=n: n) for n in (0, 100))
    assert wide.cost_usd == narrow.cost_usd
    assert wide.high_usd / narrow.high_usd > 1.3  # type: ignore[operator]
    some = made([[Step("small", 0.0, 0.001 * n, 0.0)] for n in range(1, 11)], questions=100)
    assert some.low_usd < some.cost_usd * 0.9 < some.cost_usd * 1.1 < some.high_usd  # type: ignore[operator]


def test_what_is_not_known_is_none_and_who_cannot_be_asked_is_told() -> None:
    unpriced = made([[Step("new", None, None, 0.0)]] * 10, seconds_of=lambda _: None)
    assert (unpriced.cost_usd, unpriced.low_usd, unpriced.seconds) == (None, None, None)
    assert "cost unknown" in str(unpriced)
    some = made([[Step("small", 0.0, 0.001, 0.0)]] * 5 + [NoCandidate("too long", skipped={})] * 5)
    assert (some.cost_usd, some.refused) == (pytest.approx(0.005), {"too long": pytest.approx(0.5)})
    assert "50% cannot be asked: too long" in str(some)
    none = made([NoCandidate("too long", skipped={})] * 5)
    assert str(none) == "10 rows, 10 questions to ask; of the 5 looked at none can be asked: too long"


def test_a_sample_is_spread_over_the_column() -> None:
    assert sampled(range(10)) == list(range(10))
    found = sampled(range(10_000))
    assert (len(set(found)), found) == (SAMPLE, sorted(found))
    assert found[0] < 100
    assert found[-1] > 9_900
