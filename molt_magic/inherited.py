"""SQLite connections that a fork has brought along: closing or finalising them in the child is what SQLite forbids."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress

_kept: list[object] = []


def keep(held: object) -> None:
    """Never finalise what holds such a connection."""
    _kept.append(held)


def close(connection: sqlite3.Connection, opened_by: int) -> None:
    """Close a connection, unless another process has opened it.

    Args:
        opened_by: that process's id.
    """
    if opened_by == os.getpid():
        with suppress(sqlite3.Error):
            connection.close()
    else:
        keep(connection)
