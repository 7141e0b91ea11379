"""One event loop for everything that waits, run by whoever waits for it: to hand a question to another thread and its answer
back takes longer than all that is decided meanwhile.

A thread of its own runs it for those that do not wait (`submit`, `aroute`), for those that cannot run it themselves, and while
nobody asks, so that a closed connection is noticed.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` without its enumerations, which take 10 us a question
import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from molt_magic.errors import InputError
from molt_magic.orchestrator.under_way import CANCEL_S, Asking, Running, UnderWay, join

if TYPE_CHECKING:
    from molt_magic.result import Result

T = TypeVar("T")
U = TypeVar("U", bound=UnderWay[Any])

IDLE_S = 0.05  # without a question, after which the loop's own thread runs it
# a loop within another's task: from 3.14 on asyncio allows one task a thread. Windows ends what a thread has begun to read
# when that thread ends, and a connection outlives its question
_WITHIN_OTHERS = sys.version_info < (3, 14)
_IN_ANY_THREAD = sys.platform != "win32"


class EventLoop:
    """An event loop for all threads, made at first use."""

    def __init__(self) -> None:
        self._shared: _Shared | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def submit(self, coro: Coroutine[Any, Any, T]) -> Running[T]:
        """Start `coro` on the loop. Raises InputError: the interpreter ends."""
        shared = self._started(coro)
        return shared.hand_over(Running(shared.loop, coro, shared.ended))

    def ask(self, coro: Coroutine[Any, Any, Result], so_far: Callable[[], Result | None]) -> Asking:
        """Start a question on the loop; `so_far` tells its result, also where the coroutine raises.
        Raises InputError: the interpreter ends."""
        shared = self._started(coro)
        return shared.hand_over(Asking(shared.loop, coro, shared.ended, so_far))

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run `coro` and wait for it; on KeyboardInterrupt cancel it, let it write down what it had, and re-raise.

        Raises:
            InputError: it is called on the loop, by a listener: it would wait for itself; or the interpreter ends.
        """
        shared = self._started(coro)
        running = UnderWay(shared.loop, coro, shared.ended)
        outer = asyncio._get_running_loop()
        if outer is shared.loop:
            coro.close()
            raise InputError(
                "A question was asked by what is told of another one's progress, and waits for itself.",
                fix="Ask it afterwards, or with `submit`, which does not wait.",
            )
        if not shared.run_here(running, outer):
            shared.hand_over(running)
            join((running,))
        return running.outcome()

    def close(self) -> None:
        """End what is under way, and the loop. Idempotent."""
        with self._lock:
            shared, self._shared = self._shared, None
        if shared is not None and self._pid == os.getpid():
            shared.close()

    def _started(self, coro: Coroutine[Any, Any, Any]) -> _Shared:
        if sys.is_finalizing():  # whoever ran it does not run any more
            coro.close()
            raise InputError("The interpreter ends, and nothing can be asked any more.", fix="Ask before, not in a __del__.")
        if self._pid != os.getpid():  # a fork takes no threads along: the loop is a parent's, and would never run
            self._lock = threading.Lock()  # another thread may have held it
            self._shared = None
            self._pid = os.getpid()
        with self._lock:
            if self._shared is None:
                self._shared = _Shared()
            return self._shared


class _Shared:
    """A loop, and whose turn it is to run it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._under_way: set[UnderWay[Any]] = set()
        self._turn = threading.Lock()  # held by the thread that runs the loop
        self._turns = 0  # of threads that waited
        self._awaited: UnderWay[Any] | None = None  # for which such a thread runs it
        self._needed = threading.Event()  # the thread of its own
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="molt-magic", daemon=True)
        self._thread.start()

    def run_here(self, running: UnderWay[Any], outer: asyncio.AbstractEventLoop | None) -> bool:
        """Run the loop in this thread until `running` has ended. False: it is another's turn, or this thread cannot.

        Args:
            outer: the loop that runs in this thread, in a notebook that of the kernel.

        Raises:
            KeyboardInterrupt: `running` was cancelled.
        """
        if self._turn.locked() or not _IN_ANY_THREAD or not (outer is None or _WITHIN_OTHERS):
            return False
        with _Interrupts(self.loop, running) as interrupts:
            if interrupts.foreign or not self._turn.acquire(blocking=False):
                return False
            try:
                self._awaited = running
                self._under_way.add(running)
                running.begin()
                asyncio._set_running_loop(None)
                while not (running.has_ended or interrupts.over):
                    self.loop.run_forever()
            finally:
                asyncio._set_running_loop(outer)
                self._awaited = None
                self._turns += 1
                self._turn.release()
                self._look_who_is_left()
        return True

    def hand_over(self, running: U) -> U:
        """Let another thread run it."""
        self._under_way.add(running)
        try:
            self.loop.call_soon_threadsafe(running.begin)
        except RuntimeError:  # it is closed
            self._under_way.discard(running)
            raise
        if not self._turn.locked():
            self._needed.set()
        return running

    def ended(self, running: UnderWay[Any]) -> None:
        """On the loop: one has ended. Who waits for it need not run the loop any more; and the loop's own thread leaves it to
        who asks next, unless nobody waits."""
        self._under_way.discard(running)
        if running is self._awaited or (self._awaited is None and not self._under_way and not isinstance(running, Running)):
            self.loop.stop()

    def _look_who_is_left(self) -> None:
        """After a turn. One that is handed over during it needs nobody else, unless the loop was about to end its turn."""
        if self._under_way:
            self._needed.set()

    def _serve(self) -> None:
        while not self._closing:
            self._wait()
            self._needed.clear()
            # suppressed: one of those under way wants to end the program. Who waits for it is told; the others go on
            with self._turn, contextlib.suppress(SystemExit, KeyboardInterrupt):
                self.loop.run_forever()
            self._look_who_is_left()

    def _wait(self) -> None:
        """Until the loop's own thread is needed, or nobody has run the loop for a time."""
        turns = -1
        while not self._needed.wait(IDLE_S):
            if self._turns == turns and not self._turn.locked():
                return
            turns = self._turns

    def close(self) -> None:
        """End what is under way, the thread and the loop."""
        ending = self.hand_over(UnderWay(self.loop, _cancel_all(), self.ended))
        ending.wait(CANCEL_S)
        self._closing = True
        self._needed.set()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(CANCEL_S)
        if self._turn.acquire(timeout=CANCEL_S):  # one that hangs keeps its loop
            self.loop.close()


class _Interrupts:
    """Ctrl-C while a thread runs the loop: it cancels what is waited for, instead of breaking off the loop's own code or a
    row that is being written. A second one does not wait for that."""

    def __init__(self, loop: asyncio.AbstractEventLoop, running: UnderWay[Any]) -> None:
        self.over = False  # there is no more waiting for what was cancelled
        self.foreign = False  # they are heard by a handler that is not Python's own, and may raise where it likes
        self._loop = loop
        self._running = running
        self._heard = False  # by this one
        self._came = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # which alone is interrupted
            handler = _signal.getsignal(signal.SIGINT)
            self._heard = handler is signal.default_int_handler
            if self._heard:
                _signal.signal(signal.SIGINT, self._hear)
            else:
                self.foreign = handler not in (signal.SIG_IGN, signal.SIG_DFL)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._heard:
            _signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._came and error is None:
            raise KeyboardInterrupt

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        if self._came:
            raise KeyboardInterrupt
        self._came = True
        self._running.cancel()
        self._loop.call_soon_threadsafe(self._loop.call_later, CANCEL_S, self._give_up)

    def _give_up(self) -> None:
        if not self._running.has_ended:
            self.over = True
            self._loop.stop()


async def _cancel_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(2):  # asyncio closes the socket of a connection that is closed in the loop's next turn
        await asyncio.sleep(0)
