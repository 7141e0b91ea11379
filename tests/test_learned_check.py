"""The learned check of answers, driven with send."""

from __future__ import annotations

import numpy as np
import pytest

from molt_magic import validators
from molt_magic.embed import StaticEmbedder
from molt_magic.errors import ConfigError, RateLimited
from molt_magic.types import Attempt, Call, Check, Completion, Message, Request, Verdict
from molt_magic.validators.learned import AnswerModel, Learned, LearnedCheck, answer_features, joined

EMBEDDER = StaticEmbedder()
REQUEST = Request((Message("user", "What is 6 times 7?"),))
GOOD = [f"6 times {n} is {6 * n}." for n in range(30)]
BAD = [f"I am not sure, perhaps it is about {n} or so" for n in range(30)]


def learned(*, second: str | None = None) -> Learned:
    """What good and bad answers teach; with a second opinion, good ones are agreed with."""
    answers, good = GOOD + BAD, np.arange(60) < 30
    said = answer_features([REQUEST.prompt] * 60, answers, EMBEDDER)
    features = joined(said, np.full(60, 0.5), good if second else None)
    return Learned(AnswerModel.fit(features, good.astype(float), dim=EMBEDDER.dim)[0], 60, second)


def check_of(what: Learned | str, threshold: float = 0.5) -> LearnedCheck:
    return LearnedCheck(
        "learned", lambda model: what if model == "small" else "of small only", threshold, lambda *_: 0.5, EMBEDDER
    )


def verdict(check: Check, text: str, *replies: str | RateLimited, model: str = "small") -> tuple[Verdict, list[Call]]:
    """What a check says, its calls answered by `replies` in turn; and the calls."""
    flow, left, calls = (
        check.check(REQUEST, Attempt(0, Call(model, REQUEST.messages), Completion(text, model))),
        list(replies),
        [],
    )
    try:
        call = next(flow)
        while True:
            calls.append(call)
            reply = left.pop(0)
            failed = isinstance(reply, RateLimited)
            call = flow.send(Attempt(1, call, None if failed else Completion(reply, call.model), reply if failed else None))
    except StopIteration as stop:
        return stop.value, calls


def test_a_good_answer_is_accepted_without_a_score_as_an_estimate_is_no_mark() -> None:
    found, calls = verdict(check_of(learned()), "6 times 7 is 42.")
    assert (found.accepted, found.score, found.source) == (True, None, "learned")
    assert "learned from 60 answers" in found.reason
    assert not calls


def test_a_bad_answer_is_refused_with_how_likely_it_is_good() -> None:
    found, _ = verdict(check_of(learned()), "I am not sure, perhaps it is about 40 or so")
    assert not found.accepted
    assert found.score is not None
    assert 0.0 <= found.score < 0.5


def test_the_threshold_decides() -> None:
    text = "It may be 42."
    assert verdict(check_of(learned(), 0.0), text)[0].accepted
    assert not verdict(check_of(learned(), 1.01), text)[0].accepted


def test_a_second_opinion_is_asked_the_same_question_and_counts() -> None:
    check = check_of(learned(second="other"), 1.01)
    agreed, calls = verdict(check, "It may be 42.", "It may be 42.")
    assert [(call.model, call.messages, call.purpose) for call in calls] == [("other", REQUEST.messages, "judge")]
    disagreed, _ = verdict(check, "It may be 42.", "It may be 41.")
    assert agreed.score is not None
    assert disagreed.score is not None
    assert agreed.score > disagreed.score


def test_it_abstains_where_the_second_opinion_fails() -> None:
    found, _ = verdict(check_of(learned(second="other"), 1.01), "It may be 42.", RateLimited("slow down"))
    assert found.accepted
    assert "failed (rate_limit" in found.reason


def test_of_a_model_whose_answers_were_not_learned_it_abstains_and_asks_nobody() -> None:
    found, calls = verdict(check_of(learned(second="other"), 1.01), "It may be 42.", model="big")
    assert (found.accepted, found.score, found.reason) == (True, None, "of small only")
    assert not calls


def test_the_word_is_built_with_its_threshold_and_abstains_where_nothing_learns() -> None:
    seen: list[tuple[str, float | None]] = []

    def make(name: str, threshold: float | None) -> Check:
        seen.append((name, threshold))
        return check_of("nothing")

    validators.build(["learned", "learned:0.7"], namespace={}, judge_model=None, learned=make)
    assert seen == [("learned", None), ("learned:0.7", 0.7)]
    (alone,) = validators.build(["learned"], namespace={}, judge_model=None)
    assert verdict(alone, "anything")[0].accepted
    with pytest.raises(ConfigError):
        validators.build(["learned:much"], namespace={}, judge_model=None)
