"""Strategies driven by recorded outcomes: the generator itself, and the fast path that must decide the same."""

from __future__ import annotations

import numpy as np
import pytest

from molt_magic.embed import StaticEmbedder
from molt_magic.evaluation.arbitrages import WAYS, ArbitrageFamily
from molt_magic.evaluation.baselines import best_single
from molt_magic.evaluation.cases import Case, folds_of, predict
from molt_magic.evaluation.checks import SimulatedCheck
from molt_magic.evaluation.climbing import Ladder, Setting
from molt_magic.evaluation.families import Family, Guesser, RuleFamily, SemanticFamily
from molt_magic.evaluation.knn import Knn
from molt_magic.evaluation.ladders import CascadeFamily
from molt_magic.evaluation.matrix import Outcomes, to_outcomes
from molt_magic.evaluation.replay import replay
from molt_magic.evaluation.runs import run_of
from molt_magic.evaluation.tables import read_outcomes
from molt_magic.evaluation.verified import by_generator, replayed
from molt_magic.quality import Predictor
from molt_magic.strategies import Cascade
from molt_magic.validators import build
from tests.evaluation.synthetic import repeated, table

TRAIN: Outcomes = to_outcomes(read_outcomes(table(240)))
TEST: Outcomes = to_outcomes(read_outcomes(table(45, seed=1)))
SIZE = 12


@pytest.fixture(scope="module")
def cases() -> tuple[Case, Case]:
    """The training prompts, each as it looks from outside, and the test prompts."""
    return predict(lambda: Knn(embedder=StaticEmbedder()), TRAIN, TEST, folds_of(TRAIN, 3, 0))


def test_training_prompts_have_the_bounds_that_the_predictor_says_of_them_as_the_test_prompts_have() -> None:
    left_out, tested = predict(lambda: Predictor(embedder=StaticEmbedder()), TRAIN, TEST, folds_of(TRAIN, 3, 0))
    for case in (left_out, tested):
        spread = np.sqrt(case.predicted * (1.0 - case.predicted) / (case.evidence + 5.0))
        np.testing.assert_allclose(case.low, np.maximum(case.predicted - spread, 0.0), atol=1e-12)
        assert len(np.unique(case.evidence)) > len(TRAIN.models)  # of each prompt, not one figure a model


def test_folds_keep_repetitions_of_a_prompt_together() -> None:
    often = to_outcomes(read_outcomes(repeated(table(40), 3)))
    parts = folds_of(often, 3, 0)
    assert sorted(np.concatenate(parts).tolist()) == list(range(120))
    texts = [{often.texts[i] for i in part} for part in parts]
    assert sum(len(of) for of in texts) == len(set.union(*texts)) == 40
    assert [len(part) for part in folds_of(often, 100, 0)] == [3] * 40


@pytest.mark.parametrize("predictor", [Knn, Predictor])
def test_what_is_left_out_of_a_prompt_is_left_out_of_its_repetitions(predictor: type[Knn] | type[Predictor]) -> None:
    """Coins: with every prompt there five times, the others still say nothing about them."""
    rng = np.random.default_rng(0)
    words = ("cat", "tax", "pump", "verb", "moon", "jazz", "salt", "fern", "oak", "iron", "bread", "glass", "river", "coal")
    texts = [" ".join(rng.choice(words, 5)) for _ in range(80)] * 5
    scores = np.tile((rng.random((80, 2)) < 0.5).astype(float), (5, 1))
    found = predictor(embedder=StaticEmbedder()).fit(texts, scores, ["a", "b"]).left_out()
    guessed = found if isinstance(found, np.ndarray) else found.quality
    assert abs(np.corrcoef(guessed.ravel(), scores.ravel())[0, 1]) < 0.3


def families(left_out: Case) -> list[Family]:
    return [
        *(ArbitrageFamily(left_out, size=SIZE, way=way) for way in WAYS),
        RuleFamily(TRAIN, size=SIZE),
        SemanticFamily(TRAIN, size=SIZE, guesser=Guesser(TRAIN, embedder=StaticEmbedder(), seed=0)),
    ]


@pytest.mark.parametrize("which", range(2 + len(WAYS)))
def test_the_fast_path_decides_as_the_generator_on_every_row_and_setting(cases: tuple[Case, Case], which: int) -> None:
    family = families(cases[0])[which]
    picks = family.picks(cases[1])
    assert picks.shape == (len(family.thresholds), len(TEST))
    for t in range(len(family.thresholds)):
        for row in range(len(TEST)):
            found = by_generator(family, cases[1], t, row)
            assert found.called == (TEST.models[picks[t, row]],)
    assert len(np.unique(picks)) > 1  # it does choose


def test_a_cascade_walks_its_ladders_as_the_generator_does(cases: tuple[Case, Case]) -> None:
    checks = build(["nonempty", "refusal"], namespace={}, judge_model=None)
    family = CascadeFamily(cases[0], checks, size=40, embedder=StaticEmbedder())
    chosen = {ladder for setting in family.ladders for ladder in setting.ladders.values()}
    assert any(ladder.learned for ladder in chosen)
    assert any(len(set(setting.ladders.values())) > 1 for setting in family.ladders)
    # whatever training chose, every kind of ladder
    every = [Ladder((0, 2), 1), Ladder((0, 1, 2)), Ladder((1, 0), 2), *(Ladder((a, 2), b, True) for a, b in family.learned)]
    made = [Setting(40.0, {"sums": Ladder((1,)), None: ladder}) for ladder in every]
    family.ladders = [*family.ladders[::4], *made]
    family.thresholds = np.arange(len(family.ladders), dtype=float)
    fast, slow = family.run(cases[1], 2), replayed(family, family.run(cases[1], 2), cases[1], 2)
    assert np.array_equal(fast.quality, slow.quality)
    assert fast.cost == pytest.approx(slow.cost)
    assert np.array_equal(fast.strong, slow.strong)
    assert fast.answered == pytest.approx(slow.answered)


def test_a_cascade_moves_up_when_a_recorded_answer_fails_its_check(cases: tuple[Case, Case]) -> None:
    given = table(3)
    given.loc[(given["model"] == "cheap") & (given["prompt_id"] == "p1"), "response"] = ""
    outcomes = to_outcomes(read_outcomes(given))
    case = Case.of(outcomes, np.full((3, 3), 0.5), costs=_costs(outcomes), evidence=np.full(3, 10.0))
    checks = build(["nonempty"], namespace={}, judge_model=None)
    found = replay(Cascade(ladder=["cheap", "dear"]), case.situation(1, quality=0.0, checks=checks), outcomes, 1)
    assert found.called == ("cheap", "dear")
    assert found.model == "dear"
    assert found.cost_usd == pytest.approx(float(outcomes.costs[1, [0, 2]].sum()))


def test_a_judge_that_was_not_recorded_abstains() -> None:
    case = Case.of(TEST, np.full(TEST.scores.shape, 0.5), costs=_costs(TEST), evidence=np.full(3, 10.0))
    checks = build(["judge"], namespace={}, judge_model="dear")
    found = replay(Cascade(ladder=["cheap", "dear"]), case.situation(0, quality=0.0, checks=checks), TEST, 0)
    assert found.model == "cheap"
    assert "failed (not_recorded)" in found.choice.reason
    assert found.cost_usd == pytest.approx(float(TEST.costs[0, 0]))


def test_asking_the_same_model_the_same_again_is_paid_once() -> None:
    case = Case.of(TEST, np.full(TEST.scores.shape, 0.5), costs=_costs(TEST), evidence=np.full(3, 10.0))
    # cheap and middle disagree on p2, so the second rung is the model that was asked for its opinion
    row = next(i for i in range(len(TEST)) if TEST.responses is not None and TEST.responses[i, 0] != TEST.responses[i, 1])
    checks = build(["second:middle"], namespace={}, judge_model=None)
    found = replay(Cascade(ladder=["cheap", "middle"]), case.situation(row, quality=0.0, checks=checks), TEST, row)
    assert found.called == ("cheap", "middle", "middle")
    assert found.cost_usd == pytest.approx(float(TEST.costs[row, :2].sum()))


def test_a_simulated_check_errs_as_often_as_it_is_told_and_says_what_it_is() -> None:
    outcomes = to_outcomes(read_outcomes(table(600, responses=False)))
    case = Case.of(outcomes, np.full(outcomes.scores.shape, 0.5), costs=_costs(outcomes), evidence=np.full(3, 10.0))
    check = SimulatedCheck(outcomes, accuracy=0.8)
    assert "simulated" in check.name
    right = []
    for row in range(len(outcomes)):
        found = replay(Cascade(ladder=["cheap"]), case.situation(row, quality=0.0, checks=(check,)), outcomes, row)
        right.append(found.choice.verdicts[0].accepted == (outcomes.scores[row, 0] == 1.0))
    assert np.mean(right) == pytest.approx(0.8, abs=0.05)


def test_a_run_is_what_its_picks_say() -> None:
    picks = np.zeros((1, len(TEST)), np.intp)
    picks[0, 0] = 2
    run = run_of("x", np.zeros(1), picks, TEST, best_single(TRAIN))
    assert run.cost[0, 0] == TEST.costs[0, 2]
    assert run.strong.sum() == 1
    assert run.answered[0] == pytest.approx([1 - 1 / len(TEST), 0, 1 / len(TEST)])


def _costs(outcomes: Outcomes):  # type: ignore[no-untyped-def]
    from molt_magic.quality.costs import ExpectedCost

    return ExpectedCost.fit(outcomes.prompts, outcomes.costs)
