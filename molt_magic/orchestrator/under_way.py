"""Coroutines under way on an event loop, for the threads that wait for them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

if TYPE_CHECKING:
    from molt_magic.result import Result

T = TypeVar("T")

POLL_S = 0.1  # how long a KeyboardInterrupt may wait before the main thread sees it
CANCEL_S = 5.0  # how long a cancelled request may take to write down what it had


class UnderWay(Generic[T]):
    """A coroutine under way on a loop, for one thread that waits for it.

    A cancelled one has ended only when its coroutine has, having written down what it had.

    Args:
        ended: called on the loop at the end.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T], ended: Callable[[UnderWay[Any]], None]
    ) -> None:
        super().__init__()
        self._loop = loop
        self._coro = coro
        self._at_end = ended
        self._task: asyncio.Task[None] | None = None
        self._returned: T | None = None
        self._raised: BaseException | None = None
        self._under_way = threading.Lock()  # held until it has ended
        self._under_way.acquire()

    def begin(self) -> None:
        """Begin it, in the thread that runs the loop or is about to."""
        self._task = self._loop.create_task(self._follow())

    def cancel(self) -> bool:
        """Ask the coroutine to end. False: it has ended already."""
        if self.has_ended:
            return False
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing runs any more
            # later by one turn of the loop: a task that is cancelled before its first step never starts, and writes nothing
            self._loop.call_soon_threadsafe(self._loop.call_soon, self._end)
        return True

    def wait(self, seconds: float) -> bool:
        """Wait for its end; whether it has ended. Cheaper than waiting for a future, which looks after other futures too."""
        if not self._under_way.acquire(timeout=seconds):
            return False
        self._under_way.release()  # whoever waits as well
        return True

    @property
    def has_ended(self) -> bool:
        return not self._under_way.locked()

    def outcome(self) -> T:
        """What it returned, once it has ended; raises what it raised."""
        if self._raised is not None:
            try:
                raise self._raised
            finally:
                del self  # the traceback would hold its own exception
        return cast("T", self._returned)

    async def _follow(self) -> None:
        # its end is told from within: to hear it from the task takes the loop another turn
        try:
            self._returned = await self._coro
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # for who waits
            self._raised = error
        except BaseException as error:  # for the loop as well
            self._raised = error
            if self._task is not None:
                self._task.add_done_callback(asyncio.Task.exception)  # it is known: nothing is to be said of it
            raise
        finally:
            self._task = None
            self._ended()
            self._at_end(self)
            self._under_way.release()

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _ended(self) -> None:
        """Tell others than who waits."""


class Running(UnderWay[T], concurrent.futures.Future[T]):
    """The same as a future, for whoever wants to be told of its end."""

    def _ended(self) -> None:
        if self._raised is None:
            self.set_result(cast("T", self._returned))
        elif isinstance(self._raised, asyncio.CancelledError):
            concurrent.futures.Future.cancel(self)
            self.set_running_or_notify_cancel()  # wakes who waits for it
        else:
            self.set_exception(self._raised)


class Asking(Running["Result"]):
    """A question under way, as `Orchestrator.submit` returns it.

    `result()` waits, and raises what `Orchestrator.route` raises, or CancelledError. `cancel()` ends the request; once it is
    `done()`, what had arrived is logged and in `so_far`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        coro: Coroutine[Any, Any, Result],
        ended: Callable[[UnderWay[Any]], None],
        so_far: Callable[[], Result | None],
    ) -> None:
        super().__init__(loop, coro, ended)
        self._so_far = so_far

    @property
    def so_far(self) -> Result | None:
        """What came of it, a failed or an interrupted Result too; None while it is under way."""
        return self._so_far()


def join(running: Sequence[UnderWay[Any]]) -> None:
    """Wait until all have ended; on KeyboardInterrupt cancel them, let them write down what they had, and re-raise."""
    try:
        for one in running:
            while not one.wait(POLL_S):
                pass
    except KeyboardInterrupt:
        for one in running:
            one.cancel()
        until = time.monotonic() + CANCEL_S
        for one in running:
            one.wait(max(0.0, until - time.monotonic()))
        raise
