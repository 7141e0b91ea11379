"""Bytes to and from a server, for the HTTP engine: asyncio's own sockets, without a layer for other event loops in between."""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, cast

import httpcore

_TURN_S = 0.25  # how long one address of a name is tried before the next is tried beside it
_HELD = 64 * 1024  # bytes that wait to be sent together, and from which on reading pauses


class Network(httpcore.AsyncNetworkBackend):
    """Connects to servers."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - as above
    ) -> httpcore.AsyncNetworkStream:
        """A stream to a server. Raises httpcore.ConnectTimeout, ConnectError."""
        local = None if local_address is None else (local_address, 0)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                # a socket of asyncio's has TCP_NODELAY set
                _, ends = await loop.create_connection(_Ends, host, port, local_addr=local, happy_eyeballs_delay=_TURN_S)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        return _Stream(ends)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Ends(asyncio.Protocol):
    """What arrives on a connection, and whether more can be sent."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.arrived = bytearray()
        self.over = False  # nothing more will arrive
        self.error: Exception | None = None
        self.full = False  # of what is to be sent
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.arrived += data
        if len(self.arrived) > _HELD and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self.over = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.over, self.full, self.error = True, False, exc
        self._wake()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self._wake()

    def take(self, most: int) -> bytes:
        """Up to so many of the bytes that have arrived."""
        data = bytes(self.arrived[:most])
        del self.arrived[:most]
        if self._paused and len(self.arrived) <= _HELD:
            self._paused = False
            self.transport.resume_reading()
        return data

    async def until(self, ready: Callable[[], bool], timeout: float | None) -> None:
        """Wait for something to be so. Raises TimeoutError."""
        if ready():
            return
        if timeout is None:
            await self._woken(ready)
            return
        async with asyncio.timeout(timeout):
            await self._woken(ready)

    async def _woken(self, ready: Callable[[], bool]) -> None:
        while not ready():
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Stream(httpcore.AsyncNetworkStream):
    """A connection, as the engine reads and writes it: by one task at a time."""

    def __init__(self, ends: _Ends) -> None:
        self._ends = ends
        self._held: list[bytes] = []  # written, and not sent: head and body of a request go together

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        ends = self._ends
        with suppress(httpcore.WriteError):  # what a server says before it closes is read all the same
            await self._send(timeout)
        try:
            await ends.until(lambda: bool(ends.arrived) or ends.over, timeout)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        if not ends.arrived and ends.error is not None:
            raise httpcore.ReadError(str(ends.error)) from ends.error
        return ends.take(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        self._held.append(buffer)
        if sum(map(len, self._held)) > _HELD:
            await self._send(timeout)

    async def aclose(self) -> None:
        self._ends.transport.abort()
        await asyncio.sleep(0)  # the event loop closes the socket at its next turn

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        ends = self._ends
        await self._send(timeout)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                transport = await loop.start_tls(ends.transport, ends, ssl_context, server_hostname=server_hostname)
        except TimeoutError as error:
            ends.transport.abort()
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:  # ssl.SSLError is one
            ends.transport.abort()
            raise httpcore.ConnectError(str(error)) from error
        assert transport is not None
        ends.transport = transport
        return _Stream(ends)

    def get_extra_info(self, info: str) -> Any:
        """What the engine asks for: of an idle connection whether its server has closed it."""
        if info == "is_readable":
            ends = self._ends
            return bool(ends.arrived) or ends.over or _readable(ends.transport.get_extra_info("socket"))
        names = {"ssl_object": "ssl_object", "client_addr": "sockname", "server_addr": "peername", "socket": "socket"}
        return self._ends.transport.get_extra_info(names[info]) if info in names else None

    async def _send(self, timeout: float | None) -> None:
        if not self._held:
            return
        ends, data = self._ends, b"".join(self._held)
        self._held.clear()
        if ends.over:
            raise httpcore.WriteError("the server closed the connection")
        ends.transport.write(data)
        try:
            await ends.until(lambda: not ends.full, timeout)
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        if ends.error is not None:
            raise httpcore.WriteError(str(ends.error)) from ends.error


def _readable(socket: Any) -> bool:
    """Whether something has arrived at a socket that the event loop has not looked at yet."""
    if socket is None or socket.fileno() < 0:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([socket.fileno()], [], [], 0)[0])
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return bool(poll.poll(0))
