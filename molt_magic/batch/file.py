"""The file of a run that has a name: which questions were asked under which id, what came of them, and what that cost.

A question is written down with the id of its decision before it is asked, and with its answer once there is one, each time
through to the disk. So a process may die at any moment: a question with an answer is never asked again; one without is looked
up in the decision log by its id; and only what is not there either, because it was in flight, is asked again.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from molt_magic.batch.frame import ANSWERED, Row
from molt_magic.errors import InputError, StoreError
from molt_magic.files import make_folder
from molt_magic.lock import locked
from molt_magic.log.database import Database
from molt_magic.log.schema import storable

FOLDER = "runs"  # in the folder of data
_VERSION = 1
_COLUMNS = tuple(field.name for field in fields(Row) if field.name != "decision_id")
_LIST = ", ".join(_COLUMNS)
_NAME = re.compile(r"[\w][\w .-]{0,99}")
_TABLES = (
    "CREATE TABLE run (begun TEXT NOT NULL, options TEXT NOT NULL)",
    """
    CREATE TABLE questions (
        key BLOB PRIMARY KEY,
        decision_id TEXT NOT NULL,
        earlier_usd REAL NOT NULL DEFAULT 0,
        spent_usd REAL NOT NULL DEFAULT 0,
        status TEXT,
        text TEXT,
        model TEXT,
        strategy TEXT,
        cost_usd REAL,
        saved_usd REAL,
        baseline_cost_usd REAL,
        latency_s REAL,
        cache TEXT,
        error TEXT
    )
    """,
)
_BEGIN = """
    INSERT INTO questions (key, decision_id) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET decision_id = excluded.decision_id,
        earlier_usd = earlier_usd + spent_usd, spent_usd = 0, status = NULL, text = NULL, error = NULL
"""
_KEEP = f"UPDATE questions SET spent_usd = ?, decision_id = ?, {', '.join(f'{name} = ?' for name in _COLUMNS)} WHERE key = ?"  # noqa: S608  # our own names


def path_of(folder: Path, name: str) -> Path:
    """The file of the run of this name. Raises InputError for what can be no name of a file."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"A run cannot be called {name!r}.",
            fix="Use letters, digits, spaces, and . - _ , at most 100, as in resume='reviews'.",
        )
    return folder / f"{name}.sqlite"


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Have a run for oneself, for as long as this process lives at the most. Raises StoreError where another has it."""

    def taken() -> None:
        raise StoreError(
            f"The run {path.stem!r} is under way already, in another process or cell.",
            fix="Wait for it or interrupt it, or give this run another name.",
        )

    with ExitStack() as lock:
        try:
            make_folder(path.parent)
            lock.enter_context(locked(path.with_suffix(".lock"), waiting=taken))
        except OSError as error:
            raise StoreError(
                f"The run {path.stem!r} cannot be kept in {path.parent}: {error.strerror or error}.",
                fix="Make the folder yours and writable, or set MOLT_HOME to another one.",
            ) from error
        yield


def summary(path: Path) -> tuple[str, str, int, int, float]:
    """Of a run, which may be under way: when it was begun, its options as JSON, how many questions it has, how many of them
    are answered, and what it has cost, USD. Raises StoreError."""
    database = _database(path)
    try:
        with database.reading() as connection:
            counted = f"""
                SELECT COUNT(*), COALESCE(SUM(status IN {ANSWERED}), 0), COALESCE(SUM(earlier_usd + spent_usd), 0.0)
                FROM questions
            """  # noqa: S608  # constants
            begun, options = connection.execute("SELECT begun, options FROM run").fetchone() or ("", "{}")
            questions, answered, cost = connection.execute(counted).fetchone()
            return begun, options, questions, answered, cost
    finally:
        database.close()


class RunFile:
    """An open run; nobody else has it open meanwhile.

    Args:
        folder: where runs are kept; made for the user only.
        name: of the run.
        options: what shapes its answers, as JSON has it. They are kept, and must be the same each time.

    Raises:
        InputError: the name is none, or the run was begun with other options.
        StoreError: another process has the run open, or the file cannot be used.
    """

    def __init__(self, folder: Path, name: str, options: Mapping[str, Any]) -> None:
        path = path_of(folder, name)
        self.name = name
        self._database = _database(path)
        self._held = ExitStack()
        self._held.enter_context(held(path))
        try:
            self._same(options)
        except BaseException:
            self.close()
            raise

    def known(self, wanted: Mapping[bytes, int]) -> tuple[dict[int, Row], dict[int, str]]:
        """What is known of these questions, by their numbers: the rows of those that have ended, failed ones too, and the ids
        of those that were asked and of which nothing else is known."""
        ended: dict[int, Row] = {}
        asked: dict[int, str] = {}
        with self._database.reading() as connection:
            query = f"SELECT key, decision_id, {_LIST} FROM questions"  # noqa: S608  # our own names
            for key, decision_id, *values in connection.execute(query):
                number = wanted.get(key)
                if number is None:
                    continue
                if values[0] is None:
                    asked[number] = decision_id
                else:
                    ended[number] = Row(**dict(zip(_COLUMNS, values, strict=True)), decision_id=decision_id)
        return ended, asked

    def spent_usd(self) -> float:
        """USD that the run has spent so far, as far as that is known."""
        with self._database.reading() as connection:
            query = "SELECT COALESCE(SUM(earlier_usd + spent_usd), 0.0) FROM questions"
            return float(connection.execute(query).fetchone()[0])

    def begin(self, questions: Sequence[tuple[bytes, str]]) -> None:
        """Write down (key, decision_id) of questions that are about to be asked; on disk when this returns."""
        with self._database.writing() as connection:
            connection.executemany(_BEGIN, questions)

    def keep(self, ended: Sequence[tuple[bytes, Row, float]], under_way: Mapping[str, float] | None = None) -> None:
        """Write down (key, row, USD) of questions that have ended; on disk when this returns.

        Args:
            under_way: what others have cost so far, USD by decision_id: it is known then if they never end.
        """
        with self._database.writing() as connection:
            connection.executemany(_KEEP, [_values(*one) for one in ended])
            if under_way:
                query = "UPDATE questions SET spent_usd = ? WHERE decision_id = ?"
                connection.executemany(query, [(usd, decision_id) for decision_id, usd in under_way.items()])

    def close(self) -> None:
        """Close the file and let others have the run."""
        self._database.close()
        self._held.close()

    def _same(self, options: Mapping[str, Any]) -> None:
        with self._database.writing() as connection:
            kept = connection.execute("SELECT options FROM run").fetchone()
            if kept is None:
                now = datetime.now(UTC).isoformat()
                connection.execute("INSERT INTO run VALUES (?, ?)", (now, json.dumps(options, sort_keys=True)))
                return
        before = json.loads(kept[0])
        now_said = json.loads(json.dumps(options))
        differ = [name for name in {**before, **now_said} if before.get(name) != now_said.get(name)]
        if differ:
            name = differ[0]
            more = "" if len(differ) == 1 else f" (and {', '.join(differ[1:])} differ, too)"
            raise InputError(
                f"The run {self.name!r} was begun with {name}={before.get(name)!r}, not {now_said.get(name)!r}{more}.",
                fix=f"Use the same options, or another name, or throw the run away: orch.runs.forget({self.name!r}).",
            )


def _values(key: bytes, row: Row, usd: float) -> tuple[Any, ...]:
    *values, decision_id = astuple(row)
    return (usd, decision_id, *map(storable, values), key)


def _database(path: Path) -> Database:
    return Database(path, name="file of the run", prepare=_prepare, synchronous="FULL")


def _prepare(connection: sqlite3.Connection, path: object) -> None:
    """Make the tables. Raises StoreError for a file of a newer version."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > _VERSION:
        raise StoreError(
            f"The file of the run {path} was written by a newer molt_magic.", fix="Update with: pip install -U molt-magic."
        )
    if version == 0:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute("CREATE INDEX questions_decision ON questions (decision_id)")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
