"""Outcomes: what verdicts and thumbs teach about the models, written to the log and read back by every kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Literal

from molt_magic.embed import Embedder
from molt_magic.errors import InputError, UnknownName
from molt_magic.log import DecisionLog
from molt_magic.providers.cassette import DEPLOYMENT
from molt_magic.quality import QualityModel
from molt_magic.types import Attempt, Decision, Outcome


class Learning:
    """Keeps predicted quality up to date with the log.

    Args:
        log: where outcomes are kept; None while logging is off, then nothing is learned.
        quality: what learns.
        embedder: makes the vectors that outcomes are compared by.
        afresh: begin without what is in the log. What is decided over a cassette depends on nothing but the cassette.
    """

    def __init__(
        self, *, log: Callable[[], DecisionLog | None], quality: QualityModel, embedder: Embedder, afresh: bool = False
    ) -> None:
        self.log = log
        self.quality = quality
        self.embedder = embedder
        self._seen = found.last_outcome() if afresh and (found := log()) is not None else 0

    def catch_up(self) -> None:
        """Take in what this or another kernel has logged since the last time."""
        if (log := self.log()) is not None:
            outcomes, self._seen = log.outcomes_since(self._seen)
            self.quality.learn(outcomes)

    def outcomes(self, decision: Decision, attempts: Sequence[Attempt]) -> list[Outcome]:
        """What the verdicts on a request's own new answers teach.

        An acceptance without a score says nothing about quality and teaches nothing; a refusal always does, unless it is
        an estimate itself.
        """
        found = []
        for attempt in attempts:
            verdict = attempt.verdict
            if verdict is None or verdict.source == "learned":
                continue
            if attempt.cache not in ("miss", "off") or attempt.call.purpose != "answer":
                continue
            score = verdict.score if verdict.accepted or verdict.score is not None else 0.0
            if score is not None:
                found.append(self._outcome(decision, attempt.call.model, score, verdict.source))
        return found

    def thumb(self, decision_id: str, score: float, source: Literal["user", "judge"]) -> None:
        """Write down how good a logged answer was. Raises InputError or UnknownName."""
        if not isinstance(score, Real) or not 0.0 <= score <= 1.0:
            raise InputError(f"A score must be a number between 0 and 1, not {score!r}.", fix="Say 1 for good and 0 for bad.")
        log = self.log()
        decision = None if log is None else log.get(decision_id)
        if log is None or decision is None:
            raise UnknownName("decision", str(decision_id), [])
        outcomes = [self._outcome(decision, decision.model, score, source)] if decision.model else []
        log.feedback(decision_id, score, source, outcomes=self.lasting(decision, outcomes))
        self.catch_up()

    def lasting(self, decision: Decision, outcomes: list[Outcome]) -> list[Outcome]:
        """The outcomes that belong into the log. A replayed answer teaches this session only: it was counted long ago."""
        if decision.deployment != DEPLOYMENT:
            return outcomes
        self.quality.learn(outcomes)
        return []

    def _outcome(self, decision: Decision, model: str, score: float, source: Literal["validator", "judge", "user"]) -> Outcome:
        vector = self.embedder.embed([decision.prompt])[0].tobytes() if decision.prompt else b""
        return Outcome(
            decision.decision_id, model, decision.task, score, source, self.embedder.id, vector, decision.prompt or ""
        )
