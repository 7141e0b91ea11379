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

EXPIRED_EVERY = 16  # puts; none is read once its time is over
CULLED = 10  # rows that go for one that comes, where they have to
_GET = "SELECT mode, filename, value FROM Cache WHERE key = ? AND raw = 1 AND (expire_time IS NULL OR expire_time > ?)"
_ROW = "(?, 1, ?, ?, ?, 0, 0, ?, ?)"
_SET = (
    "INSERT INTO Cache (key, raw, store_time, expire_time, access_time, access_count, size, mode, value) VALUES {}"
    " ON CONFLICT (key, raw) DO UPDATE SET store_time = excluded.store_time, expire_time = excluded.expire_time,"
    " access_time = excluded.access_time, access_count = 0, tag = NULL, size = 0, mode = excluded.mode, filename = NULL,"
    " value = excluded.value"
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
    _puts = 0  # since expired rows were looked for

    @property
    def _con(self) -> sqlite3.Connection:
        if self._shared is not None and self._pid != os.getpid():
            _inherited.append(self._shared)
            self._shared = None
        if self._shared is None:
            self._pid = os.getpid()
            path = os.path.join(self._directory, DATABASE)  # noqa: PTH118  # diskcache's own attribute is a string
            self._shared = sqlite3.connect(path, timeout=self._timeout, isolation_level=None, check_same_thread=False)
            for pragma in _PRAGMAS:
                self._shared.execute(f"PRAGMA {pragma}")
        return self._shared

    def text(self, key: str) -> str | None:
        """What `get` returns, in fewer steps. Raises `Refused`."""
        found = self._con.execute(_GET, (key, time.time())).fetchone()
        return None if found is None else self._disk.fetch(found[0], found[1], found[2], read=False)

    def set_all(self, keys: Sequence[str], text: str, *, expire_s: float) -> None:
        """Set `text` under every key, as `set` would, within a transaction of the caller's: a statement for all of them, and
        what has expired or is too much goes in another. Raises `Refused`."""
        _, mode, _, value = self._disk.store(text, read=False)
        now = time.time()
        rows = [
            column for key in dict.fromkeys(keys) for column in (self._disk.put(key)[0], now, now + expire_s, now, mode, value)
        ]
        self._con.execute(_SET.format(", ".join([_ROW] * (len(rows) // 6))), rows)
        if self._puts % EXPIRED_EVERY == 0:
            self._con.execute(_DROP_EXPIRED, (now, CULLED * EXPIRED_EVERY))
        self._puts += 1
        # its sizes are 0: nothing lies beside the database
        if self._page_size * self._con.execute("PRAGMA page_count").fetchone()[0] >= self.size_limit:
            self._con.execute(_DROP_OLDEST, (CULLED * len(keys),))

    def close(self) -> None:
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.close()
