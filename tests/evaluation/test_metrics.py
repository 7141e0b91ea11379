"""Figures of a curve, against examples worked by hand and what must hold for every curve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from molt_magic.evaluation import metrics
from molt_magic.evaluation.bootstrap import clustered, interval, weights


def test_apgr_of_a_curve_worked_by_hand() -> None:
    # weak 0.6, strong 0.8: qualities 0.7 and 0.78 recover 0.5 and 0.9 of the gap at shares 0.25 and 0.5
    recovered = metrics.gap_recovered(np.array([0.70, 0.78]), 0.6, 0.8)
    assert recovered == pytest.approx([0.5, 0.9])
    # trapezoids: 0.25 * 0.5 / 2 + 0.25 * (0.5 + 0.9) / 2 + 0.5 * (0.9 + 1) / 2 = 0.0625 + 0.175 + 0.475
    assert metrics.apgr(np.array([0.5, 0.25]), recovered[::-1]) == pytest.approx(0.7125)


def test_cpt_of_a_curve_worked_by_hand() -> None:
    share, recovered = np.array([0.25, 0.5]), np.array([0.5, 0.9])
    assert metrics.cpt(share, recovered, 0.5) == pytest.approx(25.0)
    assert metrics.cpt(share, recovered, 0.8) == pytest.approx(43.75)  # three quarters of the way from 0.5 to 0.9


def test_choosing_at_random_gives_half() -> None:
    share = np.linspace(0, 1, 11)
    assert metrics.apgr(share, share) == pytest.approx(0.5)
    assert metrics.cpt(share, share, 0.8) == pytest.approx(80.0)


def test_aiq_of_single_models_worked_by_hand() -> None:
    # (1, 0.4), (2, 0.6), (3, 0.5), (5, 0.9): the third lies under the line from the second to the fourth
    cost, quality = np.array([1.0, 2.0, 3.0, 5.0]), np.array([0.4, 0.6, 0.5, 0.9])
    corners = metrics.hull(cost, quality)
    assert list(corners[0]) == [1.0, 2.0, 5.0]
    # from 1 to 5: (0.4 + 0.6) / 2 * 1 + (0.6 + 0.9) / 2 * 3 = 0.5 + 2.25, over 4
    assert metrics.aiq(cost, quality, 1.0, 5.0) == pytest.approx(0.6875)


def test_saving_is_read_between_the_corners() -> None:
    # 0.75 is half way from (2, 0.6) to (5, 0.9): 3.5 of 5
    saved = metrics.saved_at(np.array([1.0, 2.0, 5.0]), np.array([0.4, 0.6, 0.9]), 0.75, 5.0)
    assert saved == pytest.approx(0.3)
    assert np.isnan(metrics.saved_at(np.array([1.0, 2.0]), np.array([0.4, 0.6]), 0.75, 5.0))


points = arrays(float, st.integers(1, 30), elements=st.integers(0, 20).map(float))


@given(points, st.integers(0, 10_000))
@settings(deadline=None)
def test_no_point_lies_over_the_hull_and_the_hull_never_bends_up(quality: np.ndarray, seed: int) -> None:
    cost = np.random.default_rng(seed).integers(1, 50, len(quality)).astype(float)
    x, y = metrics.hull(cost, quality)
    assert (np.diff(x) > 0).all()
    assert (np.diff(y) > 0).all()
    slopes = np.diff(y) / np.diff(x)
    assert (np.diff(slopes) < 1e-9).all()
    assert (quality <= np.interp(cost, x, y) + 1e-9).all()


def test_resamples_are_those_of_drawing_with_replacement() -> None:
    figures = np.random.default_rng(1).normal(0.7, 0.2, 400)
    resampled = weights(400, 4000, seed=0) @ figures
    assert resampled.mean() == pytest.approx(figures.mean(), abs=2e-3)
    assert resampled.std() == pytest.approx(figures.std() / 20, rel=0.05)
    low, high = interval(resampled)
    assert low < figures.mean() < high


def test_repetitions_are_drawn_together_and_make_an_interval_no_narrower() -> None:
    figures = np.random.default_rng(0).random(50)
    alone, texts = weights(50, 1000, seed=0), np.tile(np.arange(50), 8)
    drawn = clustered(texts, 1000, seed=0)
    np.testing.assert_allclose(drawn.sum(axis=1), 1.0)
    np.testing.assert_allclose(drawn @ figures[texts], alone @ figures)
    np.testing.assert_array_equal(clustered(np.arange(50), 1000, seed=0), alone)


def test_no_gap_but_for_rounding_is_no_gap() -> None:
    assert np.isnan(metrics.gap_recovered(np.array([0.5]), 0.5, 0.5 + 1e-16 * 4)).all()
