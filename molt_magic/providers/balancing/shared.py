"""What the kernels of a machine tell each other of deployments: who cools down, and what was asked in the last minute.

A small SQLite file. It holds what is worth a few minutes at most, so it is never waited for (a writer that is busy is tried
again a little later), never synced to the disk, and begun anew where it is damaged. Where it cannot be used at all the process
goes on with a database in its own memory, after one warning.

Times are of `time.monotonic`, which is one clock for all processes of a machine and does not jump with the wall clock. It
begins anew with the machine: a row that says it was written later than now is from before, and does not count.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from molt_magic.files import make_folder
from molt_magic.inherited import Holder
from molt_magic.providers.balancing.cooldown import Cooldown
from molt_magic.providers.balancing.limits import MINUTE_S, Full, Load, Place, full
from molt_magic.types import Deployment

logger = logging.getLogger("molt_magic.providers")

_VERSION = 1
_BUSY_S = 0.02  # the longest that a call is kept waiting for another process
_LOCKED_S = 1.0  # a file that is locked for longer is locked by a process that hangs
_LOOK_EVERY_S = 0.2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS cooldown (
  deployment TEXT PRIMARY KEY, id TEXT NOT NULL, began REAL NOT NULL, length REAL NOT NULL,
  not_before REAL NOT NULL, reason TEXT NOT NULL, in_a_row INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS request (
  id INTEGER PRIMARY KEY AUTOINCREMENT, deployment TEXT NOT NULL, made REAL NOT NULL, at REAL NOT NULL,
  tokens INTEGER NOT NULL, process INTEGER NOT NULL, ends REAL NOT NULL);
CREATE INDEX IF NOT EXISTS request_by_time ON request (deployment, at, tokens);
CREATE INDEX IF NOT EXISTS request_running ON request (deployment, process, ends) WHERE ends > 0;
"""


class Busy(Exception):
    """Another process is writing: try again in some milliseconds."""


@dataclass(frozen=True, slots=True)
class _Write:
    """A change that may be made a little later."""

    sql: str
    values: tuple[object, ...]


class Shared(Holder):
    """The file, opened at the first use; safe for threads and processes.

    Args:
        path: the file, made for the user only; None: nothing is shared.
        clock: monotonic seconds.
    """

    def __init__(self, path: Path | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._lock = threading.RLock()
        self._inode = 0
        self._alone = path is None
        self._renewed = False
        self._closed = False
        self._busy_since: float | None = None
        self._pending: list[_Write] = []
        self._look_at = 0.0
        self._seen: int | None = None  # PRAGMA data_version when the cooldowns were last read

    # -- cooldowns

    def news(self) -> Mapping[str, Cooldown] | None:
        """All cooldowns by deployment where another process has written since the last look, else None; looks 5 times a second
        at most."""
        now = self._clock()
        if self.path is None or self._alone or now < self._look_at:
            return None
        self._look_at = now + _LOOK_EVERY_S
        if self._connection is None and not self.path.exists():
            return None  # nobody has had anything to tell
        with self._lock, suppress(Busy), self._using() as connection:
            self._closed = False
            self._flush(connection)
            version = connection.execute("PRAGMA data_version").fetchone()[0]
            if version == self._seen:
                return None
            rows = connection.execute("SELECT deployment, began, length, not_before, reason, in_a_row, id FROM cooldown")
            found = {name: Cooldown(*row) for name, *row in rows}
            self._seen = version
            return {name: cooldown for name, cooldown in found.items() if cooldown.began <= now < cooldown.until}
        return None

    def cool(self, deployment: str, cooldown: Cooldown) -> None:
        """Tell the others of a cooldown; of two the longer one stays."""
        c, now = cooldown, self._clock()
        self._write(
            _Write("DELETE FROM cooldown WHERE began + length <= ? OR began > ?", (now, now)),
            _Write(
                "INSERT INTO cooldown (deployment, id, began, length, not_before, reason, in_a_row)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (deployment) DO UPDATE SET"
                " (id, began, length, not_before, reason, in_a_row) ="
                " (excluded.id, excluded.began, excluded.length, excluded.not_before, excluded.reason, excluded.in_a_row)"
                " WHERE excluded.began + excluded.length > began + length",
                (deployment, c.id, c.began, c.length, c.not_before, c.reason, c.in_a_row),
            ),
        )

    def end(self, deployment: str, cooldown: Cooldown) -> None:
        """Tell the others that a deployment answers again."""
        self._write(_Write("DELETE FROM cooldown WHERE deployment = ? AND id = ?", (deployment, cooldown.id)))

    # -- limits

    def reserve(self, deployment: str, limits: Deployment, *, tokens: int, latest: float, lease_s: float) -> Place | Full:
        """A place for one request, now or later, or why there is none.

        Args:
            deployment: who is asked, as all kernels call it.
            limits: of the deployment.
            tokens: what the request will take, by estimate.
            latest: monotonic seconds: a place after it is not taken.
            lease_s: seconds after which the request has certainly ended, were its process to die unnoticed.

        Raises:
            Busy: another process is writing.
        """
        with self._lock, self._using() as connection:
            self._closed = False
            self._flush(connection)
            connection.execute("BEGIN IMMEDIATE")  # nobody takes a place between our counting and our taking
            try:
                now = self._clock()
                found = self._room(connection, deployment, limits, tokens, now)
                if isinstance(found, Full) and found.until is not None and found.until <= latest:
                    found = found.until
                if isinstance(found, float):
                    row = (deployment, now, found, tokens, os.getpid(), found + lease_s)
                    sql = "INSERT INTO request (deployment, made, at, tokens, process, ends) VALUES (?, ?, ?, ?, ?, ?)"
                    place = Place(connection.execute(sql, row).lastrowid or 0, found)
                connection.execute("COMMIT")
                self._busy_since = None
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            return found if isinstance(found, Full) else place

    def _room(
        self, connection: sqlite3.Connection, deployment: str, limits: Deployment, tokens: int, now: float
    ) -> Full | float:
        """What stands in the way of a request, or now."""
        self._forget(connection, deployment, now)
        running = "SELECT count(*) FROM request WHERE deployment = ? AND ends > 0 AND ends > ?"
        counted = "SELECT count(*), coalesce(sum(tokens), 0), coalesce(max(at), 0) FROM request WHERE deployment = ? AND at > ?"
        requests, taken, last = connection.execute(counted, (deployment, now - MINUTE_S)).fetchone()
        newest = "SELECT at, tokens FROM request WHERE deployment = ? ORDER BY at DESC, id DESC"
        load = Load(
            running=connection.execute(running, (deployment, now)).fetchone()[0],
            requests=requests,
            tokens=taken,
            last=last,
            newest=lambda: connection.execute(newest, (deployment,)),
        )
        found = full(limits, load, tokens=tokens, now=now)
        return now if found is None else found

    def leave(self, place: Place, *, tokens: int | None) -> None:
        """The request of a place has ended; `tokens`: what it took, None where that is not known."""
        self._write(_Write("UPDATE request SET ends = 0, tokens = coalesce(?, tokens) WHERE id = ?", (tokens, place.id)))

    def give_back(self, place: Place) -> None:
        """The request of a place is not made."""
        self._write(_Write("DELETE FROM request WHERE id = ?", (place.id,)))

    @property
    def behind(self) -> bool:
        """Whether something could not be written yet, because another process was writing."""
        return bool(self._pending)

    def catch_up(self) -> None:
        """Write what could not be written before."""
        self._write()

    def close(self) -> None:
        """Close the file; the next use opens it again. What is only written after that leaves it closed."""
        with self._lock:
            self._closed = True
            self._drop()

    # -- the file

    def _write(self, *writes: _Write) -> None:
        with self._lock:
            self._pending += writes
            closed = self._closed
            with suppress(Busy), self._using() as connection:
                self._flush(connection)
            if closed:  # a call ended after all was closed: nobody comes to close it again
                self._drop()

    def _flush(self, connection: sqlite3.Connection) -> None:
        while self._pending:
            connection.execute(self._pending[0].sql, self._pending[0].values)
            del self._pending[0]
            self._busy_since = None

    def _forget(self, connection: sqlite3.Connection, deployment: str, now: float) -> None:
        """Drop what no longer counts: ended and over a minute old, of a process that is gone, from before the machine began."""
        over = "DELETE FROM request WHERE deployment = ? AND at <= ? AND ends <= ?"
        connection.execute(over, (deployment, now - MINUTE_S, now))
        connection.execute("DELETE FROM request WHERE deployment = ? AND at > ? AND made > ?", (deployment, now, now))
        sql = "SELECT DISTINCT process FROM request WHERE deployment = ? AND ends > 0 AND ends > ?"
        for (process,) in connection.execute(sql, (deployment, now)).fetchall():
            if process != os.getpid() and _is_gone(process):
                connection.execute(
                    "DELETE FROM request WHERE deployment = ? AND process = ? AND at > ?", (deployment, process, now)
                )
                connection.execute("UPDATE request SET ends = 0 WHERE deployment = ? AND process = ?", (deployment, process))

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """The connection. Raises Busy where it cannot be used just now; a file that cannot be used at all is given up."""
        try:
            yield self._open()
        except (sqlite3.Error, OSError) as error:
            now = self._clock()
            self._busy_since = now if self._busy_since is None else self._busy_since
            if not _is_busy(error) or now - self._busy_since > _LOCKED_S:
                self._give_up(error)
            raise Busy from None

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and (self._pid != os.getpid() or self._is_moved()):
            self._drop()
        if self._connection is None:
            if self.path is not None and not self._alone:
                _make_private(self.path)
                self._inode = self.path.stat().st_ino
            target = ":memory:" if self.path is None or self._alone else self.path
            connection = sqlite3.connect(target, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("PRAGMA trusted_schema = 0")
                connection.execute("PRAGMA synchronous = OFF")  # what a power cut takes is worth nothing after it
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version > _VERSION:
                    raise OSError("it was written by a newer molt_magic")
                if version < _VERSION:
                    connection.execute("PRAGMA journal_mode = WAL")
                    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
            except BaseException:
                connection.close()
                raise
            self._connection, self._pid, self._seen = connection, os.getpid(), None
        return self._connection

    def _is_moved(self) -> bool:
        """Whether the file we have open is no longer the one that others open."""
        if self.path is None or self._alone:
            return False
        try:
            return self.path.stat().st_ino != self._inode
        except OSError:
            return True

    def _give_up(self, error: Exception) -> None:
        """A damaged file is begun anew, once; else this process goes on by itself."""
        self._drop()
        if self.path is not None and _is_damaged(error) and not self._renewed:
            self._renewed = True
            logger.warning(
                "%s was damaged and is begun anew: kernels tell each other in it which deployments cool down.", self.path
            )
            for end in ("-wal", "-shm", ""):
                with suppress(OSError):
                    self.path.with_name(self.path.name + end).unlink()
        elif not self._alone:
            self._alone = True
            logger.warning(
                "%s cannot be used (%s): cooldowns and limits of deployments hold for this kernel alone.", self.path, error
            )


def _make_private(path: Path) -> None:
    make_folder(path.parent)
    # SQLite would create the file by the umask; its journals take the mode of the file
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        if os.name == "posix" and os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _is_busy(error: Exception) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _is_damaged(error: Exception) -> bool:
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "no such" in str(error)


def _is_gone(process: int) -> bool:
    """Whether a process has ended. Elsewhere than on POSIX asking would end it: there its lease runs out."""
    if os.name != "posix":
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
