"""What answers teach about the models: verdicts and thumbs how good they are, lengths what they cost. Kept in the log, and
read back by every kernel."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

from molt_magic.embed import Embedder
from molt_magic.errors import InputError, UnknownName
from molt_magic.log import DecisionLog
from molt_magic.orchestrator.marks import Mark, checked, some
from molt_magic.providers.cassette import DEPLOYMENT
from molt_magic.quality import Answered, QualityModel
from molt_magic.quality.tables import read_outcomes
from molt_magic.types import Attempt, Decision, Outcome

if TYPE_CHECKING:
    import pandas as pd

MOST_DECISIONS = 4_000  # the newest, whose answers say how long answers are
MOST_OUTCOMES = 10_000  # the newest, that a kernel reads before its first question ...
MOST_OLDER = 100_000  # ... and before those, that a fit rests on: it has a thread of its own
_CHUNK = 1000  # rows read at a time


class Learning:
    """Keeps predicted quality and expected lengths up to date with the log.

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
        self.afresh = afresh
        self._lock = threading.Lock()
        self._read: DecisionLog | None = None  # the log that was last taken in ...
        self._version: tuple[int, int, int] | None = None  # ... as it was then
        self._answered = 0  # row of the newest decision whose lengths were taken in
        self._began: int | None = None  # row of the last outcome that was there and not taken in
        self._seen = 0  # row of the newest outcome that was taken in
        if afresh and (found := log()) is not None:
            self._began = self._seen = found.last_outcome()

    def catch_up(self) -> None:
        """Take in what this or another kernel has logged since the last time."""
        if (log := self.log()) is not None:
            with self._lock:  # feedback comes from the user's thread while a question is under way in another
                version = log.version()
                if version == self._version and log is self._read:
                    return
                if self._began is None:
                    self._began = self._seen = max(0, log.last_outcome() - MOST_OUTCOMES)
                    self.quality.learn((), begins=log.first_outcome())
                outcomes, self._seen = log.outcomes_since(self._seen)
                self.quality.learn(outcomes)
                if not self.afresh:
                    self._read_lengths(log)
                self._read, self._version = log, version

    def older(self) -> Iterator[Outcome]:
        """Outcomes from before those that were taken in, oldest first: for a fit. Between two chunks the log is free."""
        log, end = self.log(), self._began or 0
        if log is None or self.afresh:
            return
        row = max(0, end - MOST_OLDER)
        while row < end:
            outcomes, row = log.outcomes_since(row, min(_CHUNK, end - row))
            if not outcomes:
                return
            yield from outcomes

    def _read_lengths(self, log: DecisionLog) -> None:
        """Take in the lengths of the newest logged answers."""
        if not self._answered:
            self._answered = max(0, log.last_row() - MOST_DECISIONS)
        read = _CHUNK
        while read == _CHUNK:
            rows = log.rows_since(self._answered, ("task", "prompt", "attempts"), limit=_CHUNK)
            for _, task, prompt, attempts in rows:
                self.quality.learn_lengths(_lengths(task, prompt, json.loads(attempts)))
            self._answered, read = rows[-1][0] if rows else self._answered, len(rows)

    def logged(self, decision: Decision, attempts: Sequence[Attempt], row: int, outcomes: Sequence[Outcome]) -> None:
        """Take in a decision that was written to the log just now, without reading it again where nothing else is new.

        Args:
            attempts: of the decision.
            row: of the log.
            outcomes: that were written with it.
        """
        if outcomes or self.afresh:
            return  # the next question catches up
        with self._lock:
            if self._version is None or self._answered != row - 1 or self.log() is not self._read:
                return
            self.quality.learn_lengths(_lengths(decision.task, decision.prompt, _logged(attempts)))
            # the log as it is now, if this row is all that came to it; if not, the next question sees that it is another
            opens, others, own = self._version
            self._answered, self._version = row, (opens, others, own + 1)

    def lengths(self, decision: Decision, attempts: Sequence[Attempt], *, logged: bool) -> None:
        """Learn how long the answers of a decision were, where they cannot be read from the log (see `catch_up`)."""
        if self.afresh or not logged:
            self.quality.learn_lengths(_lengths(decision.task, decision.prompt, _logged(attempts), cassettes=self.afresh))

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

    def feedback(self, marks: Sequence[Mark], source: Literal["user", "judge"]) -> None:
        """Write down how good logged answers were: all of them or, when one row is wrong, none.

        Raises:
            InputError: a score is no number in [0, 1].
            UnknownName: no such decision.
        """
        scores = checked(marks)
        if not scores:
            return
        log = self.log()
        ids = list(dict.fromkeys(decision_id for decision_id, _ in scores))
        columns = ("model", "task", "prompt", "deployment")
        known = {} if log is None else log.columns_of(ids, columns)
        unknown = [decision_id for decision_id in ids if decision_id not in known]
        if log is None or (unknown and len(ids) == 1):
            error = UnknownName("decision", ids[0], [])
            error.fix = "The column decision_id of the log names all there are: %route log -o frame."
            raise error
        if unknown:
            raise InputError(
                f"{len(unknown):,} of {len(ids):,} decisions are not in the log: {some(unknown)}. Nothing was noted.",
                fix="Give the column decision_id as the log has it, and leave out rows without one.",
            )
        vectors = self._vectors([prompt for _, _, prompt, _ in known.values() if prompt])
        lasting: list[Outcome] = []
        passing: list[Outcome] = []
        for decision_id, score in scores:
            model, task, prompt, deployment = known[decision_id]
            if model:
                vector = vectors.get(prompt, b"")
                outcome = Outcome(decision_id, model, task, score, source, self.embedder.id, vector, prompt or "")
                (passing if deployment == DEPLOYMENT else lasting).append(outcome)
        log.mark(scores, source, outcomes=lasting)
        self.quality.learn(passing)
        self.catch_up()

    def take_in(self, table: str | os.PathLike[str] | pd.DataFrame, known: Collection[str]) -> int:
        """Learn from an outcome table; see `Orchestrator.learn`.

        Args:
            table: as for `read_outcomes`.
            known: the models of the catalog.

        Returns:
            How many of its outcomes are new.
        """
        frame = read_outcomes(table)
        frame = frame[frame["score"].notna()]
        models = sorted(frame["model"].unique())
        if len(models) and not set(models) & set(known):
            raise InputError(
                f"The table is about {some(models)}, and no model of the catalog has such a name.",
                fix=f"Rename them, as in table.replace({{'model': {{{models[0]!r}: {next(iter(known), 'name')!r}}}}}).",
            )
        texts = _texts(frame)
        vectors = self._vectors(texts)
        tasks = frame["task"] if "task" in frame.columns else [None] * len(frame)
        outcomes = [
            Outcome(_imported_id(prompt_id, text), model, task, score, "imported", self.embedder.id, vectors[text], text)
            for prompt_id, text, model, task, score in zip(
                frame["prompt_id"], texts, frame["model"], tasks, frame["score"].tolist(), strict=True
            )
        ]
        log = self.log()
        if log is None or self.afresh:
            return self.quality.learn(outcomes)
        new = log.add_outcomes(outcomes)
        self.catch_up()
        return new

    def _vectors(self, prompts: Sequence[str]) -> dict[str, bytes]:
        """The vector of every prompt, all made at once."""
        texts = list(dict.fromkeys(prompts))
        return dict(zip(texts, (row.tobytes() for row in self.embedder.embed(texts)), strict=True)) if texts else {}

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


def _lengths(
    task: str | None, prompt: str | None, attempts: Iterable[Mapping[str, Any]], *, cassettes: bool = False
) -> list[Answered]:
    """How long the answers of a decision were. What came from the cache, failed or broke off says nothing of that, nor does
    an answer from a cassette outside of its own session: it was counted long ago."""
    return [
        Answered(a["model"], task, a["output_tokens"], prompt or "", whole=a["finish_reason"] != "length")
        for a in attempts
        if a.get("purpose") == "answer"
        and a.get("cache") in ("miss", "off")
        and not a.get("error")
        and a.get("output_tokens")
        and a.get("finish_reason") in ("stop", "tool_calls", "length")
        and (cassettes or a.get("deployment") != DEPLOYMENT)
    ]


def _logged(attempts: Sequence[Attempt]) -> list[Mapping[str, Any]]:
    """Those that answered, and of them what lengths are learned from, by its names in the log."""
    return [
        {
            "model": a.call.model,
            "purpose": a.call.purpose,
            "cache": a.cache,
            "error": a.error,
            "output_tokens": a.completion.usage.output_tokens,
            "finish_reason": a.completion.finish_reason,
            "deployment": a.deployment,
        }
        for a in attempts
        if a.completion is not None
    ]


def _texts(frame: pd.DataFrame) -> list[str]:
    """What predictions look at: `prompt_short` where there is one, else the prompt."""
    if "prompt_short" not in frame.columns:
        return frame["prompt"].tolist()
    return frame["prompt_short"].where(frame["prompt_short"].notna(), frame["prompt"]).tolist()


def _imported_id(prompt_id: str, text: str) -> str:
    """The same for the same prompt of a table, whenever it is imported: a second import is another word on one answer."""
    return f"imported-{blake2b(json.dumps([prompt_id, text]).encode(), digest_size=12).hexdigest()}"
