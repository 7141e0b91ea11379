"""Which task a prompt is, by its likeness to labelled examples.

Every example votes for its own task, weighted by its likeness to the prompt and corrected for how much it repeats what
other examples say (kernel ridge regression). Likeness is made of the vectors of the two instructions, their terms, and the
looks of the prompts. How sure the vote is becomes a probability by a logistic curve that is fitted to the examples
themselves, each one judged by all the others (leave-one-out).
"""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from molt_magic.errors import InputError
from molt_magic.strategies.features import instruction, looks, terms
from molt_magic.types import TaskGuess

if TYPE_CHECKING:
    from molt_magic.embed import Embedder

Matrix = npt.NDArray[np.float64]
Example = tuple[str, str | None]  # (text, task); None: none of the tasks, e.g. a greeting

# Shares of the likeness, and how far one example may be wrong. Chosen by leave-one-out over the shipped examples.
VECTOR_SHARE, TERM_SHARE, LOOKS_SHARE = 1.0, 3.0, 0.3
RIDGE = 2.0
RIDGE_ADDED = 0.2  # an example that the user added is believed at once
INSTRUCTION_WORDS = 20  # of the instruction, for its vector
FEW_EXAMPLES = 50  # with fewer, a term that occurs once still counts
MAX_EXAMPLES = 4000  # the fit takes the cube of it in time: some seconds at this
NEIGHBOURS = 5  # shown with a guess


class TaskClassifier:
    """Guesses the task of a prompt; abstains when it is not sure enough. Thread-safe.

    Args:
        embedder: makes the vectors.
        examples: (text, task) pairs; task None for what belongs to none of the tasks.
        floor: least probability of a guess, in [0, 1]; under it the task is None.

    Raises:
        InputError: more than `MAX_EXAMPLES` examples.
    """

    def __init__(self, embedder: Embedder, examples: Sequence[Example] = (), *, floor: float = 0.5) -> None:
        self.embedder = embedder
        self.floor = floor
        self._examples: dict[str, tuple[str | None, float]] = {}  # text -> (task, ridge)
        self._fitted: _Fitted | None = None
        self._lock = threading.Lock()
        self._put(examples, RIDGE)

    @classmethod
    def load_shipped(cls, embedder: Embedder, *, floor: float = 0.5) -> TaskClassifier:
        """A classifier over the examples that ship with the package (written for it; see `data/examples.jsonl`)."""
        return cls(embedder, shipped_examples(), floor=floor)

    def __len__(self) -> int:
        return len(self._examples)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks there are examples of, sorted."""
        return tuple(sorted({task for task, _ in self._examples.values() if task is not None}))

    def add(self, examples: Iterable[Example]) -> None:
        """Learn examples, e.g. corrections: they weigh more than those given at the start, and replace the same text."""
        self._put(examples, RIDGE_ADDED)

    def guess(self, prompt: str) -> TaskGuess:
        """The task of a prompt with its calibrated probability, and the examples it is most like."""
        with self._lock:
            if self._fitted is None:
                self._fitted = _Fitted.fit(self.embedder, self._examples) if self._examples else None
            fitted = self._fitted
        if fitted is None or not fitted.tasks or not prompt.strip():
            return TaskGuess(None, 0.0)
        likeness = fitted.likeness(self.embedder, prompt)
        task, margin = fitted.best(likeness @ fitted.weights)
        score = float(fitted.calibration.probability(margin)[0])
        nearest = np.argsort(-likeness[0], kind="stable")[:NEIGHBOURS]
        # over the likeness of a prompt to itself, about: shown in [0, 1]
        scale = VECTOR_SHARE + TERM_SHARE + LOOKS_SHARE
        neighbours = tuple(
            (fitted.texts[i], fitted.labels[i] or "none", float(np.clip(likeness[0, i] / scale, 0, 1))) for i in nearest
        )
        name = fitted.tasks[int(task[0])]
        return TaskGuess(name if score >= self.floor else None, score, neighbours)

    def leave_one_out(self) -> list[tuple[str | None, str, float]]:
        """For every example, judged by all the others: (its task, the best task, the calibrated probability of that)."""
        fitted = _Fitted.fit(self.embedder, self._examples)
        task, margin = fitted.best(fitted.left_out)
        probability = fitted.calibration.probability(margin)
        return [(label, fitted.tasks[int(i)], float(p)) for label, i, p in zip(fitted.labels, task, probability, strict=True)]

    def _put(self, examples: Iterable[Example], ridge: float) -> None:
        new = {text.strip(): (task, ridge) for text, task in examples if text.strip()}
        with self._lock:
            together = self._examples | new
            if len(together) > MAX_EXAMPLES:
                raise InputError(
                    f"{len(together):,} examples are more than the classifier takes ({MAX_EXAMPLES:,}).",
                    fix="Give a sample of them, some hundred a task are plenty.",
                )
            self._examples = together
            self._fitted = None


@dataclass(frozen=True, slots=True)
class _Calibration:
    """Margin -> probability: a logistic curve."""

    slope: float
    offset: float

    @staticmethod
    def fit(margins: Matrix, right: npt.NDArray[np.bool_]) -> _Calibration:
        """Platt's scaling, by Newton steps, towards (n + 1) / (n + 2) and its opposite rather than 1 and 0, so that a clean
        separation does not become certainty."""
        hits, misses = int(right.sum()), int((~right).sum())
        target = np.where(right, (hits + 1) / (hits + 2), 1 / (misses + 2))
        design = np.column_stack([margins, np.ones_like(margins)])
        parameters = np.array([1.0, 0.0])
        for _ in range(50):
            p = _logistic(design @ parameters)
            gradient = design.T @ (p - target) + 1e-3 * parameters
            hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-3 * np.eye(2)
            step = np.linalg.solve(hessian, gradient)
            parameters = parameters - step * min(1.0, 5.0 / (float(np.abs(step).max()) + 1e-12))
            if np.abs(step).max() < 1e-8:
                break
        return _Calibration(float(parameters[0]), float(parameters[1]))

    def probability(self, margins: Matrix) -> Matrix:
        return _logistic(self.slope * margins + self.offset)


@dataclass(frozen=True, slots=True)
class _Fitted:
    """The examples as numbers."""

    texts: tuple[str, ...]
    labels: tuple[str | None, ...]
    tasks: tuple[str, ...]
    vocabulary: dict[str, int]
    rarity: Matrix  # of every term: log of examples over examples with it
    mean_vector: Matrix
    looks_mean: Matrix
    looks_scale: Matrix
    columns: Matrix  # an example a column; their inner products are their likeness
    weights: Matrix  # examples x classes
    left_out: Matrix  # what all the other examples say of each
    calibration: _Calibration

    @classmethod
    def fit(cls, embedder: Embedder, examples: dict[str, tuple[str | None, float]]) -> _Fitted:
        texts = tuple(examples)
        labels = tuple(task for task, _ in examples.values())
        ridge = np.array([value for _, value in examples.values()])
        tasks = tuple(sorted({label for label in labels if label is not None}))
        counted = Counter(term for text in texts for term in terms(text))
        least = 2 if len(texts) >= FEW_EXAMPLES else 1
        vocabulary = {term: i for i, term in enumerate(sorted(term for term, n in counted.items() if n >= least))}
        seen = np.array([looks(text) for text in texts])
        unfitted = cls(
            texts=texts,
            labels=labels,
            tasks=tasks,
            vocabulary=vocabulary,
            rarity=np.array([math.log(1 + len(texts) / counted[term]) for term in vocabulary]),
            mean_vector=_vectors(embedder, texts).mean(axis=0),
            looks_mean=seen.mean(axis=0),
            looks_scale=(seen.std(axis=0) + 1e-9) * math.sqrt(seen.shape[1]),
            columns=np.empty((0, 0)),
            weights=np.empty((0, 0)),
            left_out=np.empty((0, 0)),
            calibration=_Calibration(1.0, 0.0),
        )
        rows = unfitted.features(embedder, texts)
        classes = (*tasks, None)
        truth = np.array([[float(label == name) for name in classes] for label in labels])
        likeness = rows @ rows.T
        inverse = np.linalg.inv(likeness + np.diag(ridge))
        weights = inverse @ truth
        # what the others say of example i, without fitting n times: y_i - weight_i / inverse_ii
        left_out = truth - weights / np.diag(inverse)[:, None]
        best, margin = unfitted.best(left_out)
        right = (
            np.array([label == tasks[int(i)] for label, i in zip(labels, best, strict=True)]) if tasks else np.zeros(0, bool)
        )
        calibration = _Calibration.fit(margin, right) if tasks else unfitted.calibration
        return cls(
            texts=texts,
            labels=labels,
            tasks=tasks,
            vocabulary=vocabulary,
            rarity=unfitted.rarity,
            mean_vector=unfitted.mean_vector,
            looks_mean=unfitted.looks_mean,
            looks_scale=unfitted.looks_scale,
            columns=np.ascontiguousarray(rows.T),
            weights=weights,
            left_out=left_out,
            calibration=calibration,
        )

    def features(self, embedder: Embedder, texts: Sequence[str]) -> Matrix:
        vectors = _unit(_vectors(embedder, texts) - self.mean_vector)
        words = np.zeros((len(texts), len(self.vocabulary)))
        for row, text in enumerate(texts):
            known = [self.vocabulary[term] for term in terms(text) if term in self.vocabulary]
            words[row, known] = self.rarity[known]
        seen = (np.array([looks(text) for text in texts]) - self.looks_mean) / self.looks_scale
        shares = (VECTOR_SHARE, TERM_SHARE, LOOKS_SHARE)
        blocks = (vectors, _unit(words), seen)
        return np.hstack([math.sqrt(share) * block for share, block in zip(shares, blocks, strict=True)])

    def likeness(self, embedder: Embedder, text: str) -> Matrix:
        """Of one text to every example, as a row."""
        feature = self.features(embedder, [text])[0]
        used = np.flatnonzero(feature)  # a tenth of them: most terms are not in the text
        likeness: Matrix = (feature[used] @ self.columns[used])[None, :]
        return likeness

    def best(self, votes: Matrix) -> tuple[npt.NDArray[np.intp], Matrix]:
        """(index of the best task, its lead over every other class, `none of them` included) a row; a lead below 0: that
        another class is ahead, which is then `none of them`."""
        if not self.tasks:
            return np.zeros(len(votes), np.intp), np.zeros(len(votes))
        n = len(self.tasks)
        best = votes[:, :n].argmax(axis=1)
        others = votes.copy()
        others[np.arange(len(votes)), best] = -np.inf
        return best, votes[np.arange(len(votes)), best] - others.max(axis=1)


def shipped_examples() -> tuple[Example, ...]:
    """The examples of `data/examples.jsonl`, in its order."""
    lines = files("molt_magic").joinpath("data", "examples.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple((row["text"], row["task"]) for row in map(json.loads, lines))


def _vectors(embedder: Embedder, texts: Sequence[str]) -> Matrix:
    return np.asarray(embedder.embed([_opening(text) for text in texts]), dtype=np.float64)


def _opening(text: str) -> str:
    return " ".join(instruction(text)[0].split()[:INSTRUCTION_WORDS])


def _unit(rows: Matrix) -> Matrix:
    unit: Matrix = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return unit


def _logistic(x: Matrix) -> Matrix:
    return 1 / (1 + np.exp(-np.clip(x, -50, 50)))
