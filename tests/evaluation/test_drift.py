"""A promise in use: what came of it, and whether that is what was calibrated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from molt_magic import evaluation
from molt_magic.errors import InputError
from molt_magic.evaluation.betting import evidence, interval
from molt_magic.evaluation.calibrate import FIGURES
from molt_magic.evaluation.drift import FEWEST, LEVEL, watched
from molt_magic.orchestrator import Orchestrator
from molt_magic.quality import Promise, Span
from tests.conftest import MakeOrchestrator
from tests.evaluation.synthetic import table

EASY = "What is the capital city of the country number {} on the map of the world?"
HARD = "Write a Python function that returns the list element at index {}."


@pytest.fixture(scope="module")
def promise() -> Promise:
    """Of `small`, which knows capitals, and `big`, which can program as well."""
    found = table(900, responses=False, models=("cheap", "dear"))
    named = found.assign(model=found["model"].map({"cheap": "small", "dear": "big"}))
    return evaluation.calibrate(named, target=0.9).promise


@pytest.fixture
def orch(orchestrator: MakeOrchestrator, promise: Promise) -> Orchestrator:
    made = orchestrator({"small": "Small says so.", "big": "Big says so."})
    made.keep(promise)
    return made


def ones(rng: np.random.Generator, n: int, chance: float) -> np.ndarray:
    return (rng.random(n) < chance).astype(float)


def calibrated(rng: np.random.Generator, n: int, chance: float) -> Span:
    found = ones(rng, n, chance)
    return Span(float(found.mean()), *interval(found, FIGURES))


class TestTheTest:
    """Marks made up, without a log."""

    def test_what_has_not_moved_hardly_ever_drifts_however_often_one_looks(self) -> None:
        """Both the calibration and the use are samples: `watched` has looked after every mark."""
        rng = np.random.default_rng(0)
        alarms = [watched(ones(rng, 600, p), calibrated(rng, 200, p)).drifted for p in (0.5, 0.9, 0.99) for _ in range(70)]
        assert np.mean([way is not None for way in alarms]) <= LEVEL

    @pytest.mark.parametrize(("then", "way"), [(0.6, "below"), (0.98, "above")])
    def test_what_has_moved_is_found_though_it_was_well_for_long(self, then: float, way: str) -> None:
        rng = np.random.default_rng(1)
        for _ in range(10):
            x = np.concatenate([ones(rng, 300, 0.85), ones(rng, 1200, then)])
            assert watched(x, calibrated(rng, 1000, 0.85)).drifted == way

    def test_evidence_is_what_a_gambler_who_begins_anew_with_every_row_makes_of_his_capital(self) -> None:
        x, bound, stakes = np.array([0.2, 1.0, 0.7, 1.0]), 0.6, np.geomspace(0.01, 0.9, 20)
        capital = [
            sum(
                np.prod(1.0 + stakes[:, None] / bound * (x[j : t + 1] - bound), axis=1).mean() / ((j + 1) * (j + 2))
                for j in range(t + 1)
            )
            + 1.0 / (t + 2)
            for t in range(len(x))
        ]
        assert evidence(x, bound) == pytest.approx(capital)

    def test_at_the_ends_of_the_scale_there_is_no_evidence_of_what_cannot_be(self) -> None:
        assert evidence(np.ones(50), 1.0).max() == 1.0
        assert evidence(np.zeros(50), 0.0).max() <= 1.0
        assert evidence(np.array([]), 0.5).size == 0
        assert interval(np.array([]), 0.05) == (0.0, 1.0)

    def test_an_interval_covers_the_mean_and_narrows(self) -> None:
        rng = np.random.default_rng(2)
        spans = [interval(ones(rng, 200, 0.9), 0.05) for _ in range(200)]
        assert np.mean([low <= 0.9 <= high for low, high in spans]) >= 0.95
        low, high = interval(ones(rng, 5000, 0.9), 0.05)
        assert high - low < 0.03


def test_the_figures_of_a_promise_lie_in_their_spans_where_nothing_has_moved(promise: Promise) -> None:
    held = table(3000, seed=77, responses=False, models=("cheap", "dear"))
    held = held.assign(model=held["model"].map({"cheap": "small", "dear": "big"}))
    prompts = held.drop_duplicates("prompt_id")
    picked = promise.route(prompts["prompt"].tolist())
    score = held.set_index(["prompt_id", "model"])["score"]
    quality = np.mean([score[i, model] for i, model in zip(prompts["prompt_id"], picked, strict=True)])
    assert promise.quality.low <= quality <= promise.quality.high
    assert promise.to_best.low <= np.mean([model == "big" for model in picked]) <= promise.to_best.high
    assert promise.quality.mean == promise.expected.quality


def test_only_marks_on_what_the_promised_model_answered_count(orch: Orchestrator, promise: Promise) -> None:
    orch.feedback(orch.route(EASY.format(1)).decision.decision_id, 1.0)
    orch.route(EASY.format(2))  # nobody marks it
    orch.feedback(orch.route(EASY.format(1)).decision.decision_id, 1.0)  # the same answer, from the cache: no decision of it
    refused = orch.route(EASY.format(3), validate="regex:Big")  # small's answer is refused, which is a 0
    assert refused.model == "big"
    orch.feedback(refused.decision.decision_id, 1.0)  # big's
    orch.route(EASY.format(4), strategy="rule", task="simple_qa")
    found = evaluation.drift(orch)
    assert found.promise == promise
    assert found.decisions == 3
    assert (found.quality.n, found.quality.mean) == (2, 0.5)
    assert found.to_best.mean == 0.0
    assert found.verdict == "too few marked answers yet"
    assert "2 marked answers, and only they count" in str(found)


def test_refusals_of_a_check_that_scores_nothing_it_accepts_are_no_sample(
    orchestrator: MakeOrchestrator, promise: Promise
) -> None:
    orch = orchestrator({"small": ["Fine.", "I'm sorry, but I can't help with that."], "big": "Big says so."})
    orch.keep(promise)
    for i in range(12):
        orch.route(EASY.format(i), validate="refusal")
    found = evaluation.drift(orch)
    assert (found.decisions, found.quality.n, found.to_best.mean) == (12, 0, 0.0)
    marked = orch.log.to_frame()["decision_id"][0]
    orch.feedback(marked, 0.0)  # a person's word does count
    assert evaluation.drift(orch).quality.n == 1


def test_the_last_word_on_an_answer_counts(orch: Orchestrator) -> None:
    decision = orch.route(EASY.format(1)).decision
    orch.feedback(decision.decision_id, 0.0, "judge")
    orch.feedback(decision.decision_id, 1.0)
    assert evaluation.drift(orch).quality.mean == 1.0


def test_as_calibrated_then_worse(orch: Orchestrator, promise: Promise) -> None:
    rng = np.random.default_rng(0)

    def use(n: int, chance: float) -> None:
        ids = [orch.route((HARD if i % 3 else EASY).format(i), cache=False).decision.decision_id for i in range(n)]
        orch.feedback(pd.Series(ones(rng, n, chance), index=ids))

    use(2 * FEWEST, promise.quality.mean)
    assert evaluation.drift(orch).verdict == "as calibrated"
    use(150, 0.3)
    found = evaluation.drift(orch)
    assert found.drifted
    assert found.verdict.startswith("has drifted: answers are worse than calibrated (e-value ")
    assert found.quality.low < 0.6 < promise.quality.low


def test_prompts_of_another_kind_are_seen_without_a_mark(orch: Orchestrator) -> None:
    for i in range(60):
        orch.route(HARD.format(i), cache=False)
    found = evaluation.drift(orch)
    assert found.quality.n == 0
    assert found.verdict.startswith("has drifted: more prompts go to big than calibrated")
    assert "Quality: not known yet" in str(found)


def test_without_a_promise_there_is_nothing_to_watch(orchestrator: MakeOrchestrator) -> None:
    with pytest.raises(InputError, match="calibrate TABLE --keep"):
        evaluation.drift(orchestrator({}))
