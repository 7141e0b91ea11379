"""diskcache, made safe: text in its database, nothing else.

As it comes, diskcache unpickles what it finds in its database and opens and deletes the files that rows name
(CVE-2025-69872), so whoever can write the file runs code in the kernel.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from typing import NoReturn

import diskcache

DATABASE = "cache.db"  # the name is diskcache's

KNOWN_SETTINGS = frozenset(diskcache.core.DEFAULT_SETTINGS) | frozenset(diskcache.core.METADATA)
SETTINGS = {
    "statistics": 0,  # counting would turn every read into a write
    "tag_index": 0,
    "eviction_policy": "least-recently-stored",
    "sqlite_auto_vacuum": 1,  # the file shrinks when rows go: the size bound is real
    "sqlite_cache_size": 2048,  # pages
    "sqlite_journal_mode": "wal",
    "sqlite_mmap_size": 0,  # a mapped file that another process truncates kills the kernel with SIGBUS
    "sqlite_synchronous": 1,  # NORMAL: losing the last answers to a power cut is fine for a cache
    "disk_min_file_size": 2**62,  # never a file beside the database
    "disk_pickle_protocol": 0,
}

# of a connection; the journal, which a reader that stays makes grow, is cut down once it has gone
_PRAGMAS = (
    "synchronous = 1",
    "mmap_size = 0",
    "cache_size = 2048",
    "trusted_schema = 0",
    f"journal_size_limit = {8 * 2**20}",
)

OPENING_S = 2.0  # to wait for another process that opens the database
PUTS_UNCHECKED = 16  # may be made before something has to go, or of the bound ...
SHARE_UNCHECKED = 64  # ... one part in so many; what has expired is not read meanwhile
CULLED = 10  # rows that go at a time, and two more for every one that came
_GET = "SELECT mode, filename, value FROM Cache WHERE key = ? AND raw = 1 AND (expire_time IS NULL OR expire_time > ?)"
_ROW = "(?, 1, ?, ?, ?, 0, 0, ?, ?)"
_SET = (
    "INSERT INTO Cache (key, raw, store_time, expire_time, access_time, access_count, size, mode, value) VALUES {}"
    " ON CONFLICT (key, raw) DO UPDATE SET store_time = excluded.store_time, expire_time = excluded.expire_time,"
    " access_time = excluded.access_time, access_count = 0, tag = NULL, size = 0, mode = excluded.mode, filename = NULL,"
    " value = excluded.value"
)
_SET_VECTOR = (  # not for an entry that had to go at once
    "INSERT OR REPLACE INTO Vector (key, scope, embedder, prompt, vector) SELECT ?, ?, ?, ?, ?"
    " WHERE EXISTS (SELECT 1 FROM Cache WHERE key = ? AND raw = 1)"
)
_DROP = "DELETE FROM Cache WHERE rowid IN (SELECT rowid FROM Cache {} LIMIT ?)"
_DROP_EXPIRED = _DROP.format("WHERE expire_time < ? ORDER BY expire_time")
_DROP_OLDEST = _DROP.format("ORDER BY store_time")

# Connections inherited through a fork: closing or finalising them in the child is what SQLite forbids.
_inherited: list[sqlite3.Connection] = []


class Refused(ValueError):
    """A row, key or value that is not a plain JSON string."""


class RawJsonDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache publishes no types
    """Text in the database, nothing else: no pickles, no files."""

    def put(self, key: object) -> tuple[str, bool]:
        if type(key) is not str:
            raise Refused("a cache key must be text")
        return key, True

    def get(self, key: object, raw: object) -> str:
        if type(key) is not str or not raw:
            raise Refused("a key that is not plain text")
        return key

    def store(self, value: object, read: bool, key: object = None) -> tuple[int, int, None, str]:  # noqa: ARG002  # diskcache's
        if read or type(value) is not str:
            raise Refused("a cache value must be JSON text")
        return 0, diskcache.core.MODE_RAW, None, value

    def fetch(self, mode: int, filename: str | None, value: object, read: bool) -> str:
        if read or mode != diskcache.core.MODE_RAW or filename is not None or type(value) is not str:
            raise Refused("a row that is not plain JSON text")
        return value

    def filename(self, key: object = None, value: object = None) -> NoReturn:  # noqa: ARG002  # diskcache's
        raise Refused("no files beside the database")

    def remove(self, file_path: str) -> None:
        """Nothing is ever removed: a planted row could name any file of the user's."""


class Database(diskcache.Cache):  # type: ignore[misc]  # diskcache publishes no types
    """One connection for all threads: the store's lock serialises them, and any thread may close it.

    diskcache keeps a connection a thread, which nobody else can close.
    """

    _shared: sqlite3.Connection | None = None
    _pid = 0
    _puts = _rows = _size = 0  # since it was looked whether something has to go

    @property
    def _con(self) -> sqlite3.Connection:
        if self._shared is not None and self._pid != os.getpid():
            _inherited.append(self._shared)
            self._shared = None
        if self._shared is None:
            self._pid = os.getpid()
            path = os.path.join(self._directory, DATABASE)  # noqa: PTH118  # diskcache's own attribute is a string
            # diskcache, while it opens, asks for no waiting and tries again itself; the pragmas below have to wait
            patience = self._timeout or OPENING_S
            self._shared = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
            for pragma in _PRAGMAS:
                self._shared.execute(f"PRAGMA {pragma}")
        return self._shared

    def text(self, key: str) -> str | None:
        """What `get` returns, in fewer steps. Raises `Refused`."""
        found = self._con.execute(_GET, (key, time.time())).fetchone()
        return None if found is None else self._disk.fetch(found[0], found[1], found[2], read=False)

    def put(self, keys: Sequence[str], text: str, *, expire_s: float, vector: Sequence[object] | None) -> int:
        """Set `text` under every key, as `set` would, and the side row of the first, in one transaction of few statements.

        Args:
            vector: scope, embedder, prompt and vector of the first key.

        Returns:
            The number of that row, 0 if there is none.

        Raises:
            Refused: a key or the text is not text.
        """
        _, mode, _, value = self._disk.store(text, read=False)
        now = time.time()
        names = list(dict.fromkeys(keys))
        rows = [column for key in names for column in (self._disk.put(key)[0], now, now + expire_s, now, mode, value)]
        execute, seq = self._con.execute, 0
        execute("BEGIN IMMEDIATE")
        try:
            execute(_SET.format(", ".join([_ROW] * len(names))), rows)
            self._make_room(now, len(names), len(names) * len(text))
            if vector is not None:
                stored = execute(_SET_VECTOR, (keys[0], *vector, keys[0]))
                seq = int(stored.lastrowid or 0) if stored.rowcount > 0 else 0
            execute("COMMIT")
        except BaseException:
            if self._con.in_transaction:
                execute("ROLLBACK")
            raise
        return seq

    def _make_room(self, now: float, rows: int, size: int) -> None:
        """Drop what has expired, and the oldest of what is too much. It is looked for after some puts, or a large one."""
        self._puts, self._rows, self._size = self._puts + 1, self._rows + rows, self._size + size
        if self._puts < PUTS_UNCHECKED and self._size * SHARE_UNCHECKED < self.size_limit:
            return
        many = CULLED + 2 * self._rows
        self._puts = self._rows = self._size = 0
        self._con.execute(_DROP_EXPIRED, (now, many))
        # diskcache adds the sizes of files beside the database, of which there are none
        if self._page_size * self._con.execute("PRAGMA page_count").fetchone()[0] >= self.size_limit:
            self._con.execute(_DROP_OLDEST, (many,))

    def close(self) -> None:
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.close()
