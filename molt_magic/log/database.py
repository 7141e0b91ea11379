"""The log's file: one SQLite connection for the threads of a process, WAL for the processes of a machine."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from molt_magic.errors import StoreError
from molt_magic.log.flusher import Flusher
from molt_magic.log.schema import migrate

_LATE_PAGES = 3000  # of a journal, 12 MB, from which on a writer brings it into the database himself
JOURNAL_BYTES = 16 * 2**20  # of a journal that nobody reads

# Connections inherited through a fork: closing or finalising them in the child is what SQLite forbids.
_inherited: list[sqlite3.Connection] = []


class Database:
    """The log's connection, opened at the first use; or that of another file beside it.

    Args:
        path: the file; made 0600 (its missing folders 0700) when it does not exist.
        busy_s: seconds to wait for another process that writes.
        name: what it is called in an error.
        prepare: brings its tables forward to what this version knows, given the connection and the path.
        synchronous: SQLite's PRAGMA. FULL: an acknowledged row survives a power cut as well as kill -9; NORMAL: kill -9.
        flushed: with NORMAL, sync the journal right after, in a thread of its own: a power cut takes what was written in the
            last moments at most, and `flush` waits until that is on the disk.

    Whatever SQLite or the file system says becomes a `StoreError` with a fix. A damaged file is left alone: it is the
    only copy of what was decided.
    """

    def __init__(
        self,
        path: Path,
        *,
        busy_s: float = 30.0,
        name: str = "log",
        prepare: Callable[[sqlite3.Connection, object], None] = migrate,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        flushed: bool = False,
    ) -> None:
        self.path = path
        self.busy_s = busy_s
        self.name = name
        self.prepare = prepare
        self.synchronous = synchronous
        self.flushed = flushed
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._flusher: Flusher | None = None  # of the connection
        self._opens = self._commits = 0
        self._pid = 0

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements that only read."""
        with self._lock, self._explaining():
            yield self._open()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection inside a transaction: all of it is written when this ends, or none."""
        with self._lock, self._explaining():
            connection = self._open()
            self._begin(connection)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled back already
                    connection.execute("ROLLBACK")
                raise
            self._commits += 1
            if self._flusher is not None:
                self._flusher.committed()

    def version(self) -> tuple[int, int, int]:
        """Differs from what it was before wherever any process has written meanwhile; takes microseconds."""
        with self.reading() as connection:
            return self._opens, int(connection.execute("PRAGMA data_version").fetchone()[0]), self._commits

    def flush(self) -> None:
        """Wait until all that this process has written is on the disk, and survives a power cut."""
        with self._explaining():
            with self._lock:
                flusher = self._flusher if self._pid == os.getpid() else None
            if flusher is not None:
                flusher.flush()

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Wait for a turn to write. SQLite's own waiting looks ever more seldom, so that among eight writers whoever has
        waited longest is served last; here all look equally often."""
        until = time.monotonic() + self.busy_s
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            while True:
                try:
                    # IMMEDIATE: a transaction that begins by reading cannot wait for its turn
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError as error:
                    if "locked" not in str(error) or time.monotonic() >= until:
                        raise
                else:
                    return
                time.sleep(random.uniform(0.001, 0.01))  # noqa: S311  # so that two do not look in step
        finally:
            connection.execute(f"PRAGMA busy_timeout = {int(1000 * self.busy_s)}")

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            connection, self._connection = self._connection, None
            flusher, self._flusher = self._flusher, None
            if connection is not None and self._pid == os.getpid():
                if flusher is not None:  # before SQLite takes the journal away
                    flusher.close()
                    with suppress(OSError):
                        flusher.flush()
                with suppress(sqlite3.Error):
                    connection.close()
            elif connection is not None:
                _inherited.append(connection)

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._pid != os.getpid():
            _inherited.append(self._connection)
            self._connection = self._flusher = None
        if self._connection is None:
            self._prepare_file()
            connection = sqlite3.connect(self.path, timeout=self.busy_s, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("PRAGMA trusted_schema = 0")
                connection.execute("PRAGMA synchronous = FULL")
                self.prepare(connection, self.path)  # first: a file that is not ours must stay as it is
                if _use_wal(connection) and self.synchronous != "FULL":  # without a journal of that kind NORMAL promises less
                    connection.execute(f"PRAGMA synchronous = {self.synchronous}")
            except BaseException:
                connection.close()
                raise
            self._connection, self._pid = connection, os.getpid()
            self._opens += 1
            if self.flushed:
                self._flusher = Flusher(self.path)
                connection.execute(f"PRAGMA wal_autocheckpoint = {_LATE_PAGES}")  # where its thread cannot keep up
        return self._connection

    def _prepare_file(self) -> None:
        missing = [folder for folder in self.path.parents if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
        # SQLite would create the file by the umask; its journals take the mode of the file
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.name == "posix" and os.fstat(descriptor).st_mode & 0o077 and os.fstat(descriptor).st_uid == os.geteuid():
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"The {self.name} {self.path} {_story(error)}.", fix=_fix(error, self.path)) from error
        except OSError as error:
            story = error.strerror or str(error)
            fix = "Make the folder and the file yours and writable, or set MOLT_HOME to another folder."
            raise StoreError(f"The {self.name} {self.path} cannot be opened: {story}.", fix=fix) from error


def _use_wal(connection: sqlite3.Connection) -> bool:
    """Switch to a write-ahead journal; whether that is in use."""
    mode = ""
    # While another process is busy the switch is refused at once; without it the log is as safe, only readers wait.
    with suppress(sqlite3.OperationalError):
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    # a reader that stays makes the journal grow; once it has gone the next writer cuts it down to this
    connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
    return mode == "wal"


def _damaged(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "no such table" in str(error)


def _story(error: sqlite3.Error) -> str:
    if _damaged(error):
        return f"is damaged ({error})"
    if "locked" in str(error):
        return "is locked by another program"
    return f"cannot be used ({error})"


def _fix(error: sqlite3.Error, path: Path) -> str:
    if _damaged(error):
        return f"It was left as it is: move it aside to start a new one, and try `sqlite3 {path.name} .recover` on the old one."
    if "locked" in str(error):
        return "Close the program that has it open, or try again."
    if "full" in str(error):
        return "Free some space on the disk."
    return "Make the folder and the file yours and writable, or set MOLT_HOME to another folder."
