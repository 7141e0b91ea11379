"""Which task a prompt is, by its likeness to labelled examples: what is known, and how good it is."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Protocol

from molt_magic.errors import InputError
from molt_magic.strategies import judged, votes
from molt_magic.strategies.labelled import Example, pairs
from molt_magic.types import TaskGuess

if TYPE_CHECKING:
    import pandas as pd

    from molt_magic.embed import Embedder

logger = logging.getLogger("molt_magic")

RIDGE = 2.0  # how far one example may be wrong; chosen by leave-one-out over the shipped examples
RIDGE_ADDED = 0.2  # an example that the user added is believed at once
MAX_EXAMPLES = 20_000  # each looks for its neighbours among all: the square of it in time, some ten seconds at this


class Keeper(Protocol):
    """Where added examples last."""

    def keep(self, examples: Sequence[Example]) -> None:
        """Write them down."""
        ...

    def news(self) -> list[Example]:
        """What was written down, by whomever, since the last time this was asked."""
        ...


class TaskClassifier:
    """Guesses the task of a prompt; abstains when it is not sure enough. Thread-safe.

    Args:
        embedder: makes the vectors.
        examples: (text, task) pairs; task None for what belongs to none of the tasks.
        floor: least probability of a guess, in [0, 1]; under it the task is None.
        keeper: where what is added lasts, and whence it comes back; None: for the life of this object.

    Raises:
        InputError: more than `MAX_EXAMPLES` examples.
    """

    def __init__(
        self,
        embedder: Embedder,
        examples: Sequence[Example] = (),
        *,
        floor: float = 0.5,
        keeper: Keeper | None = None,
    ) -> None:
        self.embedder = embedder
        self.floor = floor
        self.keeper = keeper
        self._examples: dict[str, votes.Truth] = {}  # text -> (task, ridge)
        self._fitted: votes.Votes | None = None
        self._lock = threading.RLock()
        self._put(examples, RIDGE)

    @classmethod
    def load_shipped(cls, embedder: Embedder, *, floor: float = 0.5, keeper: Keeper | None = None) -> TaskClassifier:
        """A classifier over the examples that ship with the package (written for it; see `data/examples.jsonl`)."""
        return cls(embedder, shipped_examples(), floor=floor, keeper=keeper)

    def __len__(self) -> int:
        self._catch_up()
        return len(self._examples)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks there are examples of, sorted."""
        self._catch_up()
        return tuple(sorted({task for task, _ in self._examples.values() if task is not None}))

    def add(self, examples: Iterable[Any] | pd.DataFrame) -> None:
        """Learn examples, e.g. corrections: they weigh more than those given at the start, and replace the same text.

        Args:
            examples: (text, task) pairs, or a DataFrame with a column `text` or `prompt` and a column `task` or `label`;
                a task of None (or NaN) says that a text is none of the tasks.

        Raises:
            InputError: they are not of this form, or too many.
            StoreError: they cannot be written down; then they are not learned either.
        """
        new = pairs(examples)
        with self._lock:
            self._catch_up()
            before = self._examples
            self._put(new, RIDGE_ADDED)
            if self.keeper is not None:
                try:
                    self.keeper.keep(new)
                except BaseException:
                    self._examples, self._fitted = before, None
                    raise

    def fit(self, examples: Iterable[Any] | pd.DataFrame) -> TaskClassifier:
        """Know these examples and no others, the shipped ones included, as long as this object lasts; returns itself.

        Args:
            examples: as in `add`; what `add` is given lasts longer.

        Raises:
            InputError: they are not of this form, or too many.
        """
        new = pairs(examples)
        with self._lock:
            self._catch_up()  # what others have added until now is replaced too
            before, self._examples = self._examples, {}
            try:
                self._put(new, RIDGE)
            except InputError:
                self._examples = before
                raise
            self._fit()  # here, where it was asked for: ten thousand examples take some seconds
        return self

    def guess(self, prompt: str, *, nearest: int = votes.NEIGHBOURS) -> TaskGuess:
        """The task of a prompt with its calibrated probability, and the examples it is most like.

        Args:
            nearest: how many of those are shown. They play no part in it, and most of the time goes to finding them.
        """
        fitted = self._fit()
        if fitted is None or not fitted.tasks or not prompt.strip():
            return TaskGuess(None, 0.0)
        said, like = fitted.explain(self.embedder, prompt, nearest=nearest)
        best, ahead = votes.lead_of(said)
        score = fitted.calibration.probability_of(ahead)
        neighbours = tuple([(fitted.texts[i], fitted.labels[i] or "none", likeness) for i, likeness in like])
        return TaskGuess(fitted.tasks[best] if score >= self.floor else None, score, neighbours)

    def leave_one_out(self) -> list[tuple[str | None, str, float]]:
        """For every example, judged by all the others: (its task, the best task, the calibrated probability of that)."""
        fitted = self._fit()
        if fitted is None or not fitted.tasks:
            return []
        best, ahead = votes.lead(fitted.left_out)
        probability = fitted.calibration.probability(ahead)
        return [(label, fitted.tasks[int(i)], float(p)) for label, i, p in zip(fitted.labels, best, probability, strict=True)]

    def report(self, examples: Iterable[Any] | pd.DataFrame | None = None) -> pd.DataFrame:
        """How good the guesses are, a row a task and one for all.

        Args:
            examples: labelled prompts it has not seen, as in `add`; None: its own examples, each judged by all the others.

        Index: the task; `none` for what belongs to none of them, where a guess is right that abstains; `overall`.
        Columns: n; precision (right among those guessed so); recall (right among those that are so); f1; abstained (share);
        score (mean probability stated for the best task); calibration_error (mean distance between that probability and the
        share that was right, over 10 bins of equal width, weighted by their size); confused_with (the wrong task that was
        guessed most often, and how often). In the row `overall` the precision is the share right of all that were not
        abstained on, the recall the share of all whose task was named.

        Raises:
            InputError: the examples are not of this form, or there are none.
        """
        return judged.report(self._judged(examples), floor=self.floor)

    def confusion(self, examples: Iterable[Any] | pd.DataFrame | None = None) -> pd.DataFrame:
        """What is taken for what: a row a task, a column a guess, `none` where it abstains. The argument is that of `report`.

        Raises:
            InputError: the examples are not of this form, or there are none.
        """
        return judged.confusion(self._judged(examples), floor=self.floor)

    def _judged(self, examples: Iterable[Any] | pd.DataFrame | None) -> list[judged.Judged]:
        rows = [row for row in pairs(examples) if row[0].strip()] if examples is not None else []
        fitted = self._fit()
        if fitted is None or not fitted.tasks or (examples is not None and not rows):
            raise InputError("There is nothing to report on.", fix="Give it examples: .fit(frame), then .report(other_frame).")
        if examples is None:
            return self.leave_one_out()
        best, ahead = votes.lead(fitted.say(self.embedder, [text for text, _ in rows]))
        probability = fitted.calibration.probability(ahead)
        return [(task, fitted.tasks[int(i)], float(p)) for (_, task), i, p in zip(rows, best, probability, strict=True)]

    def _fit(self) -> votes.Votes | None:
        with self._lock:
            self._catch_up()
            if self._fitted is None and self._examples:
                self._fitted = votes.fit(self.embedder, self._examples)
            return self._fitted if self._examples else None

    def _catch_up(self) -> None:
        """Take in what this or another kernel has kept."""
        if self.keeper is None:
            return
        with self._lock:
            if news := self.keeper.news():
                room = MAX_EXAMPLES - len(self._examples)
                if len(news) > room:
                    logger.warning(
                        "of %d examples that were kept, the last %d are used: there is room for no more", len(news), room
                    )
                    news = news[-room:] if room else []
                self._put(news, RIDGE_ADDED)

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


def shipped_examples() -> tuple[Example, ...]:
    """The examples of `data/examples.jsonl`, in its order."""
    lines = files("molt_magic").joinpath("data", "examples.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple((row["text"], row["task"]) for row in map(json.loads, lines))
