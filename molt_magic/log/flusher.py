"""Brings what was committed from the system's memory to the disk, a moment later and in a thread of its own; and from the
journal into the database, for which a writer would have to wait."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from molt_magic.soon import Soon

logger = logging.getLogger("molt_magic")

PAUSE_S = 0.05  # before a sync, so that one stands for many
COMMITS = 200  # after which the journal is brought into the database: some 8 MB

_sync = getattr(os, "fdatasync", os.fsync)  # as SQLite does it: times of a file need not be on the disk


class Flusher:
    """Syncs a database's journal after commits that SQLite has not synced.

    One sync stands for all that was committed before it began: a busy log is synced as often as the disk can, and nobody
    waits for it. The journal is opened for each sync, and by its name, as SQLite may have begun another file. That is safe
    beside SQLite's own descriptors: it takes no lock on a journal that closing ours could drop, unlike on the database.

    Args:
        database: the file. Where its journal is not there, there is nothing to sync.
    """

    def __init__(self, database: Path) -> None:
        self.database = database
        self.journal = database.with_name(f"{database.name}-wal")
        self._commits = 0  # since the journal was brought in
        self._soon = Soon(self._tend, name="molt-flush", pause_s=PAUSE_S)
        self._folder_synced = False
        self._told = False

    def committed(self) -> None:
        """Something was written: sync it soon."""
        self._commits += 1
        self._soon.want()  # where no thread can begin the interpreter ends, and the system writes its files out by itself

    def flush(self) -> None:
        """Sync now; all that was committed before is on the disk when this returns. Raises OSError."""
        try:
            descriptor = os.open(self.journal, os.O_RDWR | getattr(os, "O_BINARY", 0))  # to sync, Windows wants to write
        except FileNotFoundError:
            return
        try:
            _sync(descriptor)
        finally:
            os.close(descriptor)
        if not self._folder_synced and os.name == "posix":  # that there is such a file
            folder = os.open(self.journal.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self._folder_synced = True

    def close(self) -> None:
        """End the thread; a sync that is under way is waited for."""
        self._soon.close()

    def _tend(self) -> None:
        try:
            self.flush()
            if self._commits >= COMMITS:
                self._commits = 0
                self._bring_in()
        except OSError as error:
            level = logging.DEBUG if self._told else logging.WARNING
            logger.log(level, "%s cannot be synced to the disk (%s): a power cut may take its end", self.journal, error)
            self._told = True

    def _bring_in(self) -> None:
        """Empty the journal into the database, in nobody's way. What cannot be done now is left to writers."""
        with suppress(sqlite3.Error), closing(sqlite3.connect(self.database, timeout=0)) as connection:
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
