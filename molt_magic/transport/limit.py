"""An end to what a task does, after a time: as `asyncio.timeout`, of which there are several around every call.

All that a loop has at a time share one timer. It is set anew only for one that ends sooner, and when it is due: most of what
is waited for comes long before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import cast
from weakref import WeakKeyDictionary


class _Watch:
    """The timer of one loop, which is always given: a watch does not keep its loop."""

    def __init__(self) -> None:
        self._limits: set[_Limit] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0  # when the timer is, by the loop's clock

    def add(self, limit: _Limit, loop: asyncio.AbstractEventLoop) -> None:
        self._limits.add(limit)
        if self._timer is None or limit.at < self._due:
            self._set_timer(limit.at, loop)

    def drop(self, limit: _Limit) -> None:
        self._limits.discard(limit)

    def _set_timer(self, due: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due = loop.call_at(due, self._look, loop), due

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """End those that are over, and wait for the next of the others."""
        self._timer, now = None, loop.time()
        for limit in [limit for limit in self._limits if limit.at <= now]:
            self._limits.discard(limit)
            limit.end()
        if self._limits:
            self._set_timer(min([limit.at for limit in self._limits]), loop)


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = WeakKeyDictionary()


class _Limit:
    __slots__ = ("_cancelling", "_ended", "_error", "_seconds", "_task", "_watch", "at")

    at: float  # by the loop's clock
    _cancelling: int
    _task: asyncio.Task[object]
    _watch: _Watch

    def __init__(self, seconds: float, error: Callable[[], Exception]) -> None:
        self._seconds = seconds
        self._error = error
        self._ended = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._watch = watch = _watches.get(loop) or _watches.setdefault(loop, _Watch())
        self._task = task = cast("asyncio.Task[object]", asyncio.current_task(loop))
        self._cancelling = task.cancelling()
        self.at = loop.time() + self._seconds
        watch.add(self, loop)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._watch.drop(self)
        if not self._ended:
            return
        # one that others cancelled as well stays cancelled; a TimeoutError is what an inner limit made of our cancelling
        if (self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError) or isinstance(error, TimeoutError):
            raise self._error() from None

    def end(self) -> None:
        self._ended = True
        self._task.cancel()


def limit(seconds: float, error: Callable[[], Exception] = TimeoutError) -> AbstractContextManager[None]:
    """End what the running task does inside after so many seconds.

    Raises:
        what `error` returns: it was ended.
    """
    return cast("AbstractContextManager[None]", _Limit(seconds, error))
