"""One background event loop for everything that waits: the synchronous API submits to it and polls."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
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
    """A coroutine under way on the loop, for one thread that waits for it.

    A cancelled one has ended only when its coroutine has, having written down what it had.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T]) -> None:
        super().__init__()
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self._returned: T | None = None
        self._raised: BaseException | None = None
        self._under_way = threading.Lock()  # held until it has ended
        self._under_way.acquire()
        loop.call_soon_threadsafe(self._begin, coro)

    def cancel(self) -> bool:
        """Ask the coroutine to end. False: it has ended already."""
        if not self._under_way.locked():
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

    def outcome(self) -> T:
        """What it returned, once it has ended; raises what it raised."""
        if self._raised is not None:
            try:
                raise self._raised
            finally:
                del self  # the traceback would hold its own exception
        return cast("T", self._returned)

    def _begin(self, coro: Coroutine[Any, Any, T]) -> None:
        self._task = self._loop.create_task(self._follow(coro))

    async def _follow(self, coro: Coroutine[Any, Any, T]) -> None:
        # its end is told from within: to hear it from the task takes the loop another turn
        try:
            self._returned = await coro
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # for who waits
            self._raised = error
        except BaseException as error:  # for the loop as well
            self._raised = error
            raise
        finally:
            self._task = None
            self._ended()
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
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Result], so_far: Callable[[], Result | None]
    ) -> None:
        super().__init__(loop, coro)
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


class BackgroundLoop:
    """An asyncio loop in a daemon thread, started at first use."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def submit(self, coro: Coroutine[Any, Any, T]) -> Running[T]:
        """Start `coro` on the loop."""
        return Running(self._started(), coro)

    def ask(self, coro: Coroutine[Any, Any, Result], so_far: Callable[[], Result | None]) -> Asking:
        """Start a question on the loop; `so_far` tells its result, also where the coroutine raises."""
        return Asking(self._started(), coro, so_far)

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run `coro` and wait for it; on KeyboardInterrupt cancel it, let it write down what it had, and re-raise."""
        running = UnderWay(self._started(), coro)
        join((running,))
        return running.outcome()

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._pid != os.getpid():  # a fork takes no threads along: the loop is a parent's, and would never run it
            self._lock = threading.Lock()  # another thread may have held it
            self._loop = self._thread = None
            self._pid = os.getpid()
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="molt-magic", daemon=True)
                self._thread.start()
            return self._loop

    def close(self) -> None:
        """Stop the loop and its thread. Idempotent."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        with contextlib.suppress(RuntimeError, TimeoutError):
            asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(CANCEL_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CANCEL_S)
        if not thread.is_alive():
            loop.close()


async def _cancel_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
