"""Taking the oldest decisions out of a log: a few at a time, so that kernels that write go on writing.

What goes is always the beginning of the log, by the order in which it was written: a clock that was wrong for a while takes
nothing with it that is younger. What was learned from a decision stays, with its prompt, unless it is to go too; what a
decision cost stays as a sum, so that no budget is refilled.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from molt_magic.log.database import Database

_AT_ONCE = 500  # decisions of one transaction: some milliseconds
_PAGES = 2_000  # given back at a time; 8 MB
# while the flusher brings the journal in, SQLite refuses to do it at once; the flusher takes milliseconds
_BROUGHT_IN_S, _LOOK_S = 1.0, 0.01

# decisions until :last, which are the first ones
_CHOSEN = "SELECT decision_id FROM decisions WHERE seq <= :last"
# a quarter of an hour is whole in every time zone, and a day of any begins with one
_COST = """
    INSERT INTO pruned (session, time, cost_usd, unknown)
    SELECT session,
        substr(time, 1, 14) || printf('%02d', CAST(substr(time, 15, 2) AS INTEGER) / 15 * 15) || ':00+00:00' AS quarter,
        SUM(COALESCE(
            cost_usd, (SELECT COALESCE(SUM(json_extract(a.value, '$.cost_usd')), 0.0) FROM json_each(attempts) AS a)
        )),
        COUNT(*) - COUNT(cost_usd)
    FROM decisions WHERE seq <= :last AND status != 'planned' AND deployment IS NOT 'cassette'
    GROUP BY session, quarter
    ON CONFLICT (session, time) DO UPDATE SET cost_usd = cost_usd + excluded.cost_usd, unknown = unknown + excluded.unknown
"""
_TEXTS = f"""
    UPDATE outcomes SET prompt = (SELECT prompt FROM decisions AS d WHERE d.decision_id = outcomes.decision_id)
    WHERE prompt IS NULL AND decision_id IN ({_CHOSEN})
"""  # noqa: S608  # constants


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a pruning took out."""

    decisions: int
    outcomes: int
    bytes: int  # by which the file became smaller


def prune(database: Database, *, before: datetime | None, keep: int, outcomes: bool, size: Callable[[], int]) -> Pruned:
    """Take out the decisions that are older than `before` (None: of any age) and not among the newest `keep`.

    Args:
        outcomes: take out what was learned from them, too.
        size: bytes of the file and its journal.

    Raises:
        StoreError: the file cannot be read or written. What was taken out until then is out, whole decisions only.
    """
    old = size()
    with database.reading() as connection:
        first, last = _first(connection), _last(connection, before, keep)
    gone = learned = 0
    for end in range(first + _AT_ONCE - 1, last + _AT_ONCE, _AT_ONCE) if first and last >= first else ():
        decided, taught = _take_out(database, min(end, last), outcomes=outcomes)
        gone, learned = gone + decided, learned + taught
    if gone:
        _give_back(database)
    return Pruned(gone, learned, max(0, old - size()))


def _first(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT COALESCE(MIN(seq), 0) FROM decisions").fetchone()[0])


def _last(connection: sqlite3.Connection, before: datetime | None, keep: int) -> int:
    """The last row that goes; 0: none does."""
    rows = connection.execute("SELECT seq FROM decisions ORDER BY seq DESC LIMIT 1 OFFSET ?", (keep,)).fetchall()
    last = rows[0][0] if rows else 0
    if before is not None:
        # a decision from the future was made while the clock was wrong: it says nothing of how old its neighbours are
        until, now = before.astimezone(UTC).isoformat(), datetime.now(UTC).isoformat()
        young = connection.execute("SELECT MIN(seq) FROM decisions WHERE time >= ? AND time <= ?", (until, now)).fetchone()[0]
        oldest = connection.execute("SELECT MAX(seq) FROM decisions WHERE time < ?", (until,)).fetchone()[0] or 0
        last = min(last, oldest if young is None else young - 1)
    return int(last)


def _take_out(database: Database, last: int, *, outcomes: bool) -> tuple[int, int]:
    given = {"last": last}
    with database.writing() as connection:
        connection.execute(_COST, given)
        connection.execute(f"DELETE FROM feedback WHERE decision_id IN ({_CHOSEN})", given)  # noqa: S608  # a constant
        learned = 0
        if outcomes:
            learned = connection.execute(f"DELETE FROM outcomes WHERE decision_id IN ({_CHOSEN})", given).rowcount  # noqa: S608
        else:
            connection.execute(_TEXTS, given)
        return connection.execute("DELETE FROM decisions WHERE seq <= :last", given).rowcount, learned


def _give_back(database: Database) -> None:
    """Make the file as small as what is in it."""
    with database.reading() as connection:
        if connection.execute("PRAGMA auto_vacuum").fetchone()[0] != 2:  # a file from before it could shrink by itself
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("VACUUM")
    left, before = 1, 0
    while left not in (0, before):
        with database.reading() as connection:
            # as a script: it gives back a page a step, and sqlite3 steps an execute only once
            connection.executescript(f"PRAGMA incremental_vacuum({_PAGES})")
            left, before = connection.execute("PRAGMA freelist_count").fetchone()[0], left
    until = time.monotonic() + _BROUGHT_IN_S
    while True:
        with database.reading() as connection:
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if (
            not busy or time.monotonic() >= until
        ):  # where somebody reads for long, whoever brings it in next makes the file smaller
            return
        time.sleep(_LOOK_S)
