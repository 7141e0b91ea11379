"""The validator `learned`: what marked answers teach, with scripted models."""

from __future__ import annotations

import random

import pytest

from molt_magic.orchestrator import Orchestrator
from molt_magic.types import Call
from tests.conftest import MakeOrchestrator


def right(n: int) -> str:
    return f"Adding the two numbers gives {n} + 17 = {n + 17}, so the total is {n + 17}."


def wrong(n: int) -> str:
    return f"I would guess that it may be about {n}, though perhaps not, it is unclear."


def small(call: Call) -> str:
    """Right about even numbers."""
    n = int(call.messages[-1].text.split()[2])
    return right(n) if n % 2 == 0 else wrong(n)


def asked(n: int) -> str:
    return f"Add together {n} and 17."


def marked(orch: Orchestrator, count: int) -> None:
    """Ask `small` this many questions and mark its answers by whether they are right."""
    for n in random.Random(0).sample(range(1000), count):
        decision = orch.route(asked(n), model="small").decision
        orch.feedback(decision.decision_id, float(n % 2 == 0))


@pytest.fixture
def orch(orchestrator: MakeOrchestrator) -> Orchestrator:
    return orchestrator({"small": small, "big": "The total is known."})


def test_a_learned_check_keeps_right_answers_and_moves_on_from_wrong_ones(orch: Orchestrator) -> None:
    marked(orch, 60)
    kept = orch.route(asked(2002), strategy="cascade", validate=["learned:0.5"])
    assert kept.model == "small"
    assert kept.decision.status == "ok"
    assert "60 answers" in kept.decision.reason
    moved = orch.route(asked(2003), strategy="cascade", validate="learned:0.5")
    assert moved.model == "big"
    assert moved.decision.escalations == 1
    assert moved.decision.attempts[0]["verdict"]["source"] == "learned"
    assert "50% wanted" in moved.decision.attempts[0]["verdict"]["reason"]


def test_without_a_threshold_the_quality_in_force_is_wanted(orch: Orchestrator) -> None:
    marked(orch, 60)
    said = orch.route(asked(2003), strategy="cascade", validate="learned", quality=0.6).decision.attempts[0]["verdict"]
    assert "60% wanted" in said["reason"]


def test_an_estimate_is_no_mark_and_teaches_nothing(orch: Orchestrator) -> None:
    marked(orch, 60)
    before = len(orch.log.outcomes())
    moved = orch.route(asked(2003), strategy="cascade", validate="learned:0.5")
    assert moved.decision.escalations == 1
    alone = orch.route(asked(2005), model="small", validate="learned:0.5")
    assert alone.decision.status == "best_effort"
    assert alone.decision.quality is None
    assert len(orch.log.outcomes()) == before


def test_with_too_few_marks_it_abstains_and_says_how_many_it_needs(orch: Orchestrator) -> None:
    marked(orch, 10)
    result = orch.route(asked(2003), strategy="cascade", validate="learned")
    assert result.model == "small"
    assert "it needs 50 marked answers of small" in result.decision.reason


def test_it_learns_again_once_there_are_enough_marks(orch: Orchestrator) -> None:
    marked(orch, 45)
    assert orch.route(asked(2003), strategy="cascade", validate="learned:0.5").model == "small"
    marked(orch, 60)
    assert orch.route(asked(2005), strategy="cascade", validate="learned:0.5").model == "big"


def test_marks_of_one_kind_only_teach_nothing(orch: Orchestrator) -> None:
    for n in range(0, 120, 2):
        orch.feedback(orch.route(asked(n), model="small").decision.decision_id, 1.0)
    result = orch.route(asked(2003), strategy="cascade", validate="learned")
    assert "60 good and 0 bad" in result.decision.reason


def test_without_a_log_it_abstains(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": small, "big": "known"}, values={"log.enabled": False})
    assert "there is no log" in orch.route(asked(3), strategy="cascade", validate="learned").decision.reason


def test_a_cascade_with_a_price_keeps_what_the_next_rung_would_not_gain_enough_on(orchestrator: MakeOrchestrator) -> None:
    dear = orchestrator({"small": "no", "big": "yes"}, values={"cascade.price": 1000.0})  # a call of `big` is about a cent
    kept = dear.route("say yes", strategy="cascade", validate=[lambda text: text == "yes"])
    assert kept.model == "small"
    assert kept.decision.status == "best_effort"
    assert "big would not gain what it costs" in kept.decision.reason
    cheap = orchestrator({"small": "no", "big": "yes"}, values={"cascade.price": 1.0})
    assert cheap.route("say yes now", strategy="cascade", validate=[lambda text: text == "yes"]).model == "big"
