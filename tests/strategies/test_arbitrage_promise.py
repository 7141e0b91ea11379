"""Arbitrage by a promise, and what it asks after a refusal: driven with send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molt_magic.errors import InputError, MoltError, RateLimited
from molt_magic.strategies import Arbitrage
from molt_magic.types import Call, Situation
from tests.strategies.test_strategies import Accepts, candidate, drive, situation


@dataclass(frozen=True)
class Asks:
    """A promise of a policy that sends everything to one model."""

    model: str
    best_single: str = "dear"
    said: str = "at least 95 % of dear's quality (promise 0a1b2c3d)"

    def pick(self, prompt: str, task: str | None) -> str:
        assert (prompt, task) == ("what is it?", "qa")
        return self.model


def three(checks: tuple[Any, ...] = (), **skipped: str) -> Situation:
    """`cheap` is predicted weakest, `new` strongest: it came after the calibration, of which `dear` was the best."""
    made = [
        candidate(name, cost, quality, skipped=skipped.get(name))
        for name, cost, quality in (("cheap", 0.01, 0.5), ("dear", 1.0, 0.8), ("new", 0.1, 0.9))
    ]
    return situation(*made, checks=checks, task="qa")


def fails(*models: str) -> Any:
    def answer(call: Call) -> str | MoltError:
        return RateLimited("slow down") if call.model in models else f"by {call.model}"

    return answer


def test_the_promised_model_is_asked_first_whatever_is_predicted_since() -> None:
    choice, called = drive(Arbitrage(promise=Asks("cheap")), three())
    assert called == ["cheap"]
    assert choice.promise == Asks("cheap").said
    assert choice.reason == "cheap is the pick of the promised policy"
    assert choice.quality_threshold is None
    assert {c.name for c in choice.candidates if c.skipped is None} == {"cheap"}


@pytest.mark.parametrize("skipped", [{"cheap": "no key"}, {}])
def test_where_the_promised_model_cannot_answer_nothing_is_promised_and_the_best_single_one_does(
    skipped: dict[str, str],
) -> None:
    asks = Asks("cheap" if skipped else "gone")
    choice, called = drive(Arbitrage(promise=asks), three(**skipped))
    assert called == ["dear"]
    assert choice.promise is None
    assert "nothing is promised" in choice.reason
    assert ("cheap was skipped: no key" if skipped else "gone is not in the catalog") in choice.reason


def test_without_the_best_single_model_the_strongest_answers_and_nothing_is_promised() -> None:
    choice, called = drive(Arbitrage(promise=Asks("cheap")), three(cheap="no key", dear="cooling down"))
    assert called == ["new"]
    assert choice.promise is None


def test_after_a_failure_of_the_promised_model_the_best_single_one_follows_then_the_others() -> None:
    choice, called = drive(Arbitrage(promise=Asks("cheap")), three(), fails("cheap", "dear"))
    assert called == ["cheap", "dear", "new"]
    assert choice.fallbacks == 2
    assert choice.promise is not None


def test_after_a_refusal_only_models_that_are_predicted_stronger_are_asked_the_strongest_first() -> None:
    choice, called = drive(Arbitrage(promise=Asks("cheap")), three((Accepts("dear"),)))
    assert called == ["cheap", "new"]  # `dear` would be a step down from `new`
    assert choice.best_effort
    assert choice.attempt is not None
    assert choice.attempt.call.model == "new"
    assert choice.escalations == 1
    assert "no other model is predicted stronger" in choice.reason


@pytest.mark.parametrize("how", [{}, {"within": 0.0}, {"price": 0.0}])
def test_the_strongest_models_refused_answer_is_the_best_effort_and_no_weaker_model_is_asked(how: dict[str, float]) -> None:
    choice, called = drive(Arbitrage(**how), three((Accepts("cheap"),)))
    assert called == ["new"]
    assert choice.best_effort
    assert choice.escalations == 0


def test_a_weaker_model_still_stands_in_for_one_that_failed_but_not_after_a_refusal_of_a_stronger_one() -> None:
    choice, called = drive(Arbitrage(price=0.0), three((Accepts(),)), fails("new"))
    assert called == ["new", "dear"]
    assert choice.best_effort
    assert choice.attempt is not None
    assert choice.attempt.call.model == "dear"


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 5), st.sampled_from(("fails", "refused", "accepted"))), max_size=6),
    st.sampled_from((Arbitrage(), Arbitrage(within=0.2), Arbitrage(price=0.1), Arbitrage(promise=Asks("m0", "m1")))),
)
def test_after_a_refusal_it_only_ever_steps_up(models: list[tuple[int, int, str]], strategy: Arbitrage) -> None:
    """Whatever is predicted, fails and is refused: a refused answer is followed by stronger models' only."""
    quality = {f"m{i}": q / 5 for i, (q, _, _) in enumerate(models)}
    does = {f"m{i}": what for i, (_, _, what) in enumerate(models)}
    made = [candidate(name, models[i][1], quality[name], n_evidence=50.0) for i, name in enumerate(quality)]
    where = situation(*made, checks=(Accepts(*(m for m, what in does.items() if what == "accepted")),), task="qa")
    choice, called = drive(strategy, where, fails(*(m for m, what in does.items() if what == "fails")))
    refused = [name for name in called if does[name] == "refused"]
    for at, name in enumerate(called):
        if does[name] == "refused":
            assert all(quality[later] > quality[name] for later in called[at + 1 :])
    if choice.best_effort:
        assert choice.attempt is not None
        assert quality[choice.attempt.call.model] == max(quality[name] for name in refused)


def test_a_promise_goes_with_no_other_way() -> None:
    for way in ({"within": 0.05}, {"price": 1.0}):
        with pytest.raises(InputError, match="one of them"):
            Arbitrage(promise=Asks("cheap"), **way)
