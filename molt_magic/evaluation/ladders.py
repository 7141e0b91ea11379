"""Cascade as a family: which ladder, and whose second opinion, chosen on training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from molt_magic.evaluation.cases import Case
from molt_magic.evaluation.checks import Flags, accepted, answer_codes
from molt_magic.evaluation.matrix import Floats, Ints
from molt_magic.evaluation.runs import Run
from molt_magic.strategies import Cascade
from molt_magic.strategies.cascade import HOPELESS_EVIDENCE, HOPELESS_QUALITY
from molt_magic.types import Check, Situation, Strategy
from molt_magic.validators.second import Second

FEW = 12  # models of which every ladder is tried; of more, the cheapest ones and the best


@dataclass(frozen=True, slots=True)
class Ladder:
    """One setting: rungs by column, and the model that is asked for a second opinion on each."""

    rungs: tuple[int, ...]
    second: int | None = None

    def told(self, models: Sequence[str]) -> str:
        said = " > ".join(models[j] for j in self.rungs)
        return said if self.second is None else f"{said}, seconded by {models[self.second]}"


@dataclass(frozen=True, slots=True)
class Walked:
    """What a ladder does to n prompts."""

    answered: Ints  # (n,) column of the model that answers
    called: Flags  # (n, m)
    cost: Floats  # (n,) USD


class CascadeFamily:
    """Cascade over its ladders, the unbeaten ones of training, cheap to dear.

    Args:
        left_out: the training prompts as they look from outside.
        checks: those of every rung. Where answers are recorded, two-rung ladders with a second opinion are tried as well.
        accepts: what `checks` say of the training answers, (n, m).
        size: settings at most.
    """

    name = "cascade"
    unit = "ladder, cheap to dear"

    def __init__(self, left_out: Case, checks: Sequence[Check], *, size: int) -> None:
        self.checks = tuple(checks)
        train = left_out.outcomes
        self.models = train.models
        self._learned = left_out.whole()
        accepts = accepted(self.checks, self._learned.outcomes)
        codes = answer_codes(self._learned.outcomes) if train.responses is not None else None
        tried = [(ladder, walk(ladder, self._learned, accepts, codes)) for ladder in self._all(codes is not None)]
        rows = np.arange(len(self._learned))
        quality = np.array([self._learned.outcomes.scores[rows, w.answered].mean() for _, w in tried])
        cost = np.array([w.cost.mean() for _, w in tried])
        kept = _unbeaten(cost, quality)
        if len(kept) > size:
            kept = [kept[i] for i in np.unique(np.linspace(0, len(kept) - 1, size).astype(int))]
        self.ladders = [tried[i][0] for i in kept]
        self.thresholds = np.arange(len(self.ladders), dtype=float)

    @property
    def settings(self) -> tuple[str, ...]:
        """Every setting in words."""
        return tuple(ladder.told(self.models) for ladder in self.ladders)

    def at(self, t: int, case: Case, row: int) -> tuple[Strategy, Situation]:
        ladder = self.ladders[t]
        checks = self.checks
        if ladder.second is not None:
            name = self.models[ladder.second]
            checks = (*checks, Second(f"second:{name}", name))
        return Cascade(ladder=[self.models[j] for j in ladder.rungs]), case.situation(row, quality=0.0, checks=checks)

    def run(self, case: Case, strong: int) -> Run:
        """All settings on these prompts."""
        accepts = accepted(self.checks, case.outcomes)
        codes = answer_codes(case.outcomes) if case.outcomes.responses is not None else None
        walked = [walk(ladder, case, accepts, codes) for ladder in self.ladders]
        rows, m = np.arange(len(case)), len(self.models)
        answered = np.stack([w.answered for w in walked])
        return Run(
            self.name,
            self.thresholds,
            quality=case.outcomes.scores[rows, answered],
            cost=np.stack([w.cost for w in walked]),
            answered=np.stack([(answered == j).mean(axis=1) for j in range(m)], axis=1),
            strong=np.stack([w.called[:, strong] for w in walked]).astype(float),
        )

    def _all(self, seconded: bool) -> list[Ladder]:
        columns = range(len(self.models))
        if len(self.models) > FEW:
            columns = range(FEW - 1)
        best = int(np.nanmean(self._learned.outcomes.scores, axis=0).argmax())
        tried = sorted({*columns, best})
        found = [Ladder((j,)) for j in tried]
        upward = [(a, b) for a, b in permutations(tried, 2) if a < b]
        if self.checks:
            found += [Ladder(pair) for pair in upward]
        if seconded:
            found += [Ladder(pair, second) for pair in upward for second in tried if second not in pair]
            threes = [(a, b, c) for a, b in upward for c in tried if c > b]
            found += [Ladder(three, second) for three in threes for second in tried if second not in three]
        return found


def walk(ladder: Ladder, case: Case, accepts: Flags, codes: Ints | None) -> Walked:
    """The walk of `strategies.walk` up a ladder, for all prompts at once. A model that is asked the same question twice
    is paid once: live, the second answer comes from the cache.

    Args:
        accepts: (n, m) whether the checks accept the answer.
        codes: (n, m) answers as numbers, needed for a second opinion.
    """
    o = case.outcomes
    n, m = o.scores.shape
    hopeless = (case.predicted < HOPELESS_QUALITY) & (case.evidence >= HOPELESS_EVIDENCE)
    on = np.zeros((n, m), bool)
    on[:, list(ladder.rungs)] = ~hopeless[:, list(ladder.rungs)]
    none = ~on.any(axis=1)
    on[none, ladder.rungs[-1]] = True
    called = np.zeros((n, m), bool)
    answered = np.full(n, -1)
    going = np.ones(n, bool)
    for j in ladder.rungs:
        here = going & on[:, j]
        called[here, j] = True
        answered[here] = j
        fine = accepts[:, j].copy()
        if ladder.second is not None and ladder.second != j:
            assert codes is not None
            called[here & fine, ladder.second] = True
            fine &= codes[:, j] == codes[:, ladder.second]
        going &= ~(here & fine)
    return Walked(answered, called, (o.costs * called).sum(axis=1))


def _unbeaten(cost: Floats, quality: Floats) -> list[int]:
    """Settings that no other beats in both, cheap to dear."""
    found: list[int] = []
    for i in np.lexsort((-quality, cost)):
        if not found or quality[i] > quality[found[-1]]:
            found.append(int(i))
    return found
