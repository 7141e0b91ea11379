"""How sure a figure is: resampled prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from molt_magic.evaluation.matrix import Floats, Ints


def weights(n: int, resamples: int, seed: int) -> Floats:
    """Resamples with replacement as weights of the n prompts: shape (resamples, n), each row sums to 1.

    Efron's bootstrap (Annals of Statistics 7, 1979). Weights turn the means of all resamples into one matrix product; the same
    weights for every policy make the comparison of two of them a paired one.
    """
    return clustered(np.arange(n), resamples, seed)


def clustered(texts: Ints, resamples: int, seed: int) -> Floats:
    """The same where texts are drawn, each with all its repetitions: these are no new prompts, and make no figure surer.

    Args:
        texts: (n,) the number of each prompt's text, as of `Outcomes.numbers`.
    """
    k = int(texts.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(k, np.full(k, 1.0 / k), size=resamples)
    times = drawn.take(texts, axis=1)
    found: Floats = times / times.sum(axis=1, keepdims=True)
    return found


def interval(figures: Floats, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of resampled figures; those that are NaN are left out, (NaN, NaN) where all are."""
    known = figures[~np.isnan(figures)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Difference:
    """One policy less another on the same prompts."""

    name: str
    against: str
    figure: str
    value: float
    lo: float  # of the 95 % interval
    hi: float
    ahead: float  # share of resamples in which the first is better

    def __str__(self) -> str:
        said = f"{self.name} - {self.against}, {self.figure}: {self.value:+.4g} (95 %: {self.lo:+.4g} to {self.hi:+.4g})"
        return f"{said}; ahead in {self.ahead:.1%} of the resamples"


def difference(
    name: str, against: str, figure: str, value: float, first: Floats, second: Floats, *, less_is_better: bool = False
) -> Difference:
    """The paired difference of two policies' figures over the same resamples, shape (resamples,) each."""
    both = (first - second)[~(np.isnan(first) | np.isnan(second))]
    lo, hi = interval(both)
    better = both < 0 if less_is_better else both > 0
    return Difference(name, against, figure, value, lo, hi, float(better.mean()) if len(better) else float("nan"))
