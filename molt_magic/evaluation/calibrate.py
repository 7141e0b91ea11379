"""A promise: a policy that keeps a share of the best single model's quality, or the words that it cannot be given."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from molt_magic.embed import Embedder, StaticEmbedder
from molt_magic.errors import InputError
from molt_magic.evaluation.baselines import best_single
from molt_magic.evaluation.betting import e_values, interval, rows_needed
from molt_magic.evaluation.evaluate import live_predictor
from molt_magic.evaluation.knn import Predicts
from molt_magic.evaluation.matrix import Floats, Ints, Outcomes, to_outcomes
from molt_magic.evaluation.remembering import Remembering
from molt_magic.evaluation.tables import read_outcomes
from molt_magic.quality import Kept, Promise, Span
from molt_magic.quality.costs import ExpectedCost
from molt_magic.quality.promise import percent, worth_most

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = 60
LEAST = 20  # prompts, below which there is nothing to split
FIGURES = 0.01  # chance that a figure of a promise, that its use is watched by, lies outside of its span


@dataclass(frozen=True, slots=True)
class Policy:
    """What `calibrate` found: a promise, or the words that it cannot be given.

    Attributes:
        target: share of the best single model's quality.
        confidence: the chance, over the outcomes it was calibrated with, that the promise is true.
        n: outcomes (different prompts that every model answered) it was given.
        needs: about how many it needs; None: promised, or no number would do.
        expected: on the outcomes it was calibrated with, which did not teach the predictions.
    """

    target: float
    confidence: float
    n: int
    needs: int | None
    best_single: str
    models: tuple[str, ...]
    expected: Kept
    _promise: Promise | None = field(repr=False)

    @property
    def promised(self) -> bool:
        """Whether `target` is kept with `confidence`; where not, the policy is the best single model for everything."""
        return self._promise is not None

    @property
    def promise(self) -> Promise:
        """What can be kept and used, as by `Orchestrator.keep`.

        Raises:
            InputError: nothing is promised; it says how many outcomes a promise needs.
        """
        if self._promise is None:
            more = f"Calibrate with about {self.needs:,} outcomes, or a lower" if self.needs else "Calibrate with a lower"
            raise InputError(self.statement, fix=f"{more} target or confidence.")
        return self._promise

    @property
    def threshold(self) -> float | None:
        """The price of quality in 1/USD, below 0 where what is dear is preferred; None: the best single model only."""
        return None if self._promise is None else self._promise.price

    @property
    def statement(self) -> str:
        """The promise in a sentence, or that it cannot be given and why."""
        if self._promise is not None:
            return self._promise.statement
        if self.needs is not None:
            return f"Cannot promise this with {self.n:,} outcomes: needs about {self.needs:,}."
        what = f"at least {percent(self.target)} of {self.best_single}'s quality"
        return f"Cannot promise this with {self.n:,} outcomes: in them no cheaper policy keeps {what}."

    def __str__(self) -> str:
        return self.statement

    def route(self, prompts: Sequence[str], tasks: Sequence[str | None] | None = None) -> list[str]:
        """The model that each prompt goes to.

        Raises:
            InputError: one text in place of several.
        """
        if isinstance(prompts, str):
            raise InputError("A text is one prompt, and several are asked for.", fix="Give a list: policy.route([prompt]).")
        return [self.best_single] * len(prompts) if self._promise is None else self._promise.route(list(prompts), tasks)

    def score(self, table: str | os.PathLike[str] | pd.DataFrame) -> Kept:
        """What it does on a table it has not seen, prompts that every model answered.

        Raises:
            InputError: a model is missing in the table, or no prompt of it was answered by every model.
        """
        outcomes = _of_models(to_outcomes(read_outcomes(table)), self.models)
        column = {name: j for j, name in enumerate(self.models)}
        picks = np.array([column[name] for name in self.route(outcomes.texts, _tasks(outcomes))], np.intp)
        return _kept(outcomes, picks, column[self.best_single])


def calibrate(
    table: str | os.PathLike[str] | pd.DataFrame,
    *,
    target: float = 0.95,
    confidence: float = 0.95,
    predictor: Callable[[], Predicts] | None = None,
    embedder: Embedder | None = None,
    seed: int = 0,
) -> Policy:
    """The cheapest policy whose mean quality is at least `target` times the best single model's, with `confidence`.

    A policy picks argmax(predicted quality - price * expected cost) over the models that cost no more than the best single
    one, by predictions and costs that are frozen with it. `Orchestrator.keep` puts it to use.

    Learn-then-test (Angelopoulos and others, arXiv 2110.01052) with fixed-sequence testing: one half of the prompts teaches
    the predictions and says which single model is best; on the other half policies are tested from the safest (that model for
    everything) to the cheapest, each at level 1 - confidence, and the last before the first that fails is taken. Each test is
    a betting test of mean(score - target * score of a single model) > 0 (`betting.e_values`), against every single model, as
    which one is best is uncertain too, and both with the prompts' tasks and without; valid for any number of exchangeable
    outcomes. It says nothing about prompts of another kind; `drift` watches for them.

    Args:
        table: as for `read_outcomes`; prompts that some model did not answer are left out. Repetitions of a prompt are one,
            with the mean of their scores and costs: they are no further evidence.
        target: in (0, 1].
        confidence: in (0, 1).

    Raises:
        InputError: a table that cannot be used, or a target or confidence out of range.
    """
    if not 0.0 < target <= 1.0 or not 0.0 < confidence < 1.0:
        said = "target must be over 0 and at most 1, confidence between 0 and 1."
        raise InputError(said, fix="Say target=0.95, confidence=0.95.")
    outcomes = to_outcomes(read_outcomes(table))
    outcomes = outcomes.take(outcomes.complete).averaged()
    if len(outcomes) < LEAST:
        raise InputError(
            f"{len(outcomes)} different prompts that every model answered are too few for a promise.",
            fix=f"Give {LEAST} at the least.",
        )
    order = np.random.default_rng(seed).permutation(len(outcomes))
    learn, test = outcomes.take(order[: len(order) // 2]), outcomes.take(order[len(order) // 2 :])
    strong = best_single(learn)
    make = predictor or live_predictor(Remembering(embedder or StaticEmbedder()), seed)
    fitted = make().fit(learn.texts, learn.scores, learn.models, _tasks(learn))
    costs = ExpectedCost.fit(learn.texts, learn.costs)
    expected = costs.predict(test.texts)
    tasks = (_tasks(test), None) if test.has_tasks else (None,)  # live a task may be said or not: it has to hold for both
    predicted = [fitted.predict(test.texts, said) for said in tasks]
    prices = _prices(predicted[0], expected, strong)
    picks = [_picks(p, expected, prices, strong) for p in predicted]
    alpha, bound = 1.0 - confidence, target / (1.0 + target)
    got = [test.scores[np.arange(len(test)), at].T for at in picks]  # (n, T)
    # every single model is a rival: which one is best is not known either
    rivals = [(x - target * test.scores[:, [j]] + target) / (1.0 + target) for x in got for j in range(len(test.models))]
    significant = np.min([e_values(x, bound) for x in rivals], axis=0) >= 1.0 / alpha
    passed = len(prices) if significant.all() else int(significant.argmin())
    about: dict[str, Any] = {"target": target, "confidence": confidence, "n": len(outcomes)}
    about |= {"best_single": learn.models[strong], "models": learn.models}
    if not passed:
        reference = float(test.scores[:, strong].mean())
        needs = _needs(rivals, picks[0], bound, alpha, strong, reference, len(outcomes))
        kept = _kept(test, np.full(len(test), strong), strong)
        return Policy(**about, needs=needs, expected=kept, _promise=None)
    kept = _kept(test, picks[0][passed - 1], strong)
    surely = FIGURES / len(prices) / len(tasks)  # the policy was chosen among these by the same outcomes
    promise = Promise(
        **about,
        price=float(prices[passed - 1]),
        expected=kept,
        quality=_span([x[:, passed - 1] for x in got], surely),
        to_best=_span([(at[passed - 1] == strong).astype(float) for at in picks], surely),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        predictor=fitted,
        costs=costs,
    )
    return Policy(**about, needs=None, expected=kept, _promise=promise)


def _prices(predicted: Floats, cost: Floats, strong: int) -> Floats:
    """Prices at which prompts leave the best single model, the safest first; they look at no score.

    At equal steps of the share of prompts that leave.
    """
    gained, saved = predicted - predicted[:, [strong]], cost[:, [strong]] - cost
    cheaper = saved > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        leaves = np.where(cheaper, -gained / saved, np.inf).min(axis=1)
    leaves = leaves[np.isfinite(leaves)]
    if not len(leaves):
        return np.zeros(0)
    steps = np.unique(np.quantile(leaves, np.linspace(0.02, 1.0, SETTINGS)))
    return np.concatenate([np.nextafter(steps, np.inf), [2.0 * abs(float(steps[-1])) + 1.0]])


def _picks(predicted: Floats, cost: Floats, prices: Floats, strong: int) -> Ints:
    """(T, n) columns, a row a price."""
    picks = [worth_most(predicted, cost, float(price), strong) for price in prices]
    return np.stack(picks) if picks else np.zeros((0, len(predicted)), np.intp)


def _needs(
    rivals: Sequence[Floats], picks: Ints, bound: float, alpha: float, strong: int, strong_quality: float, n: int
) -> int | None:
    """About how many outcomes the easiest of the policies needs; None: none of them would do."""
    if not len(picks):
        return None
    counts = [max(rows_needed(x[:, t], bound, alpha) for x in rivals) for t in range(len(picks)) if (picks[t] != strong).any()]
    # half of the outcomes are for learning, and the stake is the best in hindsight
    wanted = 3.0 * min(counts, default=math.inf)
    if math.isinf(wanted):  # too few to see it: a policy that is half of what is allowed worse, spread as these are
        allowed = (1.0 - bound / (1.0 - bound)) * strong_quality / (1.0 + bound / (1.0 - bound)) / 2
        spread = float(np.mean([x.var(axis=0).mean() for x in rivals]))
        wanted = 6.0 * math.log(1.0 / alpha) * spread / allowed**2 if allowed > 0 else math.inf
        if wanted <= n:
            return None
    return None if math.isinf(wanted) else max(n + 1, int(round(wanted, -1)))


def _kept(outcomes: Outcomes, picks: Ints, strong: int) -> Kept:
    rows = np.arange(len(outcomes))
    return Kept(
        quality=float(outcomes.scores[rows, picks].mean()),
        best_single_quality=float(outcomes.scores[:, strong].mean()),
        cost_usd=float(outcomes.costs[rows, picks].mean()),
        best_single_cost_usd=float(outcomes.costs[:, strong].mean()),
    )


def _span(columns: Sequence[Floats], alpha: float) -> Span:
    """The mean of the first column, and between what the true means of all of them lie but for a chance of `alpha` each."""
    ends = np.array([interval(x, alpha) for x in columns])
    return Span(float(columns[0].mean()), float(ends[:, 0].min()), float(ends[:, 1].max()))


def _of_models(outcomes: Outcomes, models: Sequence[str]) -> Outcomes:
    missing = [name for name in models if name not in outcomes.models]
    if missing:
        raise InputError(f"The table has no outcomes of {', '.join(missing)}.", fix="Calibrate on the models that it has.")
    outcomes = outcomes.with_models(models)
    if not outcomes.complete.any():
        said = f"Not one prompt of the table has a score and a cost of each of {', '.join(models)}."
        raise InputError(said, fix="Let orch.compare or a table fill the gaps.")
    return outcomes.take(outcomes.complete)


def _tasks(outcomes: Outcomes) -> tuple[str | None, ...] | None:
    return outcomes.tasks if outcomes.has_tasks else None
