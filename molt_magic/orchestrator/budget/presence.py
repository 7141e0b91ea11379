"""Which processes are alive: each holds the lock of one byte of a shared file, and the system frees it when the process dies.

Unlike a process id it is never another's, and unlike a lease nobody has to renew it. A fork does not take it along (POSIX
record locks belong to a process), so a child is a process of its own here too.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

_BITS = 30  # of a process's byte: as far into a file as every system can lock


@dataclass(frozen=True, slots=True)
class _Mine:
    """This process's place in a file."""

    pid: int
    descriptor: int  # never closed: on POSIX, closing any descriptor of the file would give the lock away
    byte: int


_mine: dict[Path, _Mine] = {}
_lock = threading.Lock()


class Presence:
    """The processes that share a file, this one among them.

    Args:
        path: the file, empty, made 0600 when it is not there; its folder must be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def own(self) -> int:
        """The number of this process; others see it as alive from now until this process ends. Raises OSError."""
        with _lock:
            mine = _mine.get(self.path)
            if mine is None or mine.pid != os.getpid():
                mine = _mine[self.path] = _claimed(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            else:
                _try_lock(mine.descriptor, mine.byte)  # held already, unless somebody in this process read the file meanwhile
            return mine.byte

    def alive(self, number: int) -> bool:
        """Whether the process of this number has not ended."""
        own = self.own()
        if number == own:
            return True
        with _lock:
            descriptor = _mine[self.path].descriptor
            if not _try_lock(descriptor, number):
                return True
            _unlock(descriptor, number)
            return False


def _claimed(descriptor: int) -> _Mine:
    while True:
        byte = 1 + secrets.randbits(_BITS)
        if _try_lock(descriptor, byte):
            return _Mine(os.getpid(), descriptor, byte)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int, byte: int) -> bool:
        os.lseek(descriptor, byte, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int, byte: int) -> None:
        os.lseek(descriptor, byte, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int, byte: int) -> bool:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):  # POSIX leaves open which of the two it is
            return False
        return True

    def _unlock(descriptor: int, byte: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, byte)
