"""Sockets for httpcore, over asyncio alone.

httpcore's own work over anyio, whose cancel scope around every read and write costs more than the reading and writing. They
read only when they are asked to; these read as it comes, so that what its server closes is closed here at once as well.
"""

from __future__ import annotations

import asyncio
import select
import socket
from typing import Any

import httpcore

_HELD_BYTES = 256 * 1024  # that have arrived and were not read: the server waits with more


class Stream(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """One connection, with TLS or without."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._unsent: list[bytes] = []
        self._arrived = bytearray()
        self._reading = True
        self._closed = False
        self._over = False  # nothing more arrives
        self._error: Exception | None = None  # what ended it
        self._waiting: asyncio.Future[None] | None = None

    # what httpcore asks for

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has arrived, once something has; empty at the end. Raises ReadTimeout, ReadError."""
        if self._unsent:
            self._transport.write(b"".join(self._unsent))
            self._unsent.clear()
        if not self._arrived and not self._over:
            await self._more(timeout)
        if not self._arrived and self._error is not None:
            raise httpcore.ReadError(str(self._error)) from self._error
        read = bytes(self._arrived[:max_bytes])
        del self._arrived[:max_bytes]
        if not self._reading and len(self._arrived) < _HELD_BYTES:
            self._reading = True
            self._transport.resume_reading()
        return read

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the signature is httpcore's
        """Send this; it leaves when the answer is read, head and body of a request in one packet.

        What the network does not take at once waits in asyncio's transport while the answer is waited for: a server that does
        not read does not answer either, so that the time for reading covers both.
        """
        self._unsent.append(buffer)

    async def aclose(self) -> None:
        """Close it at once, whatever is under way."""
        if self._closed:
            return
        self._closed = self._over = True
        self._wake()
        self._transport.abort()
        await asyncio.sleep(0)  # asyncio closes the socket in the loop's next turn, which code that blocks would put off

    def get_extra_info(self, info: str) -> Any:
        """Whether something has arrived on a connection that nothing is awaited from: its end, or what nobody asked for."""
        if info != "is_readable":
            return None
        return bool(self._arrived) or self._over or _has_arrived(self._transport.get_extra_info("socket"))

    # what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        if self._reading and len(self._arrived) >= _HELD_BYTES:
            self._reading = False
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._over = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over, self._error = True, exc
        self._wake()

    # within

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def _more(self, timeout: float | None) -> None:
        self._waiting = waiting = self._loop.create_future()
        timer = None if timeout is None else self._loop.call_later(timeout, _give_up, waiting)
        try:
            await waiting
        finally:
            self._waiting = None
            if timer is not None:
                timer.cancel()


def _give_up(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_exception(httpcore.ReadTimeout())


def _has_arrived(connected: socket.socket) -> bool:
    """Whether there is something that the loop has not come to read, being busy with something else."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([connected], [], [], 0)[0])
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    return bool(poll.poll(0))
