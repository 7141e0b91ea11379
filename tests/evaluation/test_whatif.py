"""What if another policy had decided? What is known is exact, what is predicted is marked."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from molt_magic.errors import InputError, ServerError, UnknownName
from molt_magic.evaluation.bootstrap import weights
from molt_magic.evaluation.whatif.propensity import doubly_robust, estimate
from molt_magic.orchestrator import Orchestrator
from molt_magic.orchestrator.beforehand import prompt_hash
from molt_magic.providers.cassette import Tape
from molt_magic.providers.cassette.tape import key_of, line_of
from molt_magic.types import Call, Completion, Decision, Message, Request, Usage
from molt_magic.views.whatif import page
from tests.conftest import MakeOrchestrator
from tests.views.samples import DECISION

SCRIPT = {"small": "by small", "big": "by big"}
COSTS = {"small": 0.001, "big": 0.01}  # expected, USD
QUALITIES = {"small": 0.5, "big": 0.9}  # predicted
_ids = itertools.count()


# fmt: off
def attempt(model: str, cost: float | None = 0.001, **changes: Any) -> dict[str, Any]:
    return {"index": 0, "model": model, "purpose": "answer", "cache": "miss", "cost_usd": cost, "error": None, "verdict": None,
            "text": f"by {model}", "finish_reason": "stop", **changes}


def verdict(accepted: bool, validator: str, score: float | None = None, source: str = "validator") -> dict[str, Any]:
    return {"accepted": accepted, "score": score, "reason": "so", "validator": validator, "source": source}


def candidates(**skipped: str) -> tuple[dict[str, Any], ...]:
    return tuple({"model": name, "expected_cost_usd": COSTS[name], "predicted_quality": QUALITIES[name],
                  "quality_low": QUALITIES[name], "evidence": "12 outcomes", "n_evidence": 12.0,
                  "skipped": skipped.get(name), "eligible": name not in skipped} for name in COSTS)


def decision(
    prompt: str, *attempts: dict[str, Any], quality: float | None = None, status: str = "ok", **changes: Any
) -> Decision:
    """A decision for a question of one message; its cost is that of its attempts."""
    asked = Request(messages=(Message("user", prompt),))
    costs = [a["cost_usd"] for a in attempts]
    plain = {"strategy": "arbitrage", "task": None, "task_score": None, "candidates": candidates(), "quality_threshold": None,
             "quality_source": None if quality is None else "user", "cache": "miss", "escalations": 0}
    return replace(DECISION, **{
        **plain, "decision_id": f"{next(_ids):016x}", "prompt": prompt, "prompt_hash": prompt_hash(asked),
        "model": attempts[-1]["model"] if attempts else None, "attempts": attempts, "n_attempts": len(attempts),
        "cost_usd": None if None in costs else sum(costs), "quality": quality, "status": status, **changes})
# fmt: on


def log(orch: Orchestrator, decisions: Sequence[Decision]) -> Orchestrator:
    for each in decisions:
        orch.log.append(each)
    return orch


def row(found: Any, n: int = 0) -> dict[str, Any]:
    return dict(found.frame.iloc[n])


def test_where_everything_is_known_costs_and_scores_are_the_real_ones(orchestrator: MakeOrchestrator) -> None:
    rng = np.random.default_rng(0)
    costs, scores = rng.random((40, 2)), rng.random((40, 2))
    small = [decision(f"q{i}", attempt("small", costs[i, 0]), quality=scores[i, 0]) for i in range(40)]
    big = [decision(f"q{i}", attempt("big", costs[i, 1]), quality=scores[i, 1], session="other") for i in range(40)]
    found = log(orchestrator(SCRIPT), [*small, *big]).whatif(model="big", session="s1")
    assert list(found.frame["decision_id"]) == [d.decision_id for d in small]
    assert np.array_equal(found.frame["cost_usd"], costs[:, 1])
    assert np.array_equal(found.frame["score"], scores[:, 1])
    assert np.array_equal(found.frame["actual_cost_usd"], costs[:, 0])
    assert np.array_equal(found.frame["actual_quality"], scores[:, 0])
    assert found.frame["cost_known"].all()
    assert found.frame["score_known"].all()
    assert set(found.frame["source"]) == {"logged"}
    was, would = found.summary.to_dict("records")
    assert (was["policy"], would["policy"]) == ("as it was", "direct, big")
    for name in ("cost_usd", "known_cost_usd"):
        assert (was[name], would[name]) == pytest.approx((costs[:, 0].sum(), costs[:, 1].sum()))
    for name in ("quality", "known_quality"):
        assert (was[name], would[name]) == pytest.approx((scores[:, 0].mean(), scores[:, 1].mean()))
    change = scores[:, 1].mean() - scores[:, 0].mean()
    assert would["known_quality_change"] == pytest.approx(change)
    assert would["known_quality_change_lo"] < change < would["known_quality_change_hi"]
    assert "On 40 of your 40 decisions it is known what direct, big would have cost" in found.statement
    assert "predicted" not in found.statement


def test_the_policy_that_decided_comes_out_as_it_was(orchestrator: MakeOrchestrator) -> None:
    def small(call: Call) -> Any:
        number = int(call.messages[-1].text.split()[1])
        return ServerError("down") if number % 4 == 0 else "fine 1" if number % 3 else "without a number"

    orch = orchestrator({"small": small, "big": "big says 2", "judge": "no mark"})
    for i in range(24):
        orch.route(f"question {i} please", strategy="cascade", validate=["nonempty", "regex:[0-9]"])
    found = orch.whatif(strategy="cascade")
    logged = orch.log.to_frame()
    assert set(logged["escalations"]) == set(logged["fallbacks"]) == {0, 1}
    assert list(found.frame["model"]) == list(logged["model"])
    assert list(found.frame["cost_usd"]) == list(logged["cost_usd"])
    assert np.array_equal(found.frame["score"], logged["quality"])
    assert found.frame["score_known"].all()
    assert found.same == 24
    assert "would have asked whom you asked" in found.statement


def test_what_a_judge_and_a_summary_cost_goes_with_their_answer(orchestrator: MakeOrchestrator) -> None:
    refused = attempt("small", 0.1, verdict=verdict(False, "judge", 0.2, "judge"))
    tried = decision(
        "q", refused, attempt("big", 0.5, purpose="judge"), attempt("big", 0.04, purpose="summary"), attempt("big", 2.0)
    )
    found = log(orchestrator(SCRIPT), [tried])
    assert row(found.whatif(model="small"))["cost_usd"] == pytest.approx(0.6)
    assert row(found.whatif(model="small"))["score"] == 0.2
    assert row(found.whatif(model="big"))["cost_usd"] == pytest.approx(2.04)


def test_what_is_not_known_is_predicted_and_marked(orchestrator: MakeOrchestrator) -> None:
    found = log(orchestrator(SCRIPT), [decision("q", attempt("big", 0.02), quality=1.0)]).whatif(model="small")
    assert row(found) | {"reason": ""} == {
        "decision_id": row(found)["decision_id"], "prompt": "q", "actual_model": "big", "actual_cost_usd": 0.02,
        "actual_quality": 1.0, "model": "small", "cost_usd": 0.001, "score": 0.5, "cost_known": False, "score_known": False,
        "source": "predicted", "reason": "",
    }  # fmt: skip
    assert found.statement.startswith("Nothing is known of what direct, small would have done on your one decision")
    assert math.isnan(found.summary.iloc[1]["known_cost_usd"])


def test_an_answer_without_a_mark_has_a_known_cost_and_a_predicted_score(orchestrator: MakeOrchestrator) -> None:
    asked = [decision("q", attempt("big", 0.02)), decision("q", attempt("small", 0.003))]
    found = row(log(orchestrator(SCRIPT), asked).whatif(model="small"))
    assert (found["cost_usd"], found["cost_known"], found["score"], found["score_known"]) == (0.003, True, 0.5, False)
    assert found["source"] == "logged"


def test_of_several_answers_the_strongest_word_counts_then_the_newest(orchestrator: MakeOrchestrator) -> None:
    asked = [
        decision("q", attempt("big", 0.02)),
        decision("q", attempt("small", 0.003), quality=0.1),
        decision("q", attempt("small", 0.004), quality=0.2),
        decision("q", attempt("small", 0.005), quality=0.9, quality_source="validator"),
    ]
    orch = log(orchestrator(SCRIPT), asked)
    assert (row(orch.whatif(model="small"))["cost_usd"], row(orch.whatif(model="small"))["score"]) == (0.004, 0.2)
    orch.feedback(asked[1].decision_id, 0.6)
    orch.feedback(asked[2].decision_id, 0.7)
    assert row(orch.whatif(model="small"))["score"] == 0.7


def test_a_model_that_could_not_be_asked_stays_out_unless_its_answer_is_known(orchestrator: MakeOrchestrator) -> None:
    asked = decision("q", attempt("big", 0.02), quality=1.0, candidates=candidates(small="no key"))
    orch = log(orchestrator(SCRIPT), [asked])
    without = orch.whatif(model="small")
    assert len(without.frame) == 0
    assert without.left_out == {"in which nobody whom it asks could be asked": 1}
    assert row(orch.whatif(ladder=["small", "big"]))["model"] == "big"
    table = pd.DataFrame([{"prompt_id": "1", "prompt": "q", "model": "small", "score": 0.4, "cost_usd": 0.007}])
    known = row(orch.whatif(model="small", table=table))
    assert (known["cost_usd"], known["score"], known["source"]) == (0.007, 0.4, "table")
    assert known["cost_known"] & known["score_known"]


def test_a_model_that_was_not_assessed_can_be_asked_where_its_answer_is_known(orchestrator: MakeOrchestrator) -> None:
    nothing = {"expected_cost_usd": None, "predicted_quality": None, "quality_low": None, "evidence": "not assessed"}
    unable = tuple(c | nothing if c["skipped"] else c for c in candidates(small="no key"))
    orch = log(orchestrator(SCRIPT), [decision("q", attempt("big", 0.02), quality=1.0, candidates=unable)])
    table = pd.DataFrame([{"prompt_id": "1", "prompt": "q", "model": "small", "score": 0.4, "cost_usd": 0.007}])
    assert row(orch.whatif(model="small", table=table))["score"] == 0.4
    assert row(orch.whatif(strategy="arbitrage", table=table))["model"] == "big", "of which something was expected"


def test_a_model_that_was_passed_over_can_be_asked(orchestrator: MakeOrchestrator) -> None:
    passed = tuple({**c, "skipped": "not cheaper than big", "eligible": True} for c in candidates())
    found = log(orchestrator(SCRIPT), [decision("q", attempt("big"), candidates=passed)]).whatif(model="small")
    assert row(found)["source"] == "predicted"


def test_a_table_speaks_of_questions_of_one_message_or_by_their_hash(orchestrator: MakeOrchestrator) -> None:
    talk = Request(messages=(Message("user", "hello"), Message("assistant", "hi"), Message("user", "q")))
    in_a_thread = decision("q", attempt("big"), prompt_hash=prompt_hash(talk))
    orch = log(orchestrator(SCRIPT), [in_a_thread])
    rows = {"prompt_id": ["1"], "prompt": ["q"], "model": ["small"], "score": [0.4], "cost_usd": [0.007]}
    assert row(orch.whatif(model="small", table=pd.DataFrame(rows)))["source"] == "predicted"
    by_hash = pd.DataFrame(rows | {"prompt_id": [in_a_thread.prompt_hash]})
    assert row(orch.whatif(model="small", table=by_hash))["source"] == "table"


def test_a_table_marks_what_was_answered_too(orchestrator: MakeOrchestrator) -> None:
    table = pd.DataFrame([{"prompt_id": "1", "prompt": "q", "model": "big", "score": 0.25, "cost_usd": 9.0}])
    found = row(log(orchestrator(SCRIPT), [decision("q", attempt("big", 0.02))]).whatif(model="big", table=table))
    assert (found["actual_quality"], found["score"]) == (0.25, 0.25)
    assert (found["actual_cost_usd"], found["cost_usd"]) == (0.02, 0.02)  # what was really paid


def test_a_table_that_was_learned_from_is_known_too(orchestrator: MakeOrchestrator) -> None:
    orch = log(orchestrator(SCRIPT), [decision("q", attempt("big"))])
    orch.learn(pd.DataFrame([{"prompt_id": "1", "prompt": "q", "model": "small", "score": 0.4, "cost_usd": 0.007}]))
    found = row(orch.whatif(model="small"))
    assert (found["score"], found["score_known"], found["cost_known"], found["source"]) == (0.4, True, False, "table")


def test_an_answer_on_the_cassette_is_known_at_the_prices_of_now(orchestrator: MakeOrchestrator, tmp_path: Path) -> None:
    file = tmp_path / "tape.jsonl"
    call = Call("small", (Message("user", "q"),), params={"temperature": 0.5})
    line = line_of(call, Completion("by small", "s", Usage(1000, 500)), latency_s=1.0, ttft_s=None)
    Tape(file, locks=tmp_path / "locks").keep(key_of(call), line, ["small"])
    orch = log(
        orchestrator(SCRIPT, values={"cassette.file": str(file), "cassette.mode": "off"}), [decision("q", attempt("big"))]
    )
    found = row(orch.whatif(model="small"))
    assert (found["source"], found["cost_known"], found["score_known"]) == ("cassette", True, False)
    assert found["cost_usd"] == pytest.approx(0.002)  # 1000 tokens at $1 and 500 at $2 a million


def test_a_cached_decision_costs_what_it_did(orchestrator: MakeOrchestrator) -> None:
    first = decision("q", attempt("big", 0.02), quality=0.8)
    again = decision("q", attempt("big", 0.0, cache="exact"), cache="exact")
    other = decision("q", attempt("small", 0.003), quality=0.3)
    frame = log(orchestrator(SCRIPT), [first, again, other]).whatif(model="small").frame
    assert list(frame["cost_usd"]) == [0.003, 0.0, 0.003]
    assert list(frame["score"]) == [0.3, 0.3, 0.3]
    assert list(frame["actual_quality"]) == [0.8, 0.8, 0.3]


def test_a_mark_on_a_cached_answer_is_one_on_that_answer(orchestrator: MakeOrchestrator) -> None:
    first, again = decision("q", attempt("big", 0.02)), decision("q", attempt("big", 0.0, cache="exact"), cache="exact")
    orch = log(orchestrator(SCRIPT), [first, again, decision("q", attempt("small", 0.003))])
    orch.feedback(again.decision_id, 0.8)
    assert list(orch.whatif(model="big").frame["score"]) == [0.8, 0.8, 0.8]


def test_what_cannot_be_taken_again_is_left_out_and_counted(orchestrator: MakeOrchestrator) -> None:
    asked = [
        decision("a", attempt("big")),
        replace(decision("b", attempt("big")), prompt=None),
        decision("c", attempt("big", error="server_error: down"), status="error"),
        decision("d", attempt("big"), status="interrupted"),
    ]
    found = log(orchestrator(SCRIPT), asked).whatif(model="big")
    assert len(found.frame) == 1
    assert found.left_out == {"whose prompt was not logged": 1, "that failed or were interrupted": 2}
    assert "Left out: 1 whose prompt was not logged; 2 that failed or were interrupted." in str(found)


def test_an_empty_log_says_so(orchestrator: MakeOrchestrator) -> None:
    found = orchestrator(SCRIPT).whatif(strategy="cascade")
    assert found.statement.startswith("There is nothing to tell of cascade small > big")
    assert list(found.summary["n"]) == [0, 0]


def test_a_rule_is_asked_again_of_a_recorded_text(orchestrator: MakeOrchestrator) -> None:
    accepted = attempt("big", 0.02, text="42", verdict=verdict(True, "regex:[0-9]", 1.0))
    asked = [decision("q", accepted), decision("q", attempt("small", 0.003, text="no number"))]
    found = log(orchestrator(SCRIPT), asked).whatif(ladder=["small", "big"])
    assert row(found)["model"] == "big"
    assert row(found)["cost_usd"] == pytest.approx(0.023)
    assert found.abstained == 0


def test_an_answer_that_is_only_predicted_is_taken_to_be_accepted_and_that_is_counted(
    orchestrator: MakeOrchestrator,
) -> None:
    found = log(orchestrator(SCRIPT), [decision("q", attempt("big")), decision("r", attempt("small"))]).whatif(
        ladder=["small", "big"]
    )
    assert list(found.frame["source"]) == ["predicted", "logged"]
    assert list(found.frame["model"]) == ["small", "small"]
    assert found.abstained == 1


def test_what_the_same_check_said_of_an_answer_counts(orchestrator: MakeOrchestrator) -> None:
    accepted = attempt("big", 0.02, verdict=verdict(True, "judge:big", 0.9, "judge"))
    refused = attempt("small", 0.003, verdict=verdict(False, "judge:big", 0.1, "judge"))
    found = log(orchestrator(SCRIPT), [decision("q", accepted), decision("q", refused)]).whatif(ladder=["small", "big"])
    assert row(found)["model"] == "big"
    assert found.abstained == 0


def test_a_check_that_cannot_be_asked_again_abstains_and_is_counted(orchestrator: MakeOrchestrator) -> None:
    accepted = attempt("big", 0.02, verdict=verdict(True, "judge:big", 0.9, "judge"))
    found = log(orchestrator(SCRIPT), [decision("q", accepted), decision("q", attempt("small"))]).whatif(
        ladder=["small", "big"]
    )
    assert row(found)["model"] == "small"
    assert found.abstained == 1
    assert "In one decision a check could not be asked and let the answer pass." in str(found)


def test_an_estimate_of_an_answer_is_no_mark(orchestrator: MakeOrchestrator) -> None:
    estimated = attempt("big", 0.02, verdict=verdict(True, "learned", 0.7, "learned"))
    found = row(log(orchestrator(SCRIPT), [decision("q", estimated)]).whatif(model="big"))
    assert (found["score"], found["score_known"]) == (0.9, False)


def test_a_failure_of_the_only_model_asked_is_a_failure_again(orchestrator: MakeOrchestrator) -> None:
    asked = decision("q", attempt("small", 0.0, text=None, error="server_error: down"), attempt("big", 0.02), quality=1.0)
    found = row(log(orchestrator(SCRIPT), [asked]).whatif(model="small"))
    assert (found["model"], found["score"], found["cost_usd"]) == (None, 0.0, 0.0)


def test_what_is_the_same_is_counted_where_its_cost_is_known(orchestrator: MakeOrchestrator) -> None:
    asked = [decision("q", attempt("big", None)), decision("r", attempt("small", 0.02)), decision("r", attempt("big", 0.03))]
    found = log(orchestrator(SCRIPT), asked).whatif(model="big")
    assert found.same == 1
    assert found.statement.startswith(
        "On 2 of your 3 decisions it is known what direct, big would have cost, in 1 of them as it asks whom you asked: "
        "$0.060 instead of $0.050 (+20%"
    )


def test_an_unknown_price_is_in_no_cost(orchestrator: MakeOrchestrator) -> None:
    unpriced = tuple({**c, "expected_cost_usd": None} for c in candidates())
    asked = [decision("q", attempt("big", 0.02), candidates=unpriced), decision("r", attempt("big", 0.03))]
    found = log(orchestrator(SCRIPT), asked).whatif(model="small")
    assert np.isnan(found.frame["cost_usd"]).tolist() == [True, False]
    assert list(found.summary["cost_usd"]) == pytest.approx([0.03, 0.001])
    assert "Of one decision a price is unknown" in str(found)


def test_where_neither_answers_nor_prices_are_known_it_says_so(orchestrator: MakeOrchestrator) -> None:
    unpriced = tuple({**c, "expected_cost_usd": None} for c in candidates())
    found = log(orchestrator(SCRIPT), [decision("q", attempt("big"), candidates=unpriced)]).whatif(model="small")
    assert "unknown instead of unknown" in found.statement
    assert page(found).to_plain()


def test_the_threshold_is_that_of_each_decision_unless_one_is_given(orchestrator: MakeOrchestrator) -> None:
    asked = [decision("q", attempt("big"), quality_threshold=0.4), decision("r", attempt("big"))]
    orch = log(orchestrator(SCRIPT), asked)
    assert list(orch.whatif(strategy="arbitrage").frame["model"]) == ["small", "big"]
    assert list(orch.whatif(quality=0.4).frame["model"]) == ["small", "small"]


def test_a_task_that_was_given_is_given_again_and_one_that_was_guessed_is_guessed_alike(orchestrator: MakeOrchestrator) -> None:
    asked = [
        decision("q", attempt("big"), task="code_generation"),
        decision("r", attempt("small"), strategy="rule", task="simple_qa", task_score=0.9),
        decision("s", attempt("big"), strategy="semantic", task=None, task_score=0.1),
    ]
    assert list(log(orchestrator(SCRIPT), asked).whatif(strategy="rule").frame["model"]) == ["big", "small", "big"]


def test_decisions_of_one_prompt_are_drawn_together(orchestrator: MakeOrchestrator) -> None:
    asked = [decision("q", attempt("big", 0.02), quality=q) for q in (0.0, 1.0, 0.0, 1.0)]
    would = log(orchestrator(SCRIPT), asked).whatif(model="big").summary.iloc[1]
    assert would["known_quality_lo"] == would["known_quality_hi"] == would["known_quality"]


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"strategy": "cascde"}, UnknownName, "cascade"),
        ({"strategy": "rule", "within": 0.1}, InputError, "takes no within"),
        ({"strategy": "cascade", "model": "big"}, InputError, "takes no model"),
        ({"model": "big", "quality": 0.5}, InputError, "takes no quality"),
        ({"within": 0.1, "price": 2.0}, InputError, "one of them"),
        ({"quality": 0.9, "within": 0.1}, InputError, "not by both"),
        ({"quality": 9}, InputError, "between 0 and 1"),
        ({"model": "bgi"}, UnknownName, "Did you mean 'big'"),
        ({"ladder": ["small", "bgi"]}, UnknownName, "Did you mean 'big'"),
        ({"ladder": "small"}, InputError, "list"),
        ({"session": "s2"}, UnknownName, "s1"),
    ],
)
def test_what_contradicts_itself_or_does_not_exist_is_told(
    orchestrator: MakeOrchestrator, asked: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        log(orchestrator(SCRIPT), [decision("q", attempt("big"))]).whatif(**asked)


class Bandit:
    """Prompts x in [0, 1]; the good model is right with chance x, the other with 0.4; who was asked depended on x.

    The log asks the good model of hard prompts (small x) mostly, so its mean score is far below its worth of 0.5.
    """

    def __init__(self, n: int, seed: int, *, share: float = 0.2) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.random(n)
        usual = self.x < 0.5
        chance = np.where(usual, 1 - share / 2, share / 2)
        self.good = rng.random(n) < chance
        self.propensity = np.where(self.good, chance, 1 - chance)
        self.score = (rng.random(n) < np.where(self.good, self.x, 0.4)).astype(float)


def test_the_correction_finds_the_worth_of_a_policy_where_the_plain_mean_does_not() -> None:
    wrong = 0.7  # predicted of both models, whatever the prompt
    found, naive = [], []
    for seed in range(40):
        b = Bandit(2000, seed)
        flat = np.full(len(b.x), wrong)
        values, _ = doubly_robust(b.score, flat, flat, b.good, b.propensity)
        found.append(values.mean())
        naive.append(b.score[b.good].mean())
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(0.5, abs=4 * error)
    assert error < 0.01
    assert abs(np.mean(naive) - 0.5) > 0.15


def test_its_interval_holds_the_worth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(60):
        b = Bandit(1500, 100 + seed)
        values, w = doubly_robust(b.score, b.x * 0.5, b.x * 0.5, b.good, b.propensity)
        told = estimate(values, w, weights(1500, 300, seed))
        assert told is not None
        held += told.lo <= 0.5 <= told.hi
    assert held >= 50  # of 60 at 95 %: under 50 by chance once in ten thousand


def test_too_few_decisions_by_lot_are_not_corrected() -> None:
    b = Bandit(40, 0)
    assert estimate(*doubly_robust(b.score, b.x, b.x, b.good, b.propensity), weights(40, 100, 0)) is None


def test_logged_chances_correct_the_figures_of_a_policy(orchestrator: MakeOrchestrator) -> None:
    rng = np.random.default_rng(0)
    asked = []
    for i in range(300):
        model, chance = ("small", 0.25) if rng.random() < 0.25 else ("big", 0.75)
        score = float(rng.random() < {"small": 0.3, "big": 0.9}[model])
        asked.append(decision(f"q{i}", attempt(model, COSTS[model]), quality=score, propensity=chance))
    found = log(orchestrator(SCRIPT), asked).whatif(model="small")
    assert found.corrected_quality is not None
    assert found.corrected_quality.lo < 0.3 < found.corrected_quality.hi
    assert found.corrected_quality.effective_n == pytest.approx(sum(d.model == "small" for d in asked))
    assert found.corrected_cost_usd is not None
    assert found.corrected_cost_usd.value == pytest.approx(COSTS["small"])
    assert "arXiv 1103.4601" in str(found)
