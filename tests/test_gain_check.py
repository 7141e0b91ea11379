"""The learned check of what the model above would gain, and the check of every task, driven with send."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from molt_magic.embed import StaticEmbedder
from molt_magic.errors import RateLimited
from molt_magic.types import Attempt, Call, Check, Completion, Message, Request
from molt_magic.validators.by_task import ByTask
from molt_magic.validators.function import function_check
from molt_magic.validators.gain import GainCheck, Gained, gain_features
from molt_magic.validators.learned import Floats, answer_features
from tests.test_learned_check import BAD, EMBEDDER, GOOD, REQUEST, verdict

SURE, UNSURE = "6 times 7 is 42.", "I am not sure, perhaps it is about 40 or so"
COST = 0.01  # USD, an answer of the model above


def features(answers: Sequence[str], same: Sequence[bool] | None) -> Floats:
    said = answer_features([REQUEST.prompt] * len(answers), answers, EMBEDDER)
    return gain_features(said, np.full((len(answers), 2), 0.5), None if same is None else np.array(same))


def gained(*, second: str | None = None, above_is_good: bool = True) -> Gained:
    """Sure answers are good and unsure ones bad; the model above is good everywhere, or on no prompt of an unsure answer."""
    sure = np.arange(60) < 30
    above = np.ones(60) if above_is_good else sure.astype(float)
    rows = features(GOOD + BAD, list(sure) if second else None)
    scores = np.stack([sure.astype(float), above], axis=1)
    return Gained.fit(rows, scores, first="small", above="big", second=second, dim=EMBEDDER.dim)[0]


def check_of(what: Gained, price: float) -> GainCheck:
    return GainCheck("gain", what, price, lambda _, names: np.full(len(names), 0.5), lambda *_: COST, StaticEmbedder())


def test_it_refuses_where_the_model_above_gains_more_than_it_costs_at_the_price() -> None:
    what = gained()
    kept, _ = verdict(check_of(what, 20.0), SURE)
    assert (kept.accepted, kept.score, kept.source) == (True, None, "learned")
    refused, _ = verdict(check_of(what, 20.0), UNSURE)
    assert not refused.accepted
    assert refused.score is not None
    assert refused.score < 0.5
    assert "has to gain 0.20" in refused.reason
    assert verdict(check_of(what, 200.0), UNSURE)[0].accepted  # $0.01 is worth two whole points of quality


def test_a_bad_answer_is_kept_where_the_model_above_fails_as_well() -> None:
    what = gained(above_is_good=False)
    assert what.trust > 0.5
    assert verdict(check_of(what, 20.0), UNSURE)[0].accepted


def test_the_second_model_is_asked_the_same_and_its_agreement_lowers_the_gain() -> None:
    what = gained(second="other")
    agreed, disagreed = (float(what(features(["It may be 42."], [same]))[0]) for same in (True, False))
    assert agreed < disagreed
    between = check_of(what, (agreed + disagreed) / 2 / COST)
    kept, calls = verdict(between, "It may be 42.", "It may be 42.")
    assert [(call.model, call.messages, call.purpose) for call in calls] == [("other", REQUEST.messages, "judge")]
    assert kept.accepted
    assert not verdict(between, "It may be 42.", "It may be 41.")[0].accepted


def test_it_has_nothing_to_say_of_other_models_or_without_its_second_opinion() -> None:
    check = check_of(gained(second="other"), 0.0)
    other, calls = verdict(check, UNSURE, model="big")
    assert (other.accepted, other.reason, calls) == (True, "learned for small only", [])
    failed, _ = verdict(check, UNSURE, RateLimited("slow down"))
    assert failed.accepted
    assert "failed (rate_limit" in failed.reason


def test_every_task_has_its_check_and_all_others_share_one() -> None:
    def short(text: str) -> bool:
        return len(text) < 5

    def says_yes(text: str) -> bool:
        return "yes" in text

    check = ByTask(
        "cascade", {"sums": function_check("short", short), "prose": None, None: function_check("says_yes", says_yes)}
    )
    assert accepts(check, "sums", "42")
    assert not accepts(check, "sums", "forty-two")
    assert accepts(check, "prose", "forty-two")
    assert not accepts(check, "code", "forty-two")
    assert accepts(check, None, "oh yes")


def accepts(check: Check, task: str | None, text: str) -> bool:
    request = Request((Message("user", "What is it?"),), task=task)
    checking = check.check(request, Attempt(0, Call("small", request.messages), Completion(text, "small")))
    try:
        next(checking)
    except StopIteration as stop:
        return bool(stop.value.accepted)
    raise AssertionError("it asked a model")
