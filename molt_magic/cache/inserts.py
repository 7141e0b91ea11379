"""Puts answers into the cache's database, many in one transaction of few statements, over a connection of its own.

The connection is not the one that reads: in SQLite's journal no reader waits for a writer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import diskcache

from molt_magic.cache.disk import Refused, connect
from molt_magic.cache.rows import Fresh, prompts_of

ROWS_UNCHECKED = 16  # may be set before something has to go, or of the bound ...
SHARE_UNCHECKED = 64  # ... one part in so many; what has expired is not read meanwhile
CULLED = 10  # rows that go at a time, and two more for every one that came
_AT_ONCE = 100  # rows in a statement; SQLite's default limit is 999 variables in old builds
_PAGES = 256  # held in memory: a transaction goes through few, and readers have theirs
_ROW = "(?, 1, ?, ?, ?, 0, 0, ?, ?)"
_SET = (
    "INSERT INTO Cache (key, raw, store_time, expire_time, access_time, access_count, size, mode, value) VALUES {}"
    " ON CONFLICT (key, raw) DO UPDATE SET store_time = excluded.store_time, expire_time = excluded.expire_time,"
    " access_time = excluded.access_time, access_count = 0, tag = NULL, size = 0, mode = excluded.mode, filename = NULL,"
    " value = excluded.value"
)
_VECTOR = "(?, ?, ?, ?, ?, ?)"
_SET_VECTORS = "INSERT OR REPLACE INTO Vector (key, scope, embedder, prompt, vector, block) VALUES {}"
_DROP = "DELETE FROM Cache WHERE rowid IN (SELECT rowid FROM Cache {} LIMIT ?)"
_DROP_EXPIRED = _DROP.format("WHERE expire_time < ? ORDER BY expire_time")
_DROP_OLDEST = _DROP.format("ORDER BY store_time")


class Inserts:
    """The writing side of a database that is there and has its tables.

    Args:
        path: the database.
        patience_s: seconds to wait for another process that writes.
        max_bytes: bound of the file; the oldest rows go first.
    """

    def __init__(self, path: Path, *, patience_s: float, max_bytes: int) -> None:
        self._connection = connect(path, patience_s)
        self._connection.execute(f"PRAGMA cache_size = {_PAGES}")
        self._max_bytes = max_bytes
        self._rows = self._size = 0  # since it was looked whether something has to go

    def put(self, fresh: Mapping[str, Fresh]) -> None:
        """Set texts under their keys, as diskcache would, and with each the prompt of its own key.

        Raises:
            Refused: a key or a text is not text.
            sqlite3.Error: nothing was set.
        """
        texts = [_row(key, each) for key, each in fresh.items()]
        rows = [row for row in prompts_of(fresh) if row.vector]
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            self._insert(_SET, _ROW, texts)
            self._insert(_SET_VECTORS, _VECTOR, [(r.key, r.scope, r.embedder, r.prompt, r.vector, r.block) for r in rows])
            self._make_room(len(texts), sum([len(each.text) for each in fresh.values()]))
            execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _insert(self, statement: str, marks: str, rows: Sequence[tuple[object, ...]]) -> None:
        for start in range(0, len(rows), _AT_ONCE):
            some = rows[start : start + _AT_ONCE]
            self._connection.execute(statement.format(", ".join([marks] * len(some))), list(chain.from_iterable(some)))

    def _make_room(self, rows: int, size: int) -> None:
        """Drop what has expired, and the oldest of what is too much. It is looked for after some rows, or large ones."""
        self._rows, self._size = self._rows + rows, self._size + size
        if self._rows < ROWS_UNCHECKED and self._size * SHARE_UNCHECKED < self._max_bytes:
            return
        many = CULLED + 2 * self._rows
        self._rows = self._size = 0
        execute = self._connection.execute
        execute(_DROP_EXPIRED, (time.time(), many))
        pages, page_size = (execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        if pages * page_size >= self._max_bytes:
            execute(_DROP_OLDEST, (many,))


def _row(key: str, fresh: Fresh) -> tuple[object, ...]:
    if type(key) is not str or type(fresh.text) is not str:
        raise Refused("a cache key and its value must be JSON text")
    return key, fresh.stored, fresh.expires, fresh.stored, diskcache.core.MODE_RAW, fresh.text
