"""The cascade's settings chosen on an outcome table, as what a session can use and keep."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from molt_magic import validators
from molt_magic.embed import Embedder, StaticEmbedder
from molt_magic.errors import InputError
from molt_magic.evaluation.baselines import best_single
from molt_magic.evaluation.cases import Case
from molt_magic.evaluation.ladders import CascadeFamily
from molt_magic.evaluation.matrix import to_outcomes
from molt_magic.evaluation.remembering import Remembering
from molt_magic.evaluation.runs import Run
from molt_magic.evaluation.tables import read_outcomes
from molt_magic.quality import Predictor
from molt_magic.quality.costs import ExpectedCost
from molt_magic.quality.store import load, save
from molt_magic.types import Check, Request
from molt_magic.validators.learned import AnswerModel, Learned, LearnedCheck
from molt_magic.validators.second import Second

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = 100  # unbeaten ladders that are chosen among
LEAST = 20  # prompts, below which no ladder is told from another
_WEIGHTS = ("centre", "weights")  # of an AnswerModel


@dataclass(frozen=True, slots=True)
class Expected:
    """What a cascade did on the training prompts, each as it looks to what was fitted without it."""

    quality: float  # mean score
    cost_usd: float  # a prompt, checks included
    best_single_quality: float
    best_single_cost_usd: float

    @property
    def share(self) -> float:
        """Of the best single model's quality."""
        return self.quality / self.best_single_quality if self.best_single_quality else math.nan

    @property
    def saved(self) -> float:
        """Of the best single model's cost."""
        return 1.0 - self.cost_usd / self.best_single_cost_usd if self.best_single_cost_usd else math.nan


@dataclass(frozen=True, slots=True)
class FittedCascade:
    """A ladder, whose second opinion is asked, and the threshold of a learned check: what to route with.

    `orch.configure(fitted.settings)`, then `orch.route(prompt, strategy="cascade", validate=fitted.checks)`.

    Attributes:
        ladder: names of models, cheap to dear.
        plain: the given checks of every rung, as they were written.
        second: the model whose opinion is asked; None: no second opinion.
        threshold: P(good) from which a learned check keeps an answer of the first rung; None: there is no learned check.
        learned: what that check has learned of the first rung's answers.
        expected: on the training prompts.
        n: training prompts.
        best_single: the model that quality and cost are compared with.
        predictor: of quality, fitted on the same table.
    """

    ladder: tuple[str, ...]
    plain: tuple[validators.Spec, ...]
    second: str | None
    threshold: float | None
    learned: Learned | None
    expected: Expected
    n: int
    best_single: str
    predictor: Predictor

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks, to pass as `validate`."""
        own: tuple[Check, ...] = ()
        if self.learned is not None and self.threshold is not None:
            own = (LearnedCheck("learned", self._of, self.threshold, self._predicted, self.predictor.embedder),)
        elif self.second is not None:
            own = (Second(f"second:{self.second}", self.second),)
        return (*validators.build(self.plain, namespace={}, judge_model=None), *own)

    @property
    def settings(self) -> dict[str, Any]:
        """For `orch.configure`."""
        return {"cascade.ladder": list(self.ladder)}

    @property
    def statement(self) -> str:
        """What it is and what to expect of it, in a sentence or two."""
        told = " > ".join(self.ladder)
        told += "" if self.second is None else f", seconded by {self.second}"
        told += "" if self.threshold is None else f", answers of {self.ladder[0]} kept from P(good) {self.threshold:.2f}"
        return (
            f"{told}. On {self.n:,} training prompts, each judged by the others: {self.expected.share:.1%} of "
            f"{self.best_single}'s quality for {self.expected.saved:.0%} less. That was the choice of many, so on new prompts "
            "expect a little less quality."
        )

    def __str__(self) -> str:
        return self.statement

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it as an .npz file without a prompt or an answer in it, readable for its owner only; see `load`.

        Raises:
            InputError: a check is no text, and so cannot be written down.
            OSError: the file cannot be written.
        """
        unwritten = [spec for spec in self.plain if not isinstance(spec, str)]
        if unwritten:
            name = getattr(unwritten[0], "__name__", type(unwritten[0]).__name__)
            raise InputError(
                f"The check {name} is code, and is not kept in a file.",
                fix="Fit with names of checks, and add yours later.",
            )
        file = Path(path).expanduser()
        save(self.predictor, file, _note(self))
        return file

    @classmethod
    def load(cls, path: str | os.PathLike[str], embedder: Embedder | None = None) -> FittedCascade:
        """What `save` wrote.

        Args:
            embedder: the one it was fitted with; None: the static one.

        Raises:
            InputError: no such file, or it is damaged, of another version, or of another embedder.
        """
        file = Path(path).expanduser()
        found = load(file, embedder or StaticEmbedder())
        if found is None or "ladder" not in found[1]:
            raise InputError(
                f"{file} holds no cascade that can be used here.",
                fix="Fit it again with fit_cascade: the file is missing, damaged, or of another version or embedder.",
            )
        return _fitted(*found)

    def _of(self, model: str) -> Learned | str:
        return self.learned if self.learned is not None and model == self.ladder[0] else f"learned for {self.ladder[0]} only"

    def _predicted(self, request: Request, model: str) -> float:
        return float(self.predictor.predict([request.prompt], [request.task])[0, self.predictor.models.index(model)])


def fit_cascade(
    table: str | os.PathLike[str] | pd.DataFrame,
    *,
    keep: float = 0.99,
    spend: float | None = None,
    checks: Sequence[validators.Spec] = ("nonempty", "refusal"),
    embedder: Embedder | None = None,
    seed: int = 0,
) -> FittedCascade:
    """Choose the ladder, the second opinion and the threshold of the learned check on a table with recorded answers.

    What is expected is what `evaluate` would choose by: the training prompts as they look to what was fitted without them. It
    is no promise; see `calibrate`.

    Args:
        table: as for `read_outcomes`, with `response`; prompts that some model did not answer teach the predictor only.
        keep: the cheapest cascade that keeps this share of the best single model's quality, in (0, 1].
        spend: instead: the best cascade that costs at most this on average, USD a prompt.
        checks: of every rung, as in `%%route -v`.
        embedder: None: the static one.

    Raises:
        InputError: a table that cannot be used or has no answers, a share out of range, or nothing costs so little.
        UnknownName: no such check.
    """
    if not 0.0 < keep <= 1.0:
        raise InputError(f"keep must be over 0 and at most 1, not {keep!r}.", fix="Say keep=0.99.")
    built = validators.build(checks, namespace={}, judge_model=None)
    train = to_outcomes(read_outcomes(table))
    if train.responses is None:
        raise InputError("No answers are recorded, and a cascade is about them.", fix="Add them as the column `response`.")
    if int(train.complete.sum()) < LEAST:
        raise InputError(
            f"{int(train.complete.sum())} prompts that every model answered are too few.", fix=f"Give {LEAST} at the least."
        )
    plain = embedder or StaticEmbedder()
    remembering = Remembering(plain)
    predictor = Predictor(embedder=remembering, seed=seed)
    predictor.fit(train.texts, train.scores, train.models, train.tasks if train.has_tasks else None)
    seen = predictor.left_out()
    costs = ExpectedCost.fit(train.prompts, train.costs)
    case = Case.of(train, seen.quality, costs=costs, evidence=seen.n, low=seen.low)
    family = CascadeFamily(case, built, size=SETTINGS, embedder=remembering)
    whole, strong = case.whole(), best_single(train)
    run = family.run_learned(whole, strong)
    t = _chosen(run, float(whole.outcomes.scores[:, strong].mean()), keep, spend)
    ladder = family.ladders[t]
    predictor.embedder = plain  # what remembers never forgets, and is for no session
    expected = Expected(
        quality=float(run.quality[t].mean()),
        cost_usd=float(run.cost[t].mean()),
        best_single_quality=float(whole.outcomes.scores[:, strong].mean()),
        best_single_cost_usd=float(whole.outcomes.costs[:, strong].mean()),
    )
    return FittedCascade(
        ladder=tuple(train.models[j] for j in ladder.rungs),
        plain=tuple(checks),
        second=None if ladder.second is None else train.models[ladder.second],
        threshold=ladder.from_good,
        learned=None if ladder.from_good is None else family.learned[ladder.rungs[0], ladder.second],
        expected=expected,
        n=len(whole),
        best_single=train.models[strong],
        predictor=predictor,
    )


def _chosen(run: Run, best_quality: float, keep: float, spend: float | None) -> int:
    """The setting of a run on training prompts."""
    quality, cost = run.mean_quality(), run.mean_cost()
    if spend is not None:
        within = np.flatnonzero(cost <= spend)
        if not len(within):
            raise InputError(f"No cascade costs ${spend:g} a prompt or less.", fix=f"The cheapest costs ${cost.min():.2g}.")
        return int(within[quality[within].argmax()])
    enough = np.flatnonzero(quality >= keep * best_quality - 1e-12)
    return int(enough[cost[enough].argmin()]) if len(enough) else int(quality.argmax())


def _note(fitted: FittedCascade) -> dict[str, Any]:
    """All but the predictor, as JSON."""
    learned = fitted.learned
    answers: dict[str, Any] = {}
    if learned is not None:
        answers = {name: getattr(learned.answers, name).tolist() for name in _WEIGHTS} | {"mean": learned.answers.mean}
    return {
        "ladder": list(fitted.ladder),
        "plain": list(fitted.plain),
        "second": fitted.second,
        "threshold": fitted.threshold,
        "learned": None if learned is None else {"n": learned.n, "second": learned.second, "answers": answers},
        "expected": asdict(fitted.expected),
        "n": fitted.n,
        "best_single": fitted.best_single,
    }


def _fitted(predictor: Predictor, note: Mapping[str, Any]) -> FittedCascade:
    learned = note["learned"]
    if learned is not None:
        kept = learned["answers"]
        answers = AnswerModel(**{name: np.array(kept[name]) for name in _WEIGHTS}, mean=kept["mean"])
        learned = Learned(answers, learned["n"], learned["second"])
    return FittedCascade(
        ladder=tuple(note["ladder"]),
        plain=tuple(note["plain"]),
        second=note["second"],
        threshold=note["threshold"],
        learned=learned,
        expected=Expected(**note["expected"]),
        n=note["n"],
        best_single=note["best_single"],
        predictor=predictor,
    )
