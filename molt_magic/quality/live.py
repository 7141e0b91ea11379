"""Predicted quality as it is used while answering: what was fitted, moved by what came in since."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from molt_magic.embed import Embedder
from molt_magic.quality.fit import GROWTH, MOST_NEW, Fit, KeptFit
from molt_magic.quality.lengths import Answered, Lengths
from molt_magic.quality.outcomes import Record, Vector, table_of
from molt_magic.quality.prediction import PRIOR_OUTCOMES, Prediction, low, moved, predicted
from molt_magic.quality.predictor import NEIGHBOURS, Predictor
from molt_magic.quality.prior import shipped
from molt_magic.quality.single import Foreseen
from molt_magic.types import ModelSpec, Outcome, Predicted

logger = logging.getLogger("molt_magic")

ENOUGH = 200  # outcomes from which a fit is better than neighbours alone
_FELT = 0.1  # logits from which a prompt is told to be hard or easy
_LAST = 20  # answers of a model by which it is known how far a fit has seen


class _Known(NamedTuple):
    """How far a fit has seen of what was learned until now."""

    new: int | None  # outcomes and corrections that it has not seen; None: the log it was made of is gone, or pruned
    seen: dict[str, int]  # of each model how many of the outcomes that are here it has; those come first


class QualityModel:
    """Learns from outcomes and predicts; thread-safe.

    Args:
        embedder_id: outcomes whose vectors came from another embedder count by task only.
        embedder: the embedder itself; None: nothing is ever fitted, neighbours are all there is.
        path: the file that keeps the fit between sessions; None: it is kept in memory only.
        older: outcomes from before the first that `learn` was given, oldest first: for a fit, in whose thread it is called.
    """

    def __init__(
        self,
        *,
        embedder_id: str,
        embedder: Embedder | None = None,
        path: Path | None = None,
        older: Callable[[], Iterable[Outcome]] = tuple,
    ) -> None:
        self.embedder_id = embedder_id
        self.embedder = embedder
        self._kept = KeptFit(path, embedder)
        self.older = older
        self._records: dict[str, Record] = defaultdict(Record)
        self._lengths = Lengths()
        self._lock = threading.Lock()
        self._fitting = threading.Lock()
        self._tried = 0  # how many outcomes there were when a fit was last begun in vain
        self._begins = 0  # row of the oldest outcome in the log
        self._corrected: int | None = None  # how many of the corrections are older than the fit; None: all until now
        self._fit = self._kept.load()
        self._last: tuple[object, Foreseen] | None = None  # of the last prompt, which every model is asked about
        self._known: tuple[Fit, _Known] | None = None  # until something is learned
        self._hard: tuple[str, float] | None = None  # the shift of the last prompt

    # -- learning

    def learn(self, outcomes: Iterable[Outcome], *, begins: int = 0) -> int:
        """Take in outcomes, oldest first; of several on one answer the strongest, newest word counts.

        When many are new, a fit begins in a thread of its own; until it is done they count as neighbours.

        Args:
            begins: row of the oldest outcome in the log. What was fitted on older ones, which were pruned since, is not
                believed any more.

        Returns:
            How many said something new.
        """
        with self._lock:
            before = self._size()
            self._known = None
            for outcome in outcomes:
                self._records[outcome.model].take(outcome, embedder_id=self.embedder_id)
            new = self._size() - before
            self._begins = max(self._begins, begins)
            if self._corrected is None and self._records:
                self._corrected = self._corrections()
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
            with self._kept.taking_turns():
                return self._take_another_s() or self._fit_now(self.embedder)
        except Exception as error:  # noqa: BLE001 - it runs in a thread of its own, and neighbours do without it
            logger.warning("predicted quality could not be fitted: %s", error)
            return False
        finally:
            self._fitting.release()

    def _take_another_s(self) -> bool:
        """Take the fit that another kernel kept meanwhile, if it is newer and one of our own would hardly know more."""
        found = self._kept.load()
        if found is None:
            return False
        with self._lock:
            new = self._new_since(found)
            if new is None or new >= found.enough_new:  # it is of a log that is gone, or has become old
                return False
            own = None if self._fit is None else self._new_since(self._fit)
            if own is not None and own <= new:
                return False
            self._use(found)
        return True

    def _fit_now(self, embedder: Embedder) -> bool:
        records: dict[str, Record] = defaultdict(Record)
        for outcome in self.older():
            records[outcome.model].take(outcome, embedder_id=self.embedder_id)
        with self._lock:
            for model, record in self._records.items():
                records[model].take_all(record)
            corrected, begins = self._corrections(), self._begins
        table = table_of(records, embedder.dim)
        if np.count_nonzero(~np.isnan(table.scores)) < ENOUGH:
            return False
        predictor = Predictor(embedder=embedder)
        predictor.fit(table.prompts, table.scores, table.models, table.tasks, vectors=table.vectors)
        fit = Fit(
            predictor,
            seen={model: len(record.scores) for model, record in records.items()},
            last={model: record.newest(_LAST) for model, record in records.items()},
            begins=begins,
        )
        with self._lock:
            self._use(fit, corrected)
        self._kept.keep(fit)
        return True

    def _use(self, fit: Fit, corrected: int | None = None) -> None:
        self._fit, self._known, self._last, self._tried = fit, None, None, 0
        self._corrected = self._corrections() if corrected is None else corrected

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
        """Predicted quality of `spec` for a prompt; see `predict_each`."""
        return Prediction(*self.predict_each([spec], task=task, vector=vector, prompt=prompt)[0])

    def predict_each(
        self, specs: Iterable[ModelSpec], *, task: str | None, vector: Vector | None, prompt: str = ""
    ) -> list[Predicted]:
        """Predicted quality of each of some models for a prompt, as plain tuples: every question has them for every model.

        Args:
            specs: the models; the `prior_quality` of each counts as PRIOR_OUTCOMES outcomes.
            task: the prompt's task where known.
            vector: float32 of shape (dim,), unit length; None: by task only.
            prompt: its text; without it, or without a vector, what was fitted cannot be asked.
        """
        with self._lock:
            found = self._assessed(prompt, task, vector)
            if found is not None and self._fit is not None:
                seen = self._known_to(self._fit).seen
                return [self._fitted(spec, self._fit, seen, found, task, vector) for spec in specs]
            shift = self._shifted(prompt) if prompt else None
            said = "prior only"
            if shift is not None and abs(shift) >= _FELT:
                said = f"prior, for a prompt this {'easy' if shift > 0 else 'hard'}"
            predictions: list[Predicted] = []
            for spec in specs:
                prior = spec.prior_quality
                expected = prior if shift is None else moved(prior, shift)
                sure = expected if expected < prior else prior
                if (record := self._records.get(spec.name)) is None:  # as `_predicted` has it, without the pains
                    predictions.append((expected, low(sure, PRIOR_OUTCOMES), 0.0, said))
                else:
                    predictions.append(predicted(record, task, vector, expected, sure, PRIOR_OUTCOMES, said))
            return predictions

    def expected_tokens(self, model: str, task: str | None, prompt: str, limit: int | None) -> int:
        """Expected length in tokens of the model's answer to this prompt, under the request's limit."""
        return self.expected_tokens_each([model], task, prompt, limit)[0]

    def expected_tokens_each(self, models: Iterable[str], task: str | None, prompt: str, limit: int | None) -> list[int]:
        """The same of each of some models."""
        with self._lock:
            means = self._lengths.expected_each(models, task, prompt)
        return [int(min(mean, limit) if limit else mean) for mean in means]

    def answers_seen(self, model: str) -> float:
        """How many answers of a model its expected lengths rest on."""
        with self._lock:
            return self._lengths.seen(model)

    # -- within

    def _fitted(
        self, spec: ModelSpec, fit: Fit, seen: Mapping[str, int], found: Foreseen, task: str | None, vector: Vector | None
    ) -> Predicted:
        """What a fit and what came in since say of a model. To one that was not fitted a prompt is as hard as to those that
        were."""
        record, models = self._records.get(spec.name), fit.predictor.models
        if spec.name not in models:
            expected = moved(spec.prior_quality, found.easier)
            return predicted(record, task, vector, expected, expected, PRIOR_OUTCOMES, "prior only")
        j = models.index(spec.name)
        expected, near = found.quality[j], found.neighbours[j]
        said = f"fitted on {fit.seen.get(spec.name, 0):,} outcomes, {near} of them among the {NEIGHBOURS} nearest prompts"
        worth = PRIOR_OUTCOMES + found.n[j]
        return predicted(record, task, vector, expected, expected, worth, said, seen.get(spec.name, 0))

    def _assessed(self, prompt: str, task: str | None, vector: Vector | None) -> Foreseen | None:
        """What was fitted says of a prompt, for all models at once; None: nothing was, or it cannot be asked."""
        fit = self._fit
        if fit is None or vector is None or not prompt:
            return None
        if self._new_since(fit) is None:
            return None
        key = (prompt, task, vector.tobytes())
        if self._last is None or self._last[0] != key:
            self._last = (key, fit.predictor.foresee(prompt, task, vector))
        return self._last[1]

    def _shifted(self, prompt: str) -> float:
        if self._hard is None or self._hard[0] != prompt:
            self._hard = (prompt, shipped().shift(prompt))
        return self._hard[1]

    def _due(self) -> bool:
        if self.embedder is None:
            return False
        size, new = self._size(), None if self._fit is None else self._new_since(self._fit)
        if self._fit is not None and new is not None and new < self._fit.enough_new:
            return False
        return size >= max(ENOUGH, min(GROWTH * self._tried, self._tried + MOST_NEW))

    def _new_since(self, fit: Fit) -> int | None:
        """How many outcomes and corrections a fit has not seen; None: the log it was made of is gone, or was pruned since, and
        what it taught with it."""
        return self._known_to(fit).new

    def _known_to(self, fit: Fit) -> _Known:
        if self._known is None or self._known[0] is not fit:
            places = {model: record.after(fit.last.get(model, ())) for model, record in self._records.items()}
            seen = {model: place for model, place in places.items() if place}
            new = self._size() - sum(seen.values()) - (self._corrected or 0) if seen and fit.begins >= self._begins else None
            self._known = fit, _Known(new, seen)
        return self._known[1]

    def _size(self) -> int:
        return sum(len(record.scores) for record in self._records.values()) + self._corrections()

    def _corrections(self) -> int:
        return sum(record.corrected for record in self._records.values())
