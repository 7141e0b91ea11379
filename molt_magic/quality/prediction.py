"""The formula of predicted quality: what is expected of a model, moved by its outcomes.

Every scored answer of a model is a piece of evidence, weighted by how much its prompt resembles this one, on top of what is
expected before: the prior of the model, moved by how hard the prompt is, or, once there are enough outcomes to fit one, what
the `Predictor` says:

    p = (k * expected + sum(w_i * score_i)) / (k + sum(w_i)),      low = p - Z * sqrt(p * (1 - p) / (k + sum(w_i) + 1))

which is the posterior mean of a Beta distribution with k pseudo-observations and its mean less Z standard deviations. That
a prompt is easy moves the first only: what is known of other models makes no saving sure.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from molt_magic.quality.calibrate import log_odds
from molt_magic.quality.outcomes import SAME_TASK, Record, Vector
from molt_magic.types import Predicted

PRIOR_OUTCOMES = 4.0  # how many outcomes a prior is worth
Z = 1.0  # one standard deviation: about 84 % one-sided, where a normal approximation holds


class Prediction(NamedTuple):
    """Predicted quality of one model for one prompt."""

    quality: float  # in [0, 1]
    low: float  # lower confidence bound, in [0, 1]
    n: float  # effective number of outcomes
    evidence: str  # what it rests on, in words


def predicted(
    record: Record | None,
    task: str | None,
    vector: Vector | None,
    quality: float,
    sure: float,
    worth: float,
    said: str,
    since: int | None = None,
) -> Predicted:
    """What is expected of a model, moved by its outcomes.

    Args:
        quality, sure: expected, and what of it a saving may rest on.
        worth: of that, in outcomes.
        said: what it rests on.
        since: how many outcomes are in it already, where it was fitted; None: it was not.
    """
    n = 0.0
    if record is not None and (learned := len(record.scores) - (since or 0)):
        weights, scores = record.weights(task, vector, since=since or 0)
        n, good = float(weights.sum()), float(weights @ scores)
        quality, sure = (worth * quality + good) / (worth + n), (worth * sure + good) / (worth + n)
        if near := int((weights >= SAME_TASK).sum()):
            said = f"{near} near of {learned} outcomes" if since is None else f"{said}, {near} near since"
    return quality, low(sure, worth + n), worth - PRIOR_OUTCOMES + n, said


def low(sure: float, outcomes: float) -> float:
    """The lower bound of a prediction that is worth so many outcomes."""
    bound = sure - Z * math.sqrt(sure * (1.0 - sure) / (outcomes + 1.0))
    return bound if bound > 0.0 else 0.0


def moved(prior: float, shift: float) -> float:
    """A prior moved by logits."""
    return 1.0 / (1.0 + math.exp(-_prior_odds(prior) - shift))


_prior_odds = lru_cache(maxsize=1024)(log_odds)  # there are no more priors than models
