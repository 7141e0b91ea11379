"""Is a mean surely above a bound? A test that is valid for any n and uses how little the figures vary."""

from __future__ import annotations

import math

import numpy as np

from molt_magic.evaluation.matrix import Floats

# shares of the stake that could lose everything at once: from bets on a lead that hardly varies to bets on a noisy one
_STAKES = np.geomspace(0.01, 0.9, 20)
_HALVINGS = 30  # of [0, 1]: far finer than any sample tells
_LEAST_BOUND = 1e-9  # a mean above 0 is one above this
_MOST = 700.0  # log of what a capital is counted up to


def e_values(x: Floats, bound: float) -> Floats:
    """Evidence that the mean of each column is above `bound`: what a gambler who bets on it makes of a capital of 1.

    On every row a fixed share of the capital is staked on it being above the bound. Were the mean at the bound or below,
    the capital could not be expected to grow, so it would end at 1 / alpha or more with a chance of alpha at most (Markov's
    inequality), for any n. The capital is spread over `_STAKES`, as the best one is not known beforehand; a mean of such
    capitals is valid as well (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", arXiv
    2010.09686, sections 4 and 5). The order of the rows makes no difference.

    Args:
        x: (n, T), each in [0, 1], rows exchangeable.
        bound: in (0, 1).

    Returns:
        (T,); over 1 / alpha is significant at alpha.
    """
    capitals = [np.exp(np.minimum(_MOST, np.log1p(stake * (x - bound)).sum(axis=0))) for stake in _STAKES / bound]
    found: Floats = np.mean(capitals, axis=0)
    return found


def interval(x: Floats, alpha: float) -> tuple[float, float]:
    """Between what the mean surely lies: the means against which there is no evidence of 2 / alpha, on either side.

    Wrong with a chance of alpha at most, for any n, and however often it is looked at while rows come in: a capital that is
    staked row by row reaches 2 / alpha at any time with that chance (Ville's inequality; section 4 of the paper above).

    Args:
        x: (n,) in [0, 1].
    """
    return _lowest(x, alpha / 2.0), 1.0 - _lowest(1.0 - x, alpha / 2.0)


def _lowest(x: Floats, alpha: float) -> float:
    """The least mean that evidence of 1 / alpha does not speak against; the evidence falls with the bound."""
    values, counts = np.unique(x, return_counts=True)  # marks are mostly 0 and 1
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS if len(x) else 0):
        middle = (low + high) / 2.0
        grown = counts @ np.log1p(_STAKES / middle * (values[:, None] - middle))
        if np.exp(np.minimum(_MOST, grown)).mean() >= 1.0 / alpha:
            low = middle
        else:
            high = middle
    return low


def evidence(x: Floats, bound: float) -> Floats:
    """Evidence after every row that the mean is above `bound`, or has come to be: (n,), made to be looked at all the time.

    A gambler who began to bet with the first row would have lost nearly all by the time a change comes; so a part
    1 / (j (j + 1)) of the capital is put in with row j, and what was not put in yet is kept. While the mean of every row,
    given those before it, is at the bound or below, this capital is not expected to grow either: it ever reaches 1 / alpha
    with a chance of alpha at most (Ville's inequality). A mixture over when a change came, as in Shin, Ramdas and Rinaldo,
    "E-detectors", arXiv 2203.03532, with weights that add up to 1.

    Args:
        x: (n,) in [0, 1], in the order in which they came.
        bound: in [0, 1]; at 1 there is nothing above it.
    """
    if not 0.0 < bound < 1.0:
        return np.ones(len(x)) if bound >= 1.0 else evidence(x, _LEAST_BOUND)
    grown = np.cumsum(np.log1p(_STAKES / bound * (x[:, None] - bound)), axis=0)  # of what was put in before the first row
    row = np.arange(1, len(x) + 1)
    put_in = -np.log(row * (row + 1.0))[:, None] - np.vstack([np.zeros_like(_STAKES), grown])[:-1]
    capital = np.exp(np.minimum(_MOST, grown + np.logaddexp.accumulate(put_in, axis=0)))
    found: Floats = capital.mean(axis=1) + 1.0 / (row + 1.0)
    return found


def rows_needed(x: Floats, bound: float, alpha: float) -> float:
    """About how many rows like these the test needs: the log of what is asked over the growth at the best stake.

    Endless where the mean is not above the bound.

    Args:
        x: (n,) in [0, 1].
    """
    if not len(x) or x.mean() <= bound:
        return math.inf
    growth = max(float(np.log1p(stake * (x - bound)).mean()) for stake in _STAKES / bound)
    return math.log(len(_STAKES) / alpha) / growth if growth > 0 else math.inf
