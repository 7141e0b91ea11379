"""Exploration: who is asked first by lot, with which chance, and what follows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molt_magic.errors import MoltError, ServerError
from molt_magic.strategies import Arbitrage, Cascade, Explore, Rule
from molt_magic.types import Call, Choice, Flow, Situation, Strategy
from tests.strategies.test_strategies import KNOWS, ROUTES, Accepts, candidate, drive, situation

SMALL, MIDDLE, BIG = candidate("small", 0.1, 0.5), candidate("middle", 0.5, 0.7), candidate("big", 1.0, 0.9)
WHERE = situation(SMALL, MIDDLE, BIG)
PASS, TAKE = 0.99, 0.0  # numbers drawn: do not explore, explore


def explored(
    which: float, where: Situation = WHERE, strategy: Strategy | None = None, *, left: float | None = None, **how: object
) -> tuple[Choice, list[str]]:
    """A question that is in the exploring share; by default of arbitrage, which would ask `big`."""
    return drive(Explore(strategy or Arbitrage(), share=0.3, drawn=(TAKE, which), left_usd=left), where, **how)  # type: ignore[arg-type]


def test_a_question_outside_the_share_is_decided_as_ever_and_says_its_chance() -> None:
    usual, _ = drive(Arbitrage(), WHERE)
    found, called = drive(Explore(Arbitrage(), share=0.3, drawn=(PASS, 0.0)), WHERE)
    assert called == ["big"]
    assert found.reason == usual.reason
    assert found.candidates == usual.candidates
    assert found.propensity == pytest.approx(0.7 + 0.3 / 3)


def test_a_drawn_model_is_asked_first_and_the_reason_says_so() -> None:
    found, called = explored(0.0)
    assert called == ["small"]
    assert found.reason.startswith("explored: small was drawn by lot, where big would be asked first; small answered")
    assert found.propensity == pytest.approx(0.1)
    assert found.predicted_quality == 0.5
    assert {c.name: c.skipped for c in found.candidates} == {
        "small": None, "middle": "small was explored", "big": "small was explored",
    }  # fmt: skip


def test_a_lot_that_falls_on_the_usual_model_changes_nothing() -> None:
    found, called = explored(0.9)
    assert called == ["big"]
    assert not found.reason.startswith("explored")
    assert found.propensity == pytest.approx(0.7 + 0.1)


def test_what_the_wrapped_strategy_says_of_the_prompt_stays() -> None:
    rule = Rule(routes=ROUTES, classify=KNOWS)
    found, called = explored(0.9, strategy=rule)
    assert called == ["big"]
    assert (found.task, found.task_score) == ("qa", 0.9)


class Promising(Arbitrage):
    """Arbitrage of which something was promised."""

    def flow(self, situation: Situation) -> Flow:
        found = yield from super().flow(situation)
        return replace(found, promise="95 % of the best")


def test_a_promise_is_not_made_of_an_explored_answer() -> None:
    usual, _ = drive(Explore(Promising(), share=0.3, drawn=(PASS, 0.0)), WHERE)
    found, _ = explored(0.0, strategy=Promising())
    assert (usual.promise, found.promise) == ("95 % of the best", None)


def test_after_a_refused_answer_the_wrapped_strategy_goes_on_without_that_model() -> None:
    where = situation(SMALL, MIDDLE, BIG, checks=(Accepts("big"),))
    found, called = explored(0.4, where, Cascade(ladder=["small", "middle", "big"]))
    assert called == ["middle", "small", "big"]
    assert found.attempt is not None
    assert found.attempt.call.model == "big"
    assert found.escalations == 2
    assert set(found.verdicts) == {0, 1, 2}
    assert found.reason.startswith("explored: middle")
    assert found.propensity == pytest.approx(0.1)


def test_after_a_failure_the_wrapped_strategy_goes_on_without_that_model() -> None:
    def answer(call: Call) -> str | MoltError:
        return ServerError("down") if call.model == "small" else "fine"

    found, called = explored(0.0, answer=answer)
    assert called == ["small", "big"]
    assert found.fallbacks == 1
    assert found.fallback_reason == "small: server_error"


def test_a_refused_answer_is_the_best_effort_when_nobody_else_can_answer() -> None:
    def answer(call: Call) -> str | MoltError:
        return "something" if call.model == "small" else ServerError("down")

    found, called = explored(0.0, situation(SMALL, BIG, checks=(Accepts("nobody"),)), answer=answer)
    assert called == ["small", "big"]
    assert found.best_effort
    assert found.attempt is not None
    assert found.attempt.call.model == "small"


def test_a_model_without_a_price_or_over_what_is_left_is_not_drawn() -> None:
    unknown = candidate("unknown", None, 0.8)
    where = situation(unknown, SMALL, MIDDLE, BIG)
    for which in (0.0, 0.3, 0.6, 0.99):
        found, called = explored(which, where, left=0.5)
        assert called[0] in ("small", "middle")
        assert found.propensity == pytest.approx(0.15)
    usual, called = explored(0.0, where, left=0.0)
    assert called == ["big"]
    assert usual.propensity == 1.0  # nothing could be drawn


def test_without_a_candidate_there_is_no_lot() -> None:
    found, called = explored(0.0, situation(candidate("big", 1.0, skipped="no key")))
    assert called == []
    assert found.attempt is None
    assert found.propensity is None


@settings(deadline=None)  # how long it takes says nothing on a busy machine
@given(
    twentieths=st.integers(0, 20),
    costs=st.lists(st.one_of(st.none(), st.floats(0.0, 1.0)), min_size=1, max_size=4),
    qualities=st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4),
    left=st.one_of(st.none(), st.floats(0.0, 1.0)),
)
def test_the_chance_that_is_logged_is_how_often_a_model_is_asked_first(
    twentieths: int, costs: list[float | None], qualities: list[float], left: float | None
) -> None:
    where = situation(*(candidate(f"m{i}", cost, qualities[i]) for i, cost in enumerate(costs)))
    share = twentieths / 20
    # evenly over all that can be drawn: 20 cells meet every share, 12 every number of models up to four
    draws = [((i + 0.5) / 20, (k + 0.5) / 12) for i in range(20) for k in range(12)]
    first: Counter[str] = Counter()
    said: dict[str, set[float | None]] = {}
    for drawn in draws:
        found, called = drive(Explore(Arbitrage(), share=share, drawn=drawn, left_usd=left), where)
        first[called[0]] += 1
        said.setdefault(called[0], set()).add(found.propensity)
    assert {model: [pytest.approx(count / len(draws))] for model, count in first.items()} == {
        model: list(chances) for model, chances in said.items()
    }
