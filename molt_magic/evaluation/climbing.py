"""What a ladder of models does to recorded prompts, all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from molt_magic.evaluation.cases import Case
from molt_magic.evaluation.checks import Flags
from molt_magic.evaluation.matrix import Floats, Ints
from molt_magic.strategies.cascade import HOPELESS_EVIDENCE, HOPELESS_QUALITY

Key = tuple[int, int | None]  # the first model and its second


@dataclass(frozen=True, slots=True)
class Ladder:
    """Rungs by column, and the model that is asked for a second opinion.

    A learned one has two rungs. Its check moves on where the second rung is expected to gain more than it costs, at the price
    in force; the second opinion is then a feature of that check.
    """

    rungs: tuple[int, ...]
    second: int | None = None
    learned: bool = False

    @property
    def key(self) -> Key:
        return self.rungs[0], self.second

    def told(self, models: Sequence[str]) -> str:
        said = " > ".join(models[j] for j in self.rungs)
        said = said if self.second is None else f"{said}, seconded by {models[self.second]}"
        return f"{said}, by expected gain" if self.learned else said


@dataclass(frozen=True, slots=True)
class Setting:
    """What the cascade does at one price of quality."""

    price: float  # 1/USD
    ladders: Mapping[str | None, Ladder]  # by task; None: of all other prompts

    def of(self, task: str | None) -> Ladder:
        return self.ladders.get(task, self.ladders[None])

    def told(self, models: Sequence[str]) -> str:
        others = self.ladders[None]
        tasks: dict[Ladder, list[str]] = {}
        for task, ladder in self.ladders.items():
            if task is not None and ladder != others:
                tasks.setdefault(ladder, []).append(task)
        own = [f"{', '.join(named)}: {ladder.told(models)}" for ladder, named in tasks.items()]
        return "; ".join([*own, f"else {others.told(models)}"]) if own else others.told(models)


@dataclass(frozen=True, slots=True)
class Signs:
    """What checks have to say of the recorded answers."""

    accepts: Flags  # (n, m) the plain checks
    codes: Ints | None  # (n, m) answers as numbers; None: not recorded
    gains: dict[Key, Floats] = field(default_factory=dict)  # (n,) expected of the second rung by learned checks


@dataclass(frozen=True, slots=True)
class Walked:
    """How n prompts went."""

    answered: Ints  # (n,) column of the model that answers
    called: Flags  # (n, m)

    def figures(self, case: Case) -> Floats:
        """Score and cost in USD of every prompt, (n, 2)."""
        o = case.outcomes
        return np.stack([o.scores[np.arange(len(case)), self.answered], (o.costs * self.called).sum(axis=1)], axis=1)


def walk(ladder: Ladder, case: Case, signs: Signs, price: float = 0.0) -> Walked:
    """The walk of `strategies.walk` up a ladder, for all prompts at once. A model that is asked the same question twice
    is paid once: live, the second answer comes from the cache.

    Args:
        price: that learned checks go by, 1/USD.
    """
    n, m = case.outcomes.scores.shape
    rungs = list(ladder.rungs)
    hopeless = (case.predicted[:, rungs] < HOPELESS_QUALITY) & (case.evidence[:, rungs] >= HOPELESS_EVIDENCE)
    on = np.zeros((n, m), bool)
    on[:, rungs] = ~hopeless
    on[hopeless.all(axis=1), rungs[-1]] = True
    called = np.zeros((n, m), bool)
    answered = np.full(n, -1)
    going = np.ones(n, bool)
    for j in rungs:
        here = going & on[:, j]
        called[here, j] = True
        answered[here] = j
        fine = signs.accepts[:, j].copy()
        if ladder.learned and j == rungs[0]:
            if ladder.second is not None:
                called[here & fine, ladder.second] = True
            fine &= signs.gains[ladder.key] <= price * case.expected_usd[:, rungs[1]]
        elif ladder.second is not None and not ladder.learned and j != ladder.second:
            assert signs.codes is not None
            called[here & fine, ladder.second] = True
            fine &= signs.codes[:, j] == signs.codes[:, ladder.second]
        going &= ~(here & fine)
    return Walked(answered, called)


class TaskGroups:
    """The prompts of every task, and means over them that few prompts do not decide."""

    def __init__(self, tasks: Sequence[str | None], prior: float) -> None:
        """Args: prior: prompts that a mean over all prompts counts for in a task's own."""
        self.names: tuple[str | None, ...] = (*sorted({task for task in tasks if task is not None}), None)
        self.member = np.array([[task == name for task in tasks] for name in self.names[:-1]], float)
        self.prior = prior

    def means(self, values: Floats) -> Floats:
        """Means of values (n, d) by task, shape (len(names), d); that of None is over all prompts."""
        overall: Floats = values.mean(axis=0)
        if not len(self.member):
            return overall.reshape(1, -1)
        own = (self.member @ values + self.prior * overall) / (self.member.sum(axis=1, keepdims=True) + self.prior)
        found: Floats = np.vstack([own, overall])
        return found
