"""One background event loop for everything that waits: the synchronous API submits to it and polls."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

POLL_S = 0.1  # how long a KeyboardInterrupt may wait before the main thread sees it
CANCEL_S = 5.0  # how long a cancelled request may take to write down what it had


class BackgroundLoop:
    """An asyncio loop in a daemon thread, started at first use."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def submit(self, coro: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start `coro` on the loop."""
        if self._pid != os.getpid():  # a fork takes no threads along: the loop is a parent's, and would never run it
            self._lock = threading.Lock()  # another thread may have held it
            self._loop = self._thread = None
            self._pid = os.getpid()
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="molt-magic", daemon=True)
                self._thread.start()
        return asyncio.run_coroutine_threadsafe(coro, self._loop)

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run `coro` and wait for it; on KeyboardInterrupt cancel it, let it write down what it had, and re-raise."""
        done = threading.Event()
        task: list[asyncio.Task[T]] = []

        async def tracked() -> T:
            task.append(asyncio.current_task())  # type: ignore[arg-type]  # this coroutine is the task's
            try:
                return await coro
            finally:
                done.set()

        future = self.submit(tracked())
        try:
            while True:
                try:
                    return future.result(timeout=POLL_S)
                except concurrent.futures.TimeoutError:
                    if future.done():  # the coroutine itself raised a TimeoutError
                        raise
        except KeyboardInterrupt:
            future.cancel()
            if task:
                done.wait(CANCEL_S)
            raise

    def close(self) -> None:
        """Stop the loop and its thread. Idempotent."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        with contextlib.suppress(RuntimeError):
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
