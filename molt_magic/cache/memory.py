"""Answers kept in this process alone: for who keeps prompts off the disk, since an answer or a summary may repeat them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence


class MemoryStore:
    """JSON texts by key, as `JsonStore` keeps them, but in memory and gone with the process; without vectors.

    Args:
        max_bytes: bound of all texts; the oldest go first.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._texts: OrderedDict[str, tuple[str, float]] = OrderedDict()  # key -> text, monotonic seconds of its end
        self._bytes = 0

    def get(self, key: str) -> str | None:
        """The text stored under `key`, or None."""
        with self._lock:
            text, end = self._texts.get(key, (None, 0.0))
            if text is not None and end < time.monotonic():
                self._drop(key)
                return None
            return text

    def put(
        self,
        key: str,
        text: str,
        *,
        expire_s: float,
        row: object = None,  # noqa: ARG002  # there are no vectors
        also: Sequence[str] = (),
    ) -> None:
        """Store `text` for `expire_s` seconds, under other keys `also`."""
        with self._lock:
            for name in (key, *also):
                self._drop(name)
                self._texts[name] = (text, time.monotonic() + expire_s)
                self._bytes += len(text)
            while self._bytes > self.max_bytes:
                self._drop(next(iter(self._texts)))

    def delete(self, key: str) -> bool:
        """Drop an entry; whether there was one."""
        with self._lock:
            return self._drop(key)

    def clear(self) -> int:
        """Drop every entry; how many there were."""
        with self._lock:
            count = len(self._texts)
            self._texts.clear()
            self._bytes = 0
            return count

    def sizes(self) -> tuple[int, int, int]:
        """Entries (expired ones included), vectors, bytes."""
        with self._lock:
            return len(self._texts), 0, self._bytes

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is held open; the texts stay."""

    def _drop(self, key: str) -> bool:
        text, _ = self._texts.pop(key, (None, 0.0))
        self._bytes -= len(text or "")
        return text is not None
