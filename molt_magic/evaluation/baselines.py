"""What strategies are held against: single models, mixes of them at random, averaged neighbours, and who knows the outcome."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from molt_magic.evaluation.matrix import Floats, Outcomes
from molt_magic.evaluation.metrics import hull
from molt_magic.evaluation.routes import price_grid
from molt_magic.evaluation.runs import Run, run_of

_STEPS = 11  # mixes between two single models


def best_single(train: Outcomes) -> int:
    """The model of the highest mean score in training; at equal scores the cheaper."""
    return int(np.argmax(single_quality(train)))


def cheapest_adequate(train: Outcomes, share: float) -> int:
    """The cheapest model whose mean score in training is at least `share` of the best one's."""
    quality = single_quality(train)
    return int(np.flatnonzero(quality >= share * quality.max() - 1e-12)[0])  # models are cheap to dear


def single_quality(train: Outcomes) -> Floats:
    """(m,) mean recorded scores; 0 for a model without one."""
    known = ~np.isnan(train.scores)
    found: Floats = np.nan_to_num(train.scores).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return found


def single(name: str, model: int, test: Outcomes, strong: int) -> Run:
    """One model for everything."""
    return run_of(name, np.zeros(1), np.full((1, len(test)), model), test, strong)


def random_mix(train: Outcomes, test: Outcomes, strong: int) -> Run:
    """The zero router (RouterBench, arXiv 2403.12031, section 3.2): single models mixed at random, those on the hull of the
    training rows; every prompt's outcome is the mean over the coin."""
    quality, cost = single_quality(train), np.nanmean(train.costs, axis=0)
    corner_cost, corner_quality = hull(cost, quality)
    corners = [int(np.flatnonzero((cost == c) & (quality == q))[0]) for c, q in zip(corner_cost, corner_quality, strict=True)]
    shares = [np.eye(len(train.models))[corners[0]]]
    for a, b in pairwise(corners):
        for part in np.linspace(0, 1, _STEPS)[1:]:
            shares.append((1 - part) * np.eye(len(train.models))[a] + part * np.eye(len(train.models))[b])
    mixed = np.stack(shares)  # (T, m)
    return Run(
        "random",
        np.linspace(0, 1, len(mixed)),
        quality=mixed @ test.scores.T,
        cost=mixed @ test.costs.T,
        answered=mixed,
        strong=np.repeat(mixed[:, [strong]], len(test), axis=1),
    )


def router(name: str, predicted: Floats, cost: Floats, prices: Floats, test: Outcomes, strong: int) -> Run:
    """argmax(predicted - price * cost) for every price; predicted (n, m), cost (m,) or (n, m) USD."""
    return run_of(name, prices, priced_picks(predicted, cost, prices), test, strong)


def priced_picks(predicted: Floats, cost: Floats, prices: Floats) -> np.ndarray:
    """The model of the highest predicted - price * cost, shape (T, n); the cheapest for an endless price."""
    full = np.broadcast_to(cost, predicted.shape)
    return np.stack([(-full if np.isinf(p) else predicted - p * full).argmax(axis=1) for p in prices])


def oracle(test: Outcomes, strong: int, size: int) -> Run:
    """Who knows every outcome: argmax(score - price * cost) for prices below 0 too, where what is dear is preferred among
    equally good answers. No policy can be better at the same price of quality."""
    positive = price_grid(test.scores, test.costs, size)
    smallest = float(positive[positive > 0].min()) * 1e-6 if (positive > 0).any() and np.isfinite(positive[1]) else 1e-9
    positive = np.concatenate([[smallest], positive[1:]])
    dearest = np.zeros((1, len(test)), np.intp) + int(np.nanmean(test.costs, axis=0).argmax())
    picks = np.concatenate([dearest, priced_picks(test.scores, test.costs, -positive[np.isfinite(positive)][::-1])])
    picks = np.concatenate([picks, priced_picks(test.scores, test.costs, positive)])
    prices = np.concatenate([[-np.inf], -positive[np.isfinite(positive)][::-1], positive])
    return run_of("oracle", prices, picks, test, strong)
