"""What is learned elsewhere: fitted without the prompt it is asked of, and no ground for a saving."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from molt_magic.embed import StaticEmbedder
from molt_magic.errors import StoreError
from molt_magic.evaluation.matrix import Outcomes, to_outcomes
from molt_magic.quality import Predictor, QualityModel, store
from molt_magic.quality.families import Families
from molt_magic.quality.features import Features
from molt_magic.quality.lexical import terms_of
from molt_magic.quality.prior import MOST, Prior, fold_of, load_prior, save_prior, shipped
from molt_magic.quality.surface import surface
from molt_magic.types import ModelSpec
from tests.evaluation import fit_prior
from tests.evaluation.synthetic import table

EASY, HARD = (
    "What colour is a ripe banana?",
    "Compute the integral of x^2 * exp(-3x) from 0 to 7 and simplify to $a/b - c e^{-21}$.",
)
BIG, SMALL = ModelSpec("big", "openai", "big", prior_quality=0.9), ModelSpec("small", "openai", "small", prior_quality=0.7)


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    return to_outcomes(table(300, responses=False))


def columns(prior: Prior, prompts: tuple[str, ...]) -> np.ndarray:
    """As they were predicted, in the units of the targets."""
    rows = prior.rows(prompts, surface(prompts), [terms_of(prompt) for prompt in prompts])
    return rows * prior.deviation + prior.centre


def test_what_became_of_a_prompt_plays_no_part_in_what_the_prior_says_of_it(outcomes: Outcomes) -> None:
    own = np.array([fold_of(text) == 0 for text in outcomes.texts])
    assert 30 < own.sum() < 270
    turned = replace(outcomes, scores=np.where(own[:, None], 1.0 - outcomes.scores, outcomes.scores))
    was, now = (columns(fit_prior.fit({"made up": given}), outcomes.texts)[:, 1] for given in (outcomes, turned))
    assert np.corrcoef(was[own], now[own])[0, 1] > 0.999  # but for where the middle of all scores lies
    assert np.corrcoef(was[~own], now[~own])[0, 1] < 0.9


def test_a_prior_tells_what_is_easy_and_is_the_same_from_its_file(outcomes: Outcomes, tmp_path: Path) -> None:
    prior = fit_prior.fit({"made up": outcomes})
    assert np.corrcoef(columns(prior, outcomes.texts)[:, 0], outcomes.scores.mean(axis=1))[0, 1] > 0.5
    save_prior(prior, tmp_path / "prior.npz")
    assert columns(load_prior(tmp_path / "prior.npz"), outcomes.texts) == pytest.approx(
        columns(prior, outcomes.texts), abs=1e-3
    )


def test_questions_that_are_measured_are_left_out(outcomes: Outcomes) -> None:
    half = outcomes.take(np.arange(len(outcomes)) % 2 == 0)
    rest = outcomes.take(np.arange(len(outcomes)) % 2 == 1)
    without, alone = fit_prior.fit({"made up": outcomes}, without=half.texts), fit_prior.fit({"made up": rest})
    assert without.id == alone.id


def test_the_prior_that_ships_knows_a_hard_prompt_and_moves_a_little_only() -> None:
    assert -MOST <= shipped().shift(HARD) < -0.1 < shipped().shift(EASY) <= MOST


def test_without_outcomes_a_hard_prompt_is_expected_to_go_worse_and_the_evidence_says_so() -> None:
    model = QualityModel(embedder_id="none")
    hard, easy = (model.predict(BIG, task=None, vector=None, prompt=prompt) for prompt in (HARD, EASY))
    assert hard.quality < easy.quality
    assert hard.evidence == "prior, for a prompt this hard"
    assert hard.n == easy.n == 0


def test_a_prior_makes_no_saving_sure() -> None:
    model = QualityModel(embedder_id="none")
    for prompt in (EASY, HARD, "Hi", "Which of these is a mammal?\nA. the cat\nB. the trout\nAnswer:"):
        for spec in (BIG, SMALL):
            plain, moved = (model.predict(spec, task=None, vector=None, prompt=told) for told in ("", prompt))
            assert moved.low <= plain.low + 1e-12
        big, small = (model.predict(spec, task=None, vector=None, prompt=prompt) for spec in (BIG, SMALL))
        assert big.low > small.low
        assert big.quality > small.quality


def test_a_fit_that_rests_on_another_prior_is_not_read(outcomes: Outcomes, tmp_path: Path) -> None:
    prior = fit_prior.fit({"made up": outcomes})
    for known, path in ((shipped(), tmp_path / "ours.npz"), (prior, tmp_path / "another.npz")):
        predictor = Predictor(embedder=StaticEmbedder(), prior=lambda known=known: known)
        store.save(predictor.fit(outcomes.texts, outcomes.scores, outcomes.models), path, {})
    again, _ = store.read(tmp_path / "ours.npz", StaticEmbedder())
    assert again.predict([EASY]).shape == (1, 3)
    with pytest.raises(StoreError, match="another prior"):
        store.read(tmp_path / "another.npz", StaticEmbedder())


def test_a_prompt_whose_task_nobody_says_is_known_by_its_family(outcomes: Outcomes) -> None:
    vectors = StaticEmbedder().embed(outcomes.texts)
    _, blocks = Features.fit(outcomes.texts, vectors, prior=None, seed=0)
    names = sorted({task for task in outcomes.tasks if task is not None})
    said = [task if i % 4 else None for i, task in enumerate(outcomes.tasks)]
    _, likely = Families.fit(blocks, said, names, np.arange(len(said)) % 5)
    right = np.array([names[i] for i in likely.argmax(axis=1)]) == np.array(outcomes.tasks)
    assert right.mean() > 0.95
    assert likely.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
