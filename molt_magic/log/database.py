"""The log's file: one SQLite connection for the threads of a process, WAL for the processes of a machine."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from molt_magic.errors import StoreError
from molt_magic.inherited import Holder
from molt_magic.log.flusher import Flusher
from molt_magic.log.schema import migrate

_VERSION = "PRAGMA data_version"
NOTICED_S = 0.05  # after which it is seen that another process has written
_LATE_PAGES = 3000  # of a journal, 12 MB, from which on a writer brings it into the database himself
JOURNAL_BYTES = 16 * 2**20  # of a journal that nobody reads


class Database(Holder):
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
        self._flusher: Flusher | None = None  # of the connection
        self._opens = self._commits = 0
        self._seen = (0, 0, 0.0)  # in which opening, at which number of SQLite's, until when that is not asked for again
        self._wal = False
        self._patient = True  # whether SQLite itself waits for another process, as it does for who reads
        self._reading, self._writing = _Held(self, self._wait, self._explain), _Held(self, self._begin, self._end)

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """The connection, for statements that only read."""
        return self._reading

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """The connection inside a transaction: all of it is written when this ends, or none."""
        return self._writing

    def write(self, statement: str, given: Sequence[Any]) -> sqlite3.Cursor:
        """Run a statement that is a transaction by itself."""
        with self._lock:
            try:
                connection = self._open()
                self._get_ready(connection)
                written = self._in_turn(connection, statement, given)
            except BaseException as error:
                self._explain(error)
                raise
            self._written()
            return written

    def version(self) -> tuple[int, int, int]:
        """Differs from what it was before wherever anything was written meanwhile: by this process at once, by any other some
        NOTICED_S seconds later."""
        with self._lock:
            try:
                connection = self._open()
                opens, number, until = self._seen
                if opens != self._opens or time.monotonic() >= until:
                    number = connection.execute(_VERSION).fetchone()[0]
                    self._seen = self._opens, number, time.monotonic() + NOTICED_S
            except (sqlite3.Error, OSError):  # perhaps another process is in the way, for a moment
                with self._reading as connection:
                    number = connection.execute(_VERSION).fetchone()[0]
            return self._opens, number, self._commits

    def flush(self) -> None:
        """Wait until all that this process has written is on the disk, and survives a power cut."""
        with self._lock:
            flusher = self._flusher if self._pid == os.getpid() else None
        if flusher is not None:
            try:
                flusher.flush()
            except OSError as error:
                self._explain(error)

    def _get_ready(self, connection: sqlite3.Connection) -> None:
        # within a transaction over a write-ahead journal there is nothing more to wait for
        self._wait(connection, patient=not self._wal)

    def _begin(self, connection: sqlite3.Connection) -> None:
        self._get_ready(connection)
        # IMMEDIATE: a transaction that begins by reading cannot wait for its turn
        self._in_turn(connection, "BEGIN IMMEDIATE")

    def _in_turn(self, connection: sqlite3.Connection, statement: str, given: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run a statement once it is our turn to write. SQLite's own waiting looks ever more seldom, so that among eight
        writers whoever has waited longest is served last; here all look equally often."""
        until: float | None = None
        while True:
            try:
                return connection.execute(statement, given)
            except sqlite3.OperationalError as error:
                now = time.monotonic()
                until = now + self.busy_s if until is None else until
                if "locked" not in str(error) or self._patient or now >= until:
                    raise
            time.sleep(random.uniform(0.001, 0.01))  # noqa: S311  # so that two do not look in step

    def _end(self, error: BaseException | None) -> None:
        """Write all of a transaction, or, where there was an error, nothing."""
        connection = self._open()
        if error is None:
            try:
                connection.execute("COMMIT")
            except BaseException as refused:
                self._roll_back(connection)
                self._explain(refused)
                raise
            self._written()
        else:
            self._roll_back(connection)
            self._explain(error)

    def _written(self) -> None:
        self._commits += 1
        if self._flusher is not None:
            self._flusher.committed()

    @staticmethod
    def _roll_back(connection: sqlite3.Connection) -> None:
        with suppress(sqlite3.Error):  # a full disk has rolled back already
            connection.execute("ROLLBACK")

    def _wait(self, connection: sqlite3.Connection, *, patient: bool = True) -> None:
        """Let SQLite itself wait for another process, or not."""
        if self._patient is not patient:
            connection.execute(f"PRAGMA busy_timeout = {int(1000 * self.busy_s) if patient else 0}")
            self._patient = patient

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            flusher, self._flusher = self._flusher, None
            if flusher is not None and self._pid == os.getpid():  # before SQLite takes the journal away
                flusher.close()
                with suppress(OSError):
                    flusher.flush()
            self._drop()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._pid != os.getpid():
            self._drop()
            self._flusher = None
        if self._connection is None:
            self._prepare_file()
            connection = sqlite3.connect(self.path, timeout=self.busy_s, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("PRAGMA trusted_schema = 0")
                connection.execute("PRAGMA synchronous = FULL")
                self.prepare(connection, self.path)  # first: a file that is not ours must stay as it is
                wal = _use_wal(connection)
                if wal and self.synchronous != "FULL":  # without a journal of that kind NORMAL promises less
                    connection.execute(f"PRAGMA synchronous = {self.synchronous}")
            except BaseException:
                connection.close()
                raise
            self._connection, self._pid = connection, os.getpid()
            self._wal, self._patient = wal, True
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

    def _explain(self, error: BaseException | None) -> None:
        """Raise what the user is told where SQLite or the file system failed; nothing for any other error."""
        if isinstance(error, sqlite3.Error):
            raise StoreError(f"The {self.name} {self.path} {_story(error)}.", fix=_fix(error, self.path)) from error
        if isinstance(error, OSError):
            story = error.strerror or str(error)
            fix = "Make the folder and the file yours and writable, or set MOLT_HOME to another folder."
            raise StoreError(f"The {self.name} {self.path} cannot be opened: {story}.", fix=fix) from error


class _Held:
    """The connection of a database, for one thread at a time. It holds nothing itself: one of it serves all.

    Args:
        begin: called with the connection.
        end: called with what was raised meanwhile, or None.
    """

    def __init__(
        self, database: Database, begin: Callable[[sqlite3.Connection], None], end: Callable[[BaseException | None], None]
    ) -> None:
        self._database = database
        self._begin = begin
        self._end = end

    def __enter__(self) -> sqlite3.Connection:
        database = self._database
        database._lock.acquire()
        try:
            connection = database._open()
            self._begin(connection)
            return connection
        except BaseException as error:
            database._lock.release()
            database._explain(error)
            raise

    def __exit__(self, _kind: object, error: BaseException | None, _trace: TracebackType | None) -> None:
        try:
            self._end(error)
        finally:
            self._database._lock.release()


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
