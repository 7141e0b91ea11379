"""An evaluation's figures as DataFrames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from molt_magic.evaluation.bootstrap import interval
from molt_magic.evaluation.cases import Case
from molt_magic.evaluation.matrix import Floats
from molt_magic.evaluation.runs import Run

if TYPE_CHECKING:
    import pandas as pd

BINS = 10
CURVE = ("strategy", "threshold", "setting", "quality", "cost_usd", "strong")
RELIABILITY = ("model", "bin", "predicted", "observed", "n")


def curve(runs: Mapping[str, Run], models: Sequence[str], settings: Mapping[str, Sequence[str] | None]) -> pd.DataFrame:
    """A row a policy and setting; see `Report.curve`."""
    import pandas as pd

    columns = [*CURVE, *(f"share of {model}" if model in CURVE else model for model in models)]
    rows: list[tuple[Any, ...]] = []
    for name, run in runs.items():
        quality, cost, strong = run.mean_quality(), run.mean_cost(), run.strong.mean(axis=1)
        words = settings.get(name)
        for t, threshold in enumerate(run.thresholds):
            setting = None if words is None else words[t]
            told = (name, float(threshold), setting, float(quality[t]), float(cost[t]), float(strong[t]))
            rows.append((*told, *map(float, run.answered[t])))
    return pd.DataFrame(rows, columns=columns)


def summary(values: Mapping[str, Mapping[str, float]], resampled: Mapping[str, Mapping[str, Floats]]) -> pd.DataFrame:
    """A row a policy: every figure, then its 95 % interval in `NAME_lo` and `NAME_hi`."""
    import pandas as pd

    rows = []
    for name, found in values.items():
        row: dict[str, Any] = {"strategy": name, **found}
        for figure, figures in resampled[name].items():
            row[f"{figure}_lo"], row[f"{figure}_hi"] = interval(figures)
        rows.append(row)
    return pd.DataFrame(rows)


def reliability(case: Case) -> pd.DataFrame:
    """Predicted quality in bins of equal width against the mean recorded score: `model, bin, predicted, observed, n`."""
    import pandas as pd

    rows = []
    for j, model in enumerate(case.outcomes.models):
        bins = np.minimum((case.predicted[:, j] * BINS).astype(int), BINS - 1)
        for b in np.unique(bins):
            here = bins == b
            predicted, observed = case.predicted[here, j].mean(), case.outcomes.scores[here, j].mean()
            found = (model, int(b), float(predicted), float(observed), int(here.sum()))
            rows.append(dict(zip(RELIABILITY, found, strict=True)))
    return pd.DataFrame(rows, columns=list(RELIABILITY))
