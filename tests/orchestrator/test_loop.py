"""One loop for all threads: run by the thread that waits, else by one of its own; nothing that is asked is left lying."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from molt_magic.errors import InputError
from molt_magic.orchestrator import loop as loops
from molt_magic.orchestrator.loop import EventLoop

posix = pytest.mark.skipif(sys.platform == "win32", reason="on Windows the loop has a thread of its own alone")


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    made = EventLoop()
    yield made
    made.close()


@pytest.fixture
def never_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's own thread runs it only where it is told to: one that is forgotten hangs."""
    monkeypatch.setattr(loops, "IDLE_S", 60.0)


async def ident() -> int:
    return threading.get_ident()


async def after(seconds: float, value: Any = None) -> Any:
    await asyncio.sleep(seconds)
    return value


async def lingering(done: threading.Event) -> None:
    """Takes its time to end where it is cancelled."""
    try:
        await asyncio.sleep(30)
    finally:
        await asyncio.sleep(0.6)
        done.set()


def kill_main(after_s: float) -> threading.Timer:
    """Ctrl-C, a little later."""
    timer = threading.Timer(after_s, signal.pthread_kill, (threading.main_thread().ident or 0, signal.SIGINT))
    timer.start()
    return timer


def eventually(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + 5
    while not holds() and time.monotonic() < until:
        time.sleep(0.005)
    return holds()


@pytest.mark.usefixtures("never_idle")
class TestWhoRunsIt:
    @posix
    def test_the_thread_that_waits(self, loop: EventLoop) -> None:
        assert loop.run(ident()) == threading.get_ident()
        with ThreadPoolExecutor(1) as pool:
            ran, waited = pool.submit(lambda: (loop.run(ident()), threading.get_ident())).result()
        assert ran == waited

    @posix
    @pytest.mark.skipif(sys.version_info >= (3, 14), reason="one task a thread")
    def test_within_the_loop_of_a_notebook_too_which_goes_on_afterwards(self, loop: EventLoop) -> None:
        async def cell() -> None:
            outer, task = asyncio.get_running_loop(), asyncio.current_task()
            assert loop.run(ident()) == threading.get_ident()
            assert (asyncio.get_running_loop(), asyncio.current_task()) == (outer, task)
            await asyncio.sleep(0.01)

        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as kernel:
            kernel.get_loop().run_until_complete(cell())  # without the handler of `Runner.run`, as in a kernel

    def test_a_thread_of_its_own_for_what_nobody_waits_for(self, loop: EventLoop) -> None:
        assert loop.submit(ident()).result(5) != threading.get_ident()

    def test_a_thread_of_its_own_where_a_handler_of_signals_may_raise_anywhere(self, loop: EventLoop) -> None:
        usual = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            assert loop.run(ident()) != threading.get_ident()
        finally:
            signal.signal(signal.SIGINT, usual)

    @posix
    def test_it_is_given_back_to_those_who_wait(self, loop: EventLoop) -> None:
        asking = loop.submit(after(0.2))
        assert eventually(lambda: loop.run(ident()) != threading.get_ident())  # it is another's turn
        asking.result(5)
        loop.run(after(0))
        assert eventually(lambda: loop.run(ident()) == threading.get_ident())

    @posix
    def test_what_begins_meanwhile_runs_at_once_and_goes_on_afterwards(self, loop: EventLoop) -> None:
        began, ended = threading.Event(), []

        async def other() -> None:
            began.set()
            await asyncio.sleep(0.3)
            ended.append(threading.get_ident())

        async def mine() -> bool:
            running.append(loop.submit(other()))
            await asyncio.sleep(0.05)
            return began.is_set()

        running: list[Any] = []
        assert loop.run(mine())
        assert not running[0].done()
        running[0].result(5)
        assert ended != [threading.get_ident()]

    def test_none_of_many_is_forgotten(self, loop: EventLoop) -> None:
        rng = random.Random(7)
        pauses = [[rng.choice((0.0, 0.0, 0.0, 0.001, 0.003)) for _ in range(150)] for _ in range(6)]

        async def awaited(coro: Coroutine[Any, Any, int]) -> int:
            return await asyncio.wrap_future(loop.submit(coro))

        def ask(thread: int) -> list[int]:
            got = []
            for number, pause in enumerate(pauses[thread]):
                how = (thread + number) % 3
                if how == 0:
                    got.append(loop.run(after(pause, number)))
                elif how == 1:
                    got.append(loop.submit(after(pause, number)).result(10))
                else:
                    got.append(asyncio.run(awaited(after(pause, number))))
            return got

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(ask, range(6), timeout=60)) == [list(range(150))] * 6


def test_it_runs_while_nobody_asks(loop: EventLoop) -> None:
    later = threading.Event()

    async def leaves_something() -> None:
        asyncio.get_running_loop().call_later(0.02, later.set)

    loop.run(leaves_something())
    assert later.wait(5)


@posix
def test_after_a_pause_the_first_question_is_for_another_thread_and_those_after_it_are_not(loop: EventLoop) -> None:
    loop.run(after(0))
    shared = loop._shared
    assert shared is not None
    for _ in range(3):
        assert eventually(shared._turn.locked)  # nobody asked for a while
        assert loop.run(ident()) != threading.get_ident()
        assert eventually(lambda: loop.run(ident()) == threading.get_ident())  # at once, unless the other is slow to let go


def test_what_asks_while_the_interpreter_ends_is_refused() -> None:
    asks = """
from molt_magic.errors import InputError
from molt_magic.orchestrator.loop import EventLoop

async def answer():
    return 1

loop = EventLoop()
loop.run(answer())

class Late:
    def __del__(self, refused=InputError, run=loop.run, answer=answer):
        try:
            run(answer())
        except refused as error:
            print(error)

late = Late()
"""
    done = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, timeout=60, check=True)
    assert "nothing can be asked any more" in done.stdout


def test_a_listener_that_asks_and_waits_is_told_that_it_would_wait_for_itself(loop: EventLoop) -> None:
    async def listener() -> None:
        loop.run(after(0))

    with pytest.raises(InputError, match="waits for itself"):
        loop.run(listener())
    with pytest.raises(InputError, match="waits for itself"):
        loop.submit(listener()).result(5)


@posix
class TestCtrlC:
    def test_it_cancels_what_is_waited_for_and_lets_it_write_down_what_it_had(self, loop: EventLoop) -> None:
        written = []

        async def asked() -> None:
            try:
                await asyncio.sleep(30)
            finally:
                await asyncio.sleep(0.05)
                written.append(threading.get_ident())

        kill_main(0.1)
        with pytest.raises(KeyboardInterrupt):
            loop.run(asked())
        assert written == [threading.get_ident()]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_it_never_breaks_off_what_is_being_written(self, loop: EventLoop) -> None:
        rows = []

        async def asked() -> None:
            kill_main(0.02)
            for _ in range(200):  # no place in it where a task could be cancelled
                time.sleep(0.001)
            rows.append("whole")
            await asyncio.sleep(30)

        with pytest.raises(KeyboardInterrupt):
            loop.run(asked())
        assert rows == ["whole"]

    def test_it_is_heard_where_what_was_waited_for_ended_all_the_same(self, loop: EventLoop) -> None:
        async def asked() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(30)

        kill_main(0.05)
        with pytest.raises(KeyboardInterrupt):
            loop.run(asked())

    def test_a_second_one_does_not_wait_and_the_rest_is_done_without_it(self, loop: EventLoop) -> None:
        done = threading.Event()
        kill_main(0.05)
        kill_main(0.15)
        with pytest.raises(KeyboardInterrupt):
            loop.run(lingering(done))
        assert not done.is_set()
        assert done.wait(5)

    def test_one_that_does_not_end_is_left_to_itself_after_a_time(
        self, loop: EventLoop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(loops, "CANCEL_S", 0.1)
        done = threading.Event()
        kill_main(0.05)
        with pytest.raises(KeyboardInterrupt):
            loop.run(lingering(done))
        assert not done.is_set()
        assert done.wait(5)

    def test_it_ends_a_wait_for_what_another_thread_runs(self, loop: EventLoop) -> None:
        loop.submit(after(0.5))
        cancelled = threading.Event()

        async def asked() -> None:
            try:
                await asyncio.sleep(30)
            finally:
                cancelled.set()

        kill_main(0.1)
        with pytest.raises(KeyboardInterrupt):
            loop.run(asked())
        assert cancelled.is_set()


class TestTheEnd:
    def test_what_is_under_way_in_another_thread_is_ended(self, loop: EventLoop) -> None:
        began = threading.Event()

        async def asked() -> None:
            began.set()
            await asyncio.sleep(30)

        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(loop.run, asked())
            assert began.wait(5)
            second = pool.submit(loop.run, asked())
            time.sleep(0.05)
            loop.close()
            for each in (first, second):
                with pytest.raises((asyncio.CancelledError, InputError)):
                    each.result(5)

    def test_what_wants_to_end_the_program_ends_no_other(self, loop: EventLoop) -> None:
        async def leaves() -> None:
            sys.exit(3)

        lasting = loop.submit(after(0.1, "whole"))
        leaving = loop.submit(leaves())
        with pytest.raises(SystemExit):
            leaving.result(5)
        assert lasting.result(5) == "whole"

    def test_it_begins_anew_after_it_was_closed(self, loop: EventLoop) -> None:
        assert loop.run(after(0, 1)) == 1
        loop.close()
        loop.close()
        assert loop.run(after(0, 2)) == 2

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
    def test_a_forked_process_has_one_of_its_own(self, loop: EventLoop) -> None:
        under_way = loop.submit(after(0.3, "the parent's"))
        child = os.fork()
        if child == 0:
            os._exit(loop.run(after(0, 7)) + loop.submit(after(0, 2)).result(5))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert under_way.result(5) == "the parent's"
