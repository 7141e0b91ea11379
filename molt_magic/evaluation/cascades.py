"""The cascade's settings chosen on an outcome table, as what a session can use and keep."""

from __future__ import annotations

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
from molt_magic.evaluation.climbing import Setting
from molt_magic.evaluation.ladders import CascadeFamily
from molt_magic.evaluation.matrix import Floats, to_outcomes
from molt_magic.evaluation.remembering import Remembering
from molt_magic.evaluation.runs import Run
from molt_magic.evaluation.tables import read_outcomes
from molt_magic.quality import Predictor
from molt_magic.quality.costs import ExpectedCost
from molt_magic.quality.promise import Kept
from molt_magic.quality.store import load, save
from molt_magic.types import Check, Request
from molt_magic.validators.by_task import ByTask
from molt_magic.validators.gain import GainCheck, Gained
from molt_magic.validators.learned import AnswerModel
from molt_magic.validators.second import Second

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = 100  # prices that are chosen among
LEAST = 20  # prompts, below which no ladder is told from another
_WEIGHTS = ("centre", "weights")  # of an AnswerModel
_PLAIN = ("first", "above", "second", "trust", "n")  # of Gained
_COSTS = ("base", "per_character", "mean")


@dataclass(frozen=True, slots=True)
class Climb:
    """The ladder of one kind of prompts.

    Attributes:
        ladder: names of models, cheap to dear.
        second: the model whose opinion is asked; None: no second opinion.
        learned: what a learned check goes by to move on from the first rung; None: there is no such check.
    """

    ladder: tuple[str, ...]
    second: str | None
    learned: Gained | None

    def __str__(self) -> str:
        said = " > ".join(self.ladder)
        said += "" if self.second is None else f", seconded by {self.second}"
        return said if self.learned is None else f"{said}, by expected gain"


@dataclass(frozen=True, slots=True)
class FittedCascade:
    """The ladder of every task, whose second opinion is asked there, and what learned checks go by: what to route with.

    `orch.configure(fitted.settings)`, then `orch.route(prompt, strategy="cascade", validate=fitted.checks)`.

    Attributes:
        climbs: by task; that of None is for all other prompts.
        price: quality given up for a dollar less, 1/USD: what it was chosen by, and what learned checks go by.
        plain: the given checks of every rung, as they were written.
        expected: what it did on the training prompts, checks included, each as it looks to what was fitted without it.
        n: training prompts.
        best_single: the model that quality and cost are compared with.
        predictor: of quality, fitted on the same table.
        costs: of the predictor's models, fitted on the same table.
    """

    climbs: Mapping[str | None, Climb]
    price: float
    plain: tuple[validators.Spec, ...]
    expected: Kept
    n: int
    best_single: str
    predictor: Predictor
    costs: ExpectedCost

    @property
    def ladder(self) -> tuple[str, ...]:
        """Names of models, cheap to dear, for prompts whose task has no ladder of its own."""
        return self.climbs[None].ladder

    @property
    def ladders(self) -> dict[str, tuple[str, ...]]:
        """Those of tasks that have one of their own."""
        return {task: climb.ladder for task, climb in self.climbs.items() if task is not None}

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks, to pass as `validate`."""
        own = {task: self._check(climb) for task, climb in self.climbs.items()}
        by_task = (ByTask("cascade", own),) if any(own.values()) else ()
        return (*validators.build(self.plain, namespace={}, judge_model=None), *by_task)

    @property
    def settings(self) -> dict[str, Any]:
        """For `orch.configure`."""
        return {"cascade.ladder": self.ladder, "cascade.ladders": self.ladders}

    @property
    def statement(self) -> str:
        """What it is and what to expect of it, in a sentence or two."""
        tasks: dict[str, list[str]] = {}
        for task, climb in self.climbs.items():
            if task is not None:
                tasks.setdefault(str(climb), []).append(task)
        own = [f"{', '.join(named)}: {climb}" for climb, named in tasks.items()]
        told = "; ".join([*own, f"else {self.climbs[None]}"]) if own else str(self.climbs[None])
        return (
            f"{told}. On {self.n:,} training prompts, each judged by the others: {_told_of(self.expected, self.best_single)}. "
            "That was the choice of many, so on new prompts expect a little less quality."
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
        if found is None or "climbs" not in found[1]:
            raise InputError(
                f"{file} holds no cascade that can be used here.",
                fix="Fit it again with fit_cascade: the file is missing, damaged, or of another version or embedder.",
            )
        return _fitted(*found)

    def _check(self, climb: Climb) -> Check | None:
        if climb.learned is None:
            return None if climb.second is None else Second(f"second:{climb.second}", climb.second)
        return GainCheck("gain", climb.learned, self.price, self._predicted, self._cost, self.predictor.embedder)

    def _predicted(self, request: Request, models: Sequence[str]) -> Floats:
        at = [self.predictor.models.index(name) for name in models]
        found: Floats = self.predictor.predict([request.prompt], [request.task])[0, at]
        return found

    def _cost(self, request: Request, model: str) -> float:
        return float(self.costs.predict([request.prompt])[0, self.predictor.models.index(model)])


def fit_cascade(
    table: str | os.PathLike[str] | pd.DataFrame,
    *,
    keep: float = 0.99,
    spend: float | None = None,
    checks: Sequence[validators.Spec] = ("nonempty", "refusal"),
    embedder: Embedder | None = None,
    seed: int = 0,
) -> FittedCascade:
    """Choose the ladder of every task, its second opinion and its learned check on a table with recorded answers.

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
    answered = train.take(train.complete).different
    if answered < LEAST:
        said = f"{answered} different prompts that every model answered are too few."
        raise InputError(said, fix=f"Give {LEAST} at the least.")
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
    predictor.embedder = plain  # what remembers never forgets, and is for no session
    expected = Kept(
        quality=float(run.quality[t].mean()),
        cost_usd=float(run.cost[t].mean()),
        best_single_quality=float(whole.outcomes.scores[:, strong].mean()),
        best_single_cost_usd=float(whole.outcomes.costs[:, strong].mean()),
    )
    return FittedCascade(
        climbs=_climbs(family, family.ladders[t]),
        price=family.ladders[t].price,
        plain=tuple(checks),
        expected=expected,
        n=len(whole),
        best_single=train.models[strong],
        predictor=predictor,
        costs=costs,
    )


def _told_of(kept: Kept, best_single: str) -> str:
    """What was kept and saved, in words, as far as there was something to keep and to save."""
    share = f"{kept.share:.1%} of {best_single}'s quality" if kept.best_single_quality else f"quality {kept.quality:.3f}"
    return f"{share} for {kept.saved:.0%} less" if kept.best_single_cost_usd else f"{share}, and {best_single} costs nothing"


def _climbs(family: CascadeFamily, setting: Setting) -> dict[str | None, Climb]:
    """By task, those that are not as all others."""
    return {
        task: Climb(
            ladder=tuple(family.models[j] for j in ladder.rungs),
            second=None if ladder.second is None else family.models[ladder.second],
            learned=family.learned[ladder.key] if ladder.learned else None,
        )
        for task, ladder in setting.ladders.items()
        if task is None or ladder != setting.ladders[None]
    }


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
    return {
        "climbs": [
            {"task": task, "ladder": climb.ladder, "second": climb.second, "learned": _told(climb.learned)}
            for task, climb in fitted.climbs.items()
        ],
        "price": fitted.price,
        "plain": list(fitted.plain),
        "expected": asdict(fitted.expected),
        "n": fitted.n,
        "best_single": fitted.best_single,
        "costs": {name: getattr(fitted.costs, name).tolist() for name in _COSTS},
    }


def _told(learned: Gained | None) -> dict[str, Any] | None:
    if learned is None:
        return None
    models = {"own": learned.own, "other": learned.other}
    answers = {
        name: {field: getattr(model, field).tolist() for field in _WEIGHTS} | {"mean": model.mean}
        for name, model in models.items()
    }
    return answers | {name: getattr(learned, name) for name in _PLAIN}


def _heard(note: Mapping[str, Any] | None) -> Gained | None:
    if note is None:
        return None
    own, other = (
        AnswerModel(**{field: np.array(note[name][field]) for field in _WEIGHTS}, mean=note[name]["mean"])
        for name in ("own", "other")
    )
    return Gained(own=own, other=other, **{name: note[name] for name in _PLAIN})


def _fitted(predictor: Predictor, note: Mapping[str, Any]) -> FittedCascade:
    return FittedCascade(
        climbs={c["task"]: Climb(tuple(c["ladder"]), c["second"], _heard(c["learned"])) for c in note["climbs"]},
        price=note["price"],
        plain=tuple(note["plain"]),
        expected=Kept(**note["expected"]),
        n=note["n"],
        best_single=note["best_single"],
        predictor=predictor,
        costs=ExpectedCost(**{name: np.array(note["costs"][name]) for name in _COSTS}),
    )
