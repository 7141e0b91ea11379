"""All figures of one run, on the prompts as they are or on resamples of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from molt_magic.evaluation import metrics
from molt_magic.evaluation.matrix import Floats, Outcomes
from molt_magic.evaluation.runs import Run

LEVELS: Mapping[str, float] = {"best": 1.0, "99": 0.99, "95": 0.95}  # of the best single model's quality
COST = "cost"  # the setting that is as dear as the best single model at most
NAMES = (
    "quality", "cost_usd", "saved_at_best", "saved_at_99", "saved_at_95", "kept_at_best", "kept_at_99", "kept_at_95",
    "quality_at_cost", "aiq", "apgr", "cpt50", "cpt80",
    "saved_at_best_optimistic", "saved_at_99_optimistic", "saved_at_95_optimistic",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Singles:
    """The two single models that a curve lies between: the cheapest, and the best of training."""

    weak: int
    strong: int


def operating_points(run: Run, strong: Floats, strong_usd: Floats) -> dict[str, int]:
    """The cheapest setting that keeps each of `LEVELS` of the best single model's quality, on training prompts, and COST: the
    best one that costs no more than that model.

    Where none does: the best one, or the cheapest.

    Args:
        run: on training prompts, each as it looks from outside.
        strong, strong_usd: (n,) recorded scores and costs of the best single model.
    """
    quality, cost = run.mean_quality(), run.mean_cost()
    found = {}
    for level, share in LEVELS.items():
        enough = np.flatnonzero(quality >= share * strong.mean() - 1e-12)
        found[level] = int(enough[cost[enough].argmin()]) if len(enough) else int(quality.argmax())
    allowed = np.flatnonzero(cost <= strong_usd.mean() * (1 + 1e-9))
    found[COST] = int(allowed[quality[allowed].argmax()]) if len(allowed) else int(cost.argmin())
    return found


def figures(
    run: Run, points: Mapping[str, int], test: Outcomes, singles: Singles, *, weights: Floats, counted: Run
) -> Mapping[str, Floats]:
    """Figures for each resample: name -> (resamples,). `NAMES` says which; those of a curve are NaN for a single point.

    quality, cost_usd, saved_at_*, kept_at_* (share of the best single model's quality), quality_at_cost (the best single
    model's, or less): of the settings chosen in training.
    aiq, apgr, cpt50, cpt80, *_optimistic: read off the curve of the prompts that are scored.

    Args:
        points: settings of `operating_points`, chosen in training.
        weights: (resamples, n), rows sum to 1; one row of 1/n for the prompts as they are.
        counted: the run that APGR and CPT look at: of two models one that counts calls, else the same.
    """
    quality, cost = weights @ run.quality.T, weights @ run.cost.T
    weak_q, strong_q = weights @ test.scores[:, singles.weak], weights @ test.scores[:, singles.strong]
    weak_c, strong_c = weights @ test.costs[:, singles.weak], weights @ test.costs[:, singles.strong]
    found: dict[str, Floats] = {name: np.full(len(weights), np.nan) for name in NAMES}
    found["quality"], found["cost_usd"] = quality[:, points["best"]], cost[:, points["best"]]
    found["quality_at_cost"] = quality[:, points[COST]]
    for level in LEVELS:
        t = points[level]
        found[f"saved_at_{level}"] = 1.0 - _over(cost[:, t], strong_c)
        found[f"kept_at_{level}"] = _over(quality[:, t], strong_q)
    if quality.shape[1] < 2 or singles.weak == singles.strong:
        return found
    two = len(test.models) == 2
    counted_quality = quality if counted.quality is run.quality else weights @ counted.quality.T
    share = weights @ counted.strong.T if two else _over(cost - weak_c[:, None], (strong_c - weak_c)[:, None])
    for b in range(len(weights)):
        corners = metrics.hull(cost[b], quality[b])
        found["aiq"][b] = metrics.aiq_of(corners, float(weak_c[b]), float(strong_c[b]))
        gained = metrics.gap_recovered(counted_quality[b], float(weak_q[b]), float(strong_q[b]))
        curve = metrics.by_share(share[b], gained)
        found["apgr"][b] = metrics.apgr_of(curve)
        found["cpt50"][b], found["cpt80"][b] = (metrics.cpt_of(curve, level) for level in (0.5, 0.8))
        for level, part in LEVELS.items():
            saved = metrics.saved_of(corners, part * float(strong_q[b]), float(strong_c[b]))
            found[f"saved_at_{level}_optimistic"][b] = saved
    return found


def _over(above: Floats, below: Floats) -> Floats:
    """The quotient; NaN over 0, as where everything is free or nothing is right."""
    found: Floats = np.divide(above, below, out=np.full(np.broadcast(above, below).shape, np.nan), where=below != 0)
    return found
