"""The fast path is trusted as far as it agrees with the strategy's own generator."""

from __future__ import annotations

import warnings

import numpy as np

from molt_magic.evaluation.cases import Case
from molt_magic.evaluation.families import Family
from molt_magic.evaluation.ladders import CascadeFamily
from molt_magic.evaluation.replay import Replayed, replay
from molt_magic.evaluation.runs import Run

SAMPLE = 60  # (setting, prompt) pairs that are replayed


def verified(family: Family | CascadeFamily, run: Run, case: Case, strong: int, seed: int) -> Run:
    """The run as it is, where a sample of it is what the generator does; else the same run replayed by the generator, which
    takes its time. That is a fault of ours and warned of, not a wrong figure."""
    rng = np.random.default_rng(seed)
    shape = run.quality.shape
    pairs = rng.choice(shape[0] * shape[1], min(SAMPLE, shape[0] * shape[1]), replace=False)
    tried = [divmod(int(pair), shape[1]) for pair in pairs]
    if all(agrees(run, t, row, by_generator(family, case, t, row)) for t, row in tried):
        return run
    said = f"{family.name} decides otherwise than its fast path; every prompt is replayed."
    warnings.warn(said, RuntimeWarning, stacklevel=2)
    return replayed(family, run, case, strong)


def by_generator(family: Family | CascadeFamily, case: Case, t: int, row: int) -> Replayed:
    """One prompt at one setting, by the strategy itself."""
    strategy, situation = family.at(t, case, row)
    return replay(strategy, situation, case.outcomes, row)


def agrees(run: Run, t: int, row: int, found: Replayed) -> bool:
    """Whether the run has the score and cost that the generator came to."""
    return bool(np.isclose(run.quality[t, row], found.score) and np.isclose(run.cost[t, row], found.cost_usd))


def replayed(family: Family | CascadeFamily, run: Run, case: Case, strong: int) -> Run:
    """A run made by the generator alone."""
    settings, n = run.quality.shape
    m = len(case.outcomes.models)
    quality, cost, called = np.empty((settings, n)), np.empty((settings, n)), np.zeros((settings, n))
    answered = np.zeros((settings, m))
    for t in range(settings):
        for row in range(n):
            found = by_generator(family, case, t, row)
            quality[t, row], cost[t, row] = found.score, found.cost_usd
            called[t, row] = case.outcomes.models[strong] in found.called
            if found.model is not None:
                answered[t, case.outcomes.models.index(found.model)] += 1.0 / n
    return Run(run.name, run.thresholds, quality, cost, answered, called)
