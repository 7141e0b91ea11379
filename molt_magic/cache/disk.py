"""diskcache, made safe: text in its database, nothing else.

As it comes, diskcache unpickles what it finds in its database and opens and deletes the files that rows name
(CVE-2025-69872), so whoever can write the file runs code in the kernel.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
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
_GET = "SELECT mode, filename, value FROM Cache WHERE key = ? AND raw = 1 AND (expire_time IS NULL OR expire_time > ?)"
_OF_BLOCK = "SELECT 1 FROM Vector WHERE block = ? LIMIT 1"


def connect(path: str | Path, patience_s: float) -> sqlite3.Connection:
    """A connection for all threads, one at a time, that waits so long for who writes. Raises sqlite3.Error."""
    connection = sqlite3.connect(path, timeout=patience_s, isolation_level=None, check_same_thread=False)
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


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

    @property
    def _con(self) -> sqlite3.Connection:
        if self._shared is None:
            path = os.path.join(self._directory, DATABASE)  # noqa: PTH118  # diskcache's own attribute is a string
            # diskcache, while it opens, asks for no waiting and tries again itself; the pragmas have to wait
            self._shared = connect(path, self._timeout or OPENING_S)
        return self._shared

    def text(self, key: str) -> str | None:
        """What `get` returns, in fewer steps. Raises `Refused`."""
        found = self._con.execute(_GET, (key, time.time())).fetchone()
        return None if found is None else self._disk.fetch(found[0], found[1], found[2], read=False)

    def holds(self, block: int) -> bool:
        """Whether there is a prompt of this block."""
        return self._con.execute(_OF_BLOCK, (block,)).fetchone() is not None

    def version(self) -> int:
        """A number that changes when another connection has written."""
        return int(self._con.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.close()
