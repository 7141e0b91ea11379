"""The outcomes of each model as the neighbours look at them, one an answer: the strongest, newest word on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt

from molt_magic.quality.calibrate import within
from molt_magic.quality.index import cosines_to
from molt_magic.types import SOURCE_RANK, Outcome

Vector = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

SAME_TASK = 0.3  # least weight of an outcome of the same task, however different its prompt
MOST_PROMPTS = 10_000  # that a table is made of, the newest


@dataclass(slots=True)
class Record:
    """What is known of one model, in the order in which its answers were first judged."""

    vectors: list[Vector] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    tasks: list[str | None] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    corrected: int = 0  # times that a later word changed a score
    _ranks: list[int] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)  # decision_id -> place
    _matrix: Vector = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))  # with room to grow
    _filled: int = 0  # rows of it that are up to date
    _scores: Matrix | None = None  # `scores`, as long as nothing new came in
    _same: dict[str, npt.NDArray[np.intp]] = field(default_factory=dict)  # task -> places of its outcomes, likewise

    def take(self, outcome: Outcome, *, embedder_id: str) -> None:
        """A new outcome, or another word on one that is here; a weaker word changes nothing."""
        rank = SOURCE_RANK.get(outcome.source, 0)
        place = self._places.get(outcome.decision_id)
        if place is not None:
            if rank >= self._ranks[place]:
                self.corrected += bool(outcome.score != self.scores[place])
                self.scores[place], self._ranks[place] = outcome.score, rank
                self._scores = None
            return
        self._scores = None
        self._same.clear()
        self._places[outcome.decision_id] = len(self.scores)
        usable = outcome.vector and outcome.embedder == embedder_id
        self.vectors.append(np.frombuffer(outcome.vector, dtype=np.float32) if usable else np.zeros(0, dtype=np.float32))
        self.scores.append(outcome.score)
        self.tasks.append(outcome.task)
        self.prompts.append(outcome.prompt)
        self._ranks.append(rank)

    def take_all(self, later: Record) -> None:
        """What another record knows, which begins later than this one."""
        self._scores = None
        self._same.clear()
        for decision_id, at in later._places.items():
            place = self._places.get(decision_id)
            if place is not None:
                if later._ranks[at] >= self._ranks[place]:
                    self.scores[place], self._ranks[place] = later.scores[at], later._ranks[at]
                continue
            self._places[decision_id] = len(self.scores)
            self.vectors.append(later.vectors[at])
            self.scores.append(later.scores[at])
            self.tasks.append(later.tasks[at])
            self.prompts.append(later.prompts[at])
            self._ranks.append(later._ranks[at])

    def newest(self, count: int) -> list[str]:
        """The answers that were judged last, by decision_id, newest first."""
        return list(islice(reversed(self._places), count))

    def after(self, answers: Iterable[str]) -> int | None:
        """The place behind the newest of these answers that is known; None: none is."""
        known = [self._places[answer] for answer in answers if answer in self._places]
        return max(known) + 1 if known else None

    def weights(self, task: str | None, vector: Vector | None, *, since: int = 0) -> tuple[Matrix, Matrix]:
        """How much each outcome from place `since` on says of a prompt, in [0, 1], and their scores."""
        if self._scores is None:
            self._scores = np.array(self.scores)
        scores = self._scores[since:]
        weights = np.zeros(len(scores))
        if vector is not None and len(scores):
            weights = within(cosines_to(vector, self._stacked(len(vector))[since:]), 0.0, 1.0).astype(np.float64)
        if task is not None:
            same = self._places_of(task)
            same = same[np.searchsorted(same, since) :] - since
            weights[same] = np.maximum(weights[same], SAME_TASK)
        return weights, scores

    def _places_of(self, task: str) -> npt.NDArray[np.intp]:
        """The outcomes of a task, ascending."""
        if task not in self._same:
            self._same[task] = np.array([i for i, known in enumerate(self.tasks) if known == task], dtype=np.intp)
        return self._same[task]

    def _stacked(self, dim: int) -> Vector:
        """The vectors as rows. Only what is new is copied: an outcome must not cost a copy of all there are."""
        size, done = len(self.vectors), 0
        if self._matrix.shape[1] == dim:
            done = min(self._filled, len(self._matrix))
        if self._matrix.shape[1] != dim or size > len(self._matrix):
            grown = np.zeros((max(64, size * 3 // 2), dim), dtype=np.float32)
            if done:
                grown[:done] = self._matrix[:done]
            self._matrix = grown
        for i in range(done, size):
            if len(self.vectors[i]) == dim:
                self._matrix[i] = self.vectors[i]
        self._filled = size
        return self._matrix[:size]


@dataclass(frozen=True, slots=True)
class Table:
    """Outcomes with a text and a vector, a row a prompt, a column a model."""

    prompts: list[str]
    scores: Matrix  # (n, m), NaN where there is none; the mean where there are several
    models: list[str]
    tasks: list[str | None]
    vectors: Vector  # (n, d)


def table_of(records: Mapping[str, Record], dim: int) -> Table:
    """The table to fit on, of the newest prompts."""
    models = list(records)
    rows: dict[str, int] = {}
    ages: list[int] = []  # of each prompt, in answers of a model that came later
    tasks: list[str | None] = []
    vectors: list[Vector] = []
    cells: list[tuple[int, int, float]] = []
    for j, record in enumerate(records.values()):
        age = len(record.scores)
        for prompt, vector, task, score in zip(record.prompts, record.vectors, record.tasks, record.scores, strict=True):
            age -= 1
            if not prompt or len(vector) != dim:
                continue
            row = rows.setdefault(prompt, len(rows))
            if row == len(tasks):
                tasks.append(task)
                vectors.append(vector)
                ages.append(age)
            tasks[row], ages[row] = tasks[row] or task, min(ages[row], age)
            cells.append((row, j, score))
    # the newest of each model alike: they may have been asked different prompts
    kept = np.sort(np.argsort(np.array(ages, dtype=np.int64), kind="stable")[:MOST_PROMPTS])
    return _table(list(rows), tasks, vectors, models, cells, kept)


def _table(
    prompts: list[str],
    tasks: list[str | None],
    vectors: Sequence[Vector],
    models: list[str],
    cells: list[tuple[int, int, float]],
    kept: npt.NDArray[np.int64],
) -> Table:
    total, count = np.zeros((len(prompts), len(models))), np.zeros((len(prompts), len(models)))
    for row, column, score in cells:
        total[row, column] += score
        count[row, column] += 1
    scores = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    asked = count[kept].sum(axis=0) > 0
    return Table(
        [prompts[row] for row in kept],
        scores[kept][:, asked],
        [model for model, was in zip(models, asked, strict=True) if was],
        [tasks[row] for row in kept],
        np.array([vectors[row] for row in kept], dtype=np.float32),
    )
