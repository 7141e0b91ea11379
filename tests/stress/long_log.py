"""A log of a million decisions, made in a minute: copies of real ones, with ids, times, sessions and prompts of their own."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from molt_magic.log.schema import COLUMNS

_EVERY_S = 8  # seconds between two decisions: a million of them are three months
_A_SESSION = 300  # decisions
_BEGAN = 1_760_000_000  # seconds since 1970
_OWN = {
    "decision_id": "printf('%012x', i + 1000000)",
    "time": f"strftime('%Y-%m-%dT%H:%M:%S', {_BEGAN} + i * {_EVERY_S}, 'unixepoch') || '.000000+00:00'",
    "session": f"printf('%08x', i / {_A_SESSION})",
    "prompt_hash": "prompt_hash || i",
    "prompt": "prompt || ' ' || i",
}


def lengthen(path: Path, *, decisions: int, outcomes: int, seed: int = 0) -> None:
    """Copy the decisions and outcomes that are in a log, until there are so many more; each outcome is of a decision."""
    lots = random.Random(seed)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")  # whoever opens it next sets it back
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -200000")
        connection.execute("BEGIN")
        there = connection.execute("SELECT MAX(seq) FROM decisions").fetchone()[0]
        known = connection.execute("SELECT model, task, source, embedder, vector FROM outcomes").fetchall()
        values = ", ".join(_OWN.get(name, name) for name in COLUMNS)
        connection.execute(
            f"""
            WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
            INSERT INTO decisions ({", ".join(COLUMNS)}) SELECT {values} FROM n JOIN decisions ON seq = 1 + i % ?
            """,
            (decisions - 1, there),
        )

        def copies() -> Iterator[tuple[object, ...]]:
            for n in range(outcomes):
                yield (f"{n * decisions // outcomes + 1_000_000:012x}", *lots.choice(known), float(lots.random() < 0.7))

        connection.executemany(
            "INSERT INTO outcomes (decision_id, model, task, source, embedder, vector, score) VALUES (?, ?, ?, ?, ?, ?, ?)",
            copies(),
        )
        connection.execute("COMMIT")
