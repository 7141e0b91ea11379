"""The average of what is known of the prompts nearest to one: over many, since a single nearest one says next to nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from molt_magic.quality.index import Index, nearest_of
from molt_magic.quality.repeated import most_repeated

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]

COUNTS = (20, 40, 80, 160)  # of neighbours that are tried
_AT_ONCE = 512  # rows whose likeness to all the others is held at once


@dataclass(frozen=True)
class Neighbours:
    """Prompts and their targets, and how many are averaged for each target."""

    index: Index  # of n vectors
    targets: Matrix  # (n, p)
    counts: npt.NDArray[np.int64]  # (p,)

    @cached_property
    def most(self) -> int:
        """How many neighbours an average takes at most."""
        return int(self.counts.max())

    def averages(self, order: npt.NDArray[np.int64]) -> Matrix:
        """Averages of shape (k, p) for the places of at least `most` nearest, shape (k, ...), nearest first."""
        found = np.zeros((len(order), len(self.counts)))
        for count, columns, targets in self._alike:
            found[:, columns] = targets[order[:, :count]].mean(axis=1)
        return found

    @cached_property
    def _alike(self) -> list[tuple[int, npt.NDArray[np.int64], Matrix]]:
        """The targets that as many neighbours are averaged for: how many, which columns they are, and the targets."""
        columns = {int(count): np.flatnonzero(self.counts == count) for count in np.unique(self.counts)}
        return [(count, of, np.ascontiguousarray(self.targets[:, of])) for count, of in columns.items()]

    @cached_property
    def shares(self) -> Matrix:
        """What each of the `most` nearest has in the averages, nearest first: shape (most, p)."""
        ranks = np.arange(min(self.most, len(self.targets)))[:, None]
        found: Matrix = (ranks < self.counts) / self.counts
        return found


def others(vectors: Rows, texts: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.int64], Rows]:
    """Of each prompt the nearest others, as many as are ever averaged: places and cosines, nearest first.

    Args:
        texts: of `numbered`, (n,); the same text again is no other prompt.
    """
    count = min(COUNTS[-1], max(len(vectors) - most_repeated(texts), 1))
    found = []
    for start in range(0, len(vectors), _AT_ONCE):
        block = vectors[start : start + _AT_ONCE] @ vectors.T
        block[texts[start : start + _AT_ONCE, None] == texts] = -2.0  # itself
        found.append(nearest_of(block, count))
    places, cosines = zip(*found, strict=True)
    return np.concatenate(places), np.concatenate(cosines)


def fit_neighbours(index: Index, targets: Matrix, order: npt.NDArray[np.int64]) -> tuple[Neighbours, Matrix]:
    """Choose how many are averaged by leaving each prompt out; returns also the left-out averages, shape (n, p).

    Args:
        order: places of each prompt's nearest `others`.
    """
    n = len(targets)
    counts = [count for count in COUNTS if count <= order.shape[1]] or [order.shape[1]]
    averages = np.zeros((len(counts), *targets.shape))
    for start in range(0, n, _AT_ONCE):
        rows = slice(start, min(start + _AT_ONCE, n))
        running = np.cumsum(targets[order[rows, : counts[-1]]], axis=1)
        for i, count in enumerate(counts):
            averages[i, rows] = running[:, count - 1] / count
    best = ((averages - targets) ** 2).mean(axis=1).argmin(axis=0)
    model = Neighbours(index, targets, np.array(counts, dtype=np.int64)[best])
    return model, averages[best, :, np.arange(targets.shape[1])].T
