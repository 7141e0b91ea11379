"""Arbitrage as families, one for each way it trades predicted quality for cost."""

from __future__ import annotations

import numpy as np

from molt_magic.evaluation.cases import Case
from molt_magic.evaluation.matrix import Floats, Ints
from molt_magic.evaluation.routes import price_grid
from molt_magic.strategies import Arbitrage, arbitrage
from molt_magic.types import Situation, Strategy

_ENDLESS = 1e9  # times the highest price at which anything changes: the cheapest, whatever it is worth
WAYS = ("price", "within", "threshold")


def named(way: str) -> str:
    """The name of a way in a report: `arbitrage` is by price where it can be, as that is what wins."""
    return "arbitrage" if way == WAYS[0] else f"arbitrage, by {way}" if way == "threshold" else f"arbitrage, {way}"


class ArbitrageFamily:
    """Arbitrage over `price` (1/USD), `within` (of the best prediction) or the threshold of predicted quality.

    Args:
        left_out: the training prompts as they look from outside; settings are quantiles of where choices change there.
        way: one of `WAYS`.
    """

    def __init__(self, left_out: Case, *, size: int, way: str = WAYS[0]) -> None:
        self.name = named(way)
        self.way = way
        levels = np.linspace(0, 1, max(2, size - 2))
        if way == "price":
            prices = price_grid(left_out.predicted, left_out.expected_usd, size)
            finite = prices[np.isfinite(prices)]
            self.thresholds = np.append(finite, _ENDLESS * max(1.0, finite[-1]))
        elif way == "within":
            behind = left_out.predicted.max(axis=1, keepdims=True) - left_out.predicted
            self.thresholds = np.unique(np.concatenate([[0.0], np.quantile(behind, levels), [1.0]]))
        else:
            # above 1: always the strongest
            self.thresholds = np.unique(np.concatenate([[0.0], np.quantile(left_out.low, levels), [1.01]]))

    def judged_by(self, left_out: Case) -> Case:
        """The training prompts that settings are chosen on."""
        return left_out.whole()

    def at(self, t: int, case: Case, row: int) -> tuple[Strategy, Situation]:
        """The real strategy at setting t, and what it is told of a prompt."""
        setting = float(self.thresholds[t])
        if self.way == "threshold":
            return Arbitrage(), case.situation(row, quality=setting)
        made: Strategy = Arbitrage(price=setting) if self.way == "price" else Arbitrage(within=setting)
        return made, case.situation(row, quality=0.0)

    def picks(self, case: Case) -> Ints:
        """The model every prompt goes to, shape (T, n)."""
        best, believed = _best(case), _believed(case)
        found = np.empty((len(self.thresholds), len(case)), np.intp)
        for t, setting in enumerate(self.thresholds):
            if self.way == "price":
                worth = believed - setting * case.expected_usd
                found[t] = _first(worth == worth.max(axis=1, keepdims=True), -believed, case.expected_usd)
            elif self.way == "within":
                floor = np.take_along_axis(case.predicted, best[:, None], 1) - setting - 1e-12
                fine = believed >= floor
                np.put_along_axis(fine, best[:, None], True, 1)
                found[t] = _first(fine, case.expected_usd)
            else:
                adequate = case.low >= setting
                found[t] = np.where(adequate.any(axis=1), _first(adequate, case.expected_usd), best)
        return found


def _first(among: np.ndarray, *keys: Floats) -> Ints:
    """The column of the least key among those allowed, the next key where it is equal, then the first column; (n,)."""
    allowed = among
    for key in keys:
        least = np.where(allowed, key, np.inf).min(axis=1, keepdims=True)
        allowed = allowed & (key == least)
    found: Ints = allowed.argmax(axis=1)
    return found


def _best(case: Case) -> Ints:
    """By predicted quality, the cheaper at equal quality."""
    return _first(np.ones(case.predicted.shape, bool), -case.predicted, case.expected_usd)


def _believed(case: Case) -> Floats:
    """Predicted quality, or its lower bound where it rests on little and is not the best one."""
    thin = case.evidence < getattr(arbitrage, "THIN", 0.0)
    np.put_along_axis(thin, _best(case)[:, None], False, 1)
    return np.where(thin, case.low, case.predicted)
