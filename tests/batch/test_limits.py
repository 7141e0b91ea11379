"""What a run may cost: at any concurrency, over all its calls, beside the budgets of the session and of the day."""

from __future__ import annotations

import pytest

from molt_magic.orchestrator.budget import RunAccount
from tests.batch.test_map import echo
from tests.conftest import MakeOrchestrator

USD = 0.0002  # a question of `small`


def test_the_budget_of_a_run_holds_at_any_concurrency_and_is_used_up(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "a"}, usage=(10, 50), delay_s=0.01)
    frame = orch.map([f"q{n}" for n in range(300)], model="small", max_tokens=50, max_cost=0.01, concurrency=50)
    spent = orch.spent_usd()
    assert 0.01 - 2 * 0.00012 < spent <= 0.01
    counts = frame["status"].value_counts()
    assert counts["ok"] == round(spent / 0.00011)
    assert counts["not asked"] > 100
    assert frame["error"].dropna().str.startswith("budget: ").all()
    assert orch.budgets()[0].limit_usd is None
    assert "this run's budget of $0.01" in frame["error"].iloc[-1]


def test_what_a_run_spent_before_counts_and_more_can_be_allowed(orchestrator: MakeOrchestrator) -> None:
    column = [f"q{n}" for n in range(20)]
    how = {"model": "small", "max_tokens": 50, "resume": "r", "cache": False, "concurrency": 1}
    first = orchestrator({"small": echo}).map(column, max_cost=8.5 * USD, **how)
    assert first["status"].eq("ok").sum() == 8
    orch = orchestrator({"small": echo})
    again = orch.map(column, max_cost=8.5 * USD, **how)
    assert again["text"].notna().sum() == 8
    assert orch.providers.calls == []  # type: ignore[attr-defined]
    more = orch.map(column, max_cost=21 * USD, **how)
    assert more["status"].eq("ok").all()
    assert orch.runs.to_frame()["cost_usd"].item() == pytest.approx(20 * USD)


def test_calls_of_a_question_that_never_ended_are_counted(orchestrator: MakeOrchestrator) -> None:
    """The first model's answer was refused, and the process died while the second was asked."""
    from molt_magic.batch.file import RunFile
    from molt_magic.batch.frame import Row

    orch = orchestrator({})
    folder = orch.settings.data_dir / "runs"
    for expected in (0.003, 0.003 + 0.005):
        file = RunFile(folder, "r", {})
        file.begin([(b"a", "id-a"), (b"b", "id-b")])
        file.keep([(b"b", Row("ok", decision_id="id-b"), 0.001)], {"id-a": 0.002})
        assert file.spent_usd() == pytest.approx(expected)
        file.begin([(b"a", "id-c")])
        file.keep([(b"a", Row("ok", decision_id="id-c"), 0.002)])
        file.close()


@pytest.mark.parametrize("strategy", ["cascade", "arbitrage", "rule"])
def test_the_run_ends_and_no_other_model_stands_in_for_the_one_it_cannot_pay(
    orchestrator: MakeOrchestrator, strategy: str
) -> None:
    free = {"provider": "openai", "model": "f", "input_usd_per_mtok": 0.0, "output_usd_per_mtok": 0.0, "api_key_env": "NONE"}
    values = {"models.free": {**free, "context_window": 8000, "prior_quality": 0.1}}
    orch = orchestrator({"small": "a", "big": "b", "free": "c"}, values=values, usage=(10, 50))
    how = {"strategy": strategy, "task": "simple_qa", "quality": 0.5, "max_tokens": 50, "concurrency": 1}
    whole = orch.map([f"q{n}" for n in range(6)], cache=False, **how)
    (asked,) = whole["model"].unique()
    assert asked != "free"
    frame = orch.map([f"q{n}" for n in range(6)], cache=False, max_cost=3.5 * whole["cost_usd"].max(), **how)
    assert list(frame["model"][:3]) == [asked] * 3
    assert list(frame["status"]) == ["ok"] * 3 + ["error"] + ["not asked"] * 2
    assert frame["text"][3:].isna().all()
    assert "of this run's budget" in frame["error"].iloc[3]


@pytest.mark.parametrize("limit", ["budget.session_usd", "budget.day_usd"])
def test_the_budgets_of_the_session_and_the_day_end_a_run_too(orchestrator: MakeOrchestrator, limit: str) -> None:
    orch = orchestrator({"small": echo}, values={limit: 5.5 * 0.00011}, usage=(10, 50))
    frame = orch.map([f"q{n}" for n in range(20)], model="small", max_tokens=50, concurrency=2)
    assert frame["status"].eq("ok").sum() == 5
    assert frame["status"].iloc[-1] == "not asked"
    assert frame["error"].iloc[-1].startswith("budget: not asked: ")


def test_an_unknown_price_under_a_budget_ends_the_run_unless_it_is_allowed(orchestrator: MakeOrchestrator) -> None:
    values = {"models.new": {"provider": "openai", "model": "n", "api_key_env": "NONE", "context_window": 8000}}
    orch = orchestrator({"new": echo}, values=values)
    frame = orch.map([f"q{n}" for n in range(30)], model="new", max_cost=1.0, concurrency=3)
    assert frame["error"].str.startswith("budget: ").all()
    assert frame["status"].iloc[-1] == "not asked"
    orch.configure({"budget.allow_unknown_prices": True})
    frame = orch.map(["a", "b"], model="new", max_cost=1.0)
    assert frame["status"].eq("ok").all()
    assert frame["cost_usd"].isna().all()


def test_without_a_budget_nothing_is_held_and_all_is_counted(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": echo})
    told: list[object] = []
    orch.map(["a", "b"], model="small", on_event=told.append)
    assert (told[-1].spent_usd, told[-1].left_usd) == (pytest.approx(2 * USD), None)  # type: ignore[attr-defined]
    assert not (orch.settings.data_dir / "budget.sqlite").exists()


def test_of_a_run_without_calls_in_flight_nothing_is_in_flight() -> None:
    account = RunAccount(1.0)
    for usd in (0.1, 0.2, 0.3):
        account.hold(usd)
    assert account.reserved_usd == pytest.approx(0.6)
    for usd in (0.1, 0.2, 0.3):  # as floats 0.1 + 0.2 + 0.3 - 0.1 - 0.2 - 0.3 are not 0
        account.settle("d", usd, usd)
    assert account.reserved_usd == 0.0
    assert account.spent_usd == pytest.approx(0.6)
