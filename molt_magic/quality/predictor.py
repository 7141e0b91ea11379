"""P(score | prompt, model) for any number of models, fitted at once on a table of outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from molt_magic.embed import Embedder, StaticEmbedder
from molt_magic.errors import InputError
from molt_magic.quality.blend import blend_weights
from molt_magic.quality.calibrate import apply_curves, fit_curve, within
from molt_magic.quality.families import Families
from molt_magic.quality.features import Features, one_hot
from molt_magic.quality.index import Index
from molt_magic.quality.latent import Latent, filled
from molt_magic.quality.neighbours import Neighbours, fit_neighbours, others
from molt_magic.quality.prior import Prior, shipped
from molt_magic.quality.repeated import numbered
from molt_magic.quality.ridge import Ridge, fit_ridge
from molt_magic.quality.single import FAMILY, TASK, Foreseen, Single

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]

FOLDS = 5
FEWEST = 20  # different prompts; under it nothing but the models' means is learned
ROUNDS = 2  # of filling gaps with what was predicted for them; without gaps one is enough
PRIOR_OUTCOMES = 4.0  # what a prediction is worth in outcomes where nothing near is known
NEIGHBOURS = 80  # that are counted as evidence
_AT_ONCE = 1024  # prompts whose neighbours are looked at at once


@dataclass(frozen=True, slots=True)
class Assessment:
    """Predictions with what they rest on; all of shape (prompts, models)."""

    quality: Matrix  # in [0, 1]
    low: Matrix  # quality less z standard deviations
    high: Matrix
    n: Matrix  # effective outcomes: near ones, each by how much nearer it is than any two prompts are
    neighbours: npt.NDArray[np.int64]  # how many of the nearest NEIGHBOURS prompts have an outcome of the model


@dataclass(frozen=True, slots=True)
class State:
    """All that a fit has learned, in plain arrays."""

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    latent: Latent
    curves: Matrix  # (m, 2): slope and offset
    counts: npt.NDArray[np.int64]  # (m,), outcomes of each model
    background: float  # cosine of two prompts that have nothing to do with each other
    known: npt.NDArray[np.bool_]  # (n, m): which prompts have an outcome of which model
    near: Neighbours
    features: Features | None  # None: too few prompts
    families: Families | None  # None: fewer than two tasks are known
    ridges: Mapping[str, Ridge]  # by block
    with_task: Matrix  # (members, p): weights of the blend, members in the order near, the ridges' blocks
    without_task: Matrix


class Predictor:
    """A blend of averaged neighbours and ridges on meaning, words, looks, prior and task, one for each latent component.

    Args:
        embedder: makes the vectors; the static one where none is given. A fit is bound to its `id`.
        prior: gives what was learned elsewhere, or None; the one that ships where it is not given.
        seed: of the folds and landmarks; the same table and seed give the same predictor.
    """

    def __init__(self, *, embedder: Embedder | None = None, prior: Callable[[], Prior | None] = shipped, seed: int = 0) -> None:
        self.embedder: Embedder = StaticEmbedder() if embedder is None else embedder
        self.prior = prior
        self.seed = seed
        self.state: State | None = None
        self._single: Single | None = None  # of the state
        self._left_out: tuple[Matrix, npt.NDArray[np.int64], Rows] | None = None  # predictions, nearest others, cosines

    @property
    def models(self) -> tuple[str, ...]:
        """The models it was fitted on, in the order of the columns of its predictions."""
        return self.fitted.models

    @property
    def fitted(self) -> State:
        """What was learned. Raises InputError before `fit`."""
        if self.state is None:
            raise InputError("This predictor was not fitted yet.", fix="Call fit(prompts, scores, models) first.")
        return self.state

    def fit(
        self,
        prompts: Sequence[str],
        scores: Matrix,
        models: Sequence[str],
        tasks: Sequence[str | None] | None = None,
        *,
        vectors: Rows | None = None,
    ) -> Predictor:
        """Learn from a table, in place of all that was learned before.

        Args:
            prompts: n texts.
            scores: in [0, 1], shape (n, m), NaN where a model has no outcome for a prompt.
            models: their m names.
            tasks: of the prompts, where known: None, or what else is no text (NaN), is no task.
            vectors: the prompts' embeddings, float32 of shape (n, d), where they are there already.

        Raises:
            InputError: the shapes do not match, a score is out of range, or there is none.
        """
        scores = np.asarray(scores, dtype=np.float64)
        given = _checked(prompts, scores, models, tasks)
        known = ~np.isnan(scores)
        vectors = self._vectors(prompts, vectors)
        names = tuple(sorted({task for task in given if task is not None}))
        features, families, blocks = None, None, {}
        folds, distinct = self._folds(prompts)
        if distinct >= FEWEST:
            features, found = Features.fit(prompts, vectors, prior=self.prior(), seed=self.seed)
            blocks = dict(found)
            if len(names) > 1:
                families, blocks[FAMILY] = Families.fit(found, given, names, folds)
                rows = one_hot(given, names)
                blocks[TASK] = one_hot(given, names, rows.mean(axis=0))
        order, cosine = others(vectors, numbered(prompts))
        index = Index.of(vectors, seed=self.seed)
        whole = filled(scores)
        for _ in range(1 if known.all() or features is None else ROUNDS):
            latent = Latent.fit(whole)
            targets = latent.components(whole)
            near, out = fit_neighbours(index, targets, order)
            ridges, members = {}, [out]
            for name, rows in blocks.items():
                ridges[name], out = fit_ridge(rows, targets, folds)
                members.append(out)
            stacked = np.stack(members)  # (members, n, p)
            with_task = _weights(stacked, targets) if features is not None else np.zeros((1, targets.shape[1]))
            without_task = with_task
            if TASK in ridges:
                without_task = np.zeros_like(with_task)
                without_task[:-1] = _weights(stacked[:-1], targets)
            expected = np.clip(latent.scores(np.einsum("bnp,bp->np", stacked, with_task)), 0.0, 1.0)
            whole = filled(scores, expected)
        curves = np.array([fit_curve(expected[k, j], scores[k, j]) for j, k in enumerate(known.T)])
        self._left_out = apply_curves(expected, curves), order[:, :NEIGHBOURS], cosine[:, :NEIGHBOURS]
        middle = vectors.mean(axis=0)
        self.state = State(
            models=tuple(models),
            tasks=names,
            latent=latent,
            curves=curves,
            counts=known.sum(axis=0),
            background=float(np.clip(middle @ middle, 0.0, 0.9)),
            known=known,
            near=near,
            features=features,
            families=families,
            ridges=ridges,
            with_task=with_task,
            without_task=without_task,
        )
        return self

    def predict(
        self, prompts: Sequence[str], tasks: Sequence[str | None] | None = None, *, vectors: Rows | None = None
    ) -> Matrix:
        """Expected scores in [0, 1], shape (len(prompts), models), calibrated on held-out folds."""
        if not len(prompts):
            return self._nothing()
        vectors = self._vectors(prompts, vectors)
        return self._predicted(prompts, tasks, vectors, self._nearest(vectors)[0])

    def left_out(self, *, z: float = 1.0) -> Assessment:
        """What the last `fit` says of its own prompts, n of them, each as if its text had not been there: predictions are
        from folds that the text is not in, evidence is that of the others; see `assess`.

        Raises:
            InputError: it was not fitted here (a predictor that was loaded has only what is needed to predict).
        """
        if self._left_out is None:
            raise InputError("There are no held-out predictions.", fix="Call fit first.")
        return self._assessed(*self._left_out, z)

    def predict_low(
        self,
        prompts: Sequence[str],
        tasks: Sequence[str | None] | None = None,
        *,
        z: float = 1.0,
        vectors: Rows | None = None,
    ) -> Matrix:
        """Lower bounds of the expected scores, z standard deviations down; see `assess`."""
        return self.assess(prompts, tasks, z=z, vectors=vectors).low

    def assess(
        self,
        prompts: Sequence[str],
        tasks: Sequence[str | None] | None = None,
        *,
        z: float = 1.0,
        vectors: Rows | None = None,
    ) -> Assessment:
        """Predictions with their evidence.

        The interval is that of a Beta distribution whose mean is the prediction and whose count is the effective number of
        near outcomes, a prediction itself counting as PRIOR_OUTCOMES: a prompt that resembles nothing has a wide one.
        """
        if not len(prompts):
            nothing = self._nothing()
            return Assessment(nothing, nothing, nothing, nothing, nothing.astype(np.int64))
        vectors = self._vectors(prompts, vectors)
        order, cosine = self._nearest(vectors)
        quality = self._predicted(prompts, tasks, vectors, order)
        return self._assessed(quality, order[:, :NEIGHBOURS], cosine[:, :NEIGHBOURS], z)

    def foresee(self, prompt: str, task: str | None, vector: Rows) -> Foreseen:
        """What `assess` says of one prompt, but for the bounds and for rounding, in a fraction of the time.

        Args:
            vector: its embedding, (d,).
        """
        if self._single is None or self._single.state is not self.state:
            self._single = Single(self.fitted, neighbours=NEIGHBOURS)
        return self._single(prompt, task, vector)

    def _nothing(self) -> Matrix:
        """What is said of no prompts."""
        return np.zeros((0, len(self.models)))

    def _assessed(self, quality: Matrix, order: npt.NDArray[np.int64], cosine: Rows, z: float) -> Assessment:
        """Predictions for k prompts with the evidence of their nearest neighbours, the latter of shape (k, neighbours)."""
        state = self.fitted
        weight = within((cosine - state.background) / (1.0 - state.background), 0.0, 1.0)
        n, near = np.empty(quality.shape), np.empty(quality.shape, dtype=np.int64)
        for start in range(0, len(quality), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            known = state.known[order[rows]]  # (k, neighbours, m)
            n[rows], near[rows] = np.einsum("kn,knm->km", weight[rows], known), known.sum(axis=1)
        deviation = np.sqrt(quality * (1.0 - quality) / (n + PRIOR_OUTCOMES + 1.0))
        low, high = np.maximum(quality - z * deviation, 0.0), np.minimum(quality + z * deviation, 1.0)
        return Assessment(quality, low, high, n, near)

    def _nearest(self, vectors: Rows) -> tuple[npt.NDArray[np.int64], Rows]:
        """The nearest prompts, as many as averages and evidence look at; they are looked for once."""
        near = self.fitted.near
        return near.index.nearest(vectors, max(near.most, NEIGHBOURS))

    def _predicted(
        self, prompts: Sequence[str], tasks: Sequence[str | None] | None, vectors: Rows, order: npt.NDArray[np.int64]
    ) -> Matrix:
        state = self.fitted
        if state.features is None:
            return apply_curves(np.tile(state.latent.means, (len(prompts), 1)), state.curves)
        members = [state.near.averages(order)]
        blocks = dict(state.features.blocks(prompts, vectors))
        given = [None] * len(prompts) if tasks is None else list(tasks)
        if state.families is not None:
            blocks[FAMILY] = state.families(blocks)
            blocks[TASK] = one_hot(given, state.tasks, state.ridges[TASK].centre)
        members += [ridge(blocks[name]) for name, ridge in state.ridges.items()]
        stacked = np.stack(members)
        components = np.einsum("bnp,bp->np", stacked, state.without_task)
        tasked = np.array([task in state.tasks for task in given], dtype=bool)
        if TASK in state.ridges and tasked.any():
            components[tasked] = np.einsum("bnp,bp->np", stacked[:, tasked], state.with_task)
        return apply_curves(within(state.latent.scores(components), 0.0, 1.0), state.curves)

    def _vectors(self, prompts: Sequence[str], vectors: Rows | None) -> Rows:
        return self.embedder.embed(list(prompts)) if vectors is None else np.asarray(vectors, dtype=np.float32)

    def _folds(self, prompts: Sequence[str]) -> tuple[npt.NDArray[np.int64], int]:
        """The fold of every prompt, the same text never on both sides; and how many texts there are."""
        _, same = np.unique(np.array([hash_of(prompt) for prompt in prompts]), return_inverse=True)
        shuffled = np.random.default_rng(self.seed).permutation(int(same.max()) + 1)
        return shuffled[same] % FOLDS, len(shuffled)


def hash_of(prompt: str) -> int:
    """A hash of a text that is the same in every process, 64 bits."""
    from hashlib import blake2b

    return int.from_bytes(blake2b(prompt.encode(errors="replace"), digest_size=8).digest(), "little", signed=True)


def _weights(stacked: Matrix, targets: Matrix) -> Matrix:
    """Blend weights of shape (members, p) for held-out predictions of shape (members, n, p); targets have mean 0."""
    return np.stack([blend_weights(stacked[:, :, c].T, targets[:, c]) for c in range(targets.shape[1])], axis=1)


def _checked(
    prompts: Sequence[str], scores: Matrix, models: Sequence[str], tasks: Sequence[str | None] | None
) -> list[str | None]:
    if scores.shape != (len(prompts), len(models)):
        raise InputError(
            f"Scores of the shape {scores.shape} do not belong to {len(prompts)} prompts and {len(models)} models.",
            fix="Give a row a prompt and a column a model, NaN where there is no outcome.",
        )
    if tasks is not None and len(tasks) != len(prompts):
        raise InputError(f"There are {len(tasks)} tasks for {len(prompts)} prompts.", fix="Give one a prompt, or None.")
    if np.isnan(scores).all():
        raise InputError("There is not one outcome to learn from.", fix="Give scores between 0 and 1.")
    if np.nanmin(scores) < 0.0 or np.nanmax(scores) > 1.0:
        raise InputError("A score lies outside of 0 to 1.", fix="Scale the scores first.")
    return [None] * len(prompts) if tasks is None else [task if isinstance(task, str) else None for task in tasks]
