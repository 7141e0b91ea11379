"""Rows by their likeness to some landmarks, so that a linear model on them bends (Nystroem; Williams and Seeger 2001)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from molt_magic.quality.calibrate import within

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]

LANDMARKS = 384
LONE = 9215  # products that OpenBLAS does at most without waking threads, to wait for them where the machine is busy
_CLIP = 4.0  # standard deviations; a freak of length must not be like nothing at all


@dataclass(frozen=True)
class Landmarks:
    """exp(-|a - b|^2 / (2 d)) on standardised columns, against landmarks, whitened."""

    mean: Matrix  # (d,), of the looks
    deviation: Matrix  # (d,)
    share: float  # factor of the topics
    points: Matrix  # (l, d + t): standardised looks and scaled topics
    whitening: Matrix  # (l, l'), l' <= l

    @classmethod
    def fit(cls, looks: Matrix, topics: Rows, *, share: float, seed: int) -> Landmarks:
        """Take landmarks from the rows of `looks` (n, d) and `topics` (n, t); the latter have unit deviation."""
        mean, deviation = looks.mean(axis=0), looks.std(axis=0)
        deviation[deviation < 1e-9] = 1.0
        taken = np.random.default_rng(seed).permutation(len(looks))[:LANDMARKS]
        points = _standard(looks[taken], topics[taken], mean, deviation, share)
        return cls(mean, deviation, share, points, whitening(points))

    def rows(self, looks: Matrix, topics: Rows) -> Rows:
        """Rows whose inner products are the likenesses: float32 of shape (n, l')."""
        standard = _standard(looks, topics, self.mean, self.deviation, self.share)
        return (_likeness(standard, self.points, self._squares) @ self.whitening).astype(np.float32)

    @cached_property
    def _squares(self) -> Matrix:
        """Of the points' lengths, (l,): every prompt is compared with the same."""
        found: Matrix = (self.points * self.points).sum(axis=1)
        return found


@dataclass(frozen=True, eq=False, slots=True)
class Likeness:
    """Of single prompts to landmarks: a weighted sum, what does not depend on the prompt done beforehand.

    With c = 2 (d + t), exp(-|s - p|^2 / c) = exp(-s.s / c) exp(2 p.s / c) exp(-p.p / c). Most looks of a prompt are 0, so of
    s.s and p.s only what the others add to those of a prompt without any is left to do; the rest belongs to the weight. While a
    model is waited for all of this leaves the processor's caches: what is not touched need not come back.
    """

    looks: list[tuple[float, float, float]]  # (d), mean, deviation, and what a 0 is when it is standardised
    columns: Matrix  # (d, l), 2 p / c
    topics: Matrix  # (t, l), likewise
    share: float  # factor of the topics
    nothing: float  # s.s of a prompt that has no looks
    near: Matrix  # (l,), exp((2 p.s - p.p) / c) of such a prompt

    @classmethod
    def to(cls, landmarks: Landmarks) -> Likeness:
        """To these landmarks."""
        d, size = len(landmarks.mean), landmarks.points.shape[1]
        columns = np.ascontiguousarray(landmarks.points.T) / size
        nothing = within(-landmarks.mean / landmarks.deviation, -_CLIP, _CLIP)
        near = np.exp(nothing @ columns[:d] - landmarks._squares / (2.0 * size))
        looks = list(zip(landmarks.mean.tolist(), landmarks.deviation.tolist(), nothing.tolist(), strict=True))
        return cls(looks, columns[:d], columns[d:], landmarks.share, float(nothing @ nothing), near)

    def weights(self, worths: Matrix) -> Matrix:
        """For `of`, where being like each landmark is worth so much, or so much of several things: (l,) or (l, p)."""
        found: Matrix = (worths.T * self.near).T
        return found

    def of(self, looks: Sequence[float], weights: Matrix, topics: Rows | None = None) -> Matrix:
        """What it is worth to be like the landmarks as a prompt of these looks (d) and topics (t) is: () or (p,)."""
        places = [place for place, value in enumerate(looks) if value]
        more, square = [], self.nothing
        for place in places:
            mean, deviation, nothing = self.looks[place]
            z = (looks[place] - mean) / deviation
            if not -_CLIP < z < _CLIP:
                z = math.copysign(_CLIP, z)
            more.append(z - nothing)
            square += z * z - nothing * nothing
        exponents = product(np.array(more), self.columns.take(places, axis=0))
        if topics is not None:
            standard = within(self.share * topics.astype(np.float64), -_CLIP, _CLIP)
            exponents += product(standard, self.topics)
            square += float(standard.dot(standard))
        found: Matrix = product(np.exp(exponents), weights) * math.exp(square / (-2.0 * (len(looks) + len(self.topics))))
        return found


def product(row: Matrix, columns: Matrix) -> Matrix:
    """Of a row with a matrix, in this thread whatever its size."""
    found: Matrix = row.dot(columns) if columns.size <= LONE else np.einsum("i,ij->j", row, columns)
    return found


def whitening(points: Matrix) -> Matrix:
    """What makes inner products of likenesses to `points`, shape (l, d), out of the likenesses: shape (l, l')."""
    values, vectors = np.linalg.eigh(_likeness(points, points, (points * points).sum(axis=1)))
    kept = values > 1e-6 * values[-1]
    found: Matrix = vectors[:, kept] / np.sqrt(values[kept])
    return found


def _standard(looks: Matrix, topics: Rows, mean: Matrix, deviation: Matrix, share: float) -> Matrix:
    columns: Matrix = np.concatenate([(looks - mean) / deviation, share * topics.astype(np.float64)], axis=1)
    return within(columns, -_CLIP, _CLIP)


def _likeness(a: Matrix, b: Matrix, squares: Matrix) -> Matrix:
    """Of rows a to rows b, whose lengths have these squares."""
    distances = (a * a).sum(axis=1)[:, None] + squares - 2 * a @ b.T
    likeness: Matrix = np.exp(np.maximum(distances, 0.0) / (-2.0 * a.shape[1]))
    return likeness
