"""Budgets: held before a call, settled after it, seen by every process, and told where they refuse."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from molt_magic import errors
from molt_magic.config import BudgetSettings
from molt_magic.errors import BudgetExceeded
from molt_magic.log import DecisionLog
from molt_magic.orchestrator import Orchestrator
from molt_magic.orchestrator.budget import MARGIN, Budget, Quote, quote
from molt_magic.orchestrator.budget.holds import FILE, Day
from molt_magic.providers.base import Served
from molt_magic.tokens import count_messages
from molt_magic.types import Call, Candidate, Completion, Event, Message, ModelSpec, Prices, Usage
from tests.conftest import MakeOrchestrator
from tests.scripted import ScriptedProviders
from tests.test_log import a_decision

SPEC = ModelSpec("m", "openai", "m", prices=Prices(1.0, 2.0), context_window=8000, max_output=4000)


def folder_of(orch: Orchestrator) -> Path:
    return orch.settings.data_dir


def skipped(result_or_error: Any, name: str) -> str:
    found: Candidate = next(c for c in result_or_error.candidates if c.name == name)
    return found.skipped or ""


def all_at_once(orch: Orchestrator, n: int, **how: Any) -> tuple[list[Any], list[Exception]]:
    """(results, errors) of n different questions in flight together."""
    asking = [orch.submit(f"question number {i}", **how) for i in range(n)]
    results, failed = [], []
    for one in asking:
        try:
            results.append(one.result(60))
        except errors.MoltError as error:
            failed.append(error)
    return results, failed


class Watched(ScriptedProviders):
    """Scripted models that say how many calls were in flight at most."""

    in_flight = peak = 0

    async def perform(self, spec: ModelSpec, call: Call, *, on_delta: Callable[[str], None], **limits: Any) -> Served:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            await asyncio.sleep(0.02)
            return await super().perform(spec, call, on_delta=on_delta)
        finally:
            self.in_flight -= 1


# -- what a call may cost


def test_a_call_with_a_limit_costs_no_more_than_its_estimate() -> None:
    quoted = quote(SPEC, 1000, {"max_tokens": 500}, None, 200)
    assert quoted == Quote(pytest.approx(0.002), pytest.approx(0.002))  # $1 and $2 a million


def test_a_call_without_one_is_estimated_with_a_margin_and_costs_at_most_what_the_model_can_write() -> None:
    quoted = quote(SPEC, 1000, {}, None, 200)
    assert quoted == Quote(pytest.approx((1000 + 2 * MARGIN * 200) / 1e6), pytest.approx((1000 + 2 * 4000) / 1e6))
    assert quote(SPEC, 7000, {}, None, 2000).most_usd == pytest.approx((7000 + 2 * 1000) / 1e6)  # what is left of its window


def test_several_answers_tools_and_a_schema_are_counted() -> None:
    plain = quote(SPEC, 1000, {"max_tokens": 500}, None, 200).usd or 0.0
    assert quote(SPEC, 1000, {"max_tokens": 500, "n": 3}, None, 200).usd == pytest.approx(plain + 0.002)
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    assert (quote(SPEC, 1000, {"max_tokens": 500, "tools": tools}, None, 200).usd or 0.0) > plain
    assert (quote(SPEC, 1000, {"max_tokens": 500}, {"type": "object"}, 200).usd or 0.0) > plain


# -- in flight together


def test_fifty_in_flight_cannot_overrun_where_answers_have_a_limit(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x"}, values={"budget.session_usd": 0.0201}, usage=(10, 1000), delay_s=0.01)
    results, failed = all_at_once(orch, 50, model="small", max_tokens=1000)
    assert 8 <= len(results) <= 10  # $0.002 each
    assert orch.spent_usd() <= 0.0201
    assert {type(error) for error in failed} == {BudgetExceeded}


def test_fifty_in_flight_are_all_answered_where_they_turn_out_cheap_enough(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x"}, values={"budget.day_usd": 0.02}, usage=(10, 100), delay_s=0.005)
    results, failed = all_at_once(orch, 50, model="small", max_tokens=1000)
    assert (len(results), failed) == (50, [])  # ten estimates fit at once; the others wait
    assert orch.budgets()[1].spent_usd == pytest.approx(50 * 0.00021)
    assert orch.budgets()[1].reserved_usd == 0.0


def test_fifty_in_flight_overrun_by_no_more_than_one_call_where_answers_are_longer_than_expected(
    orchestrator: MakeOrchestrator,
) -> None:
    orch = orchestrator({"small": "x"}, values={"budget.session_usd": 0.05}, usage=(20, 7900), delay_s=0.01)
    results, failed = all_at_once(orch, 50, model="small")
    truth = 0.01582  # seven times the estimate of $0.0021
    assert len(results) + len(failed) == 50
    assert 0.05 - truth < orch.spent_usd() <= 0.05 + truth


def test_far_from_its_limit_a_budget_holds_nothing_up(orchestrator: MakeOrchestrator, tmp_path: Path) -> None:
    orch = orchestrator({"small": "x"}, values={"budget.day_usd": 5.0})
    watched = Watched({"small": "x"})
    orch._parts._given_providers = watched  # type: ignore[assignment]
    all_at_once(orch, 50, model="small")
    assert watched.peak == 50


def test_one_that_waits_is_told_so_and_ends_at_its_deadline(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x " * 200}, values={"budget.session_usd": 0.003}, delay_s=0.05)
    long = orch.submit("something long", model="small", max_tokens=1000)
    told: list[Event] = []
    while not orch.budgets()[0].reserved_usd:
        pass
    with pytest.raises(errors.OutOfTime):
        orch.route("something else", model="small", max_tokens=1000, deadline=0.3, on_event=told.append)
    assert any("waiting" in event.text and "$0.003" in event.text for event in told if event.kind == "progress")
    assert len(orch.providers.calls) == 1  # type: ignore[attr-defined]
    long.cancel()


# -- what becomes of what was held


def test_a_failure_costs_nothing_and_frees_what_was_held(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": errors.ServerError("down", provider="openai")}, values={"budget.session_usd": 0.01})
    for _ in range(20):
        with pytest.raises(errors.ServerError):
            orch.route("hello", model="small", max_tokens=1000)
    session, day = orch.budgets()
    assert (session.spent_usd, session.reserved_usd, day.reserved_usd) == (0.0, 0.0, 0.0)


def test_what_had_arrived_when_it_was_cancelled_counts(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "word " * 100}, values={"budget.session_usd": 0.01}, delay_s=0.01)
    asking = orch.submit("hello", model="small", max_tokens=1000)
    while not orch.budgets()[0].reserved_usd:
        pass
    asking.cancel()
    with pytest.raises(BaseException):  # noqa: B017  # CancelledError, of either kind
        asking.result(10)
    session, _ = orch.budgets()
    assert session.reserved_usd == 0.0
    assert 0.0 <= session.spent_usd < 0.0003


def test_an_answer_that_runs_is_never_cut_by_a_budget(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "all of it"}, values={"budget.session_usd": 0.01}, usage=(10, 50_000))
    assert orch.route("hello", model="small").text == "all of it"
    assert orch.spent_usd() > 0.09
    with pytest.raises(BudgetExceeded, match=r"\$0 is left of this session's budget of \$0.01 \(\$0.10 spent"):
        orch.route("another", model="small")


def test_what_is_remembered_costs_nothing_and_is_answered_when_nothing_is_left(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x"}, values={"budget.day_usd": 0.003}, usage=(10, 1000))
    orch.route("hello", model="small", max_tokens=1000)
    with pytest.raises(BudgetExceeded):
        orch.route("another", model="small", max_tokens=1000)
    assert orch.route("hello", model="small", max_tokens=1000).cached


def test_without_a_budget_nothing_is_written_down(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x"})
    orch.route("hello", model="small")
    assert not (folder_of(orch) / FILE).exists()


def test_a_free_model_is_asked_when_nothing_is_left(orchestrator: MakeOrchestrator) -> None:
    free = {"provider": "openai", "model": "f", "input_usd_per_mtok": 0.0, "output_usd_per_mtok": 0.0, "api_key_env": "NONE"}
    orch = orchestrator({"small": "x", "free": "y"}, values={"budget.session_usd": 0.0, "models.free": free})
    assert orch.route("hello", strategy="arbitrage").model == "free"
    with pytest.raises(BudgetExceeded):
        orch.route("hello", model="small")


# -- at the limit


@pytest.mark.parametrize("limit", ["call", "session", "day"])
def test_the_boundary_itself_is_within(limit: str, orchestrator: MakeOrchestrator) -> None:
    spec = orchestrator({"small": "x"}).catalog.get("small")
    exact = quote(spec, count_messages([Message("user", "hello")], spec.family), {"max_tokens": 1000}, None, 1).usd
    assert exact is not None
    with pytest.raises(BudgetExceeded):
        orchestrator({"small": "x"}, values={f"budget.{limit}_usd": exact - 1e-8}).route(
            "hello", model="small", max_tokens=1000
        )
    assert orchestrator({"small": "x"}, values={f"budget.{limit}_usd": exact}).route("hello", model="small", max_tokens=1000).ok


def test_a_cheaper_model_that_fits_is_asked_instead_and_the_dearer_one_says_why(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x", "big": "y"}, values={"budget.day_usd": 0.05}, usage=(100, 900))
    assert orch.route("hello", strategy="arbitrage", max_tokens=1000).model == "big"  # $0.037
    second = orch.route("hello again", strategy="arbitrage", max_tokens=1000)
    assert second.model == "small"
    assert "about $0.040, only $0.013 left of today's $0.05" in skipped(second, "big")


@pytest.mark.parametrize(
    ("limit", "says", "fix"),
    [
        ("call", "over the budget of $0.001 for one call", "%route budget call USD"),
        ("session", "this session's budget of $0.001 ($0 spent, $0 in flight)", "%route budget USD"),
        ("day", "today's budget of $0.001 ($0 spent, $0 in flight)", "%route budget day USD"),
    ],
)
def test_a_refusal_names_the_budget_what_is_spent_and_the_fix(
    limit: str, says: str, fix: str, orchestrator: MakeOrchestrator
) -> None:
    orch = orchestrator({"small": "x", "big": "y"}, values={f"budget.{limit}_usd": 0.001})
    for how in ({"model": "small"}, {"strategy": "arbitrage"}, {"strategy": "cascade"}):
        with pytest.raises(BudgetExceeded) as refused:
            orch.route("hello", max_tokens=1000, **how)  # type: ignore[arg-type]
        assert says in refused.value.message
        assert "small may cost about $0.0020" in refused.value.message  # the cheapest
        assert fix in refused.value.fix
    assert orch.providers.calls == []  # type: ignore[attr-defined]
    assert set(orch.log.to_frame()["status"]) == {"error"}


def test_a_cascade_keeps_its_paid_answer_where_there_is_no_more_for_a_dearer_one(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "no json", "big": "{}"}, values={"budget.session_usd": 0.0415}, usage=(10, 1000))
    result = orch.route("give json", strategy="cascade", validate=["json"], max_tokens=1000)
    assert (result.model, result.decision.status) == ("small", "best_effort")
    assert "big failed (budget)" in result.decision.reason
    assert "left of this session's budget" in result.decision.attempts[1]["error"]


def test_a_judge_is_a_call_of_its_own(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x", "big": '{"score": 9, "reason": "good"}'}, values={"budget.call_usd": 0.01})
    result = orch.route("hello", model="small", max_tokens=1000, validate=["judge:big"])  # 300 tokens: $0.012 and its input
    assert result.text == "x"
    assert [(a.call.purpose, type(a.error)) for a in result.attempts] == [("answer", type(None)), ("judge", BudgetExceeded)]


def test_what_the_question_allows_bounds_it_by_the_same_estimate(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x", "big": "y"})
    result = orch.route("hello", strategy="arbitrage", max_tokens=1000, max_cost=0.01)
    assert result.model == "small"
    assert skipped(result, "big") == "about $0.040, over the $0.01 allowed"
    assert not (folder_of(orch) / FILE).exists()


# -- unknown prices

ODD = {"models.odd": {"provider": "openai", "model": "unheard-of", "api_key_env": "NONE", "prior_quality": 0.99}}


@pytest.mark.parametrize("limit", ["call", "session", "day"])
def test_a_model_of_unknown_price_is_not_asked_under_a_budget(limit: str, orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x", "odd": "y"}, values={**ODD, f"budget.{limit}_usd": 1.0})
    result = orch.route("hello", strategy="arbitrage")
    assert result.model == "small"
    assert skipped(result, "odd").startswith("its price is unknown, and there is a budget: set its prices, or budget.allow")
    with pytest.raises(BudgetExceeded, match="price of odd is unknown") as refused:
        orch.route("hello", model="odd")
    assert "[models.odd]" in refused.value.fix


def test_with_permission_it_is_asked_and_counted_as_unknown(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator(
        {"small": "no", "odd": "{}"},
        values={**ODD, "budget.day_usd": 1.0, "budget.allow_unknown_prices": True, "cascade.ladder": ("small", "odd")},
    )
    orch.route("hello", model="odd", log=False)
    result = orch.route("give json", strategy="cascade", validate=["json"])
    assert (result.model, result.cost_usd) == ("odd", None)
    session, day = orch.budgets()
    assert (session.unknown, day.unknown) == (2, 2)
    assert session.spent_usd == day.spent_usd == pytest.approx(0.0002)  # of the answer of small that was refused


def test_without_a_budget_a_model_of_unknown_price_is_asked(orchestrator: MakeOrchestrator) -> None:
    assert orchestrator({"odd": "y"}, values=ODD).route("hello", model="odd").ok


# -- the day


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def utc(local: datetime) -> str:
    return local.astimezone(UTC).isoformat()


@pytest.fixture
def log(tmp_path: Path) -> DecisionLog:
    return DecisionLog(tmp_path / "decisions.sqlite")


def a_budget(tmp_path: Path, log: DecisionLog, clock: Callable[[], datetime], **limits: float) -> Budget:
    return Budget(
        limits=lambda: BudgetSettings(**limits),  # type: ignore[arg-type]
        session="s9",
        log=lambda: log,
        folder=lambda: tmp_path,
        patience_s=lambda: 0.0,
        clock=clock,
    )


def hold(budget: Budget, usd: float, decision_id: str = "d") -> Any:
    wanted = budget.reserve(
        SPEC, Quote(usd, usd), decision_id=decision_id, allowed_usd=None, spent_usd=0.0, waiting=lambda _: None
    )
    return asyncio.run(wanted)


def test_at_midnight_a_new_day_s_budget_begins(tmp_path: Path, log: DecisionLog) -> None:
    clock = Clock(datetime(2026, 3, 1, 23, 59, 50))
    budget = a_budget(tmp_path, log, clock, day_usd=1.0)
    log.append(a_decision("d1", cost_usd=0.6, time=utc(datetime(2026, 3, 1, 0, 0, 0))))
    log.append(a_decision("d2", cost_usd=0.3, time=utc(clock.now)))
    log.append(a_decision("d0", cost_usd=9.0, time=utc(datetime(2026, 2, 28, 23, 59, 59, 999999))))
    assert budget.accounts()[1].spent_usd == pytest.approx(0.9)
    running = hold(budget, 0.1)
    with pytest.raises(BudgetExceeded, match="today's"):
        hold(budget, 0.2)
    clock.now = datetime(2026, 3, 2, 0, 0, 1)
    day = budget.accounts()[1]
    assert (day.spent_usd, day.reserved_usd) == (0.0, 0.1)  # what still runs will be logged today
    budget.settle(running, 0.1)
    log.append(a_decision("d", cost_usd=0.1, time=utc(clock.now)))
    budget.finished("d", 0.1, unknown=False, logged=True)
    hold(budget, 0.9, "e")
    assert budget.accounts()[1].left_usd == pytest.approx(0.0)


def test_what_has_waited_too_long_for_calls_in_flight_is_refused_and_told_of_them(tmp_path: Path, log: DecisionLog) -> None:
    clock = Clock(datetime(2026, 3, 1, 12))
    hold(a_budget(tmp_path, log, clock, day_usd=1.0), 0.9)
    with pytest.raises(BudgetExceeded, match=r"only \$0.10 is left of today's budget of \$1 \(\$0 spent, \$0.90 in flight\)"):
        hold(a_budget(tmp_path, log, clock, day_usd=1.0), 0.2)


def test_a_clock_that_was_wrong_leaves_its_rows_to_their_day(tmp_path: Path, log: DecisionLog) -> None:
    clock = Clock(datetime(2030, 1, 1, 12))
    budget = a_budget(tmp_path, log, clock, day_usd=1.0)
    log.append(a_decision("d1", cost_usd=0.9, time=utc(clock.now)))
    budget.finished("unlogged", 0.1, unknown=False, logged=False)
    assert budget.accounts()[1].left_usd == pytest.approx(0.0)
    clock.now = datetime(2026, 3, 1, 12)  # set right again
    log.append(a_decision("d2", cost_usd=0.2, time=utc(clock.now)))
    budget.finished("unlogged too", 0.1, unknown=False, logged=False)
    assert budget.accounts()[1].spent_usd == pytest.approx(0.3)
    hold(budget, 0.7)
    clock.now = datetime(2030, 1, 1, 12)
    assert budget.accounts()[1].spent_usd == pytest.approx(1.0)


def test_a_day_is_the_user_s_and_may_have_23_or_25_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        spring, autumn = Day.of(datetime(2026, 3, 29, 15)), Day.of(datetime(2026, 10, 25, 1))
    finally:
        monkeypatch.undo()
        time.tzset()
    hours = [datetime.fromisoformat(d.end) - datetime.fromisoformat(d.begin) for d in (spring, autumn)]
    assert hours == [timedelta(hours=23), timedelta(hours=25)]
    assert (spring.name, spring.begin) == ("2026-03-29", "2026-03-28T23:00:00+00:00")


def test_the_day_s_budget_counts_other_sessions_and_questions_kept_out_of_the_log(orchestrator: MakeOrchestrator) -> None:
    first = orchestrator({"small": "x"}, usage=(10, 1000))  # it has no budget itself
    first.route("hello", model="small", log=False)
    first.route("hello again", model="small")
    second = orchestrator({"small": "x"}, values={"budget.day_usd": 0.005})
    session, day = second.budgets()
    assert (session.spent_usd, day.spent_usd) == (0.0, pytest.approx(0.00402))
    with pytest.raises(BudgetExceeded, match="today's"):
        second.route("hello there", model="small", max_tokens=1000)


def test_a_log_that_cannot_be_read_lets_nothing_be_spent(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x"}, values={"budget.day_usd": 1.0})
    (folder_of(orch)).mkdir(parents=True, exist_ok=True)
    (folder_of(orch) / FILE).write_bytes(b"this is no database, and longer than the header of one. " * 40)
    with pytest.raises(errors.StoreError, match="file of budgets"):
        orch.route("hello", model="small")
    assert orch.providers.calls == []  # type: ignore[attr-defined]


def test_an_answer_that_was_withheld_is_paid_for(orchestrator: MakeOrchestrator) -> None:
    refused = errors.ContentFiltered("It was withheld.", provider="openai")
    refused.withheld = Completion("", "small", Usage(1000, 4500), "content_filter")
    orch = orchestrator({"small": refused}, values={"budget.session_usd": 0.025})  # $0.01 each
    frame = orch.map([f"question {n}" for n in range(9)], model="small", max_tokens=4500, concurrency=1)
    assert frame["cost_usd"].sum() == orch.log.to_frame()["cost_usd"].sum() == orch.spent_usd() == pytest.approx(0.02)
    assert list(frame["status"]) == ["error"] * 3 + ["not asked"] * 6  # the third is refused, and ends the run
    assert set(orch.log.to_frame()["output_tokens"]) == {4500, 0}


def test_what_is_in_the_log_counts_though_it_is_off_now(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x"}, values={"budget.day_usd": 0.005}, usage=(10, 2000))
    orch.route("hello", model="small", max_tokens=2000)
    off = orchestrator({"small": "x"}, values={"budget.day_usd": 0.005, "log.enabled": False}, usage=(10, 2000))
    orch.configure({"log.enabled": False})
    for each in (orch, off):
        with pytest.raises(BudgetExceeded, match="today's"):
            each.route("hello again", model="small", max_tokens=2000)
    assert orch.spent_usd() == pytest.approx(0.00401)


# -- exploration


def test_questions_explored_at_once_cannot_overrun_their_own_budget(orchestrator: MakeOrchestrator) -> None:
    values = {"exploration.share": 1.0, "exploration.session_usd": 0.0021}
    orch = orchestrator({"small": "x", "big": "y"}, values=values, usage=(10, 240), delay_s=0.01)
    results, _ = all_at_once(orch, 30)
    explored = [r for r in results if r.decision.reason.startswith("explored")]
    assert explored
    assert sum(r.cost_usd for r in explored) <= 0.0021


# -- other processes


def kernels(n: int, *arguments: object, home: Path) -> list[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.stress.budgets", "kernel", *map(str, arguments)]
    environment = {**os.environ, "MOLT_HOME": str(home)}
    return [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        for _ in range(n)
    ]


def test_kernels_together_cannot_overrun_the_day(tmp_path: Path) -> None:
    running = kernels(3, 0.02, 8, 1000, home=tmp_path)  # 24 questions of $0.002 on a budget of ten
    answered = [int(process.communicate(timeout=90)[0]) for process in running]
    with closing(sqlite3.connect(tmp_path / "data" / "decisions.sqlite")) as connection:
        spent = connection.execute("SELECT SUM(cost_usd) FROM decisions").fetchone()[0]
    assert sum(answered) >= 8
    assert spent <= 0.02


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_what_a_killed_kernel_held_can_be_spent_and_what_it_had_spent_cannot(
    orchestrator: MakeOrchestrator, tmp_path: Path
) -> None:
    orch = orchestrator({"small": "x"}, values={"budget.day_usd": 0.0061}, usage=(10, 1000))
    (process,) = kernels(1, 0.0061, "hang", 1000, home=folder_of(orch).parent)
    assert process.stdout is not None
    assert process.stdout.readline() == "in flight\n"  # its first answer was refused and cost $0.002; the second hangs
    day = orch.budgets()[1]
    assert (day.spent_usd, day.reserved_usd) == (pytest.approx(0.00201), pytest.approx(0.002, rel=0.1))
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    orch.route("hello", model="small", max_tokens=1000)
    orch.route("hello again", model="small", max_tokens=1000)
    day = orch.budgets()[1]
    assert (day.spent_usd, day.reserved_usd) == (pytest.approx(3 * 0.00201), 0.0)
    with pytest.raises(BudgetExceeded):
        orch.route("and again", model="small", max_tokens=1000)
