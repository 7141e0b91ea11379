"""HTTP/1.1 over asyncio: a connection that carries one exchange at a time, its answers parsed by httptools (Node's llhttp).

It reads as it comes, so that what its server closes is noticed at once.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Mapping
from typing import Any

import httptools
import httpx

from molt_magic.transport.limit import limit

_HELD_BYTES = 256 * 1024  # of a body that were not read: the server waits with more
_BARE_BYTES = 100 * 1024  # that may come without any of a body: header fields, preliminary answers, trailers


def written(method: str, target: str, host: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A request as it goes over the wire; header fields must have been looked at."""
    fields = [f"{method} {target} HTTP/1.1\r\nhost: {host}\r\n", *[f"{name}: {value}\r\n" for name, value in headers.items()]]
    return b"%b\r\n%b" % ("".join(fields).encode("ascii"), body)


class Connection(asyncio.Protocol):
    """One connection, with TLS or without."""

    def __init__(self) -> None:
        self.used = time.monotonic()  # when its last exchange ended
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._exchange: Exchange | None = None
        self._unasked = b""  # what arrived without an exchange
        self._reading = True
        self._over = False  # nothing more arrives
        self._error: Exception | None = None  # what ended it
        self._waiting: asyncio.Future[None] | None = None
        self._poll: Any = None

    def ask(self, request: bytes, silence_s: float | None) -> Exchange:
        """Send a request, in one packet where it fits into one.

        What the network does not take at once waits in asyncio's transport while the answer is waited for: a server that does
        not read does not answer either, so that the time of silence covers both.
        """
        if not self._over:
            self._transport.write(request)
        self._exchange = exchange = Exchange(self, silence_s)  # now that the server is at work: nothing is read meanwhile
        if self._unasked:  # a server that is too busy may say so before it is asked
            exchange.feed(self._unasked)
        if self._over:
            exchange.end(self._error)
        return exchange

    def release(self) -> bool:
        """End the exchange; whether there may be another. Where not, the connection is to be closed."""
        exchange = self._exchange
        if exchange is None or not exchange.keeps or self._over or self._transport.get_write_buffer_size():
            return False
        self._exchange = None
        self.used = time.monotonic()
        self.read_on()
        return True

    def is_quiet(self) -> bool:
        """Whether nothing has arrived on a connection without an exchange: neither its end, nor what nobody asked for."""
        return not (self._over or self._unasked or self._has_arrived())

    @property
    def spoke_first(self) -> bool:
        return bool(self._unasked)

    def close(self) -> None:
        """Close it at once, whatever is under way. asyncio closes the socket in the loop's next turn."""
        self._over = True
        self._transport.abort()
        self._ended(ConnectionAbortedError("the connection was closed"))
        self._exchange = None

    # what an exchange asks for

    async def more(self, silence_s: float | None) -> None:
        """Wait until something has arrived. Raises ReadTimeout."""
        self._waiting = self._loop.create_future()
        try:
            if silence_s is None:
                await self._waiting
            else:
                with limit(silence_s, _silent):
                    await self._waiting
        finally:
            self._waiting = None

    def pause(self) -> None:
        if self._reading and not self._over:
            self._reading = False
            self._transport.pause_reading()

    def read_on(self) -> None:
        if not self._reading and not self._over:
            self._reading = True
            self._transport.resume_reading()

    # what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._exchange is not None:
            self._exchange.feed(data)
            self._wake()
            return
        self._unasked += data
        if len(self._unasked) > _BARE_BYTES:
            self.close()

    def eof_received(self) -> None:
        self._ended(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(exc)

    # within

    def _ended(self, error: Exception | None) -> None:
        self._over = True
        self._error = self._error or error
        if self._exchange is not None:
            self._exchange.end(error)
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _has_arrived(self) -> bool:
        """Whether there is something that the loop has not come to read, being busy with something else."""
        connected = self._transport.get_extra_info("socket")
        if not hasattr(select, "poll"):  # Windows
            return bool(select.select([connected], [], [], 0)[0])
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(connected, select.POLLIN)
        return bool(self._poll.poll(0))


def _silent() -> Exception:
    return httpx.ReadTimeout("it fell silent")


class Exchange:
    """A request under way, and what has arrived of its answer."""

    def __init__(self, connection: Connection, silence_s: float | None) -> None:
        self.status = 0  # none has arrived
        self.headers: dict[str, str] = {}  # names in lower case; what is told several times is joined by commas
        self.keeps = False  # the answer is whole, and its server expects another request
        self._connection = connection
        self._silence_s = silence_s
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)  # None: nothing more comes
        self._pieces: list[bytes] = []  # of the body
        self._held = 0  # bytes in them
        self._bare = 0  # bytes that have arrived since the last of a body
        self._why = ""  # it broke off
        self._cause: Exception | None = None

    async def begun(self) -> None:
        """Wait for status and headers. Raises one of `failures.FAILURES`."""
        while not self.status:
            self._look_whether_broken()
            await self._connection.more(self._silence_s)

    async def piece(self) -> bytes:
        """What has arrived of the body, once something has; empty at its end. Raises one of `failures.FAILURES`."""
        while not self._pieces:
            self._look_whether_broken()
            if self._parser is None:
                return b""
            await self._connection.more(self._silence_s)
        piece = b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        self._connection.read_on()
        return piece

    # what the connection tells

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        if self._parser is None:
            self.keeps = False
            return
        self._bare += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:  # Ctrl-C in one of the methods below
            raise error.__context__ or error from None
        except httptools.HttpParserUpgrade:
            self._fail("it wants to speak another protocol than HTTP")
        except httptools.HttpParserError as error:
            self._fail(f"what it says is no HTTP ({error})")
        if self._bare > _BARE_BYTES:
            self._fail("its header fields do not end")
        if self._held >= _HELD_BYTES and self._parser is not None:
            self._connection.pause()

    def end(self, error: Exception | None) -> None:
        """The connection has ended."""
        self.keeps = False
        if error is not None:
            self._fail(str(error) or type(error).__name__, error)
        elif not self.status:
            self._fail("it closed the connection without a word")
        elif "content-length" in self.headers or "transfer-encoding" in self.headers:
            self._fail("it closed the connection in the midst of its answer")
        self._parser = None

    # what the parser tells

    def on_message_begin(self) -> None:
        if self._parser is None:
            self.keeps = False  # more than was asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status:
            return  # a trailer
        key, said = name.decode("latin-1").lower(), value.rstrip(b" \t").decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {said}" if key in self.headers else said

    def on_headers_complete(self) -> None:
        if self._parser is None:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self.headers.clear()  # the answer is still to come
        elif status < 100 or self.headers.get("transfer-encoding", "chunked").lower() != "chunked":
            self._fail("what it says is no HTTP")
        else:
            self.status = status

    def on_body(self, piece: bytes) -> None:
        if self._parser is not None:
            self._pieces.append(piece)
            self._held += len(piece)
            self._bare = 0

    def on_message_complete(self) -> None:
        if self._parser is not None and self.status:
            self.keeps = self._parser.should_keep_alive()
            self._parser = None

    # within

    def _fail(self, why: str, cause: Exception | None = None) -> None:
        self.keeps = False
        if self._parser is not None:  # not after the end
            self._parser = None
            self._why, self._cause = why, cause

    def _look_whether_broken(self) -> None:
        if self._why:
            raise httpx.RemoteProtocolError(self._why) from self._cause
