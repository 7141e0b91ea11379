"""Is a mean surely above a bound? A test that is valid for any n and uses how little the figures vary."""

from __future__ import annotations

import math

import numpy as np

from molt_magic.evaluation.matrix import Floats

# shares of the stake that could lose everything at once: from bets on a lead that hardly varies to bets on a noisy one
_STAKES = np.geomspace(0.01, 0.9, 20)


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
    capitals = [np.exp(np.minimum(700.0, np.log1p(stake * (x - bound)).sum(axis=0))) for stake in _STAKES / bound]
    found: Floats = np.mean(capitals, axis=0)
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
