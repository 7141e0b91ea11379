"""How good guesses are, as a table: right, wrong, abstained, and how honest the probabilities are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Judged = tuple[str | None, str, float]  # (its task, the best task, the probability of that)

NONE = "none"
BINS = 10


def report(rows: Sequence[Judged], *, floor: float) -> pd.DataFrame:
    """See `TaskClassifier.report`."""
    import pandas as pd

    truths, guesses = _named(rows, floor)
    found = {name: _row(name, rows, truths, guesses) for name in _order(truths)}
    answered = sum(guess != NONE for guess in guesses)
    named = sum(truth != NONE for truth in truths)
    right = sum(truth == guess != NONE for truth, guess in zip(truths, guesses, strict=True))
    precision, recall = _share(right, answered), _share(right, named)
    wrong = Counter((t, g) for t, g in zip(truths, guesses, strict=True) if g not in (t, NONE))
    worst = wrong.most_common(1)
    found["overall"] = {
        "n": len(rows),
        "precision": precision,
        "recall": recall,
        "f1": _f1(precision, recall),
        "abstained": 1 - answered / len(rows),
        "score": float(np.mean([p for _, _, p in rows])),
        "calibration_error": calibration_error([p for _, _, p in rows], [truth == best for truth, best, _ in rows]),
        "confused_with": " as ".join(worst[0][0]) + f" ({worst[0][1]})" if worst else "",
    }
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("task")


def confusion(rows: Sequence[Judged], *, floor: float) -> pd.DataFrame:
    """See `TaskClassifier.confusion`."""
    import pandas as pd

    truths, guesses = _named(rows, floor)
    table: pd.DataFrame = pd.crosstab(
        pd.Series(truths, name="task", dtype=object), pd.Series(guesses, name="guess", dtype=object)
    )
    return table.reindex(index=_order(truths), columns=_order(guesses))


def calibration_error(probabilities: Sequence[float], right: Sequence[bool], bins: int = BINS) -> float:
    """Mean distance of stated probability and share that was right, over bins of equal width, weighted by their size (Naeini
    et al. 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning"). In [0, 1]."""
    p, r = np.array(probabilities), np.array(right, dtype=float)
    at = np.minimum((p * bins).astype(int), bins - 1)
    return float(sum(abs(p[at == b].mean() - r[at == b].mean()) * (at == b).mean() for b in range(bins) if (at == b).any()))


def _row(name: str, rows: Sequence[Judged], truths: Sequence[str], guesses: Sequence[str]) -> dict[str, Any]:
    own = [i for i, truth in enumerate(truths) if truth == name]
    right = sum(guesses[i] == name for i in own)
    precision, recall = _share(right, sum(guess == name for guess in guesses)), right / len(own)
    wrong = Counter(guesses[i] for i in own if guesses[i] not in (name, NONE)).most_common(1)
    return {
        "n": len(own),
        "precision": precision,
        "recall": recall,
        "f1": _f1(precision, recall),
        "abstained": sum(guesses[i] == NONE for i in own) / len(own),
        "score": float(np.mean([rows[i][2] for i in own])),
        "calibration_error": calibration_error([rows[i][2] for i in own], [rows[i][0] == rows[i][1] for i in own]),
        "confused_with": f"{wrong[0][0]} ({wrong[0][1]})" if wrong else "",
    }


def _named(rows: Sequence[Judged], floor: float) -> tuple[list[str], list[str]]:
    """(truths, guesses) as names."""
    return [truth or NONE for truth, _, _ in rows], [best if p >= floor else NONE for _, best, p in rows]


def _order(names: Sequence[str]) -> list[str]:
    """By name, `none` last."""
    return sorted(set(names), key=lambda name: (name == NONE, name))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _f1(precision: float, recall: float) -> float:
    """Harmonic mean; 0 where nothing was right."""
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
