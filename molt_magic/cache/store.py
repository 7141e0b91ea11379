"""The cache's file: JSON texts by key, and the vectors of their prompts.

A row holds a JSON string and nothing else: any other row is refused unread and dropped. The vectors of the semantic cache
live in a side table of the same file, so that eviction, expiry and `clear` take an answer and its vector together.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import diskcache

from molt_magic import inherited
from molt_magic.cache.disk import DATABASE, KNOWN_SETTINGS, SETTINGS, Database, RawJsonDisk, Refused
from molt_magic.cache.inserts import Inserts
from molt_magic.cache.rows import Fresh, VectorRow
from molt_magic.errors import StoreError
from molt_magic.files import sizes_in

logger = logging.getLogger("molt_magic.cache")

T = TypeVar("T")
Given = TypeVarTuple("Given")

SCHEMA_VERSION = 2
DAMAGED = "damaged-cache.db"  # one copy is kept for whoever wants to look
RETRY_AFTER_S = 30.0  # a store that cannot be opened is tried again this much later, not on every prompt

_SIDE_TABLES = (
    "CREATE TABLE IF NOT EXISTS Vector ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"  # never reused: `seq > last seen` finds every new row
    " key TEXT NOT NULL UNIQUE, scope TEXT NOT NULL, embedder TEXT NOT NULL, prompt TEXT NOT NULL, vector BLOB NOT NULL,"
    " block INTEGER)",  # NULL of what a molt_magic of version 1 that still runs puts there: nobody finds it
    "CREATE INDEX IF NOT EXISTS Vector_scope ON Vector (scope, embedder, seq)",
    "CREATE INDEX IF NOT EXISTS Vector_block ON Vector (block)",
    "CREATE TRIGGER IF NOT EXISTS Vector_follows AFTER DELETE ON Cache FOR EACH ROW BEGIN"
    " DELETE FROM Vector WHERE key = OLD.key; END",
    "CREATE TABLE IF NOT EXISTS Identity (only INTEGER PRIMARY KEY CHECK (only = 1), id TEXT NOT NULL)",
)
_EXPECTED = ("SELECT key, raw, expire_time, mode, filename, value FROM Cache", "SELECT key, value FROM Settings")


class JsonStore:
    """JSON texts by key, with expiry and a size bound; safe for threads and processes.

    Args:
        directory: the store's own folder; created 0700 with its missing parents, and tightened to the owner if it is wider.
        max_bytes: bound of the database file; the oldest entries go first.
        busy_s: seconds to wait for another process that writes.

    Every method raises `StoreError` when the store cannot be used. A damaged database is set aside (renamed to
    `damaged-cache.db`) and begun anew, with one warning, and the call goes on with the new one.
    """

    def __init__(self, directory: Path, *, max_bytes: int, busy_s: float = 2.0) -> None:
        self.directory = directory
        self.max_bytes = max_bytes
        self.busy_s = busy_s
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._writing = threading.Lock()  # taken after it, or alone
        self._db: Database | None = None
        self._inserts: Inserts | None = None
        self._identity = ""
        self._cleared = 0  # times, which `PRAGMA data_version` does not count: that was the reading connection
        self._failed: tuple[float, StoreError] | None = None

    # -- entries

    def get(self, key: str) -> str | None:
        """The text stored under `key`, or None; a row that is not plain text is dropped unread."""
        try:
            return self._run(Database.text, key)
        except Refused as refused:
            logger.warning("The cache held %s: dropped unread. Was %s written by another program?", refused, self._path)
            self.delete(key)
            return None

    def put(self, key: str, text: str, *, expire_s: float, row: VectorRow | None = None) -> None:
        """Store `text` for `expire_s` seconds, its vector with it."""
        now = time.time()
        self.put_all({key: Fresh(text, now, now + expire_s, row)})

    def put_all(self, fresh: Mapping[str, Fresh]) -> None:
        """Store texts under their keys, and the vectors of those keys, in one transaction, for which no reader waits."""
        mended = False
        while True:
            inserts = self._run(self._open_inserts)
            try:
                with self._writing:
                    if inserts is self._inserts:  # else it was closed meanwhile
                        inserts.put(fresh)
                        return
            except (sqlite3.Error, OSError) as error:
                if mended or not _says_damaged(error):
                    raise self._unusable(error) from error
                mended = True
                with self._lock:
                    self._set_aside_if_damaged()

    def delete(self, key: str) -> bool:
        """Drop an entry and its vector; whether there was one."""
        return bool(self._run(lambda db: db.delete(key)))

    def clear(self) -> int:
        """Drop every entry and vector; how many entries there were."""

        def empty(db: Database) -> int:
            count = int(db.clear())
            db._sql("DELETE FROM Vector")
            db._sql("VACUUM")  # the file's free pages would keep the texts for a while, and so would the journal
            db._sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._cleared += 1
            return count

        return self._run(empty)

    # -- vectors

    def version(self) -> tuple[str, int, int]:
        """A counter that changes when any process has written; costs microseconds."""
        seen = self._run(Database.version)
        return self._identity, seen, self._cleared

    def holds(self, block: int) -> bool:
        """Whether there is a prompt of this block."""
        return self._run(Database.holds, block)

    def seqs(self, scope: str, embedder: str, *, after: int = 0) -> set[int]:
        """The vectors of a scope that are newer than `after`."""
        query = "SELECT seq FROM Vector WHERE scope = ? AND embedder = ? AND seq > ?"
        return self._run(lambda db: {int(seq) for (seq,) in db._sql(query, (scope, embedder, after))})

    def vectors(self, seqs: Iterable[int]) -> list[tuple[int, bytes]]:
        """(seq, vector) of those that still exist."""
        wanted = sorted(seqs)

        def read(db: Database) -> list[tuple[int, bytes]]:
            found: list[tuple[int, bytes]] = []
            for part in _chunks(wanted, 500):  # SQLite's default limit of variables is 999 in old builds
                marks = ",".join("?" * len(part))
                found += db._sql(f"SELECT seq, vector FROM Vector WHERE seq IN ({marks})", part).fetchall()  # noqa: S608  # marks only
            return [(seq, vector) for seq, vector in found if type(vector) is bytes]

        return self._run(read)

    def row(self, seq: int) -> VectorRow | None:
        """The semantic side of an entry, None once it is gone."""
        query = "SELECT seq, key, scope, embedder, prompt, vector, block FROM Vector WHERE seq = ?"
        found = self._run(lambda db: db._sql(query, (seq,)).fetchone())
        return VectorRow(*found) if found and all(type(text) is str for text in found[1:5]) else None

    # -- the file

    def check(self) -> None:
        """Raise what keeps it from being used, if anything does."""
        if self._db is None:
            self._run(_nothing)

    @property
    def identity(self) -> str:
        """Names this database: an index built from another one must not be used with it."""
        return self._run(lambda _db: self._identity)

    def sizes(self) -> tuple[int, int, int]:
        """Entries (expired ones included), vectors, bytes on disk of the whole folder."""

        def count(db: Database) -> tuple[int, int]:
            entries = db._sql("SELECT COUNT(*) FROM Cache").fetchone()[0]
            return int(entries), int(db._sql("SELECT COUNT(*) FROM Vector").fetchone()[0])

        entries, vectors = self._run(count)
        return entries, vectors, sum(size for _, size in sizes_in(self.directory))

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        if self._pid != os.getpid():
            self._own()
        with self._lock, self._writing, suppress(sqlite3.Error):  # a transaction that is under way is waited for
            held = [each for each in (self._inserts, self._db) if each is not None]
            self._inserts = self._db = None
            for each in held:
                each.close()

    @property
    def _path(self) -> Path:
        return self.directory / DATABASE

    def _own(self) -> None:
        """A process that was forked opens the database for itself. Another thread of the first one may have held the locks."""
        self._pid = os.getpid()
        self._lock, self._writing = threading.RLock(), threading.Lock()
        inherited.keep((self._db, self._inserts))
        self._db = self._inserts = None

    def _run(self, operation: Callable[[Database, *Given], T], *given: *Given) -> T:
        if self._pid != os.getpid():
            self._own()
        with self._lock:
            try:
                return operation(self._open() if self._db is None else self._db, *given)
            except (sqlite3.Error, diskcache.Timeout, OSError) as error:
                if not _says_damaged(error):
                    raise self._unusable(error) from error
            self._set_aside_if_damaged()
            try:
                return operation(self._open(), *given)
            except (sqlite3.Error, diskcache.Timeout, OSError) as error:
                raise self._unusable(error) from error

    def _open(self) -> Database:
        if self._db is not None:
            return self._db
        if self._failed is not None and time.monotonic() < self._failed[0]:
            raise self._failed[1]
        self._prepare_files()
        self._check_settings()
        # the type is given with the settings, so that those found in the file never choose one
        settings = {**SETTINGS, "size_limit": self.max_bytes, "cull_limit": 0}
        db = Database(str(self.directory), timeout=self.busy_s, disk=RawJsonDisk, **settings)
        try:
            self._identity = self._prepare_tables(db)
        except BaseException:
            db.close()
            raise
        self._db, self._failed = db, None
        return db

    def _open_inserts(self, _db: Database) -> Inserts:
        if self._inserts is None:
            self._inserts = Inserts(self._path, patience_s=self.busy_s, max_bytes=self.max_bytes)
        return self._inserts

    def _prepare_files(self) -> None:
        make_private(self.directory)
        _tighten(self.directory)
        for path in (self._path, *(self._path.with_name(DATABASE + end) for end in ("-wal", "-shm"))):
            if path.exists() or path == self._path:
                # created here because SQLite would use the umask; its journals take the mode of the database
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
                try:
                    if os.name == "posix" and os.fstat(descriptor).st_mode & 0o077:
                        os.fchmod(descriptor, 0o600)
                finally:
                    os.close(descriptor)

    def _check_settings(self) -> None:
        """diskcache makes attributes of the settings it finds: a planted name could replace its own."""
        with closing(sqlite3.connect(self._path, timeout=self.busy_s)) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StoreError(
                    f"The cache in {self.directory} was written by a newer molt_magic (version {version}).",
                    fix="Update molt_magic, or give this one its own folder with MOLT_HOME.",
                )
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "Settings" in tables:
                strange = {str(key) for (key,) in connection.execute("SELECT key FROM Settings")} - KNOWN_SETTINGS
                if strange:
                    raise sqlite3.DatabaseError("database disk image is malformed: unknown settings")

    def _prepare_tables(self, db: Database) -> str:
        with db.transact():
            if db._sql("PRAGMA user_version").fetchone()[0] == 1:
                _bring_forward(db)
            for statement in _SIDE_TABLES:
                db._sql(statement)
            db._sql("INSERT OR IGNORE INTO Identity VALUES (1, ?)", (uuid.uuid4().hex,))
            db._sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
            return str(db._sql("SELECT id FROM Identity").fetchone()[0])

    def _unusable(self, error: BaseException) -> StoreError:
        if isinstance(error, diskcache.Timeout):
            cause = _sqlite_error(error)
            error = cause if cause is not None else error
        locked = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)  # without number and path
        story = "another program keeps it locked" if locked else said or type(error).__name__
        full = "disk is full" in story or getattr(error, "errno", None) == errno.ENOSPC
        fix = "Free some space on the disk." if full else "Make the folder yours and writable, or set MOLT_HOME to another one."
        failure = StoreError(f"The cache in {self.directory} cannot be used: {story}.", fix=fix)
        if self._db is None:
            self._failed = (time.monotonic() + RETRY_AFTER_S, failure)
        return failure

    def _set_aside_if_damaged(self) -> None:
        """Another process may have put a sound database there already: then opening it is enough."""
        self.close()
        if self._sound():
            return
        try:
            # The journal goes first: beside a new database it would be replayed into it.
            for end in ("-wal", "-shm", ""):
                path = self._path.with_name(DATABASE + end)
                if path.exists():
                    path.replace(path.with_name(DAMAGED + end))
        except OSError as error:
            raise self._unusable(error) from error
        logger.warning("The cache's database was damaged: set aside as %s and begun anew.", self.directory / DAMAGED)

    def _sound(self) -> bool:
        try:
            self._check_settings()
            with closing(sqlite3.connect(self._path, timeout=self.busy_s)) as connection:
                for query in _EXPECTED:
                    connection.execute(f"{query} LIMIT 0")
                return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
        except sqlite3.Error as error:
            return not _says_damaged(error)


def _bring_forward(db: Database) -> None:
    """From version 1, which knew no blocks."""
    from molt_magic.cache.block import block_of  # its patterns take a while to make

    db._con.create_function("block_of", 2, block_of, deterministic=True)
    db._sql("ALTER TABLE Vector ADD COLUMN block INTEGER")
    db._sql("UPDATE Vector SET block = block_of(scope, prompt)")


def _nothing(_db: Database) -> None:
    """What needs an open database only."""


def make_private(directory: Path) -> None:
    """Make a folder (and its missing parents) for the user only.

    Raises:
        StoreError: the folder is someone else's.
        OSError: it cannot be made.
    """
    if not directory.exists():
        if not directory.parent.exists():
            make_private(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
    if os.name == "posix":
        info = directory.stat()
        if info.st_uid != os.geteuid():
            raise StoreError(f"The folder {directory} belongs to another user.", fix="Set MOLT_HOME to a folder of your own.")


def _tighten(directory: Path) -> None:
    if directory.is_symlink():
        return  # where a link leads was the user's choice, and so is the mode there
    mode = directory.stat().st_mode
    if os.name == "posix" and mode & 0o077:
        directory.chmod(mode & 0o700)


def _sqlite_error(error: BaseException | None) -> sqlite3.Error | None:
    """SQLite's own error behind diskcache's Timeout, which hides it."""
    while error is not None and not isinstance(error, sqlite3.Error):
        error = error.__cause__ or error.__context__
    return error


def _says_damaged(error: BaseException) -> bool:
    found = _sqlite_error(error)
    if found is None:
        return False
    code = getattr(found, "sqlite_errorcode", 0)
    if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or code == sqlite3.SQLITE_IOERR_SHORT_READ:
        return True
    return any(sign in str(found) for sign in ("malformed", "not a database", "no such table", "no such column"))


def _chunks(items: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
