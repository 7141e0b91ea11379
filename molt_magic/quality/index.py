"""The vectors nearest to one.

Many of them lie in cells about centres, and are sought in the few cells whose centres are nearest: an inverted file (Jegou,
Douze and Schmid 2011), its centres from spherical k-means (Dhillon and Modha 2001). Some of what is found is then a little
farther away than the very nearest, which an average over dozens does not feel: `docs/routing.md` has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

CELL = 160  # vectors on average
LOOKED_AT = 1024  # vectors at least, cell by cell
FEWEST = 3 * LOOKED_AT  # vectors; to look at all of fewer takes hardly longer
_STEPS = 8  # of k-means: more of them move next to nothing


@dataclass(frozen=True)
class Index:
    """Vectors, one cell after the other."""

    vectors: Rows  # (n, d), unit length
    places: Places  # (n,): where each was in the order in which they were given
    centres: Rows  # (c, d), unit length; none: all vectors are looked at
    ends: Places  # (c,): of each cell in `vectors`

    @classmethod
    def of(cls, vectors: Rows, *, seed: int) -> Index:
        """Of vectors of unit length, (n, d), that are known by their places from here on."""
        if len(vectors) < FEWEST:
            return cls(vectors, np.arange(len(vectors)), vectors[:0], np.zeros(0, dtype=np.int64))
        size = len(vectors) // CELL
        centres = vectors[np.random.default_rng(seed).permutation(len(vectors))[:size]]
        for _ in range(_STEPS):
            sums = np.zeros_like(centres)
            np.add.at(sums, (vectors @ centres.T).argmax(axis=1), vectors)
            length = np.linalg.norm(sums, axis=1, keepdims=True)
            centres = np.where(length > 0.0, sums / np.maximum(length, 1e-9), centres)
        cell = (vectors @ centres.T).argmax(axis=1)
        places = np.argsort(cell, kind="stable")
        return cls(vectors[places], places, centres, np.bincount(cell, minlength=size).cumsum())

    def nearest(self, vectors: Rows, count: int) -> tuple[Places, Rows]:
        """Places and cosines of the `count` nearest, nearest first: shapes (k, count)."""
        if len(self.centres):
            found = [self._in_cells(vector, count) for vector in vectors]
            return np.array([places for places, _ in found]), np.array([cosines for _, cosines in found])
        if len(vectors) == 1:
            places, cosines = _nearest(cosines_to(vectors[0], self.vectors), count)
            return places[None], cosines[None]
        return nearest_of(vectors @ self.vectors.T, count)

    def _in_cells(self, vector: Rows, count: int) -> tuple[Places, Rows]:
        cells, looked_at = [], 0
        for cell in (-cosines_to(vector, self.centres)).argsort().tolist():
            begin, end = self._cells[cell]
            cells.append(slice(begin, end))
            looked_at += end - begin
            if looked_at >= LOOKED_AT:
                break
        order, cosines = _nearest(np.concatenate([cosines_to(vector, self.vectors[cell]) for cell in cells]), count)
        return np.concatenate([self.places[cell] for cell in cells])[order], cosines

    @cached_property
    def _cells(self) -> list[tuple[int, int]]:
        ends: list[int] = self.ends.tolist()
        return list(zip([0, *ends], ends, strict=False))


def nearest_of(likeness: Rows, count: int) -> tuple[Places, Rows]:
    """Places and values of the `count` greatest of each row, greatest first."""
    count = min(count, likeness.shape[1])
    order = np.argpartition(likeness, likeness.shape[1] - count, axis=1)[:, likeness.shape[1] - count :]
    found = np.take_along_axis(likeness, order, axis=1)
    ranks = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(order, ranks, axis=1), np.take_along_axis(found, ranks, axis=1)


def _nearest(likeness: Rows, count: int) -> tuple[Places, Rows]:
    """The same of a single row, for which the general case takes twice as long."""
    count = min(count, len(likeness))
    nearest = np.argpartition(likeness, len(likeness) - count)[len(likeness) - count :]
    nearest = nearest[np.argsort(-likeness[nearest], kind="stable")]
    return nearest, likeness[nearest]


def cosines_to(vector: Rows, vectors: Rows) -> Rows:
    """Of vectors (n, d) to one, (d,), row by row: for a whole matrix OpenBLAS wakes threads, and to wait for those takes
    milliseconds where other programs keep the processors busy."""
    found: Rows = np.matmul(vectors[:, None, :], vector)[:, 0]
    return found
