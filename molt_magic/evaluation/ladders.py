"""Cascade as a family: which ladder, and whose second opinion, chosen on training rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from molt_magic.embed import Embedder
from molt_magic.evaluation.cases import Case
from molt_magic.evaluation.checks import Flags, accepted, answer_codes
from molt_magic.evaluation.matrix import Floats, Ints
from molt_magic.evaluation.replay import recorded_text
from molt_magic.evaluation.runs import Run
from molt_magic.strategies import Cascade
from molt_magic.strategies.cascade import HOPELESS_EVIDENCE, HOPELESS_QUALITY
from molt_magic.types import Check, Request, Situation, Strategy
from molt_magic.validators.learned import AnswerModel, Learned, LearnedCheck, answer_features, joined
from molt_magic.validators.second import Second

FEW = 12  # models of which every ladder is tried; of more, the cheapest ones and the best
PAIRS = 12  # first models and seconds for which a check is learned, those whose agreement is worth most
STEPS = 36  # thresholds of each learned check
CHEAP = 0.5  # of the best model's cost: what a first model and its second cost at most

Key = tuple[int, int | None]  # the first model and its second


@dataclass(frozen=True, slots=True)
class Ladder:
    """One setting: rungs by column, and the model that is asked for a second opinion.

    With `from_good` there are two rungs, and a learned check keeps answers of the first that are good with at least that
    probability; the second opinion is then a feature of that check, on the first rung only.
    """

    rungs: tuple[int, ...]
    second: int | None = None
    from_good: float | None = None

    def told(self, models: Sequence[str]) -> str:
        said = " > ".join(models[j] for j in self.rungs)
        said = said if self.second is None else f"{said}, seconded by {models[self.second]}"
        return said if self.from_good is None else f"{said}, kept from P(good) {self.from_good:.2f}"


@dataclass(frozen=True, slots=True)
class Walked:
    """What a ladder does to n prompts."""

    answered: Ints  # (n,) column of the model that answers
    called: Flags  # (n, m)
    cost: Floats  # (n,) USD


@dataclass(frozen=True, slots=True)
class Signs:
    """What checks have to say of the recorded answers."""

    accepts: Flags  # (n, m) the plain checks
    codes: Ints | None  # (n, m) answers as numbers; None: not recorded
    good: Mapping[Key, Floats]  # (n,) P(good) of the first model's answers, as learned checks see them


class CascadeFamily:
    """Cascade over its ladders, the unbeaten ones of training, cheap to dear.

    Args:
        left_out: the training prompts as they look from outside.
        checks: those of every rung. Where answers are recorded, ladders with a second opinion and with a learned check are
            tried as well.
        size: settings at most.
        embedder: of answers, for learned checks.
    """

    name = "cascade"

    def __init__(self, left_out: Case, checks: Sequence[Check], *, size: int, embedder: Embedder) -> None:
        self.checks = tuple(checks)
        self.models = left_out.outcomes.models
        self.embedder = embedder
        self.learned: dict[Key, Learned] = {}
        case = left_out.whole()
        o = case.outcomes
        self.best = int(o.scores.mean(axis=0).argmax())
        signs = Signs(accepted(self.checks, o), answer_codes(o) if o.responses is not None else None, {})
        tried = [(ladder, walk(ladder, case, signs)) for ladder in self._all(signs.codes is not None)]
        if signs.codes is not None:
            tried += self._learned(case, signs, tried)
        cost, quality = _figures(case, tried)
        kept = _unbeaten(cost, quality)
        if len(kept) > size:
            kept = [kept[i] for i in np.unique(np.linspace(0, len(kept) - 1, size).astype(int))]
        self.ladders = [tried[i][0] for i in kept]
        self.thresholds = np.arange(len(self.ladders), dtype=float)
        self._judged = [tried[i][1] for i in kept]

    @property
    def settings(self) -> tuple[str, ...]:
        """Every setting in words."""
        return tuple(ladder.told(self.models) for ladder in self.ladders)

    def at(self, t: int, case: Case, row: int) -> tuple[Strategy, Situation]:
        ladder = self.ladders[t]
        checks = self.checks
        if ladder.from_good is not None:
            predicted = float(case.predicted[row, ladder.rungs[0]])
            checks = (*checks, self.check(ladder, lambda _, __: predicted))
        elif ladder.second is not None:
            name = self.models[ladder.second]
            checks = (*checks, Second(f"second:{name}", name))
        return Cascade(ladder=[self.models[j] for j in ladder.rungs]), case.situation(row, quality=0.0, checks=checks)

    def check(self, ladder: Ladder, predicted: Callable[[Request, str], float]) -> LearnedCheck:
        """The learned check of a ladder that has one.

        Args:
            predicted: quality of a model for a request.
        """
        assert ladder.from_good is not None
        first = self.models[ladder.rungs[0]]
        learned = self.learned[ladder.rungs[0], ladder.second]

        def of(model: str) -> Learned | str:
            return learned if model == first else f"learned for {first} only"

        return LearnedCheck("learned", of, ladder.from_good, predicted, self.embedder)

    def run_learned(self, case: Case, strong: int) -> Run:
        """All settings on the training prompts they were chosen on, learned checks as they look from outside.

        Args:
            case: the whole ones of `left_out`.
        """
        return self._run(case, self._judged, strong)

    def run(self, case: Case, strong: int) -> Run:
        """All settings on other prompts."""
        o = case.outcomes
        codes = answer_codes(o) if o.responses is not None else None
        used = {(ladder.rungs[0], ladder.second) for ladder in self.ladders if ladder.from_good is not None}
        features = {first: self._answers(case, first) for first, _ in used}
        good = {key: self.learned[key].answers(self._joined(case, features[key[0]], codes, key)) for key in used}
        signs = Signs(accepted(self.checks, o), codes, good)
        return self._run(case, [walk(ladder, case, signs) for ladder in self.ladders], strong)

    def _run(self, case: Case, walked: Sequence[Walked], strong: int) -> Run:
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

    def _learned(self, case: Case, signs: Signs, tried: Sequence[tuple[Ladder, Walked]]) -> list[tuple[Ladder, Walked]]:
        """Two-rung ladders to the best model with a learned check, for the pairs whose agreement is worth most."""
        features: dict[int, Floats] = {}
        found = []
        for first, second in self._pairs(case, tried):
            if first not in features:
                features[first] = self._answers(case, first)
            rows = self._joined(case, features[first], signs.codes, (first, second))
            scores = case.outcomes.scores[:, first]
            seconded = None if second is None else self.models[second]
            model, good = AnswerModel.fit(rows, scores, dim=self.embedder.dim)
            self.learned[first, second] = Learned(model, len(rows), seconded)
            seen = replace(signs, good={(first, second): good})
            for least in _between(good):
                ladder = Ladder((first, self.best), second, float(least))
                found.append((ladder, walk(ladder, case, seen)))
        return found

    def _pairs(self, case: Case, tried: Sequence[tuple[Ladder, Walked]]) -> list[Key]:
        mean = case.outcomes.costs.mean(axis=0)
        cheap = [j for j in range(len(self.models)) if j != self.best and mean[j] <= CHEAP * mean[self.best]]
        cost, quality = _figures(case, tried)
        line = case.outcomes.scores.mean(axis=0)
        slope = (line[self.best] - line[0]) / max(mean[self.best] - mean[0], 1e-12)
        worth: dict[Key, float] = {}
        for (ladder, _), c, q in zip(tried, cost, quality, strict=True):
            allowed = ladder.rungs[0] in cheap and (ladder.second is None or ladder.second in cheap)
            if allowed and ladder.rungs[1:] == (self.best,):
                worth[ladder.rungs[0], ladder.second] = q - slope * c
        return sorted(worth, key=lambda key: -worth[key])[:PAIRS]

    def _answers(self, case: Case, first: int) -> Floats:
        o = case.outcomes
        return answer_features(o.texts, [recorded_text(o, i, first) for i in range(len(o))], self.embedder)

    def _joined(self, case: Case, answers: Floats, codes: Ints | None, key: Key) -> Floats:
        first, second = key
        same = None if second is None or codes is None else codes[:, first] == codes[:, second]
        return joined(answers, case.predicted[:, first], same)

    def _all(self, seconded: bool) -> list[Ladder]:
        columns = range(len(self.models))
        if len(self.models) > FEW:
            columns = range(FEW - 1)
        tried = sorted({*columns, self.best})
        found = [Ladder((j,)) for j in tried]
        upward = [(a, b) for a, b in permutations(tried, 2) if a < b]
        if self.checks:
            found += [Ladder(pair) for pair in upward]
        if seconded:
            found += [Ladder(pair, second) for pair in upward for second in tried if second not in pair]
            threes = [(a, b, c) for a, b in upward for c in tried if c > b]
            found += [Ladder(three, second) for three in threes for second in tried if second not in three]
        return found


def walk(ladder: Ladder, case: Case, signs: Signs) -> Walked:
    """The walk of `strategies.walk` up a ladder, for all prompts at once. A model that is asked the same question twice
    is paid once: live, the second answer comes from the cache."""
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
        fine = signs.accepts[:, j].copy()
        if ladder.second is not None and ladder.second != j and (ladder.from_good is None or j == ladder.rungs[0]):
            assert signs.codes is not None
            called[here & fine, ladder.second] = True
            if ladder.from_good is None:
                fine &= signs.codes[:, j] == signs.codes[:, ladder.second]
        if ladder.from_good is not None and j == ladder.rungs[0]:
            fine &= signs.good[j, ladder.second] >= ladder.from_good
        going &= ~(here & fine)
    return Walked(answered, called, (o.costs * called).sum(axis=1))


def _between(values: Floats) -> Floats:
    """`STEPS` thresholds spread over the values, each in the middle between two of them: it is as far as can be from both."""
    known = np.unique(values)
    middles = (known[1:] + known[:-1]) / 2
    at = np.searchsorted(middles, np.quantile(values, np.linspace(0.02, 0.98, STEPS)))
    return middles[np.unique(np.minimum(at, len(middles) - 1))] if len(middles) else known


def _figures(case: Case, tried: Sequence[tuple[Ladder, Walked]]) -> tuple[Floats, Floats]:
    """Mean cost and quality of every ladder."""
    rows = np.arange(len(case))
    cost = np.array([w.cost.mean() for _, w in tried])
    return cost, np.array([case.outcomes.scores[rows, w.answered].mean() for _, w in tried])


def _unbeaten(cost: Floats, quality: Floats) -> list[int]:
    """Settings that no other beats in both, cheap to dear."""
    found: list[int] = []
    for i in np.lexsort((-quality, cost)):
        if not found or quality[i] > quality[found[-1]]:
            found.append(int(i))
    return found
