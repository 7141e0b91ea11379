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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
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
SOLVED_FOR = 64  # one answer in so many is new before all is solved anew: that takes longer than to learn of an answer
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
_TOKENS_EACH = {"word": 1.3, "sentence": 25.0, "line": 15.0, "paragraph": 100.0, "page": 500.0}
_OTHERS_EACH = 30.0
_FIGURES = 6  # columns that are no words
COLUMNS = _FIGURES + len(_WORDS) + len(_PHRASES)
_TELLING = {word: column for column, words in enumerate(_WORDS, _FIGURES) for word in words}


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
    if (amount := _AMOUNT.search(text)) is not None:
        each = _TOKENS_EACH.get(amount[2], _OTHERS_EACH)
        row[4:_FIGURES] = 1.0, math.log(max(int(amount[1]), 1) * each) - 5.0
    for word in _TELLING.keys() & words_of(text):
        row[_TELLING[word]] = 1.0
    for i, phrases in enumerate(_PHRASES, _FIGURES + len(_WORDS)):
        for phrase in phrases:
            if phrase in text:
                row[i] = 1.0
                break
    return row


@dataclass(frozen=True, slots=True)
class Answered:
    """How long an answer was."""

    model: str
    task: str | None
    tokens: int  # 1 or more
    prompt: str = ""  # its text, where that is known
    whole: bool = True  # False: it was cut off at its limit, and would have been longer


@dataclass(slots=True)
class _Sums:
    """Of the answers of one model: rows x of looks and logs y of lengths."""

    n: float = 0.0
    xx: Floats = field(default_factory=lambda: np.zeros((COLUMNS, COLUMNS)))
    xy: Floats = field(default_factory=lambda: np.zeros(COLUMNS))
    yy: float = 0.0
    tasks: dict[str, tuple[float, Floats, float]] = field(default_factory=dict)  # number, sum of x, sum of y


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
        self._sums: dict[str, _Sums] = {}
        # answers that are not in the sums yet: row, y, model, task
        self._new: list[tuple[list[float], float, str, str | None]] = []
        self._solved: _Solved | None = None
        self._learned = self._due = 0  # answers; how many there must be for solving anew
        self._last = ("", looks(""))  # every model is asked about the same prompt

    def learn(self, answer: Answered) -> None:
        """Take in the length of an answer."""
        row, y = self._row(answer.prompt), math.log(max(answer.tokens, 1))
        if not answer.whole:
            y = self._beyond(y, answer.model, answer.task, row)
        self._new.append((row, y, answer.model, answer.task))
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
        sums = self._summed()
        return sums[model].n if model in sums else 0.0

    def _summed(self) -> dict[str, _Sums]:
        """The sums of all answers, brought up to date: many at once take less than each of them by itself."""
        for looked, y, model, task in self._new:
            if (sums := self._sums.get(model)) is None:
                sums = self._sums[model] = _Sums()
            row = np.array(looked)
            sums.n += 1.0
            sums.xx += row[:, None] * row
            sums.xy += y * row
            sums.yy += y * y
            if task is not None:
                n, x, total = sums.tasks.get(task, (0.0, np.zeros(COLUMNS), 0.0))
                sums.tasks[task] = (n + 1.0, x + row, total + y)
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


def _solve(sums: dict[str, _Sums]) -> _Solved:
    shared = _shared(list(sums.values()))
    weights, spread = {}, {}
    pull = np.full(COLUMNS, OWN_PULL)
    pull[0] = WORTH
    if sums:
        left = np.stack([s.xx for s in sums.values()]) + np.diag(pull)
        right = np.stack([s.xy for s in sums.values()]) + pull * shared
        weights = dict(zip(sums, np.linalg.solve(left, right[:, :, None])[:, :, 0], strict=True))
    rest: dict[tuple[str, str], tuple[float, float]] = {}  # number and sum of what is left to explain, by model and task
    for model, of in sums.items():
        for task, (n, x, total) in of.tasks.items():
            rest[model, task] = (n, total - float(x @ weights[model]))
    by_task: dict[str, tuple[float, float]] = {}
    for (_, task), (n, left_over) in rest.items():
        before = by_task.get(task, (0.0, 0.0))
        by_task[task] = (before[0] + n, before[1] + left_over)
    offsets = {task: left_over / (n + WORTH) for task, (n, left_over) in by_task.items()}
    own = {about: (left_over + WORTH * offsets[about[1]]) / (n + WORTH) for about, (n, left_over) in rest.items()}
    for model, of in sums.items():
        w = weights[model]
        squares = of.yy - 2.0 * float(w @ of.xy) + float(w @ of.xx @ w)
        for task in of.tasks:
            n, left_over = rest[model, task]
            squares -= own[model, task] * (2.0 * left_over - n * own[model, task])
        spread[model] = max(squares, 0.0) / (of.n + WORTH)
    return _Solved(shared.tolist(), {model: w.tolist() for model, w in weights.items()}, spread, offsets, own)


def _shared(all_sums: Sequence[_Sums]) -> Floats:
    """Weights for all models: the looks' from what varies within each model, as routing gives them different prompts."""
    left, right = SHARED_PULL * np.eye(COLUMNS - 1), np.zeros(COLUMNS - 1)
    for of in all_sums:
        x, y = of.xx[0, 1:], of.xy[0]
        left += of.xx[1:, 1:] - np.outer(x, x) / of.n
        right += of.xy[1:] - x * y / of.n
    slopes = np.linalg.solve(left, right)
    n = sum(of.n for of in all_sums)
    rest = sum(of.xy[0] - float(of.xx[0, 1:] @ slopes) for of in all_sums)
    return np.concatenate([[(rest + WORTH * math.log(PRIOR_TOKENS)) / (n + WORTH)], slopes])
