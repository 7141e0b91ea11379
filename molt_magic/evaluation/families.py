"""The strategies as families over one threshold: the generator for every setting, and the same decisions all at once.

A family that calls one model a prompt also says its picks as a matrix (the fast path). `evaluate` compares a sample of them
with what the generator does and replays everything by the generator where they differ, so a strategy that changes is still
measured as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from molt_magic.embed import Embedder
from molt_magic.evaluation.cases import Case
from molt_magic.evaluation.matrix import Floats, Ints, Outcomes
from molt_magic.evaluation.routes import TaskMeans, price_grid
from molt_magic.strategies import Rule, Semantic
from molt_magic.strategies.classifier import TaskClassifier
from molt_magic.types import Situation, Strategy, TaskGuess

EXAMPLES = 1000  # labelled prompts the classifier is given at most: its fit takes their cube in time


class Family(Protocol):
    """A strategy fitted on training rows, with T settings of its threshold."""

    name: str
    thresholds: Floats  # (T,)

    def judged_by(self, left_out: Case) -> Case:
        """The training prompts that settings are chosen on."""
        ...

    def at(self, t: int, case: Case, row: int) -> tuple[Strategy, Situation]:
        """The real strategy at setting t, and what it is told of a prompt."""
        ...

    def picks(self, case: Case) -> Ints:
        """The model every prompt goes to, shape (T, n)."""
        ...


class RuleFamily:
    """Rule over the price of quality by which its routing table was made."""

    name = "rule"

    def __init__(self, train: Outcomes, *, size: int) -> None:
        self.means = TaskMeans.fit(train)
        self.thresholds = price_grid(self.means.quality, self.means.cost, size)

    def judged_by(self, left_out: Case) -> Case:
        return left_out.whole()

    def at(self, t: int, case: Case, row: int) -> tuple[Strategy, Situation]:
        routes, default = self.means.routes(float(self.thresholds[t]))
        rule = Rule(routes=routes, classify=lambda _: TaskGuess(None, 0.0), default=default)
        return rule, case.situation(row, quality=0.0)

    def picks(self, case: Case) -> Ints:
        return along_tasks(self.means, self.thresholds, case.outcomes.tasks)


class Guesser:
    """The task classifier fitted on training prompts (a sample of them, if many); guesses every prompt once."""

    def __init__(self, train: Outcomes, *, embedder: Embedder, seed: int) -> None:
        labelled = np.flatnonzero([task is not None for task in train.tasks])
        if len(labelled) > EXAMPLES:
            labelled = np.sort(np.random.default_rng(seed).choice(labelled, EXAMPLES, replace=False))
        self.labelled = labelled
        self._examples = {train.texts[i].strip(): train.tasks[i] for i in labelled if train.texts[i].strip()}
        self._classifier = TaskClassifier(embedder, list(self._examples.items()))
        self._guesses: dict[str, TaskGuess] = {}

    def learn_left_out(self) -> None:
        """The guesses for the examples are those of all the others."""
        if not self._examples or next(iter(self._examples)) in self._guesses:
            return
        for text, (_, task, score) in zip(self._examples, self._classifier.leave_one_out(), strict=True):
            self._guesses[text] = TaskGuess(task if score >= self._classifier.floor else None, score)

    def __call__(self, prompt: str) -> TaskGuess:
        key = prompt.strip()
        if key not in self._guesses:
            self._guesses[key] = self._classifier.guess(prompt, nearest=0)
        return self._guesses[key]


class SemanticFamily:
    """Semantic over the price of quality, its classifier fitted on the training prompts."""

    name = "semantic"

    def __init__(self, train: Outcomes, *, size: int, guesser: Guesser) -> None:
        self.means = TaskMeans.fit(train)
        self.thresholds = price_grid(self.means.quality, self.means.cost, size)
        self.guesser = guesser

    def judged_by(self, left_out: Case) -> Case:
        """The examples, each guessed by the others; every training prompt where there is no example."""
        self.guesser.learn_left_out()
        return left_out.take(self.guesser.labelled).whole() if len(self.guesser.labelled) else left_out.whole()

    def at(self, t: int, case: Case, row: int) -> tuple[Strategy, Situation]:
        routes, default = self.means.routes(float(self.thresholds[t]))
        return Semantic(routes=routes, classify=self.guesser, default=default), case.situation(row, quality=0.0)

    def picks(self, case: Case) -> Ints:
        return along_tasks(self.means, self.thresholds, [self.guesser(text).task for text in case.outcomes.texts])


def along_tasks(means: TaskMeans, prices: Floats, tasks: Sequence[str | None]) -> Ints:
    """The model each prompt goes to by its task, shape (T, n); prompts of no known task go to the default."""
    position = {task: i for i, task in enumerate(means.tasks)}
    rows = np.array([position.get(task, len(means.tasks)) if task is not None else len(means.tasks) for task in tasks])
    found: Ints = means.best(prices)[:, rows]
    return found
