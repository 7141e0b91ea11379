"""What a fit says of a single prompt.

A member of the blend is a linear model on whitened, standardised columns, and so are the blend and the families of prompts: one
product after another, of which nothing but the prompt is new. Multiplied out, a prompt meets a matrix of a dozen columns, where
the whitening alone has hundreds; a member without any weight is not looked at. What `Predictor.predict` says is the same but
for rounding, as it rounds each member's columns to float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from molt_magic.quality.calibrate import apply_curves, log_odds, within
from molt_magic.quality.families import sharpened
from molt_magic.quality.kernel import Likeness, product
from molt_magic.quality.lexical import hashes_of
from molt_magic.quality.surface import looks_of

if TYPE_CHECKING:
    from molt_magic.quality.features import Features
    from molt_magic.quality.predictor import State

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]

FAMILY, TASK = "family", "task"


class Foreseen(NamedTuple):
    """Of each model the expected score, and what it rests on; see `Assessment`."""

    quality: list[float]
    n: list[float]
    neighbours: list[int]
    easier: float  # than usual is the prompt for these models, in logits


class Single:
    """Asks a fit about one prompt at a time.

    Args:
        neighbours: that are counted as evidence.
    """

    def __init__(self, state: State, *, neighbours: int) -> None:
        self.state = state
        self.neighbours = neighbours
        self._usual = log_odds(float(state.latent.means.mean()))

    def __call__(self, prompt: str, task: str | None, vector: Rows) -> Foreseen:
        """What it says of a prompt with this embedding, (d,)."""
        state = self.state
        order, cosine = state.near.index.nearest(vector[None], max(state.near.most, self.neighbours))
        n, near = self._evidence(order[0, : self.neighbours], cosine[0, : self.neighbours])
        components = self._components(prompt, task, vector, order[0])
        quality = apply_curves(within(state.latent.scores(components), 0.0, 1.0), state.curves).tolist()
        return Foreseen(quality, n, near, log_odds(sum(quality) / len(quality)) - self._usual)

    def _evidence(self, order: npt.NDArray[np.int64], cosine: Rows) -> tuple[list[float], list[int]]:
        background = self.state.background
        worths = np.ones((2, len(order)), dtype=np.float32)
        worths[0] = within((cosine - background) / (1.0 - background), 0.0, 1.0)
        n, near = worths.dot(self._known.take(order, axis=0)).tolist()
        return n, list(map(int, near))

    @cached_property
    def _known(self) -> Rows:
        return np.ascontiguousarray(self.state.known, dtype=np.float32)  # else `take` copies all of it

    @cached_property
    def _targets(self) -> Matrix:
        return np.ascontiguousarray(self.state.near.targets)

    def _components(self, prompt: str, task: str | None, vector: Rows, order: npt.NDArray[np.int64]) -> Matrix:
        state = self.state
        if state.features is None:
            return np.zeros(state.latent.axes.shape[1])
        tasked = TASK in state.ridges and task in state.tasks
        linear = self._tasked if tasked else self._untasked
        sums = linear.constant
        if linear.meaning is not None:
            sums = sums + product(vector.astype(np.float64), linear.meaning)
        if linear.words is not None or linear.looks is not None or linear.prior is not None:
            sums = sums + self._read(prompt, vector, linear, state.features)
        found, families = np.split(sums, [linear.p])
        if linear.near is not None:
            targets = self._targets.take(order[: len(linear.near)], axis=0)
            found = found + np.einsum("np,np->p", targets, linear.near)
        if linear.family is not None and state.families is not None:
            found = found + sharpened(families, state.families.sharpness).dot(linear.family)
        return found + linear.tasks[task] if tasked and task is not None else found

    def _read(self, prompt: str, vector: Rows, linear: _Linear, features: Features) -> Matrix | float:
        """What the text itself adds: its words, its looks, and what is known of both beforehand."""
        hashes = hashes_of(prompt) if linear.words is not None or linear.prior is not None else []
        looks = looks_of(prompt) if linear.looks is not None or linear.prior is not None else []
        found: Matrix | float = 0.0
        if linear.words is not None:
            places, weights = features.lexical.row(hashes)
            found = weights.dot(linear.words.take(places, axis=0))
        if linear.looks is not None:
            topics = (vector - features.mean).dot(features.topics)
            found = found + self._likeness.of(looks, linear.looks, topics)
        if linear.prior is not None and features.prior is not None:
            found = found + features.prior.row(prompt, looks, hashes).dot(linear.prior)
        return found

    @cached_property
    def _likeness(self) -> Likeness:
        assert self.state.features is not None
        return Likeness.to(self.state.features.landmarks)

    @cached_property
    def _tasked(self) -> _Linear:
        return _multiplied_out(self.state, self.state.with_task, self._likeness)

    @cached_property
    def _untasked(self) -> _Linear:
        return _multiplied_out(self.state, self.state.without_task, self._likeness)


@dataclass(frozen=True, slots=True)
class _Linear:
    """What each column of a block adds to the p components and to the k families, where those have a weight. None: nothing."""

    p: int
    constant: Matrix  # (p + k,)
    tasks: dict[str, Matrix]  # (p,)
    near: Matrix | None  # (neighbours, p), the nearest first
    meaning: Matrix | None  # (d, p + k)
    words: Matrix | None  # (w, p + k)
    looks: Matrix | None  # (l, p + k), being like the landmarks
    prior: Matrix | None  # (c, p + k)
    family: Matrix | None  # (k, p)


def _multiplied_out(state: State, weights: Matrix, likeness: Likeness) -> _Linear:
    """Args:
    weights: of the blend, (members, p).
    """
    assert state.features is not None
    by_member = dict(zip(state.ridges, weights[1:], strict=True))
    families = state.families if state.families is not None and by_member[FAMILY].any() else None
    p = weights.shape[1]
    constant, blocks = np.zeros(p + (0 if families is None else len(state.tasks))), {}
    for name, ridge in state.ridges.items():
        offset, columns = ridge.affine(by_member[name])
        constant[:p] += offset
        if families is not None and name in families.ridges:
            offset, more = families.ridges[name].affine(1.0 / len(families.ridges))
            constant[p:] += offset
            columns = np.hstack([columns, more])
        blocks[name] = columns
    tasks = dict(zip(state.tasks, blocks.pop(TASK), strict=True)) if TASK in blocks else {}
    blocks["near"] = weights[0] * state.near.shares
    if (looks := blocks["looks"]).any():
        blocks["looks"] = likeness.weights(state.features.landmarks.whitening @ looks)
    given = {name: np.ascontiguousarray(columns) for name, columns in blocks.items() if columns.any()}
    return _Linear(p, constant, tasks, *(given.get(name) for name in ("near", "meaning", "words", "looks", "prior", FAMILY)))
