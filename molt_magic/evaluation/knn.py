"""The baseline to beat: the average score of the nearest prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from molt_magic.embed import Embedder, StaticEmbedder
from molt_magic.evaluation.matrix import Floats
from molt_magic.quality.repeated import most_repeated, numbered

KS = (10, 20, 40, 80, 160, 320)  # tried in training
PRIOR = 4.0  # how many outcomes a model's mean counts for beside the neighbours'
_CHUNK = 1024


class Predicts(Protocol):
    """What predicts quality; `molt_magic.quality.Predictor` has this shape."""

    def fit(
        self, prompts: Sequence[str], scores: Floats, models: Sequence[str], tasks: Sequence[str | None] | None = None
    ) -> Predicts: ...

    def predict(self, prompts: Sequence[str], tasks: Sequence[str | None] | None = None) -> Floats: ...


class Knn:
    """Averages the scores of the k nearest prompts by cosine of their vectors, a model's mean counting as `PRIOR` more.

    The router that LLMRouterBench (arXiv 2601.07206) and "Rethinking Predictive Modeling for LLM Routing" (arXiv 2505.12601)
    use as their baseline.

    Args:
        k: neighbours; None: the one of `KS` with the least squared error, each training prompt judged by the others.
        embedder: None: the static one.
    """

    def __init__(self, *, k: int | None = None, embedder: Embedder | None = None) -> None:
        self.k = k
        self.embedder = embedder or StaticEmbedder()
        self._vectors = np.zeros((0, 0), np.float32)
        self._texts = np.zeros(0, np.intp)
        self._scores = np.zeros((0, 0))
        self._mean = np.zeros(0)
        self._left_out = np.zeros((0, 0))
        self.chosen_k = 0

    def fit(
        self,
        prompts: Sequence[str],
        scores: Floats,
        models: Sequence[str],  # noqa: ARG002  the shape of a predictor
        tasks: Sequence[str | None] | None = None,  # noqa: ARG002
    ) -> Knn:
        """Learn scores of shape (n, m), NaN where a model was not asked."""
        self._vectors = self.embedder.embed(list(prompts))
        self._texts = numbered(prompts)
        self._scores = scores
        self._mean = np.nan_to_num(np.nanmean(np.vstack([scores, np.full(scores.shape[1], 0.5)]), axis=0), nan=0.5)
        ks = [self.k] if self.k else [k for k in KS if k < len(self._vectors)] or [max(1, len(self._vectors) - 1)]
        tried = self._averages(self._vectors, ks, own=True)
        best = int(np.argmin([float(np.nanmean((found - self._scores) ** 2)) for found in tried])) if len(ks) > 1 else 0
        self.chosen_k, self._left_out = ks[best], tried[best]
        return self

    def predict(self, prompts: Sequence[str], tasks: Sequence[str | None] | None = None) -> Floats:  # noqa: ARG002
        """Expected scores, shape (len(prompts), m)."""
        return self._averages(self.embedder.embed(list(prompts)), [self.chosen_k], own=False)[0]

    def left_out(self) -> Floats:
        """Expected scores of the training prompts, each by the others only: shape (n, m)."""
        return self._left_out

    def _averages(self, vectors: np.ndarray, ks: Sequence[int], *, own: bool) -> list[Floats]:
        """For each k the shrunken averages, shape (len(vectors), m). `own`: the vectors are the training ones, and no
        prompt may be a neighbour of itself, nor of its repetitions."""
        most = min(max(ks), len(self._vectors) - (most_repeated(self._texts) if own else 0))
        found = [np.empty((len(vectors), self._scores.shape[1])) for _ in ks]
        known = np.nan_to_num(self._scores)
        there = ~np.isnan(self._scores)
        for start in range(0, len(vectors), _CHUNK):
            rows = slice(start, min(start + _CHUNK, len(vectors)))
            likeness = vectors[rows] @ self._vectors.T
            if own:
                likeness[self._texts[rows, None] == self._texts] = -np.inf
            near = np.argpartition(-likeness, most - 1, axis=1)[:, :most] if most else np.zeros((rows.stop - start, 0), np.intp)
            near = np.take_along_axis(near, np.argsort(-np.take_along_axis(likeness, near, 1), axis=1, kind="stable"), 1)
            total, count = np.cumsum(known[near], axis=1), np.cumsum(there[near], axis=1)
            for out, k in zip(found, ks, strict=True):
                last = min(k, most) - 1
                out[rows] = (total[:, last] + PRIOR * self._mean) / (count[:, last] + PRIOR) if most else self._mean
        return found
