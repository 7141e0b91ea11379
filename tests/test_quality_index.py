"""The vectors nearest to one: all of them looked at, or those in the cells nearby."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molt_magic.embed import StaticEmbedder
from molt_magic.quality import Predictor
from molt_magic.quality.index import CELL, FEWEST, LOOKED_AT, Index, Rows
from molt_magic.quality.store import load, save

DIM = 32
COUNT = 80


def some(n: int, *, seed: int = 0) -> Rows:
    """Vectors about a few dozen themes, as prompts are."""
    random = np.random.default_rng(seed)
    themes = np.random.default_rng(7).standard_normal((40, DIM))
    vectors = themes[random.integers(len(themes), size=n)] + random.standard_normal((n, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def many() -> tuple[Rows, Index]:
    vectors = some(10_000)
    return vectors, Index.of(vectors, seed=0)


@given(st.integers(1, FEWEST - 1), st.integers(1, 200), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_of_few_vectors_the_very_nearest_are_found(n: int, count: int, seed: int) -> None:
    vectors, asked = some(n, seed=seed), some(3, seed=seed + 1)
    index = Index.of(vectors, seed=0)
    whole = -np.sort(-(asked @ vectors.T), axis=1)[:, :count]
    for these in (asked, asked[:1]):
        places, cosines = index.nearest(these, count)
        np.testing.assert_allclose(cosines, whole[: len(these)], atol=1e-6)
        np.testing.assert_allclose(np.einsum("kd,kcd->kc", these, vectors[places]), cosines, atol=1e-6)


def test_of_many_vectors_most_of_the_nearest_are_found_and_the_rest_is_hardly_farther_away(many: tuple[Rows, Index]) -> None:
    vectors, index = many
    asked = some(200, seed=1)
    places, cosines = index.nearest(asked, COUNT)
    np.testing.assert_allclose(np.einsum("kd,kcd->kc", asked, vectors[places]), cosines, atol=1e-6)
    assert (np.diff(cosines, axis=1) <= 0.0).all()
    assert all(len(set(row)) == COUNT for row in places.tolist())
    exact = -np.partition(-(asked @ vectors.T), COUNT, axis=1)[:, :COUNT]
    found = (cosines >= exact.min(axis=1, keepdims=True) - 1e-6).mean()
    assert found > 0.7  # a tenth of the vectors is looked at
    assert exact.mean() - cosines.mean() < 0.02


def test_one_vector_alone_finds_what_it_finds_among_others(many: tuple[Rows, Index]) -> None:
    asked = some(20, seed=2)
    places, cosines = many[1].nearest(asked, COUNT)
    for i, one in enumerate(asked):
        alone = many[1].nearest(one[None], COUNT)
        assert (alone[0][0].tolist(), alone[1][0].tolist()) == (places[i].tolist(), cosines[i].tolist())


def test_every_vector_is_in_one_cell_and_finds_itself_there(many: tuple[Rows, Index]) -> None:
    vectors, index = many
    assert sorted(index.places.tolist()) == list(range(len(vectors)))
    assert len(index.centres) == len(vectors) // CELL
    places, _ = index.nearest(vectors[:100], 1)
    assert places[:, 0].tolist() == list(range(100))


def test_vectors_that_are_all_the_same_are_no_error() -> None:
    vectors = np.repeat(some(1), FEWEST, axis=0)
    places, cosines = Index.of(vectors, seed=0).nearest(vectors[:1], LOOKED_AT)
    assert len(set(places[0].tolist())) == LOOKED_AT
    np.testing.assert_allclose(cosines, 1.0, atol=1e-6)


def test_a_fit_on_many_prompts_says_the_same_of_one_as_of_several_and_after_it_was_kept(tmp_path: Path) -> None:
    embedder, random = StaticEmbedder(), np.random.default_rng(0)
    prompts = [
        f"What is {random.integers(10**6)} {sign} {random.integers(100)}?" for sign in "+-*/" for _ in range(FEWEST // 4)
    ]
    predictor = Predictor(embedder=embedder)
    predictor.fit(prompts, (random.random((FEWEST, 2)) < [0.4, 0.8]).astype(float), ["small", "big"])
    assert len(predictor.fitted.near.index.centres)
    asked = ["What is 7 + 8?", "What is 123456 / 7?", "Write a poem about the sea."]
    whole = predictor.assess(asked)
    for i, prompt in enumerate(asked):
        found = predictor.foresee(prompt, None, embedder.embed([prompt])[0])
        np.testing.assert_allclose(found.quality, whole.quality[i], atol=1e-6)
        np.testing.assert_allclose(found.n, whole.n[i], rtol=1e-5)
        assert found.neighbours == whole.neighbours[i].tolist()
    save(predictor, tmp_path / "fit.npz", {})
    kept = load(tmp_path / "fit.npz", embedder)
    assert kept is not None
    assert kept[0].predict(asked).tolist() == predictor.predict(asked).tolist()
