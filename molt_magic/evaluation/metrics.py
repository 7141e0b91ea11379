"""Figures of a cost-quality curve, each with its source.

A curve is what a policy costs and how good it is for every setting of its threshold. Whatever is read off the curve of the
very prompts that are scored is optimistic: the best setting would not be known beforehand. `Report.summary` says which figures
are of that kind.
"""

from __future__ import annotations

import numpy as np

from molt_magic.evaluation.matrix import Floats

_trapezoid = getattr(np, "trapezoid", None) or np.trapz  # type: ignore[attr-defined]  # numpy before 2.0


def gap_recovered(quality: Floats, weak: float, strong: float) -> Floats:
    """PGR, performance gap recovered: 0 the weak model's quality, 1 the strong one's (RouteLLM, arXiv 2406.18665, eq. 5).

    NaN where the strong model is no better than the weak one.
    """
    gap = strong - weak
    return np.full_like(quality, np.nan) if gap <= 1e-12 else (quality - weak) / gap


def apgr(share: Floats, recovered: Floats) -> float:
    """APGR, average performance gap recovered: the area under PGR over the share of the strong model (RouteLLM, eq. 6).

    The paper averages ten shares; its code integrates by trapezoids, as here. Both ends belong to every router: (0, 0) is
    the weak model alone and (1, 1) the strong one alone. Choosing at random gives 0.5, a perfect choice more than 1.

    Args:
        share: of calls that go to the strong model, in [0, 1]; with more than two models the cost between the cheapest
            single model's (0) and the best one's (1).
        recovered: PGR at each share.
    """
    return apgr_of(by_share(share, recovered))


def apgr_of(curve: tuple[Floats, Floats]) -> float:
    """APGR of a curve of `by_share`."""
    x, y = curve
    return float(_trapezoid(y, x))


def cpt(share: Floats, recovered: Floats, level: float) -> float:
    """CPT, call-performance threshold: the least share of strong calls, in percent, that recovers `level` of the gap
    (RouteLLM, section 3.2; CPT50 is level 0.5). Choosing at random gives 100 * level."""
    return cpt_of(by_share(share, recovered), level)


def cpt_of(curve: tuple[Floats, Floats], level: float) -> float:
    """CPT of a curve of `by_share`."""
    x, y = curve
    reached = np.flatnonzero(y >= level)
    if not len(reached):
        return float("nan")
    first = int(reached[0])
    if first == 0 or y[first] == y[first - 1]:
        return 100.0 * float(x[first])
    part = (level - y[first - 1]) / (y[first] - y[first - 1])
    return 100.0 * float(x[first - 1] + part * (x[first] - x[first - 1]))


def by_share(share: Floats, recovered: Floats) -> tuple[Floats, Floats]:
    """The curve from (0, 0) to (1, 1), by share; several points of one share become their mean. All of it is NaN where there
    is no cost to tell the models apart."""
    if np.isnan(share).any():
        return np.full(2, np.nan), np.full(2, np.nan)
    inside = (share > 0) & (share < 1)
    x, at = np.unique(share[inside], return_inverse=True)
    y = np.bincount(at, recovered[inside], len(x)) / np.maximum(np.bincount(at, minlength=len(x)), 1)
    return np.concatenate([[0.0], x, [1.0]]), np.concatenate([[0.0], y, [1.0]])


def hull(cost: Floats, quality: Floats) -> tuple[Floats, Floats]:
    """The non-decreasing convex hull of a curve (RouterBench, arXiv 2403.12031, section 3.2): its corners, cheapest first.

    Between two corners lies every mix of their policies at random, which is the paper's zero router where the points are
    single models. Nothing is cheaper and at least as good as a corner.
    """
    order = np.lexsort((-quality, cost))
    ranked = quality[order]
    better = np.ones(len(ranked), bool)  # than all that is cheaper
    better[1:] = ranked[1:] > np.maximum.accumulate(ranked)[:-1]
    order = order[better]
    corners: list[tuple[float, float]] = []
    for c, q in zip(cost[order].tolist(), quality[order].tolist(), strict=True):
        while len(corners) > 1 and _bends_up(corners[-2], corners[-1], (c, q)):
            corners.pop()
        corners.append((c, q))
    found = np.array(corners).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _bends_up(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether b lies on or under the line from a to c."""
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])


def aiq(cost: Floats, quality: Floats, low: float, high: float) -> float:
    """AIQ, average improvement in quality: the mean height of the hull between two costs (RouterBench, eq. 4), on a linear
    axis, USD. The range is the same for all that are compared: the cheapest single model's cost to the best one's.

    Left of its first corner a curve has no policy and counts 0; right of its last it stays as good.
    """
    return aiq_of(hull(cost, quality), low, high) if len(cost) else float("nan")


def aiq_of(corners: tuple[Floats, Floats], low: float, high: float) -> float:
    """AIQ of a hull."""
    x, y = corners
    if high <= low:
        return float("nan")
    inside = x[(x > low) & (x < high)]
    at = np.concatenate([[max(low, float(x[0]))], inside[inside > x[0]], [high]])
    if at[0] >= high:
        return 0.0
    return float(_trapezoid(np.interp(at, x, y), at)) / (high - low)


def saved_at(cost: Floats, quality: Floats, wanted: float, reference_usd: float) -> float:
    """Share of `reference_usd` saved by the cheapest point of the hull that is at least `wanted` good; NaN: none is.

    Read off the curve that is scored: optimistic."""
    return saved_of(hull(cost, quality), wanted, reference_usd)


def saved_of(corners: tuple[Floats, Floats], wanted: float, reference_usd: float) -> float:
    """`saved_at` of a hull."""
    x, y = corners
    if not len(y) or y[-1] < wanted - 1e-12 or reference_usd <= 0:
        return float("nan")
    return 1.0 - float(np.interp(wanted, y, x)) / reference_usd
