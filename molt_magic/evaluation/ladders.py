"""Cascade as a family over the price of quality: which ladder each task climbs, and whose second opinion is asked there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from molt_magic.embed import Embedder
from molt_magic.evaluation.cases import Case
from molt_magic.evaluation.checks import accepted, answer_codes
from molt_magic.evaluation.climbing import Key, Ladder, Setting, Signs, TaskGroups, Walked, walk
from molt_magic.evaluation.matrix import Floats, Ints
from molt_magic.evaluation.replay import recorded_text
from molt_magic.evaluation.runs import Run
from molt_magic.strategies import Cascade
from molt_magic.types import Check, Request, Situation, Strategy
from molt_magic.validators.gain import GainCheck, Gained, gain_features
from molt_magic.validators.learned import answer_features
from molt_magic.validators.second import Second

FEW = 12  # models of which every ladder is tried; of more, the cheapest ones and the best
PAIRS = 12  # first models and seconds for which a check is learned, those of the ladders that are chosen most
CHEAP = 0.5  # of the best model's cost: what a first model and its second cost at most
PRIOR = 100.0  # prompts that a ladder's mean over all tasks counts for in a task's own: many ladders are tried on few prompts
DECADES = (-2.5, 1.7)  # of the quality that a call of the best model has to gain, over all prices
ENDLESS = 1e9  # the same: the cheapest, whatever it is worth


class CascadeFamily:
    """Cascade over the price of quality. At every price each task climbs the ladder that was worth most in training.

    Args:
        left_out: the training prompts as they look from outside.
        checks: those of every rung. Where answers are recorded, ladders with a second opinion and with a learned check are
            tried as well.
        size: settings.
        embedder: of answers, for learned checks.
    """

    name = "cascade"

    def __init__(self, left_out: Case, checks: Sequence[Check], *, size: int, embedder: Embedder) -> None:
        self.checks = tuple(checks)
        self.models = left_out.outcomes.models
        self.embedder = embedder
        self.learned: dict[Key, Gained] = {}
        case = left_out.whole()
        o = case.outcomes
        self.best = int(o.scores.mean(axis=0).argmax())
        self.thresholds = _prices(float(o.costs[:, self.best].mean()), size)
        self._signs = Signs(accepted(self.checks, o), answer_codes(o) if o.responses is not None else None)
        self._tasks = TaskGroups(o.tasks, PRIOR)
        ladders = self._plain(case)
        worth = np.stack([self._worth(ladder, case) for ladder in ladders], axis=1)  # (prices, ladders, tasks)
        for key in self._pairs([ladders[i] for i in worth.argmax(axis=1).ravel()], case):
            self.learned[key], self._signs.gains[key] = self._learn(key, case)
            ladders.append(Ladder((key[0], self.best), key[1], learned=True))
            worth = np.concatenate([worth, self._worth(ladders[-1], case)[:, None]], axis=1)
        self.ladders = [
            Setting(float(price), {task: ladders[i] for task, i in zip(self._tasks.names, row, strict=True)})
            for price, row in zip(self.thresholds, worth.argmax(axis=1), strict=True)
        ]

    @property
    def settings(self) -> tuple[str, ...]:
        """Every setting in words."""
        return tuple(setting.told(self.models) for setting in self.ladders)

    def at(self, t: int, case: Case, row: int) -> tuple[Strategy, Situation]:
        setting = self.ladders[t]
        check = self.check(setting.of(case.outcomes.tasks[row]), setting.price, case, row)
        strategy = Cascade(
            ladder=self._named(setting.ladders[None]),
            ladders={task: self._named(ladder) for task, ladder in setting.ladders.items() if task is not None},
        )
        checks = self.checks if check is None else (*self.checks, check)
        return strategy, case.situation(row, quality=0.0, checks=checks)

    def check(self, ladder: Ladder, price: float, case: Case, row: int) -> Check | None:
        """What a ladder's answers are checked with beside the plain checks."""
        if not ladder.learned:
            return None if ladder.second is None else Second(f"second:{self.models[ladder.second]}", self.models[ladder.second])

        def predicted(_: Request, models: Sequence[str]) -> Floats:
            return case.predicted[row, [self.models.index(name) for name in models]]

        def cost(_: Request, model: str) -> float:
            return float(case.expected_usd[row, self.models.index(model)])

        return GainCheck("gain", self.learned[ladder.key], price, predicted, cost, self.embedder)

    def run_learned(self, case: Case, strong: int) -> Run:
        """All settings on the training prompts they were chosen on, learned checks as they look from outside.

        Args:
            case: the whole ones of `left_out`.
        """
        return self._run(case, self._signs, strong)

    def run(self, case: Case, strong: int) -> Run:
        """All settings on other prompts."""
        o = case.outcomes
        signs = Signs(accepted(self.checks, o), answer_codes(o) if o.responses is not None else None)
        used = {ladder.key for setting in self.ladders for ladder in setting.ladders.values() if ladder.learned}
        answers = {first: self._answers(case, first) for first, _ in used}
        for key in used:
            signs.gains[key] = self.learned[key](self._features(key, case, answers[key[0]], signs.codes))
        return self._run(case, signs, strong)

    def _run(self, case: Case, signs: Signs, strong: int) -> Run:
        settings, m = len(self.ladders), len(self.models)
        quality, cost = np.empty((settings, len(case))), np.empty((settings, len(case)))
        answered, called = np.empty((settings, m)), np.empty((settings, len(case)))
        walks: dict[tuple[Ladder, float], tuple[Walked, Floats]] = {}
        tasks = case.outcomes.tasks
        rows = {task: np.flatnonzero([name == task for name in tasks]) for task in dict.fromkeys(tasks)}
        for t, setting in enumerate(self.ladders):
            by: Ints = np.empty(len(case), np.intp)
            for task, at in rows.items():
                ladder = setting.of(task)
                key = (ladder, setting.price if ladder.learned else 0.0)
                if key not in walks:
                    walked = walk(ladder, case, signs, key[1])
                    walks[key] = (walked, walked.figures(case))
                walked, figures = walks[key]
                quality[t, at], cost[t, at] = figures[at].T
                by[at], called[t, at] = walked.answered[at], walked.called[at, strong]
            answered[t] = np.bincount(by, minlength=m) / len(case)
        return Run(self.name, self.thresholds, quality, cost, answered, called)

    def _worth(self, ladder: Ladder, case: Case) -> Floats:
        """What a ladder is worth at every price to every task, (prices, tasks)."""
        if not ladder.learned:
            means = self._tasks.means(walk(ladder, case, self._signs).figures(case))
            return means[:, 0] - self.thresholds[:, None] * means[:, 1]
        found = []
        for price in self.thresholds:
            means = self._tasks.means(walk(ladder, case, self._signs, float(price)).figures(case))
            found.append(means[:, 0] - price * means[:, 1])
        return np.stack(found)

    def _learn(self, key: Key, case: Case) -> tuple[Gained, Floats]:
        first, second = key
        features = self._features(key, case, self._answers(case, first), self._signs.codes)
        return Gained.fit(
            features,
            case.outcomes.scores[:, [first, self.best]],
            first=self.models[first],
            above=self.models[self.best],
            second=None if second is None else self.models[second],
            dim=self.embedder.dim,
        )

    def _pairs(self, chosen: Sequence[Ladder], case: Case) -> list[Key]:
        """The first models of the ladders chosen, the most chosen first, with the second they have there, and with none."""
        if self._signs.codes is None:
            return []
        counted: dict[Key, int] = {}
        for ladder in chosen:
            if ladder.rungs[0] in self._cheap(case):
                counted[ladder.key] = counted.get(ladder.key, 0) + 1
        keys = sorted(counted, key=lambda key: -counted[key])
        return list(dict.fromkeys(key for first, second in keys for key in ((first, second), (first, None))))[:PAIRS]

    def _answers(self, case: Case, first: int) -> Floats:
        o = case.outcomes
        return answer_features(o.texts, [recorded_text(o, i, first) for i in range(len(o))], self.embedder)

    def _features(self, key: Key, case: Case, answers: Floats, codes: Ints | None) -> Floats:
        first, second = key
        same = None if second is None or codes is None else codes[:, first] == codes[:, second]
        return gain_features(answers, case.predicted[:, [first, self.best]], same)

    def _plain(self, case: Case) -> list[Ladder]:
        columns = range(len(self.models))
        if len(self.models) > FEW:
            columns = range(FEW - 1)
        tried = sorted({*columns, self.best})
        found = [Ladder((j,)) for j in tried]
        upward = [(a, b) for a, b in permutations(tried, 2) if a < b]
        if self.checks:
            found += [Ladder(pair) for pair in upward]
        if self._signs.codes is not None:
            cheap = [j for j in self._cheap(case) if j in tried]
            found += [Ladder((first, self.best), second) for first, second in permutations(cheap, 2)]
        return found

    def _cheap(self, case: Case) -> list[int]:
        mean = case.outcomes.costs.mean(axis=0)
        return [j for j in range(len(self.models)) if j != self.best and mean[j] <= CHEAP * mean[self.best]]

    def _named(self, ladder: Ladder) -> list[str]:
        return [self.models[j] for j in ladder.rungs]


def _prices(best_usd: float, size: int) -> Floats:
    """From 0 to endless, even steps of the logarithm between.

    Args:
        best_usd: mean cost of the best model.
    """
    inner = np.logspace(*DECADES, max(1, size - 2))
    return np.concatenate([[0.0], inner, [ENDLESS]]) / (best_usd or 1.0)
