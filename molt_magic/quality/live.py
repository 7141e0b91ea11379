"""Predicted quality: P(an answer of this model to this prompt is good), and how it learns.

A shrunken neighbour average. Every scored answer of a model is a piece of evidence, weighted by how much its prompt
resembles this one; the model's prior counts as `PRIOR_OUTCOMES` outcomes more:

    p = (k * prior + sum(w_i * score_i)) / (k + sum(w_i)),      low = p - Z * sqrt(p * (1 - p) / (k + sum(w_i) + 1))

which is the posterior mean of a Beta distribution with k pseudo-observations and its mean less Z standard deviations.
"""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from molt_magic.types import ModelSpec, Outcome

Vector = npt.NDArray[np.float32]

PRIOR_OUTCOMES = 4.0  # how many outcomes a prior is worth
Z = 1.0  # one standard deviation: about 84 % one-sided, where a normal approximation holds
SAME_TASK = 0.3  # least weight of an outcome of the same task, however different its prompt
PRIOR_OUTPUT_TOKENS = 256.0  # expected answer length before any was seen
PRIOR_OUTPUT_COUNT = 4.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted quality of one model for one prompt."""

    quality: float  # in [0, 1]
    low: float  # lower confidence bound, in [0, 1]
    n: float  # effective number of outcomes
    evidence: str  # what it rests on, in words


@dataclass(slots=True)
class _Record:
    """What is known of one model."""

    vectors: list[Vector] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    tasks: list[str | None] = field(default_factory=list)
    matrix: Vector | None = None  # the vectors stacked, made when first needed


class QualityModel:
    """Learns from outcomes and predicts; thread-safe.

    Args:
        embedder_id: outcomes whose vectors came from another embedder count by task only.
    """

    def __init__(self, *, embedder_id: str) -> None:
        self.embedder_id = embedder_id
        self._records: dict[str, _Record] = defaultdict(_Record)
        self._lengths: dict[tuple[str, str | None], tuple[float, float]] = {}
        self._lock = threading.Lock()

    def learn(self, outcomes: Iterable[Outcome]) -> None:
        """Take in outcomes, oldest first."""
        with self._lock:
            for outcome in outcomes:
                record = self._records[outcome.model]
                usable = outcome.vector and outcome.embedder == self.embedder_id
                vector = np.frombuffer(outcome.vector, dtype=np.float32) if usable else np.zeros(0, dtype=np.float32)
                record.vectors.append(vector)
                record.scores.append(outcome.score)
                record.tasks.append(outcome.task)
                record.matrix = None

    def knows_anything(self) -> bool:
        """Whether any outcome was learned: without one, nobody needs to embed the prompt."""
        return bool(self._records)

    def predict(self, spec: ModelSpec, *, task: str | None, vector: Vector | None) -> Prediction:
        """Predicted quality of `spec` for a prompt.

        Args:
            spec: the model, whose `prior_quality` counts as PRIOR_OUTCOMES outcomes.
            task: the prompt's task where known.
            vector: float32 of shape (dim,), unit length; None: by task only.
        """
        with self._lock:
            record = self._records.get(spec.name)
            weights, scores = (np.zeros(0), np.zeros(0)) if record is None else self._weights(record, task, vector)
        n = float(weights.sum())
        mean = (PRIOR_OUTCOMES * spec.prior_quality + float(weights @ scores)) / (PRIOR_OUTCOMES + n)
        low = max(0.0, mean - Z * math.sqrt(mean * (1.0 - mean) / (PRIOR_OUTCOMES + n + 1.0)))
        near = int((weights >= SAME_TASK).sum())
        evidence = f"{near} near of {len(scores)} outcomes" if near else "prior only"
        return Prediction(mean, low, n, evidence)

    def _weights(self, record: _Record, task: str | None, vector: Vector | None) -> tuple[Vector, Vector]:
        size = len(record.scores)
        weights = np.zeros(size)
        if vector is not None:
            if record.matrix is None:
                blank = np.zeros_like(vector)
                record.matrix = np.stack([v if v.shape == vector.shape else blank for v in record.vectors])
            weights = np.clip(record.matrix @ vector, 0.0, 1.0)  # the cosine: about 0 for unrelated prompts
        if task is not None:
            same = np.array([t == task for t in record.tasks])
            weights = np.where(same, np.maximum(weights, SAME_TASK), weights)
        return weights.astype(np.float32), np.array(record.scores, dtype=np.float32)

    def learn_length(self, model: str, task: str | None, tokens: int) -> None:
        """Take in the length of an answer, in tokens."""
        with self._lock:
            for key in {(model, task), (model, None)}:
                total, count = self._lengths.get(key, (0.0, 0.0))
                self._lengths[key] = (total + tokens, count + 1.0)

    def expected_tokens(self, model: str, task: str | None, limit: int | None) -> int:
        """Expected answer length in tokens, the mean of the model's answers (to this task where known) shrunk to a prior."""
        total, count = self._lengths.get((model, task)) or self._lengths.get((model, None)) or (0.0, 0.0)
        mean = (total + PRIOR_OUTPUT_COUNT * PRIOR_OUTPUT_TOKENS) / (count + PRIOR_OUTPUT_COUNT)
        return int(min(mean, limit) if limit else mean)
