"""The word `learned` among the validators: a check by what the log's own marked answers have taught of each model's."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from molt_magic.embed import Embedder
from molt_magic.errors import MoltError
from molt_magic.log import DecisionLog
from molt_magic.types import Candidate, Outcome
from molt_magic.validators.learned import AnswerModel, Learned, LearnedCheck, answer_features, joined

LEAST = 50  # marked answers of a model, below which nothing is said of its answers
LEAST_OF_A_KIND = 5  # good ones, and bad ones
MOST = 2_000  # the newest marked answers of a model
GOOD = 0.5  # the score from which an answer counts as a good one
GROWTH = 4  # a quarter more marks make a new fit


@dataclass(frozen=True, slots=True)
class _Marked:
    """A marked answer as it looked before it was marked."""

    prompt: str
    answer: str
    predicted: float  # quality of the model for the prompt, predicted when it was asked
    score: float  # in [0, 1]


@dataclass(frozen=True, slots=True)
class _Known:
    """What was learned of one model's answers, and of how much."""

    learned: Learned | str
    marked: int  # answers
    newest: int  # outcome in the log


class LearnedAnswers:
    """Learns P(an answer is good) of each model from the answers of it that users, judges and checks have marked.

    At the first use, and anew when so many outcomes came in that this model's may have grown by a quarter. Thread-safe.

    Args:
        log: where marked answers are; None: there is nothing to learn from, and the check abstains.
        embedder: of answers.
    """

    def __init__(self, *, log: Callable[[], DecisionLog | None], embedder: Callable[[], Embedder]) -> None:
        self.log = log
        self.embedder = embedder
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def check(self, name: str, threshold: float, candidates: Sequence[Candidate]) -> LearnedCheck:
        """The check for one question.

        Args:
            threshold: P(good) from which an answer is accepted, in [0, 1].
            candidates: with their predicted quality for the question.
        """
        predicted = {c.name: c.predicted_quality for c in candidates}
        return LearnedCheck(name, self.of, threshold, lambda _, model: predicted[model], self.embedder())

    def of(self, model: str) -> Learned | str:
        """What was learned of a model's answers, or why nothing was."""
        log = self.log()
        if log is None:
            return "there is no log to learn from"
        with self._lock:
            try:
                newest = log.last_outcome()
                known = self._known.get(model)
                if known is None or newest - known.newest >= max(1, known.marked // GROWTH):
                    marked = marked_answers(log, model)
                    known = self._known[model] = _Known(self._fitted(model, marked), len(marked), newest)
            except MoltError as error:  # a check that cannot do its work abstains
                return f"nothing could be learned: {error.message}"
        return known.learned

    def _fitted(self, model: str, marked: Sequence[_Marked]) -> Learned | str:
        scores = np.array([m.score for m in marked])
        good = int((scores >= GOOD).sum())
        if len(marked) < LEAST or min(good, len(marked) - good) < LEAST_OF_A_KIND:
            return (
                f"it needs {LEAST} marked answers of {model}, {LEAST_OF_A_KIND} of them good and {LEAST_OF_A_KIND} bad, "
                f"and has {good} good and {len(marked) - good} bad"
            )
        embedder = self.embedder()
        said = answer_features([m.prompt for m in marked], [m.answer for m in marked], embedder)
        features = joined(said, np.array([m.predicted for m in marked]), None)
        return Learned(AnswerModel.fit(features, scores, dim=embedder.dim)[0], len(marked))


def marked_answers(log: DecisionLog, model: str) -> list[_Marked]:
    """The newest answers of a model that were marked and whose texts the log has; of the same answer the newest mark."""
    outcomes = [o for o in log.outcomes() if o.model == model and o.source != "imported"][-MOST:]
    rows = log.columns_of([o.decision_id for o in outcomes], ("prompt", "attempts", "candidates"))
    found: dict[tuple[str, str], _Marked] = {}
    for outcome in outcomes:
        marked = _marked(outcome, *rows[outcome.decision_id]) if outcome.decision_id in rows else None
        if marked is not None:
            found[marked.prompt, marked.answer] = marked
    return list(found.values())


def _marked(outcome: Outcome, prompt: str | None, attempts: str, candidates: str) -> _Marked | None:
    """Args: the decision's columns as they are stored."""
    answers: list[dict[str, Any]] = [
        a
        for a in json.loads(attempts)
        if a["model"] == outcome.model and a["purpose"] == "answer" and not a["error"] and a["text"]
    ]
    considered = [c for c in json.loads(candidates) if c["model"] == outcome.model]
    predicted = [c["predicted_quality"] for c in considered if "predicted_quality" in c]
    if not prompt or not answers or not predicted:
        return None
    return _Marked(prompt, answers[-1]["text"], predicted[0], outcome.score)
