"""Strategies are driven with send: no network, no file, no event loop."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from molt_magic.errors import ContentFiltered, ContextTooLong, InputError, MoltError, RateLimited, StreamInterrupted
from molt_magic.strategies import Arbitrage, Cascade, Direct, Rule, Semantic
from molt_magic.types import (
    Attempt,
    Call,
    Candidate,
    Checking,
    Choice,
    Completion,
    Message,
    ModelSpec,
    Request,
    Route,
    Situation,
    Strategy,
    TaskGuess,
    Verdict,
)


def candidate(name: str, cost: float | None = 0.0, quality: float = 0.5, low: float | None = None, **more: Any) -> Candidate:
    spec = ModelSpec(name=name, provider=more.pop("provider", "openai"), model=name, context_window=more.pop("window", 8000))
    return Candidate(
        spec, expected_cost_usd=cost, predicted_quality=quality, quality_low=quality if low is None else low, **more
    )


def situation(*candidates: Candidate, quality: float = 0.8, checks: tuple[Any, ...] = (), **request: Any) -> Situation:
    asked = Request(messages=(Message("user", "what is it?"),), **request)
    return Situation(request=asked, candidates=candidates, quality=quality, checks=checks)


def drive(
    strategy: Strategy, where: Situation, answer: Callable[[Call], str | MoltError] = lambda call: f"by {call.model}"
) -> tuple[Choice, list[str]]:
    """Drive a flow with `answer`; the choice, and the models that were called."""
    called: list[str] = []
    flow: Generator[Call, Attempt, Choice] = strategy.flow(where)
    try:
        call = next(flow)
        while True:
            given = answer(call)
            if isinstance(given, MoltError):
                attempt = Attempt(len(called), call, getattr(given, "partial", None), given)
            else:
                attempt = Attempt(len(called), call, Completion(given, call.model))
            called.append(call.model)
            call = flow.send(attempt)
    except StopIteration as stop:
        return stop.value, called


class Accepts:
    """A check that accepts answers of some models."""

    name = "accepts"

    def __init__(self, *models: str) -> None:
        self.models = models

    def check(self, request: Request, attempt: Attempt) -> Checking:
        yield from ()
        ok = attempt.call.model in self.models
        return Verdict(ok, 1.0 if ok else 0.0, "fine" if ok else "not good")


ROUTES = {"qa": Route("qa", "small", "big"), "code": Route("code", "big")}
KNOWS = lambda prompt: TaskGuess("qa", 0.9)  # noqa: E731
ABSTAINS = lambda prompt: TaskGuess(None, 0.2)  # noqa: E731

ALL: list[Strategy] = [
    Rule(routes=ROUTES, classify=KNOWS),
    Semantic(routes=ROUTES, classify=KNOWS),
    Arbitrage(),
    Arbitrage(within=0.05),
    Arbitrage(price=0.1),
    Cascade(ladder=("small", "big")),
    Direct(default="small"),
]
every_strategy = pytest.mark.parametrize("strategy", ALL, ids=lambda s: s.name)


@every_strategy
class TestEveryStrategy:
    def test_answers_with_an_attempt_it_asked_for_and_says_why(self, strategy: Strategy) -> None:
        choice, called = drive(strategy, situation(candidate("small"), candidate("big", 1.0, 0.9)))
        assert choice.attempt is not None
        assert choice.attempt.call.model == called[-1]
        assert choice.reason
        assert "\n" not in choice.reason

    def test_lists_every_candidate_with_the_reason_it_was_passed_over(self, strategy: Strategy) -> None:
        where = situation(candidate("gone", skipped="no key", reachable=False), candidate("small"), candidate("big", 1.0, 0.9))
        choice, called = drive(strategy, where)
        assert [c.name for c in choice.candidates] == ["gone", "small", "big"]
        assert choice.candidates[0].skipped == "no key"
        assert {c.name for c in choice.candidates if c.skipped is None} >= set(called)

    def test_never_calls_a_skipped_model(self, strategy: Strategy) -> None:
        where = situation(candidate("small", skipped="no key"), candidate("big", 1.0, 0.9, skipped="no key"))
        choice, called = drive(strategy, where)
        assert called == []
        assert choice.attempt is None

    def test_sends_the_request_unchanged(self, strategy: Strategy) -> None:
        sent: list[Call] = []

        def answer(call: Call) -> str:
            sent.append(call)
            return "x"

        where = situation(candidate("small"), candidate("big"), params={"temperature": 0.5}, schema={"type": "object"})
        drive(strategy, where, answer)
        assert sent[0].messages == where.request.messages
        assert sent[0].params == {"temperature": 0.5}
        assert sent[0].schema == {"type": "object"}

    def test_keeps_a_stream_that_broke_after_text_had_arrived(self, strategy: Strategy) -> None:
        broken = StreamInterrupted("cut", partial=Completion("half", "m"))
        choice, called = drive(strategy, situation(candidate("small"), candidate("big")), lambda call: broken)
        assert len(called) == 1
        assert choice.attempt is not None
        assert choice.attempt.completion is not None
        assert choice.attempt.completion.text == "half"

    def test_does_not_check_a_plan(self, strategy: Strategy) -> None:
        where = situation(candidate("small"), candidate("big"), checks=(Accepts(),))
        flow = strategy.flow(where)
        call = next(flow)
        with pytest.raises(StopIteration) as stop:
            flow.send(Attempt(0, call, Completion("", call.model), planned=True))
        assert stop.value.value.attempt.planned

    def test_two_flows_of_one_strategy_do_not_share_state(self, strategy: Strategy) -> None:
        where = situation(candidate("small"), candidate("big"))
        first, second = strategy.flow(where), strategy.flow(where)
        assert next(first) == next(second)


def test_rule_takes_the_primary_then_the_fallback() -> None:
    def small_is_limited(call: Call) -> str | MoltError:
        return RateLimited("slow down") if call.model == "small" else "ok"

    choice, called = drive(ALL[0], situation(candidate("small"), candidate("big"), task="qa"), small_is_limited)
    assert called == ["small", "big"]
    assert (choice.fallbacks, choice.fallback_reason) == (1, "small: rate_limit")


def test_rule_says_why_the_primary_was_skipped() -> None:
    choice, called = drive(ALL[0], situation(candidate("small", skipped="no key"), candidate("big"), task="qa"))
    assert called == ["big"]
    assert "as small was skipped: no key" in choice.reason


def test_rule_proposes_a_task_when_none_is_given() -> None:
    choice, _ = drive(ALL[0], situation(candidate("small"), candidate("big")))
    assert (choice.task, choice.task_score) == ("qa", 0.9)
    assert "proposed" in choice.reason


def test_rule_without_an_available_model_in_the_row_takes_the_strongest() -> None:
    where = situation(candidate("small", skipped="no key"), candidate("a", quality=0.4), candidate("b", quality=0.6), task="qa")
    choice, called = drive(ALL[0], where)
    assert called == ["b"]
    assert "by default" in choice.reason


def test_semantic_abstains_to_the_default_and_says_so() -> None:
    strategy = Semantic(routes=ROUTES, classify=ABSTAINS, default="big")
    choice, called = drive(strategy, situation(candidate("small"), candidate("big", 1.0)))
    assert called == ["big"]
    assert choice.task is None
    assert "abstains" in choice.reason


def test_arbitrage_takes_the_cheapest_that_is_good_enough() -> None:
    where = situation(candidate("dear", 1.0, 0.95), candidate("mid", 0.1, 0.9), candidate("cheap", 0.01, 0.5))
    choice, called = drive(Arbitrage(), where)
    assert called == ["mid"]
    assert (choice.predicted_quality, choice.quality_threshold) == (0.9, 0.8)


def test_arbitrage_prefers_the_stronger_model_when_the_evidence_is_thin() -> None:
    where = situation(candidate("cheap", 0.01, 0.85, low=0.7), candidate("dear", 1.0, 0.95, low=0.9))
    assert drive(Arbitrage(), where)[1] == ["dear"]


def test_arbitrage_takes_the_best_when_none_is_good_enough() -> None:
    where = situation(candidate("cheap", 0.01, 0.3), candidate("dear", 1.0, 0.6))
    choice, called = drive(Arbitrage(), where)
    assert called == ["dear"]
    assert "no model is surely" in choice.reason


def test_arbitrage_counts_an_unknown_price_as_the_dearest() -> None:
    where = situation(candidate("unpriced", None, 0.9), candidate("priced", 5.0, 0.9))
    assert drive(Arbitrage(), where)[1] == ["priced"]


def test_arbitrage_within_takes_the_cheapest_that_is_near_the_best_for_this_prompt_however_hard_it_is() -> None:
    known = {"n_evidence": 50.0, "low": 0.1}
    near = situation(
        candidate("cheap", 0.01, 0.27, **known), candidate("mid", 0.1, 0.2, **known), candidate("dear", 1.0, 0.3, **known)
    )
    choice, called = drive(Arbitrage(within=0.05), near)
    assert called == ["cheap"]
    assert choice.quality_threshold is None
    far = situation(candidate("cheap", 0.01, 0.6, **known), candidate("dear", 1.0, 0.9, **known))
    assert drive(Arbitrage(within=0.05), far)[1] == ["dear"]


def test_arbitrage_by_price_pays_only_for_what_is_worth_it() -> None:
    where = situation(candidate("cheap", 0.01, 0.7, n_evidence=50.0), candidate("dear", 1.0, 0.9, n_evidence=50.0))
    assert drive(Arbitrage(price=0.1), where)[1] == ["dear"]
    assert drive(Arbitrage(price=1.0), where)[1] == ["cheap"]
    unpriced = situation(candidate("cheap", None, 0.9, n_evidence=50.0), candidate("dear", 1.0, 0.8, n_evidence=50.0))
    assert drive(Arbitrage(price=0.1), unpriced)[1] == ["dear"]
    assert drive(Arbitrage(price=0.0), unpriced)[1] == ["cheap"]


@pytest.mark.parametrize("how", [{"within": 0.05}, {"price": 0.01}])
def test_arbitrage_that_compares_models_takes_a_thin_prediction_at_its_lower_bound(how: dict[str, float]) -> None:
    where = situation(
        candidate("cheap", 0.01, 0.89, low=0.7, n_evidence=3.0), candidate("dear", 1.0, 0.9, low=0.8, n_evidence=3.0)
    )
    assert drive(Arbitrage(**how), where)[1] == ["dear"]


@pytest.mark.parametrize("how", [{"within": 0.05, "price": 1.0}, {"within": 2.0}, {"price": -1.0}])
def test_arbitrage_refuses_ways_that_are_none(how: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Arbitrage(**how)


def test_cascade_climbs_until_a_check_accepts() -> None:
    where = situation(candidate("small"), candidate("mid"), candidate("big"), checks=(Accepts("big"),))
    choice, called = drive(Cascade(ladder=("small", "mid", "big")), where)
    assert called == ["small", "mid", "big"]
    assert choice.escalations == 2
    assert not choice.best_effort
    assert choice.verdicts[0].reason == "not good"
    assert choice.verdicts[2].accepted


def test_cascade_marks_the_last_answer_as_best_effort_when_nothing_is_accepted() -> None:
    where = situation(candidate("small"), candidate("big"), checks=(Accepts(),))
    choice, _ = drive(Cascade(ladder=("small", "big")), where)
    assert choice.best_effort
    assert choice.attempt is not None
    assert choice.attempt.call.model == "big"


def test_cascade_keeps_the_refused_answer_when_the_rung_above_fails() -> None:
    def big_fails(call: Call) -> str | MoltError:
        return RateLimited("no") if call.model == "big" else "something"

    choice, _ = drive(
        Cascade(ladder=("small", "big")), situation(candidate("small"), candidate("big"), checks=(Accepts(),)), big_fails
    )
    assert choice.best_effort
    assert choice.attempt is not None
    assert choice.attempt.completion is not None
    assert choice.attempt.completion.text == "something"


def test_cascade_skips_a_rung_that_has_no_chance_by_prediction() -> None:
    where = situation(candidate("small", quality=0.02, n_evidence=50.0), candidate("big"))
    choice, called = drive(Cascade(ladder=("small", "big")), where)
    assert called == ["big"]
    assert choice.candidates[0].skipped == "has no chance by prediction"


def refusing(score: float | None) -> Any:
    """A check that refuses every answer with this score."""

    class Refuses:
        name = "refuses"

        def check(self, request: Request, attempt: Attempt) -> Checking:
            yield from ()
            return Verdict(False, score, "not sure")

    return Refuses()


def test_cascade_with_a_price_ends_where_no_rung_is_expected_to_gain_its_cost() -> None:
    models = candidate("small", 0.0), candidate("big", 0.1, quality=0.9)
    choice, called = drive(Cascade(ladder=("small", "big"), price=2.0), situation(*models, checks=(refusing(0.8),)))
    assert called == ["small"]
    assert choice.best_effort
    assert choice.escalations == 0
    assert "small was refused (not sure), big would not gain what it costs" in choice.reason
    _, called = drive(Cascade(ladder=("small", "big"), price=2.0), situation(*models, checks=(refusing(0.6),)))
    assert called == ["small", "big"]
    _, called = drive(Cascade(ladder=("small", "big")), situation(*models, checks=(refusing(0.8),)))
    assert called == ["small", "big"]


def test_cascade_with_a_price_passes_over_a_rung_that_is_not_worth_it_for_one_that_is() -> None:
    where = situation(
        candidate("small"), candidate("mid", 0.2, quality=0.5), candidate("big", 0.3, quality=0.95), checks=(refusing(0.4),)
    )
    choice, called = drive(Cascade(ladder=("small", "mid", "big"), price=1.0), where)
    assert called == ["small", "big"]
    assert choice.escalations == 1


def test_cascade_with_a_price_never_asks_a_rung_whose_price_is_unknown_unless_money_is_no_object() -> None:
    where = situation(candidate("small"), candidate("big", None, quality=0.9), checks=(refusing(None),))
    assert drive(Cascade(ladder=("small", "big"), price=0.1), where)[1] == ["small"]
    assert drive(Cascade(ladder=("small", "big"), price=0.0), where)[1] == ["small", "big"]
    with pytest.raises(InputError):
        Cascade(ladder=("small", "big"), price=-1.0)


def test_a_cascade_climbs_the_ladder_of_the_task() -> None:
    models = (candidate("small"), candidate("mid"), candidate("big"))
    strategy = Cascade(ladder=("small", "big"), ladders={"sums": ("mid", "big")})
    choice, called = drive(strategy, situation(*models, task="sums"))
    assert called == ["mid"]
    assert choice.reason.startswith("ladder of sums mid > big")
    assert drive(strategy, situation(*models, task="prose"))[1] == ["small"]
    assert drive(strategy, situation(*models))[1] == ["small"]


def test_a_cascade_asks_for_a_task_only_where_tasks_have_ladders_and_its_checks_go_by_it() -> None:
    seen: list[str | None] = []

    class Notes:
        name = "notes"

        def check(self, request: Request, attempt: Attempt) -> Checking:
            yield from ()
            seen.append(request.task)
            return Verdict(True, None, "noted", self.name)

    def classify(_: str) -> TaskGuess:
        return TaskGuess("sums", 0.8)

    models = (candidate("small"), candidate("mid"))
    choice, called = drive(
        Cascade(ladder=("small",), ladders={"sums": ("mid",)}, classify=classify), situation(*models, checks=(Notes(),))
    )
    assert (called, choice.task, choice.task_score, seen) == (["mid"], "sums", 0.8, ["sums"])
    assert "ladder of sums (proposed, 0.80)" in choice.reason
    choice, called = drive(Cascade(ladder=("small",), classify=classify), situation(*models))
    assert (called, choice.task) == (["small"], None)


def test_a_context_too_long_never_falls_back_to_a_smaller_window() -> None:
    where = situation(candidate("small", window=4000), candidate("tiny", window=2000), candidate("big", window=9000))
    strategy = Cascade(ladder=("small", "tiny", "big"))
    _, called = drive(strategy, where, lambda call: ContextTooLong("too long") if call.model != "big" else "ok")
    assert called == ["small", "big"]


def test_a_content_filter_falls_back_to_another_provider() -> None:
    where = situation(candidate("a"), candidate("b"), candidate("c", provider="gemini"))
    _, called = drive(Cascade(ladder=("a", "b", "c")), where, lambda call: ContentFiltered("no") if call.model != "c" else "ok")
    assert called == ["a", "c"]


def test_direct_never_falls_back() -> None:
    where = situation(candidate("small"), candidate("big"), model="small")
    choice, called = drive(Direct(), where, lambda call: RateLimited("no"))
    assert called == ["small"]
    assert choice.attempt is not None
    assert isinstance(choice.attempt.error, RateLimited)


def test_a_check_that_asks_for_calls_of_its_own_gets_them() -> None:
    class Asks:
        name = "asks"

        def check(self, request: Request, attempt: Attempt) -> Checking:
            judge = yield Call("judge", request.messages, purpose="judge")
            assert judge.completion is not None
            return Verdict(judge.completion.text == "by judge", 0.7, "judged", source="judge")

    choice, called = drive(Direct(default="small"), situation(candidate("small"), candidate("big"), checks=(Asks(),)))
    assert called == ["small", "judge"]
    assert choice.verdicts[0].score == 0.7


def test_the_strategies_import_nothing_that_reaches_a_network_a_file_or_a_loop() -> None:
    import ast
    from pathlib import Path

    import molt_magic.strategies as package

    folder = Path(str(package.__file__)).parent
    forbidden = {"httpx", "socket", "asyncio", "sqlite3", "time", "subprocess", "threading"}
    for file in folder.glob("*.py"):
        if file.name == "classifier.py":  # reads the examples that ship; strategies get it as a plain function
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", "") or ""]
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert not forbidden & {name.split(".")[0] for name in names}, file.name
