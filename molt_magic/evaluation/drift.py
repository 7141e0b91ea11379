"""Is a promise used on what it was calibrated for? What came of the decisions under it, beside what was calibrated."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from molt_magic.errors import InputError
from molt_magic.evaluation.betting import evidence, interval
from molt_magic.evaluation.calibrate import FIGURES
from molt_magic.evaluation.logged import Answer, answers_of
from molt_magic.evaluation.matrix import Floats
from molt_magic.providers.cassette import DEPLOYMENT, State
from molt_magic.quality import Promise, Span
from molt_magic.types import SOURCE_RANK
from molt_magic.validators.rules import UNSCORED

if TYPE_CHECKING:
    from molt_magic.log import DecisionLog

LEVEL = 0.05  # chance that a figure that has not moved is ever said to have, its calibrated span's own chance counted
FEWEST = 20  # marked answers, below which nothing is said of a figure that has not drifted


class HasPromise(Protocol):
    """An orchestrator, as far as its log, its promise and its cassette go."""

    session: str

    @property
    def log(self) -> DecisionLog: ...

    @property
    def promise(self) -> Promise | None: ...

    @property
    def cassette(self) -> State | None: ...


@dataclass(frozen=True, slots=True)
class Watched:
    """A mean in [0, 1] as it is where the promise is used, beside what was calibrated."""

    calibrated: Span
    n: int
    mean: float  # NaN where there is nothing yet
    low: float  # between these the true mean lies, 95 % surely, however often one looks
    high: float
    below: float  # highest e-value so far: evidence that the mean is, or has come to be, below all that was calibrated
    above: float

    @property
    def drifted(self) -> Literal["below", "above"] | None:
        """Whether there was evidence enough, and on which side."""
        enough = 2.0 / (LEVEL - FIGURES)
        return "below" if self.below >= enough else "above" if self.above >= enough else None

    @property
    def e_value(self) -> float:
        """The stronger evidence of both sides."""
        return max(self.below, self.above)


@dataclass(frozen=True, slots=True)
class Drift:
    """What became of a promise in use.

    Attributes:
        decisions: taken under it.
        quality: score of the answers that a person, a judge or a scoring check has marked; others do not count.
        to_best: share of the prompts that went to the best single model; it needs no marks.
    """

    promise: Promise
    decisions: int
    quality: Watched
    to_best: Watched

    @property
    def drifted(self) -> bool:
        """Whether answers or prompts are surely not what was calibrated."""
        return self.quality.drifted is not None or self.to_best.drifted is not None

    @property
    def verdict(self) -> str:
        """How it stands, in a line."""
        found = []
        if (way := self.quality.drifted) is not None:
            worse = "worse" if way == "below" else "better"
            found.append(f"answers are {worse} than calibrated (e-value {self.quality.e_value:,.3g})")
        if (way := self.to_best.drifted) is not None:
            fewer = "fewer" if way == "below" else "more"
            best = self.promise.best_single
            found.append(f"{fewer} prompts go to {best} than calibrated (e-value {self.to_best.e_value:,.3g})")
        if found:
            return f"has drifted: {', and '.join(found)}"
        return "too few marked answers yet" if self.quality.n < FEWEST else "as calibrated"

    @property
    def statement(self) -> str:
        """The verdict and the figures it rests on, a few lines."""
        q, b = self.quality, self.to_best
        taken = f"{self.decisions:,} {'decision' if self.decisions == 1 else 'decisions'} under it"
        marked = f"{q.n:,} marked {'answer' if q.n == 1 else 'answers'}, and only they count"
        return "\n".join(
            [
                f"In use: {self.verdict}.",
                f"Quality: {_live(q)}, calibrated {_calibrated(q)}; {marked}.",
                f"Prompts that go to {self.promise.best_single}: {_live(b)}, calibrated {_calibrated(b)}; {taken}.",
            ]
        )

    def __str__(self) -> str:
        return self.statement


def drift(orch: HasPromise) -> Drift:
    """How the promise in force does in use, from the log's decisions under it.

    The mark on the answer of the model that was asked first is what was calibrated. What another model answered after a
    failure or a refusal is not, and the refusals of checks that score nothing they accept are no sample.

    For either figure a bet is made with every value, in the order in which they became known, that its mean has left the
    calibrated span (`betting.evidence`): a test of level `LEVEL` that stays valid however often it is looked at. It says
    whether prompts and answers are those that were calibrated, which is what the promise holds for; the promise itself,
    against the best single model's answers to the same prompts, is not seen. Marks of some answers only, such as of those
    that annoyed, move the figure too.

    Raises:
        InputError: no promise is kept.
        ConfigError, StoreError: the promise or the log cannot be read.
    """
    promise = orch.promise
    if promise is None:
        raise InputError("No promise is kept.", fix="Calibrate one and keep it: %route calibrate TABLE --keep")
    models, scores = _taken(orch.log, promise, None if orch.cassette is None else orch.session)
    return Drift(
        promise=promise,
        decisions=len(models),
        quality=watched(scores, promise.quality),
        to_best=watched(np.array([float(model == promise.best_single) for model in models]), promise.to_best),
    )


def _taken(log: DecisionLog, promise: Promise, session: str | None) -> tuple[list[str], Floats]:
    """(the model that was asked first, a decision each, in the order made; the marks on those models' answers, in the order in
    which they were made), of one session or of all.

    A replayed answer was counted when it was given, and counts again only where a session is looked at by itself.
    """
    import pandas as pd

    log.ledger.refresh()
    frame = log.ledger.frame
    counts = frame["deployment"] != DEPLOYMENT if session is None else frame["session"] == session
    mine = frame[(frame["promise"] == promise.said) & counts]
    checked = (mine["quality_source"] == "validator") & (mine["quality"] == 0.0)
    attempts = log.columns_of(mine["decision_id"][(mine["n_attempts"] != 1) | checked].tolist(), ("attempts",))
    said = log.marked()
    when = [pd.Timestamp(said[i]) if i in said else t for i, t in zip(mine["decision_id"], mine["time"], strict=True)]
    models, marks = [], []
    columns = (mine[name].tolist() for name in ("decision_id", "model", "quality", "quality_source", "cache"))
    for at, decision_id, model, quality, source, cache in zip(when, *columns, strict=True):
        cached = cache in ("exact", "semantic")  # an answer that was marked before, if it was
        if decision_id in attempts:
            answers = answers_of(json.loads(attempts[decision_id][0]), quality, source)
            if not answers:
                continue
            model, quality, cached = answers[0].model, _mark(answers[0]), answers[0].cached
        models.append(model)
        if not math.isnan(quality) and not cached:
            marks.append((at, quality))
    marks.sort(key=lambda mark: mark[0])
    return models, np.array([quality for _, quality in marks], dtype=np.float64)


def _mark(answer: Answer) -> float:
    """The mark on an answer; NaN for the refusal of a check that would have said nothing of an answer it accepts."""
    verdict = answer.verdict
    alone = verdict is not None and not verdict.accepted and verdict.validator.partition(":")[0] in UNSCORED
    return math.nan if alone and answer.rank <= SOURCE_RANK["validator"] else answer.score


def watched(x: Floats, calibrated: Span) -> Watched:
    """A figure in use, from its values in the order in which they became known, each in [0, 1]."""
    low, high = interval(x, LEVEL)
    return Watched(
        calibrated=calibrated,
        n=len(x),
        mean=float(x.mean()) if len(x) else math.nan,
        low=low,
        high=high,
        below=float(evidence(1.0 - x, 1.0 - calibrated.low).max(initial=1.0)),
        above=float(evidence(x, calibrated.high).max(initial=1.0)),
    )


def _live(watched: Watched) -> str:
    if not watched.n:
        return "not known yet"
    return f"{watched.mean:.2f} (surely {watched.low:.2f} to {watched.high:.2f})"


def _calibrated(watched: Watched) -> str:
    span = watched.calibrated
    return f"{span.mean:.2f} ({span.low:.2f} to {span.high:.2f})"
