"""What is held for calls in flight, by all processes of this machine: a small file beside the log.

A row a call: first the most that it can cost, then, once it has ended, what it did cost, until its decision is in the log.
What a process held that died is free again; what it had spent on a decision that never reached the log is kept as spent on that
day, as is what questions cost that are kept out of the log: a sum a day, nothing else of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import TYPE_CHECKING

from molt_magic.errors import StoreError
from molt_magic.orchestrator.budget.presence import Presence

if TYPE_CHECKING:
    import sqlite3

    from molt_magic.log.database import Database

FILE, PRESENCE = "budget.sqlite", "budget.lock"
_VERSION = 1
_TABLES = (
    """
    CREATE TABLE holds (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        owner INTEGER NOT NULL,
        session TEXT NOT NULL,
        decision_id TEXT NOT NULL,
        day TEXT NOT NULL,
        usd REAL NOT NULL,
        settled INTEGER NOT NULL DEFAULT 0
    )
    """,
    "CREATE TABLE unlogged (day TEXT PRIMARY KEY, usd REAL NOT NULL, unknown INTEGER NOT NULL)",
)

InLog = Callable[[list[str]], set[str]]  # which of these decisions are in the log
_Row = tuple[str, str, float, int]  # session, decision_id, usd, settled


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar day where the user is."""

    name: str  # ISO 8601
    begin: str  # ISO 8601, UTC, as decisions have their times
    end: str

    @classmethod
    def of(cls, now: datetime) -> Day:
        """The day of a local time without a zone; it may have 23 or 25 hours."""
        today = now.date()
        begin, end = (datetime.combine(day, time_of_day.min).astimezone(UTC) for day in (today, today + timedelta(days=1)))
        return cls(today.isoformat(), begin.isoformat(), end.isoformat())


@dataclass(frozen=True, slots=True)
class Held:
    """What the file says at one moment."""

    rows: tuple[_Row, ...] = ()  # without what the log has counted already
    unlogged_usd: float = 0.0  # spent today by questions that are not in the log
    unlogged_unknown: int = 0  # of which so many had a call whose price is not known

    def reserved(self, session: str | None = None) -> float:
        """USD that the calls in flight can cost at the most; of a session, or of all."""
        return sum(usd for of, _, usd, settled in self.rows if not settled and session in (None, of))

    def spent(self, session: str | None = None) -> float:
        """USD that questions under way have cost so far. Whenever that was: they will be logged when they end."""
        return sum(usd for of, _, usd, settled in self.rows if settled and session in (None, of))


class Holds:
    """The file; for threads and processes to share.

    Args:
        folder: where it is; made for the user only, when it is first needed.

    Every method raises `StoreError`, with the fix, if the file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._presence = Presence(folder / PRESENCE)
        self._opened: Database | None = None

    def exists(self) -> bool:
        """Whether anything was ever held."""
        return (self.folder / FILE).exists()

    def read(self, day: Day, in_log: InLog) -> Held:
        """What the file says on this day."""
        with self._database.reading() as connection:
            return _held(connection, day, in_log)

    @contextmanager
    def alone(self, day: Day, in_log: InLog) -> Iterator[tuple[Held, Callable[[str, str, float], int]]]:
        """What the file says, and a function that holds (session, decision_id, USD) and returns the row's id; meanwhile no
        other process holds or settles anything. What dead processes held is freed first, where there is any."""
        with self._database.writing() as connection:
            own = self._presence.own()
            dead = [
                owner
                for (owner,) in connection.execute("SELECT DISTINCT owner FROM holds WHERE owner != ?", (own,))
                if not self._presence.alive(owner)
            ]
            for owner in dead:
                _bury(connection, owner, in_log)

            def hold(session: str, decision_id: str, usd: float) -> int:
                query = "INSERT INTO holds (owner, session, decision_id, day, usd) VALUES (?, ?, ?, ?, ?)"
                return int(connection.execute(query, (own, session, decision_id, day.name, usd)).lastrowid or 0)

            yield _held(connection, day, in_log), hold

    def settle(self, row: int, usd: float) -> None:
        """Put what a call cost in place of what was held for it."""
        with self._database.writing() as connection:
            if usd:
                connection.execute("UPDATE holds SET usd = ?, settled = 1 WHERE id = ?", (usd, row))
            else:
                connection.execute("DELETE FROM holds WHERE id = ?", (row,))

    def forget(self, decision_id: str) -> None:
        """Drop the rows of a decision that is in the log."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM holds WHERE decision_id = ?", (decision_id,))

    def keep(self, decision_id: str, day: Day, usd: float, unknown: bool) -> None:
        """Turn the rows of a decision that will not be in the log into a part of its day's sum."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM holds WHERE decision_id = ?", (decision_id,))
            _add(connection, day.name, usd, int(unknown))

    def close(self) -> None:
        """Close the file; a later use opens it again."""
        if self._opened is not None:
            self._opened.close()

    @property
    def _database(self) -> Database:
        if self._opened is None:
            from molt_magic.log.database import Database  # sqlite3 is not loaded by importing the package

            self._opened = Database(self.folder / FILE, name="file of budgets", prepare=_prepare, synchronous="NORMAL")
        return self._opened


def _held(connection: sqlite3.Connection, day: Day, in_log: InLog) -> Held:
    rows: list[_Row] = connection.execute("SELECT session, decision_id, usd, settled FROM holds").fetchall()
    if settled := list({decision_id for _, decision_id, _, done in rows if done}):
        counted = in_log(settled)
        rows = [row for row in rows if not row[-1] or row[1] not in counted]
    kept = connection.execute("SELECT usd, unknown FROM unlogged WHERE day = ?", (day.name,)).fetchone()
    return Held(tuple(rows), *(kept or (0.0, 0)))


def _bury(connection: sqlite3.Connection, owner: int, in_log: InLog) -> None:
    """Free what a dead process held, and keep what it had spent on decisions that are not in the log."""
    query = "SELECT decision_id, day, usd FROM holds WHERE owner = ? AND settled"
    spent = connection.execute(query, (owner,)).fetchall()
    counted = in_log([decision_id for decision_id, _, _ in spent]) if spent else set()
    for decision_id, day, usd in spent:
        if decision_id not in counted:
            _add(connection, day, usd, 0)
    connection.execute("DELETE FROM holds WHERE owner = ?", (owner,))


def _add(connection: sqlite3.Connection, day: str, usd: float, unknown: int) -> None:
    connection.execute(
        "INSERT INTO unlogged VALUES (?, ?, ?) ON CONFLICT (day) DO UPDATE SET usd = usd + ?, unknown = unknown + ?",
        (day, usd, unknown, usd, unknown),
    )


def _prepare(connection: sqlite3.Connection, path: object) -> None:
    """Make the tables; several processes may try at once. Raises StoreError for a file of a newer version."""
    if (version := _version(connection)) == 0:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if (version := _version(connection)) == 0:
                for statement in _TABLES:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
                version = _VERSION
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    if version != _VERSION:
        raise StoreError(
            f"The file of budgets {path} was written by a newer molt_magic.", fix="Update with: pip install -U molt-magic."
        )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
