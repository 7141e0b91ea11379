"""A prompt as the blocks of numbers that the members of the blend look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from molt_magic.quality.kernel import Landmarks
from molt_magic.quality.lexical import Lexical, terms_of
from molt_magic.quality.prior import Prior
from molt_magic.quality.surface import surface

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]

TOPICS = 16  # principal components of the embedding that are seen together with the looks
TOPIC_SHARE = 0.7  # how far apart topics set two prompts, beside a column of looks


@dataclass(frozen=True, slots=True)
class Features:
    """What was learned of the prompts themselves; their scores play no part in it."""

    lexical: Lexical
    landmarks: Landmarks
    mean: Rows  # of the embedding, (d,)
    topics: Rows  # (d, t), scaled to unit deviation
    prior: Prior | None  # learned elsewhere

    @classmethod
    def fit(
        cls, prompts: Sequence[str], vectors: Rows, *, prior: Prior | None, seed: int
    ) -> tuple[Features, Mapping[str, Rows]]:
        """Learn from prompts and their embeddings of shape (n, d); returns also their `blocks`."""
        mean = vectors.mean(axis=0)
        centred = (vectors - mean).astype(np.float64)
        values, axes = np.linalg.eigh(centred.T @ centred / len(vectors))
        kept = values[-TOPICS:] > 1e-9 * max(values[-1], 1e-12)
        topics = (axes[:, -TOPICS:][:, kept] / np.sqrt(values[-TOPICS:][kept])).astype(np.float32)
        looks, terms = surface(prompts), [terms_of(prompt) for prompt in prompts]
        landmarks = Landmarks.fit(looks, (vectors - mean) @ topics, share=TOPIC_SHARE, seed=seed)
        features = cls(Lexical.fit(terms), landmarks, mean, topics, prior)
        return features, features._blocks(prompts, looks, terms, vectors)

    def blocks(self, prompts: Sequence[str], vectors: Rows) -> Mapping[str, Rows]:
        """Blocks by the name of the member that looks at them, each float32 of shape (len(prompts), its columns)."""
        return self._blocks(prompts, surface(prompts), [terms_of(prompt) for prompt in prompts], vectors)

    def _blocks(
        self, prompts: Sequence[str], looks: Matrix, terms: Sequence[Counter[int]], vectors: Rows
    ) -> Mapping[str, Rows]:
        topics = np.asarray((vectors - self.mean) @ self.topics, dtype=np.float32)
        found = {"meaning": vectors, "words": self.lexical.rows(terms), "looks": self.landmarks.rows(looks, topics)}
        return found if self.prior is None else found | {"prior": self.prior.rows(prompts, looks, terms)}


def one_hot(tasks: Sequence[str | None], names: Sequence[str], otherwise: Rows | None = None) -> Rows:
    """Tasks as rows of shape (len(tasks), len(names)); an unknown one is `otherwise`, or zeros."""
    places = {name: i for i, name in enumerate(names)}
    rows = np.zeros((len(tasks), len(names)), dtype=np.float32)
    for row, task in zip(rows, tasks, strict=True):
        if task in places:
            row[places[task]] = 1.0
        elif otherwise is not None:
            row[:] = otherwise
    return rows
