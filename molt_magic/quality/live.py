"""Predicted quality as it is used while answering: what was fitted, moved by what came in since.

Every scored answer of a model is a piece of evidence, weighted by how much its prompt resembles this one, on top of what is
expected before: the prior of the model, moved by how hard the prompt is, or, once there are enough outcomes to fit one, what
the `Predictor` says:

    p = (k * expected + sum(w_i * score_i)) / (k + sum(w_i)),      low = p - Z * sqrt(p * (1 - p) / (k + sum(w_i) + 1))

which is the posterior mean of a Beta distribution with k pseudo-observations and its mean less Z standard deviations. That
a prompt is easy moves the first only: what is known of other models makes no saving sure.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from molt_magic.embed import Embedder
from molt_magic.errors import StoreError
from molt_magic.lock import locked
from molt_magic.quality.calibrate import log_odds
from molt_magic.quality.lengths import Answered, Lengths
from molt_magic.quality.outcomes import SAME_TASK, Record, Vector, table_of
from molt_magic.quality.predictor import NEIGHBOURS, Assessment, Predictor
from molt_magic.quality.prior import shipped
from molt_magic.quality.store import load, save
from molt_magic.types import ModelSpec, Outcome

logger = logging.getLogger("molt_magic")

PRIOR_OUTCOMES = 4.0  # how many outcomes a prior is worth
Z = 1.0  # one standard deviation: about 84 % one-sided, where a normal approximation holds
ENOUGH = 200  # outcomes from which a fit is better than neighbours alone
_FELT = 0.1  # logits from which a prompt is told to be hard or easy
GROWTH = 1.25  # times as many outcomes as the last fit had make a new one


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted quality of one model for one prompt."""

    quality: float  # in [0, 1]
    low: float  # lower confidence bound, in [0, 1]
    n: float  # effective number of outcomes
    evidence: str  # what it rests on, in words


@dataclass(frozen=True, slots=True)
class _Fit:
    """A predictor, and how many outcomes of each model it has seen: later ones are counted on top."""

    predictor: Predictor
    seen: dict[str, int]
    size: int  # outcomes, and corrections of them, until then


class QualityModel:
    """Learns from outcomes and predicts; thread-safe.

    Args:
        embedder_id: outcomes whose vectors came from another embedder count by task only.
        embedder: the embedder itself; None: nothing is ever fitted, neighbours are all there is.
        path: the file that keeps the fit between sessions; None: it is kept in memory only.
    """

    def __init__(self, *, embedder_id: str, embedder: Embedder | None = None, path: Path | None = None) -> None:
        self.embedder_id = embedder_id
        self.embedder = embedder
        self.path = path
        self._records: dict[str, Record] = defaultdict(Record)
        self._lengths = Lengths()
        self._lock = threading.Lock()
        self._fitting = threading.Lock()
        self._unkept = False  # that a fit could not be written down was told
        self._tried = 0  # how many outcomes there were when a fit was last begun
        self._fit = self._loaded()
        self._last: tuple[object, Assessment] | None = None  # of the last prompt, which every model is asked about
        self._hard: tuple[str, float] | None = None  # the shift of the last prompt

    # -- learning

    def learn(self, outcomes: Iterable[Outcome]) -> int:
        """Take in outcomes, oldest first; of several on one answer the strongest, newest word counts.

        When many are new, a fit begins in a thread of its own; until it is done they count as neighbours.

        Returns:
            How many said something new.
        """
        with self._lock:
            before = self._size()
            for outcome in outcomes:
                self._records[outcome.model].take(outcome, embedder_id=self.embedder_id)
            new = self._size() - before
            due = self._due()
            if due:
                self._tried = self._size()
        if due and not self._fitting.locked():
            threading.Thread(target=self.refit, name="molt-quality", daemon=True).start()
        return new

    def refit(self) -> bool:
        """Fit on all outcomes that have a text; whether there were enough. Takes seconds where there are thousands.

        Of several kernels one fits at a time, and the others take what it kept.
        """
        if self.embedder is None or not self._fitting.acquire(blocking=False):
            return False
        try:
            with self._taking_turns():
                return self._take_another_s() or self._fit_now(self.embedder)
        except Exception as error:  # noqa: BLE001 - it runs in a thread of its own, and neighbours do without it
            logger.warning("predicted quality could not be fitted: %s", error)
            return False
        finally:
            self._fitting.release()

    @contextmanager
    def _taking_turns(self) -> Iterator[None]:
        """Hold the lock of the kept fit; where there can be none, every kernel fits for itself."""
        with ExitStack() as held:
            if self.path is not None:
                with suppress(OSError):
                    held.enter_context(locked(self.path.with_name(f"{self.path.name}.lock"), waiting=lambda: None))
            yield

    def _take_another_s(self) -> bool:
        """Take the fit that another kernel kept meanwhile, if it is newer and one of our own would hardly know more."""
        found = self._loaded()
        if found is None:
            return False
        with self._lock:
            newer = found.size > (self._fit.size if self._fit is not None else 0)
            alike = found.size / GROWTH < self._size() < found.size * GROWTH  # else it may be of a log that is gone
            if not newer or not alike:
                return False
            self._fit, self._last = found, None
        return True

    def _fit_now(self, embedder: Embedder) -> bool:
        with self._lock:
            table = table_of(self._records, embedder.dim)
            seen, size = {model: len(record.scores) for model, record in self._records.items()}, self._size()
        if np.count_nonzero(~np.isnan(table.scores)) < ENOUGH:
            return False
        predictor = Predictor(embedder=embedder)
        predictor.fit(table.prompts, table.scores, table.models, table.tasks, vectors=table.vectors)
        with self._lock:
            self._fit, self._last = _Fit(predictor, seen, size), None
        self._keep(predictor, {"seen": seen, "size": size})
        return True

    def _keep(self, predictor: Predictor, note: Mapping[str, Any]) -> None:
        """Write down what was fitted. Where that cannot be done it is fitted anew by the next session."""
        if self.path is None:
            return
        try:
            save(predictor, self.path, note)
        except (OSError, StoreError) as error:
            level = logging.DEBUG if self._unkept else logging.WARNING
            logger.log(level, "what was fitted of predicted quality cannot be kept in %s: %s", self.path, error)
            self._unkept = True

    def learn_lengths(self, answers: Iterable[Answered]) -> None:
        """Take in how long answers were."""
        with self._lock:
            for answer in answers:
                self._lengths.learn(answer)

    # -- predicting

    def knows_anything(self) -> bool:
        """Whether any outcome was learned: without one, nobody needs to embed the prompt."""
        return bool(self._records)

    def predict(self, spec: ModelSpec, *, task: str | None, vector: Vector | None, prompt: str = "") -> Prediction:
        """Predicted quality of `spec` for a prompt.

        Args:
            spec: the model, whose `prior_quality` counts as PRIOR_OUTCOMES outcomes.
            task: the prompt's task where known.
            vector: float32 of shape (dim,), unit length; None: by task only.
            prompt: its text; without it, or without a vector, what was fitted cannot be asked.
        """
        with self._lock:
            record = self._records[spec.name] if spec.name in self._records else Record()
            found = self._assessed(prompt, task, vector)
            expected, worth, since, said = spec.prior_quality, PRIOR_OUTCOMES, 0, ""
            sure, only = expected, "prior only"
            if found is not None and self._fit is not None:
                models = self._fit.predictor.models
                if spec.name in models:
                    j = models.index(spec.name)
                    expected = sure = float(found.quality[0, j])
                    worth = PRIOR_OUTCOMES + float(found.n[0, j])
                    since = self._fit.seen.get(spec.name, 0)
                    said = (
                        f"fitted on {since:,} outcomes, {found.neighbours[0, j]} of them among the {NEIGHBOURS} nearest prompts"
                    )
                else:
                    expected = sure = _as_hard(spec.prior_quality, self._fit.predictor, found)
            elif prompt:
                shift = self._shifted(prompt)
                expected = _moved(spec.prior_quality, shift)
                sure = min(expected, spec.prior_quality)
                if abs(shift) >= _FELT:
                    only = f"prior, for a prompt this {'easy' if shift > 0 else 'hard'}"
            learned = len(record.scores) - since
            n = good = 0.0
            near = 0
            if learned:
                weights, scores = record.weights(task, vector, since=since)
                n, good, near = float(weights.sum()), float(weights @ scores), int((weights >= SAME_TASK).sum())
        mean, held = ((worth * of + good) / (worth + n) for of in (expected, sure))
        low = max(0.0, held - Z * math.sqrt(held * (1.0 - held) / (worth + n + 1.0)))
        if not said:
            said = f"{near} near of {learned} outcomes" if near else only
        elif near:
            said += f", {near} near since"
        return Prediction(mean, low, worth - PRIOR_OUTCOMES + n, said)

    def expected_tokens(self, model: str, task: str | None, prompt: str, limit: int | None) -> int:
        """Expected length in tokens of the model's answer to this prompt, under the request's limit."""
        with self._lock:
            mean = self._lengths.expected(model, task, prompt)
        return int(min(mean, limit) if limit else mean)

    def answers_seen(self, model: str) -> float:
        """How many answers of a model its expected lengths rest on."""
        with self._lock:
            return self._lengths.seen(model)

    # -- within

    def _assessed(self, prompt: str, task: str | None, vector: Vector | None) -> Assessment | None:
        """What was fitted says of a prompt, for all models at once; None: nothing was, or it cannot be asked."""
        fit = self._fit
        if fit is None or vector is None or not prompt:
            return None
        if any(model not in self._records or len(self._records[model].scores) < seen for model, seen in fit.seen.items()):
            return None  # the log it was fitted on is gone, and what it taught with it
        key = (prompt, task, vector.tobytes())
        if self._last is None or self._last[0] != key:
            self._last = (key, fit.predictor.assess([prompt], [task], vectors=vector[None]))
        return self._last[1]

    def _shifted(self, prompt: str) -> float:
        if self._hard is None or self._hard[0] != prompt:
            self._hard = (prompt, shipped().shift(prompt))
        return self._hard[1]

    def _due(self) -> bool:
        if self.embedder is None:
            return False
        return self._size() >= max(ENOUGH, GROWTH * max(self._tried, self._fit.size if self._fit is not None else 0))

    def _size(self) -> int:
        return sum(len(record.scores) + record.corrected for record in self._records.values())

    def _loaded(self) -> _Fit | None:
        found = None if self.path is None or self.embedder is None else load(self.path, self.embedder)
        if found is None:
            return None
        predictor, note = found
        seen = dict(note.get("seen", {}))
        return _Fit(predictor, seen, note.get("size", sum(seen.values())))


def _as_hard(prior: float, predictor: Predictor, found: Assessment) -> float:
    """The prior of a model that was not fitted, moved by how hard the prompt is for those that were: a shift of logits."""
    usual = float(predictor.fitted.latent.means.mean())
    return _moved(prior, log_odds(float(found.quality.mean())) - log_odds(usual))


def _moved(prior: float, shift: float) -> float:
    """A prior moved by logits."""
    return 1.0 / (1.0 + math.exp(-log_odds(prior) - shift))
