"""Exploration as the orchestrator does it: when it is off, what it may spend, what is kept of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from molt_magic.types import Decision
from molt_magic.views.explain import explained
from tests.conftest import MakeOrchestrator

SCRIPT = {"small": "by small", "big": "by big"}
ALWAYS = {"exploration.share": 1.0}


def ask(orch, n: int, **how: object) -> list[Decision]:  # type: ignore[no-untyped-def]
    """n different questions; arbitrage would ask `big` for each."""
    return [orch.route(f"question number {i}", **how).decision for i in range(n)]


def test_it_is_off_by_default(orchestrator: MakeOrchestrator) -> None:
    decisions = ask(orchestrator(SCRIPT), 5)
    assert {(d.model, d.propensity) for d in decisions} == {("big", None)}


def test_every_decision_says_its_chance_and_the_log_keeps_it(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator(SCRIPT, values=ALWAYS)
    decisions = ask(orch, 30)
    assert {d.model for d in decisions} == {"small", "big"}
    assert set(orch.log.to_frame()["propensity"]) == {0.5}
    lucky = next(d for d in decisions if d.model == "small")
    assert lucky.reason.startswith("explored: small")
    assert "small was to be asked first with a chance of 50.0%" in explained(lucky).to_plain()


def test_its_budget_stops_it(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"big": "by big", "small": "by small"}, values={**ALWAYS, "exploration.session_usd": 0.0004})
    decisions = ask(orch, 60)
    explored = [d for d in decisions if d.reason.startswith("explored")]
    assert len(explored) == 2  # $0.0002 each; the third would be expected to cost more than is left
    assert decisions[-1].propensity == 1.0


def test_a_run_draws_nobody_whom_it_cannot_pay(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator(SCRIPT, values=ALWAYS, usage=(10, 50))
    column = [f"question number {i}" for i in range(12)]
    frame = orch.map(column, strategy="rule", task="simple_qa", max_cost=0.0025, concurrency=1)
    assert set(frame["model"]) == {"small"}
    decisions = orch.log.to_frame()
    assert set(decisions["propensity"]) == {1.0}
    assert set(decisions["n_attempts"]) == {1}


def test_a_question_explored_once_is_decided_by_the_strategy_the_next_time(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator(SCRIPT, values=ALWAYS)
    explored = next(d for d in ask(orch, 30) if d.model == "small")
    orch.configure({"exploration.share": 0.0})
    assert explored.prompt is not None
    again = orch.route(explored.prompt).decision
    assert (again.model, again.cache) == ("big", "miss")


def test_what_is_remembered_is_not_explored(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator(SCRIPT)
    orch.route("the same question")
    orch.configure(ALWAYS)
    again = [orch.route("the same question").decision for _ in range(5)]
    assert {(d.model, d.cache, d.propensity) for d in again} == {("big", "exact", None)}


@pytest.mark.parametrize("how", [{"model": "big"}, {"strategy": "direct"}, {"dry_run": True}])
def test_a_named_model_and_a_plan_are_not_explored(orchestrator: MakeOrchestrator, how: dict[str, object]) -> None:
    decisions = ask(orchestrator(SCRIPT, values=ALWAYS), 8, **how)
    assert {(d.model, d.propensity) for d in decisions} == {("big", None)}


def test_over_a_cassette_nothing_is_explored(orchestrator: MakeOrchestrator, tmp_path: Path) -> None:
    tape = {"cassette.file": str(tmp_path / "tape.jsonl"), "cassette.mode": "record"}
    decisions = ask(orchestrator(SCRIPT, values={**ALWAYS, **tape}), 8)
    assert {(d.model, d.propensity) for d in decisions} == {("big", None)}
