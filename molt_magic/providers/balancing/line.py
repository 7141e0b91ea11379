"""Calls that wait for a place, served in the order in which they came."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LOOK_S = 0.05  # how often the first of a line looks whether another process has left a place


class Ticket:
    """One call's turn."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """From any thread: something has changed."""
        with suppress(RuntimeError):  # its loop is closed: nobody waits there any more
            self._loop.call_soon_threadsafe(self._woken.set)

    async def wait(self, seconds: float | None) -> None:
        """Until it is woken, or for some seconds; None: as long as it takes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()


class Line:
    """Who waits for places of one model, of any thread."""

    def __init__(self) -> None:
        self._tickets: deque[Ticket] = deque()
        self._lock = threading.Lock()

    @contextmanager
    def joined(self) -> Iterator[Ticket]:
        """A turn at the end of the line, until the block is left."""
        ticket = Ticket()
        with self._lock:
            self._tickets.append(ticket)
        try:
            yield ticket
        finally:
            with self._lock:
                self._tickets.remove(ticket)
            self.wake()

    def first(self, ticket: Ticket) -> bool:
        """Whether it is a ticket's turn."""
        return self._tickets[0] is ticket

    def wake(self) -> None:
        """Tell the first that a place may be free."""
        with self._lock:
            if self._tickets:
                self._tickets[0].wake()
