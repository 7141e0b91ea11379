"""Work that may be done a moment later, and once for all who wanted it meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

IDLE_S = 10.0  # without anything to do, after which the thread ends; the next wish begins another


class Soon:
    """Does something a moment after it is wanted, in a thread of its own.

    Args:
        do: what is done; it must not raise.
        name: of the thread.
        pause_s: seconds from the first wish until it is done, so that once stands for many: a thread that wakes for every one
            takes the interpreter from who asks.
    """

    def __init__(self, do: Callable[[], None], *, name: str, pause_s: float) -> None:
        self._do = do
        self._name = name
        self._pause_s = pause_s
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._due, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def want(self) -> bool:
        """It is to be done soon. False: it will not be, as the interpreter ends and no thread can begin."""
        if self._due.is_set():  # it has not begun yet
            return True
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, args=(self._due, self._ended), name=self._name, daemon=True)
                with suppress(RuntimeError):
                    thread.start()
                    self._thread = thread
            if self._thread is not None:
                self._due.set()
            return self._thread is not None

    @property
    def running(self) -> bool:
        """Whether there is a thread."""
        return self._thread is not None

    def close(self) -> None:
        """End the thread; what is being done is waited for, what is due is not done. The next wish begins another."""
        with self._lock:
            thread, due, ended = self._thread, self._due, self._ended
            ended.set()
            due.set()
            self._begin()
        if thread is not None:
            thread.join()

    def _run(self, due: threading.Event, ended: threading.Event) -> None:
        while True:
            if not due.wait(IDLE_S):
                with self._lock:
                    if not due.is_set():
                        self._thread = None
                        return
            if ended.wait(self._pause_s):
                return
            due.clear()
            self._do()
