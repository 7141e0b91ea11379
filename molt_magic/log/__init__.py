"""The decision log: every decision a row, appended before its cell returns, never changed afterwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from itertools import compress
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from molt_magic.errors import InputError, StoreError, UnknownName
from molt_magic.log.reading import RANK, Reading, whole
from molt_magic.log.schema import COLUMNS, OPTIONAL, to_row
from molt_magic.types import Decision, Outcome

if TYPE_CHECKING:
    import sqlite3

    from molt_magic.log.ledger import Ledger
    from molt_magic.log.pruning import Pruned

Source = Literal["user", "judge", "validator"]

_OUTCOME = "decision_id, model, task, score, source, embedder, vector, prompt"


class DecisionLog(Reading):
    """An append-only SQLite file of decisions, their outcomes and what was said of them later; shared by kernels.

    Args:
        path: the file; opened, and created if need be, at the first use.
        prompts: False keeps the prompt, and messages inside attempts, out of the file.

    What a method has written survives the end of the process, kill -9 included, from the moment it returns. It is synced to
    the disk within 50 ms, without anybody waiting for it: a power cut takes what was written in the last moments at most, never
    half a row. `flush` waits for the disk, `close` does so too.

    Every method raises `StoreError`, with the fix, if the file cannot be used; nothing is half-written then, and a
    damaged file is never deleted.
    """

    def __init__(self, path: Path, *, prompts: bool = True) -> None:
        super().__init__(path)
        self.prompts = prompts

    # -- writing

    def append(self, decision: Decision, outcomes: Sequence[Outcome] = ()) -> int:
        """Write a decision and its outcomes, together or not at all; returns its row.

        Raises:
            StoreError: the file cannot be written, the decision is in it already, or holds what JSON cannot.
        """
        try:
            row = to_row(decision, prompts=self.prompts)
        except (TypeError, ValueError, RecursionError) as error:
            raise StoreError(f"Decision {decision.decision_id} cannot be logged: {error}.") from error
        optional = _optional(row)
        known = tuple([value is not None for value in optional])
        insert, given = _insert(known), [*_required(row), *compress(optional, known)]
        if not outcomes:
            return _row(self._database.write(insert, given), decision)
        with self._database.writing() as connection:
            seq = _row(connection.execute(insert, given), decision)
            _insert_outcomes(connection, outcomes, texts=self.prompts)
            return seq

    def feedback(self, decision_id: str, score: float, source: Source = "user", *, outcomes: Sequence[Outcome] = ()) -> None:
        """Say how good an answer was; see `mark`."""
        self.mark([(decision_id, score)], source, outcomes=outcomes)

    def mark(self, marks: Sequence[tuple[str, float]], source: Source = "user", *, outcomes: Sequence[Outcome] = ()) -> None:
        """Say how good answers were, all in one transaction; the newest word of the strongest source (user, judge,
        validator) counts.

        Args:
            marks: pairs of a decision's id and a score in [0, 1].
            outcomes: the same as outcomes to learn from, written in the same transaction.

        Raises:
            InputError: a score is out of range.
            UnknownName: no such decision, or no such source.
        """
        for _, score in marks:
            if not 0.0 <= score <= 1.0 or math.isnan(score):
                raise InputError(f"A score lies between 0 and 1, not {score!r}.", fix="Say 1 for good and 0 for bad.")
        if source not in RANK:
            raise UnknownName("source of feedback", source, RANK)
        with self._database.writing() as connection:
            for decision_id, _ in marks:
                if not _exists(connection, decision_id):
                    recent = connection.execute("SELECT decision_id FROM decisions ORDER BY seq DESC LIMIT 3").fetchall()
                    raise UnknownName("decision", decision_id, [known for (known,) in recent])
            now = datetime.now(UTC).isoformat()
            query = "INSERT INTO feedback (decision_id, time, score, source) VALUES (?, ?, ?, ?)"
            connection.executemany(query, [(decision_id, now, float(score), source) for decision_id, score in marks])
            _insert_outcomes(connection, outcomes, texts=self.prompts)

    def add_outcomes(self, outcomes: Sequence[Outcome]) -> int:
        """Write outcomes that belong to no new decision (an imported table, a late judgement); returns how many were new.

        An imported one that says of its answer what is known already is left out.
        """
        with self._database.writing() as connection:
            known = connection.execute("SELECT decision_id, model, score FROM outcomes WHERE source = 'imported' ORDER BY seq")
            said: dict[tuple[str, str], float] = {(decision_id, model): score for decision_id, model, score in known}
            new = []
            for outcome in outcomes:
                about = (outcome.decision_id, outcome.model)
                if outcome.source == "imported" and said.get(about) == outcome.score:
                    continue
                if outcome.source == "imported":
                    said[about] = outcome.score
                new.append(outcome)
            _insert_outcomes(connection, new, texts=self.prompts)
            return len(new)

    def prune(self, *, before: datetime | None = None, keep: int = 0, outcomes: bool = False) -> Pruned:
        """Take the oldest decisions out of the log for good, with what was said of them, and make the file smaller.

        Out go those that are older than `before` and not among the newest `keep`. What was learned from them stays, with
        their prompts, and budgets go on counting what they cost. Nothing is ever pruned unasked.

        Args:
            before: a time with its zone; None: of any age.
            keep: how many of the newest stay in any case.
            outcomes: take out what was learned from them, too; predicted quality is then fitted anew.

        Raises:
            InputError: neither `before` nor `keep` says which, or one makes no sense.
            StoreError: the log cannot be written; whole decisions are out until then.
        """
        from molt_magic.log.pruning import prune

        if before is None and keep == 0:
            raise InputError("It must be said which decisions may go.", fix="Give before=TIME, keep=NUMBER, or both.")
        keep = whole(keep, "{} decisions cannot be kept.")
        if before is not None and (not isinstance(before, datetime) or before.tzinfo is None):
            raise InputError("The time has no zone.", fix="Write: datetime.now(UTC) - timedelta(days=30).")
        return prune(self._database, before=before, keep=keep, outcomes=outcomes, size=self._bytes)

    # -- reading, beside what `Reading` has

    @cached_property
    def ledger(self) -> Ledger:
        """The light columns of every decision in memory, one for all who look at this log; `refresh` brings it up to date."""
        from molt_magic.log.ledger import Ledger

        return Ledger(self)

    # -- the file

    def flush(self) -> None:
        """Wait until all that was written through this log is on the disk: then it survives a power cut too.

        Raises:
            StoreError: the disk refuses it.
        """
        if self._opened is not None:
            self._opened.flush()

    def close(self) -> None:
        """Flush and close the file; a later use opens it again."""
        if self._opened is not None:
            self._opened.close()


# sqlite3 looks for an adapter for every None, which takes as long as five numbers: what is None is left out
_required, _optional = (
    itemgetter(*[i for i, name in enumerate(COLUMNS) if (name in OPTIONAL) is optional]) for optional in (False, True)
)


@lru_cache(maxsize=64)
def _insert(known: tuple[bool, ...]) -> str:
    """Args: known: of each of the optional columns whether it has a value."""
    columns = [*_required(COLUMNS), *compress(_optional(COLUMNS), known)]
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO decisions ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT (decision_id) DO NOTHING"  # noqa: S608  # our own names


def _row(written: sqlite3.Cursor, decision: Decision) -> int:
    """Of a decision that was inserted. Raises StoreError: it was not."""
    if not written.rowcount:
        raise StoreError(f"Decision {decision.decision_id} is in the log already.", fix="Give every decision its own id.")
    return int(written.lastrowid or 0)


def _exists(connection: sqlite3.Connection, decision_id: str) -> bool:
    return connection.execute("SELECT 1 FROM decisions WHERE decision_id = ?", (decision_id,)).fetchone() is not None


def _insert_outcomes(connection: sqlite3.Connection, outcomes: Sequence[Outcome], *, texts: bool) -> None:
    marks = ", ".join("?" * 8)
    connection.executemany(
        f"INSERT INTO outcomes ({_OUTCOME}) VALUES ({marks})",  # noqa: S608  # our own column names
        [
            (o.decision_id, o.model, o.task, o.score, o.source, o.embedder, o.vector, o.prompt)
            if texts and o.source == "imported" and o.prompt
            else (o.decision_id, o.model, o.task, o.score, o.source, o.embedder, o.vector, None)
            for o in outcomes
        ],
    )


__all__ = ["DecisionLog"]
