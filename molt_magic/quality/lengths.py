"""How long an answer will be, in tokens: what it will cost. Learned from the lengths of answers, for each model and prompt.

The logarithm of the length is a linear function of a few looks of the prompt, with weights for all models and, as far as its
answers say so, weights of each model's own, and an offset for each task. What few answers say is shrunk to the wider mean: a
task's offset of one model to the task's of all, a model's weights to those of all, those of all to `PRIOR_TOKENS` whatever the
prompt. Everything is solved from sums (of rows, of squares and of products), so an answer more costs an update of them.

An answer that was cut off at its limit would have been longer. It counts as long as answers that are at least that long are
expected to be (Schmee and Hahn 1979, "A simple method for regression analysis with censored data").
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from operator import mul

import numpy as np
import numpy.typing as npt

from molt_magic.quality.words import words_of

Floats = npt.NDArray[np.float64]

PRIOR_TOKENS = 256.0  # expected answer length before any was seen
WORTH = 4.0  # answers that the wider mean is worth: of all for a model's, of a model's for its on one task
SHARED_PULL = 10.0  # answers that "the prompt makes no difference" is worth
OWN_PULL = 30.0  # answers that "it makes the difference it makes for all models" is worth
SPREAD = 0.7  # deviation of the log of a length from what was expected, before enough was seen
MOST_SPREAD = 1.2  # the mean of a log-normal is exp(spread ** 2 / 2) times its median: not for freaks
SOLVED_FOR = 8  # one answer in so many is new before all is solved anew: a log is out by .442 on average then, else by .439
READ_CHARS = 1200  # of a prompt, half of them of its end

_WORDS = tuple(
    frozenset(words.split())
    for words in (
        "brief briefly short concise concisely summary summarise summarize tldr",
        "detail detailed depth essay article story report comprehensive thorough thoroughly",
        "list lists bullet bullets table enumerate ideas examples",
        "code function python javascript script sql regex class implement program def",
        "explain why how describe discuss compare write prove",
        "translate rewrite rephrase correct proofread convert",
    )
)
_PHRASES = (
    ("one word", "single word", "1 word", "one letter", "one number", "yes or no", "true or false", "only the", "just the",
     "only with", "answer only"),
    ("one sentence", "a sentence"),
    ("step by step", "step-by-step"),
    ("```", "def ", "();"),
    ("\na.", "\na)", "\n(a)", "\na:"),
)  # fmt: skip
_AMOUNT = re.compile(r"(\d(?<!\w\d)\d{0,3})[ -](word|sentence|line|item|point|step|example|paragraph|page)")
_AMOUNT_IN_ASCII = re.compile(_AMOUNT.pattern, re.ASCII)  # the same in a third of the time
_TOKENS_EACH = {"word": 1.3, "sentence": 25.0, "line": 15.0, "paragraph": 100.0, "page": 500.0}
_OTHERS_EACH = 30.0
_FIGURES = 6  # columns that are no words
COLUMNS = _FIGURES + len(_WORDS) + len(_PHRASES)
_TELLING = {word: column for column, words in enumerate(_WORDS, _FIGURES) for word in words}
_TOLD_BY = [(phrase, column) for column, phrases in enumerate(_PHRASES, _FIGURES + len(_WORDS)) for phrase in phrases]


def looks(prompt: str) -> list[float]:
    """The looks of a prompt that say how long its answer will be, COLUMNS of them; the first is 1. Unknown: all others 0.

    How long it is, whether it ends as a question, how much it asks for in numbers, and words that ask for much or little.
    """
    row = [0.0] * COLUMNS
    row[0] = 1.0
    if not prompt:
        return row
    text = prompt if len(prompt) <= READ_CHARS else f"{prompt[: READ_CHARS // 2]}\n{prompt[-READ_CHARS // 2 :]}"
    text = text.lower()
    size = math.log(len(prompt)) - 5.0
    row[1:4] = size, size * size / 4.0, float(prompt.rstrip().endswith("?"))
    if (amount := (_AMOUNT_IN_ASCII if text.isascii() else _AMOUNT).search(text)) is not None:
        each = _TOKENS_EACH.get(amount[2], _OTHERS_EACH)
        row[4:_FIGURES] = 1.0, math.log(max(int(amount[1]), 1) * each) - 5.0
    for word in _TELLING.keys() & words_of(text):
        row[_TELLING[word]] = 1.0
    for phrase, column in _TOLD_BY:
        if phrase in text:
            row[column] = 1.0
    return row


@dataclass(frozen=True, slots=True)
class Answered:
    """How long an answer was."""

    model: str
    task: str | None
    tokens: int  # 1 or more
    prompt: str = ""  # its text, where that is known
    whole: bool = True  # False: it was cut off at its limit, and would have been longer


@dataclass(frozen=True, slots=True)
class _Solved:
    """What the sums say. So few weights are multiplied here in a third of the time that NumPy takes."""

    shared: list[float]  # (COLUMNS), for a model without answers
    weights: dict[str, list[float]]
    spread: dict[str, float]  # variance of the log of a length
    offsets: dict[str, float]  # by task, of all models
    own_offsets: dict[tuple[str, str], float]  # by model and task


class Lengths:
    """Expected lengths of answers; not thread-safe."""

    def __init__(self) -> None:
        self._sums = _Sums()
        self._new: list[tuple[str, str | None, list[float]]] = []  # not in the sums yet: model, task, looks and log
        self._solved: _Solved | None = None
        self._learned = self._due = 0  # answers; how many there must be for solving anew
        self._last = ("", looks(""))  # every model is asked about the same prompt

    def learn(self, answer: Answered) -> None:
        """Take in the length of an answer."""
        row, y = self._row(answer.prompt), math.log(max(answer.tokens, 1))
        if not answer.whole:
            y = self._beyond(y, answer.model, answer.task, row)
        self._new.append((answer.model, answer.task, [*row, y]))
        self._learned += 1

    def expected(self, model: str, task: str | None, prompt: str = "") -> float:
        """Expected length of the model's answer, in tokens: the mean, not the middle one."""
        return self.expected_each([model], task, prompt)[0]

    def expected_each(self, models: Iterable[str], task: str | None, prompt: str = "") -> list[float]:
        """The same of each model."""
        row, solved = self._row(prompt), self._up_to_date()
        unseen: float | None = None  # most models have no answers yet, and the same is expected of all of those
        found = []
        for model in models:
            if model in solved.weights:
                found.append(_mean(*_predicted(solved, model, task, row)))
            else:
                unseen = _mean(*_predicted(solved, model, task, row)) if unseen is None else unseen
                found.append(unseen)
        return found

    def seen(self, model: str) -> float:
        """How many answers of a model were taken in."""
        return self._summed().n(model)

    def _summed(self) -> _Sums:
        """The sums of all answers, brought up to date: many at once take less than each of them by itself."""
        if self._new:
            self._sums.add(self._new)
            self._new.clear()
        return self._sums

    def _up_to_date(self) -> _Solved:
        if self._solved is None or self._learned >= self._due:
            self._solved = _solve(self._summed())
            self._due = self._learned + 1 + self._learned // SOLVED_FOR
        return self._solved

    def _beyond(self, y: float, model: str, task: str | None, row: list[float]) -> float:
        """The expected log of a length that is over y: the mean of a normal distribution cut off there."""
        middle, variance = _predicted(self._up_to_date(), model, task, row)
        n = self.seen(model)
        spread = math.sqrt(variance + WORTH * SPREAD**2 / (n + WORTH))
        z = (y - middle) / spread
        if z > 6.0:  # so far out that the ratio below is no longer exact: z + 1 / z
            return y + spread / z
        tail = 0.5 * math.erfc(z / math.sqrt(2.0))
        density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        return max(y, middle + spread * density / tail)

    def _row(self, prompt: str) -> list[float]:
        if self._last[0] != prompt:
            self._last = (prompt, looks(prompt))
        return self._last[1]


def _predicted(solved: _Solved, model: str, task: str | None, row: list[float]) -> tuple[float, float]:
    """Mean and variance of the log of a length."""
    middle = sum(map(mul, row, solved.weights.get(model, solved.shared)))
    if task is not None:
        middle += solved.own_offsets.get((model, task), solved.offsets.get(task, 0.0))
    return middle, solved.spread.get(model, 0.0)


def _mean(middle: float, variance: float) -> float:
    """Of a log-normal distribution of this middle and variance of its logarithm."""
    return math.exp(middle + min(variance, MOST_SPREAD**2) / 2.0)


class _Sums:
    """Of answers' looks, the first of which is 1, and the log of their length. The pulls are in them from the beginning."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}  # of the models
        self.own = np.zeros((0, COLUMNS + 1, COLUMNS + 1))  # of products of each two, of each model
        self.all = np.diag([*_SHARED_PULL, 0.0])  # of all models
        self.all[0, -1] = WORTH * math.log(PRIOR_TOKENS)
        self.tasks: dict[tuple[str, str], Floats] = {}  # by model and task, (COLUMNS + 1,)

    def add(self, answers: Iterable[tuple[str, str | None, list[float]]]) -> None:
        """Take in some: model, task, looks and log."""
        by_model: dict[str, list[list[float]]] = {}
        for model, task, row in answers:
            by_model.setdefault(model, []).append(row)
            if task is not None:
                self.tasks[model, task] = self.tasks.get((model, task), 0.0) + np.array(row)
        for model, rows in by_model.items():
            if model not in self.places:
                self.places[model] = len(self.own)
                self.own = np.concatenate([self.own, np.diag([*_OWN_PULL, 0.0])[None]])
            products = (columns := np.array(rows).T) @ columns.T
            self.own[self.places[model]] += products
            self.all += products

    def n(self, model: str) -> float:
        """Answers of a model."""
        return float(self.own[self.places[model], 0, 0]) - WORTH if model in self.places else 0.0


_OWN_PULL = np.array([WORTH, *[OWN_PULL] * (COLUMNS - 1)])
_PULLS = _OWN_PULL.tolist()
_SHARED_PULL = np.array([WORTH, *[SHARED_PULL] * (COLUMNS - 1)])


def _solve(sums: _Sums) -> _Solved:
    # of all models: the looks' weights from what varies within each model, as routing gives them different prompts
    first = sums.own[:, 0].copy()
    first[:, 0] -= WORTH
    means = first / first[:, :1]
    means[:, 0] = 0.0
    within = sums.all - means.T @ first
    weights_of_all = np.linalg.solve(within[:-1, :-1], within[:-1, -1])
    shared = weights_of_all.tolist()
    # of each
    right = sums.own[:, :-1, -1] + _OWN_PULL * weights_of_all
    own = np.linalg.solve(sums.own[:, :-1, :-1], right[:, :, None])[:, :, 0]
    weights = dict(zip(sums.places, own.tolist(), strict=True))
    left = {}  # of the squares, by model
    for (model, w), (*xy, yy) in zip(weights.items(), sums.own[:, -1].tolist(), strict=True):
        left[model] = yy - sum([a * (b + pull * (a - c)) for a, b, c, pull in zip(w, xy, shared, _PULLS, strict=True)])
    rest: dict[tuple[str, str], tuple[float, float]] = {}  # number and sum of what is left to explain, by model and task
    by_task: dict[str, tuple[float, float]] = {}
    for (model, task), of in sums.tasks.items():
        *x, y = of.tolist()
        n, left_over = rest[model, task] = x[0], y - sum(map(mul, x, weights[model]))
        before = by_task.get(task, (0.0, 0.0))
        by_task[task] = (before[0] + n, before[1] + left_over)
    offsets = {task: left_over / (n + WORTH) for task, (n, left_over) in by_task.items()}
    own_offsets = {about: (left_over + WORTH * offsets[about[1]]) / (n + WORTH) for about, (n, left_over) in rest.items()}
    for (model, task), (n, left_over) in rest.items():
        left[model] -= own_offsets[model, task] * (2.0 * left_over - n * own_offsets[model, task])
    spread = {model: max(left[model], 0.0) / (sums.n(model) + WORTH) for model in weights}
    return _Solved(shared, weights, spread, offsets, own_offsets)
