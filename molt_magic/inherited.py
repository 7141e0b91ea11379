"""SQLite connections that a fork has brought along: closing or finalising them in the child is what SQLite forbids."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress

_kept: list[object] = []


def keep(held: object) -> None:
    """Never finalise what holds such a connection."""
    _kept.append(held)


class Holder:
    """Who opens a connection for the process it is in: it is closed when its holder goes, and kept where a fork brought it."""

    _connection: sqlite3.Connection | None = None
    _pid = 0  # of the process that opened it

    def _drop(self) -> None:
        """Let go of the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None and self._pid != os.getpid():
            keep(connection)
        elif connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def __del__(self) -> None:
        self._drop()  # from Python 3.13 on a connection that nobody has closed complains
