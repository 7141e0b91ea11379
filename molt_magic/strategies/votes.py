"""Labelled examples as numbers: what they say of a prompt, and how sure that is.

Every example votes for its own task, weighted by its likeness to the prompt and corrected for how much it repeats what other
examples say (ridge regression). Likeness is made of the vectors of the two instructions, their terms, and the looks of the
prompts. How far the best task leads becomes a probability by a logistic curve that is fitted to the examples themselves, each
one judged by all the others (leave-one-out).

`Few` solves this in the examples, exactly, in the cube of their number. `Many` solves it in the commonest features, and adds
the averaged votes of the nearest examples: with hundreds of examples a task the neighbourhood says what a straight line
cannot (on Banking77 and CLINC150 the two together name 3 to 8 points more than either alone).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from molt_magic.strategies.features import Vocabulary, instruction, looks, spelled, terms

if TYPE_CHECKING:
    from molt_magic.embed import Embedder

Matrix = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]  # half the time and memory, for what is large
Truth = tuple[str | None, float]  # (task, ridge: how far this example may be wrong)

# Shares of the likeness. Chosen by leave-one-out over the shipped examples.
VECTOR_SHARE, TERM_SHARE, LOOKS_SHARE = 1.0, 3.0, 0.3
_ROOTS = tuple(math.sqrt(share) for share in (VECTOR_SHARE, TERM_SHARE, LOOKS_SHARE))
INSTRUCTION_WORDS = 20  # of the instruction, for its vector
FEW_EXAMPLES = 50  # with fewer, a term that occurs once still counts
NEIGHBOURS = 5  # shown with a guess

EXACT = 2000  # examples that are solved exactly: a second or two
MOST_TERMS = 1750  # beyond that: the commonest terms, so that the system to solve stays as large
# The neighbours' say, where there are many examples. Chosen by leave-one-out over half the training prompts of Banking77 and of
# HWU64, of which nothing ships.
NEAREST, NEARNESS, NEIGHBOUR_SHARE = 20, 0.05, 0.5  # how many, the cosine by which one counts e times less, their weight
_AT_ONCE = 1000  # rows of a block


class Votes(Protocol):
    """Fitted examples."""

    @property
    def texts(self) -> tuple[str, ...]: ...

    @property
    def labels(self) -> tuple[str | None, ...]: ...

    @property
    def tasks(self) -> tuple[str, ...]:
        """Sorted; the classes are these and `none of them`."""
        ...

    @property
    def left_out(self) -> Matrix:
        """What all the others say of each example: examples x classes."""
        ...

    @property
    def calibration(self) -> Calibration: ...

    def say(self, embedder: Embedder, texts: Sequence[str]) -> Matrix:
        """The votes for every class, a row a text; the last class is `none of the tasks`."""
        ...

    def explain(self, embedder: Embedder, text: str, *, nearest: int) -> tuple[list[float], list[tuple[int, float]]]:
        """The votes for one text, and (index, likeness in [0, 1]) of so many examples it is most like, nearest first."""
        ...


def fit(embedder: Embedder, examples: Mapping[str, Truth]) -> Votes:
    """Fit text -> (task, ridge)."""
    return Few.fit(embedder, examples) if len(examples) <= EXACT else Many.fit(embedder, examples)


def lead(votes: Matrix) -> tuple[npt.NDArray[np.intp], Matrix]:
    """(index of the best task, its lead over every other class, `none of them` included) a row; a lead below 0: that
    another class is ahead, which is then `none of them`."""
    rows, n = np.arange(len(votes)), votes.shape[1] - 1
    if n == 0:
        return np.zeros(len(votes), np.intp), np.zeros(len(votes))
    best = votes[:, :n].argmax(axis=1)
    others = votes.copy()
    others[rows, best] = -np.inf
    return best, votes[rows, best] - others.max(axis=1)


def lead_of(votes: Sequence[float]) -> tuple[int, float]:
    """The same of one row; NumPy takes ten times as long to look at it."""
    if len(votes) == 1:
        return 0, 0.0
    best = votes.index(max(votes[:-1]))
    return best, votes[best] - max([*votes[:best], *votes[best + 1 :]])


@dataclass(frozen=True, slots=True)
class Calibration:
    """Lead -> probability: a logistic curve."""

    slope: float
    offset: float

    @staticmethod
    def fit(leads: Matrix, right: npt.NDArray[np.bool_]) -> Calibration:
        """Platt's scaling, by Newton steps, towards (n + 1) / (n + 2) and its opposite rather than 1 and 0, so that a clean
        separation does not become certainty."""
        hits, misses = int(right.sum()), int((~right).sum())
        target = np.where(right, (hits + 1) / (hits + 2), 1 / (misses + 2))
        design = np.column_stack([leads, np.ones_like(leads)])
        parameters = np.array([1.0, 0.0])
        for _ in range(50):
            p = _logistic(design @ parameters)
            gradient = design.T @ (p - target) + 1e-3 * parameters
            hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-3 * np.eye(2)
            step = np.linalg.solve(hessian, gradient)
            parameters = parameters - step * min(1.0, 5.0 / (float(np.abs(step).max()) + 1e-12))
            if np.abs(step).max() < 1e-8:
                break
        return Calibration(float(parameters[0]), float(parameters[1]))

    def probability(self, leads: Matrix) -> Matrix:
        return _logistic(self.slope * leads + self.offset)

    def probability_of(self, lead: float) -> float:
        """The same of one lead."""
        return 1.0 / (1.0 + math.exp(-min(max(self.slope * lead + self.offset, -50.0), 50.0)))


@dataclass(frozen=True, slots=True)
class Features:
    """Texts as rows of numbers whose inner products are their likeness."""

    vocabulary: Vocabulary
    rarity: Matrix  # of every term: log of examples over examples with it
    mean_vector: Matrix
    looks_mean: Matrix
    looks_scale: Matrix

    @staticmethod
    def fit(embedder: Embedder, texts: Sequence[str], *, most_terms: int | None = None) -> Features:
        """The terms of these texts (the `most_terms` commonest), and the means to look away from."""
        said = [instruction(text) for text in texts]
        counted = Counter(term for each in said for term in set(terms(*each)))
        least = 2 if len(texts) >= FEW_EXAMPLES else 1
        common = sorted((term for term, n in counted.items() if n >= least), key=lambda term: (-counted[term], spelled(term)))
        kept = sorted(common[:most_terms], key=spelled)
        seen = np.array([looks(text, opening) for text, (opening, _) in zip(texts, said, strict=True)])
        return Features(
            vocabulary=Vocabulary(kept),
            rarity=np.array([math.log(1 + len(texts) / counted[term]) for term in kept]),
            mean_vector=_vectors(embedder, said).mean(axis=0),
            looks_mean=seen.mean(axis=0),
            looks_scale=(seen.std(axis=0) + 1e-9) * math.sqrt(seen.shape[1]),
        )

    def of(self, embedder: Embedder, texts: Sequence[str]) -> Matrix:
        """A row a text: its vector first, then its terms, then its looks."""
        said = [instruction(text) for text in texts]
        vectors = _unit(_vectors(embedder, said) - self.mean_vector)
        words = np.zeros((len(texts), len(self.vocabulary)))
        for row, each in zip(words, said, strict=True):
            known = self.vocabulary.places(*each)
            row[known] = self.rarity[known]
        seen = np.array([looks(text, opening) for text, (opening, _) in zip(texts, said, strict=True)])
        blocks = (vectors, _unit(words), (seen - self.looks_mean) / self.looks_scale)
        return np.hstack([share * block for share, block in zip(_ROOTS, blocks, strict=True)])


@dataclass(frozen=True, slots=True)
class Few:
    """Solved in the examples, exactly."""

    texts: tuple[str, ...]
    labels: tuple[str | None, ...]
    tasks: tuple[str, ...]
    features: Features
    columns: Matrix  # an example a column; inner products are likeness
    mean_vector: Floats
    by_vector: Floats  # the weights of the classes, all examples together, for each number of a vector that has length 1 ...
    by_term: Matrix  # ... for each term, times its rarity, of which the square comes last ...
    by_look: list[list[float]]  # ... for each of the looks as they are, and last what looks of 0 weigh
    left_out: Matrix
    calibration: Calibration

    @classmethod
    def fit(cls, embedder: Embedder, examples: Mapping[str, Truth]) -> Few:
        texts, labels, tasks, truth, ridge = _laid_out(examples)
        features = Features.fit(embedder, texts)
        rows = features.of(embedder, texts)
        inverse = np.linalg.inv(rows @ rows.T + np.diag(ridge))
        weights = inverse @ truth
        # what the others say of example i, without fitting n times: y_i - weight_i / inverse_ii
        left_out = truth - weights / np.diag(inverse)[:, None]
        columns, size = np.ascontiguousarray(rows.T), len(features.mean_vector)
        by_vector, by_term, by_look = np.split(columns @ weights, [size, size + len(features.vocabulary)])
        of_vector, of_terms, of_looks = _ROOTS
        by_look *= of_looks / features.looks_scale[:, None]
        rarity = features.rarity[:, None]
        return cls(
            texts=texts,
            labels=labels,
            tasks=tasks,
            features=features,
            columns=columns,
            mean_vector=features.mean_vector.astype(np.float32),
            by_vector=(of_vector * by_vector).astype(np.float32),
            by_term=np.hstack([of_terms * rarity * by_term, rarity**2]),
            by_look=np.vstack([by_look, -features.looks_mean @ by_look]).tolist(),
            left_out=left_out,
            calibration=_calibrated(left_out, truth),
        )

    def say(self, embedder: Embedder, texts: Sequence[str]) -> Matrix:
        return np.array([self.explain(embedder, text, nearest=0)[0] for text in texts])

    def explain(self, embedder: Embedder, text: str, *, nearest: int) -> tuple[list[float], list[tuple[int, float]]]:
        votes = self._votes(embedder, text)
        if not nearest:  # for the votes alone no example need be looked at
            return votes, []
        row, size = self.features.of(embedder, [text])[0], len(self.mean_vector)
        there = size + row[size:].nonzero()[0]  # most terms are not in the text
        likeness = row[:size] @ self.columns[:size] + row[there] @ self.columns[there]
        # over the likeness of a prompt to itself, about: shown in [0, 1]
        return votes, _first(likeness / (VECTOR_SHARE + TERM_SHARE + LOOKS_SHARE), nearest)

    def _votes(self, embedder: Embedder, text: str) -> list[float]:
        """The row of a text times the weights, most of which meet nothing. With the numbers at the end NumPy takes longer."""
        said = instruction(text)
        vector = embedder.embed([_opening(said)])[0] - self.mean_vector
        length = max(math.sqrt(vector.dot(vector)), 1e-9)
        places = np.array(self.features.vocabulary.places(*said), dtype=np.intp)
        *of_terms, square = np.add.reduce(self.by_term.take(places, axis=0)).tolist()
        rarity = max(math.sqrt(square), 1e-9)
        *by_look, of_looks = self.by_look
        for look, weights in zip(looks(text, said[0]), by_look, strict=True):
            if look:
                of_looks = [vote + look * weight for vote, weight in zip(of_looks, weights, strict=True)]
        of_vector = vector.dot(self.by_vector).tolist()
        return [a / length + b / rarity + c for a, b, c in zip(of_vector, of_terms, of_looks, strict=True)]


@dataclass(frozen=True, slots=True)
class Many:
    """Solved in the commonest features; the nearest examples have a say of their own."""

    texts: tuple[str, ...]
    labels: tuple[str | None, ...]
    tasks: tuple[str, ...]
    features: Features
    weights: Floats  # features x classes
    vectors: Floats  # an example a row, of length one
    classes: npt.NDArray[np.intp] = field(repr=False)  # of every example
    left_out: Matrix = field(repr=False)
    calibration: Calibration

    @classmethod
    def fit(cls, embedder: Embedder, examples: Mapping[str, Truth]) -> Many:
        texts, labels, tasks, truth, ridge = _laid_out(examples)
        features = Features.fit(embedder, texts, most_terms=MOST_TERMS)
        rows = np.vstack(
            [
                features.of(embedder, texts[start : start + _AT_ONCE]).astype(np.float32)
                for start in range(0, len(texts), _AT_ONCE)
            ]
        )
        vectors = np.ascontiguousarray(rows[:, : len(features.mean_vector)])
        # an example that may be wrong by `ridge` weighs 1 / ridge against a penalty of 1
        rows *= np.sqrt(1 / ridge).astype(np.float32)[:, None]
        wanted = (truth / np.sqrt(ridge)[:, None]).astype(np.float32)
        inverse = np.linalg.inv(rows.T @ rows + np.eye(rows.shape[1], dtype=np.float32))
        weights = inverse @ (rows.T @ wanted)
        # the same leave-one-out as in `Few`, by how far each example pulls its own vote
        own = np.einsum("ij,ij->i", rows @ inverse, rows)[:, None]
        line = (rows @ weights - own * wanted) / (1 - own) * np.sqrt(ridge)[:, None]
        classes = truth.argmax(axis=1)
        votes = []
        for start in range(0, len(texts), _AT_ONCE):
            cosine = vectors[start : start + _AT_ONCE] @ vectors.T
            here = np.arange(len(cosine))
            cosine[here, start + here] = -np.inf  # none is its own neighbour
            votes.append(line[start : start + _AT_ONCE] + NEIGHBOUR_SHARE * _averaged(cosine, classes, truth.shape[1]))
        left_out = np.vstack(votes).astype(np.float64)
        return cls(texts, labels, tasks, features, weights, vectors, classes, left_out, _calibrated(left_out, truth))

    def say(self, embedder: Embedder, texts: Sequence[str]) -> Matrix:
        blocks = (texts[start : start + _AT_ONCE] for start in range(0, len(texts), _AT_ONCE))
        return np.vstack([self._votes(embedder, block)[0] for block in blocks])

    def explain(self, embedder: Embedder, text: str, *, nearest: int) -> tuple[list[float], list[tuple[int, float]]]:
        votes, cosine = self._votes(embedder, [text])
        return votes[0].tolist(), _first(cosine[0].astype(np.float64), nearest) if nearest else []

    def _votes(self, embedder: Embedder, texts: Sequence[str]) -> tuple[Matrix, Floats]:
        rows = self.features.of(embedder, texts).astype(np.float32)
        used = np.flatnonzero(rows.any(axis=0))
        cosine = rows[:, : self.vectors.shape[1]] @ self.vectors.T
        averaged = _averaged(cosine, self.classes, self.weights.shape[1])
        return (rows[:, used] @ self.weights[used] + NEIGHBOUR_SHARE * averaged).astype(np.float64), cosine


def _averaged(cosine: Floats, classes: npt.NDArray[np.intp], n_classes: int) -> Floats:
    """The share of each class among the nearest examples, the nearer the more."""
    count = min(NEAREST, cosine.shape[1] - 1)
    index = np.argpartition(cosine, -count, axis=1)[:, -count:]
    at = np.take_along_axis(cosine, index, axis=1)
    weight = np.exp((at - at.max(axis=1, keepdims=True)) / NEARNESS)
    share = np.zeros((len(cosine), n_classes), dtype=np.float32)
    np.add.at(share, (np.arange(len(cosine))[:, None], classes[index]), weight / weight.sum(axis=1, keepdims=True))
    return share


def _laid_out(
    examples: Mapping[str, Truth],
) -> tuple[tuple[str, ...], tuple[str | None, ...], tuple[str, ...], Matrix, Matrix]:
    """(texts, labels, tasks, examples x classes with a 1 each, ridge) of the examples."""
    labels = tuple(task for task, _ in examples.values())
    tasks = tuple(sorted({label for label in labels if label is not None}))
    column = {name: i for i, name in enumerate((*tasks, None))}
    truth = np.zeros((len(labels), len(column)))
    truth[np.arange(len(labels)), [column[label] for label in labels]] = 1.0
    return tuple(examples), labels, tasks, truth, np.array([ridge for _, ridge in examples.values()])


def _calibrated(left_out: Matrix, truth: Matrix) -> Calibration:
    if truth.shape[1] == 1:  # examples of no task at all
        return Calibration(1.0, 0.0)
    best, leads = lead(left_out)
    return Calibration.fit(leads, truth[np.arange(len(truth)), best] > 0)


def _first(likeness: Matrix, count: int) -> list[tuple[int, float]]:
    count = min(count, len(likeness))
    least = np.partition(likeness, -count)[-count]
    near = np.flatnonzero(likeness >= least).tolist()
    found = sorted(zip((-likeness[near]).tolist(), near, strict=True))[:count]
    return [(i, min(max(-of, 0.0), 1.0)) for of, i in found]


def _vectors(embedder: Embedder, said: Sequence[tuple[str, str]]) -> Matrix:
    """Of the openings of instructions."""
    return np.asarray(embedder.embed([_opening(each) for each in said]), dtype=np.float64)


def _opening(said: tuple[str, str]) -> str:
    return " ".join(said[0].split()[:INSTRUCTION_WORDS])


def _unit(rows: Matrix) -> Matrix:
    scaled: Matrix = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return scaled


def _logistic(x: Matrix) -> Matrix:
    return 1 / (1 + np.exp(-np.minimum(np.maximum(x, -50), 50)))
