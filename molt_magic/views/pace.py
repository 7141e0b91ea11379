"""Draws at most ten times a second, in a thread of its own: what is drawn holds up neither an answer nor the notebook."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("molt_magic")

INTERVAL_S = 0.1
_REST = 3  # times as long as the last drawing took: one that is slow must not take the machine from the answers


class Pace:
    """Calls `draw` soon after each `touch`, but not more often than every `every_s` seconds; the last touch is never lost.

    The thread starts at the first touch.
    """

    def __init__(self, draw: Callable[[], None], *, every_s: float = INTERVAL_S) -> None:
        self._draw = draw
        self._every_s = every_s
        self._touched = threading.Event()
        self._closed = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def touch(self) -> None:
        """There is something new to draw; from any thread."""
        self._touched.set()
        with self._starting:
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name="molt-draw", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Draw no more. Returns when nothing is being drawn; `draw` itself may call it."""
        with self._starting:
            self._closed.set()
            thread = self._thread
        self._touched.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while True:
            self._touched.wait()
            if self._closed.is_set():
                return
            self._touched.clear()
            begun = time.monotonic()
            try:
                self._draw()
            except Exception:
                logger.exception("could not be drawn; what is drawn goes on")
            self._closed.wait(max(self._every_s, _REST * (time.monotonic() - begun)))
