"""The connections of one event loop: HTTP/1.1 by h11, which httpx uses too, with its pool and engine left out.

httpx keeps connections in a pool that looks at all of them, and at all that wait, whenever a request comes or goes: with 50 in
flight most of the time is spent on that. Here the idle ones lie on a stack, and a request looks at the topmost only. Its engine
locks a connection twice a request, each time waiting for a turn of the event loop; here a connection has one request at a time.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress

import h11
import httpcore
import httpx

from molt_magic.transport.network import Network

KEEP_S = 5.0  # an idle connection is kept, as httpx does
_MOST_HEAD = 100 * 1024  # bytes of a response's head, as httpx allows
_READ = 64 * 1024  # bytes at once
Origin = tuple[str, str, int]  # scheme, host, port


class Connections:
    """Sends requests of one event loop, each on a connection of its own while it lasts.

    Args:
        certificates: that servers are trusted by.
        most: connections at once; more requests than this wait for a free one.
        most_idle: connections that are kept, of all origins.
    """

    def __init__(self, certificates: ssl.SSLContext, *, most: int, most_idle: int) -> None:
        certificates.set_alpn_protocols(["http/1.1"])
        self._certificates = certificates
        self._places = asyncio.Semaphore(most)
        self._most_idle = most_idle
        self._network = Network()
        self._idle: defaultdict[Origin, deque[_Connection]] = defaultdict(deque)  # the last used last
        self._closed = False

    async def send(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: bytes | None,
        *,
        connect_s: float,
        silence_s: float | None,
    ) -> httpx.Response:
        """Send a request; its place is free again when the response is closed.

        Args:
            connect_s: seconds to connect.
            silence_s: seconds in which nothing is sent, or nothing arrives; None: no limit.

        Raises:
            httpx.HTTPError: of the kind that fits.
        """
        origin = (url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80))
        await self._places.acquire()
        try:
            with _in_httpx_words():
                connection = await self._connection(origin, connect_s)
                response = await connection.ask(method, url, headers, content, silence_s)
        except BaseException:
            self._places.release()
            raise
        body = _Body(self, origin, connection, silence_s)
        return httpx.Response(response.status_code, headers=response.headers.raw_items(), stream=body)

    async def aclose(self) -> None:
        """Close what is idle; what is in use is closed once it is given back."""
        self._closed = True
        idle = [connection for of in self._idle.values() for connection in of]
        self._idle.clear()
        for connection in idle:
            await connection.aclose()

    async def back(self, origin: Origin, connection: _Connection) -> None:
        """Take a connection back after its response."""
        self._places.release()
        if not self._closed and connection.rested() and sum(map(len, self._idle.values())) < self._most_idle:
            self._idle[origin].append(connection)
        else:  # its server wants it closed, or the response was not read to its end
            await connection.aclose()

    async def _connection(self, origin: Origin, connect_s: float) -> _Connection:
        """The connection to this origin that was used last, or a new one; those whose time is over are closed."""
        idle = self._idle[origin]
        now = time.monotonic()
        while idle and idle[0].is_over(now):
            await idle.popleft().aclose()
        while idle:
            connection = idle.pop()
            if not connection.is_over(now):
                return connection
            await connection.aclose()
        scheme, host, port = origin
        stream = await self._network.connect_tcp(host, port, timeout=connect_s)
        if scheme == "https":
            stream = await stream.start_tls(self._certificates, server_hostname=host, timeout=connect_s)
        return _Connection(stream)


class _Connection:
    """One request at a time over one stream."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEAD)
        self._kept_until = 0.0  # monotonic seconds, of an idle one

    async def ask(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None, silence_s: float | None
    ) -> h11.Response | h11.InformationalResponse:
        """Send a request and read the head of its response. Raises httpcore's and h11's exceptions; it is closed then."""
        try:
            with suppress(httpcore.WriteError):  # what a server says before it closes is read all the same
                await self._stream.write(self._written(method, url, headers, content), timeout=silence_s)
            while True:
                event = await self._event(silence_s)
                if isinstance(event, h11.Response) or (
                    isinstance(event, h11.InformationalResponse) and event.status_code == 101
                ):
                    return event
        except BaseException:
            await self.aclose()
            raise

    async def body(self, silence_s: float | None) -> AsyncIterator[bytes]:
        """The body of the response, as it arrives."""
        while True:
            event = await self._event(silence_s)
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) or event is h11.PAUSED:
                return

    def rested(self) -> bool:
        """Make it ready for the next request, where the last one is over and its server keeps it."""
        ended = self._state.our_state is h11.DONE and self._state.their_state is h11.DONE
        if not ended or self._state.trailing_data[0]:  # the second: nothing was asked that this could answer
            return False
        self._state.start_next_cycle()
        self._kept_until = time.monotonic() + KEEP_S
        return True

    def is_over(self, now: float) -> bool:
        """Of an idle one: whether its time is over, or its server has closed it."""
        return now > self._kept_until or bool(self._stream.get_extra_info("is_readable"))

    async def aclose(self) -> None:
        """Close it, whatever is under way."""
        await self._stream.aclose()

    def _written(self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None) -> bytes:
        """A request as bytes. No local variable holds the headers: a verbose traceback shows those, and the key is in them."""
        body = content or b""
        length = {"content-length": str(len(body))} if body or method != "GET" else {}
        pieces = (
            self._state.send(
                h11.Request(
                    method=method,
                    target=url.raw_path,
                    headers=[("host", url.netloc.decode()), *headers.items(), *length.items()],
                )
            ),
            self._state.send(h11.Data(data=body)) if body else b"",
            self._state.send(h11.EndOfMessage()),
        )
        return b"".join([piece for piece in pieces if piece])

    async def _event(self, silence_s: float | None) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._state.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]  # told apart above
            data = await self._stream.read(_READ, timeout=silence_s)
            if not data and self._state.their_state is h11.SEND_RESPONSE:
                raise httpcore.RemoteProtocolError("Server disconnected without sending a response.")
            self._state.receive_data(data)


class _Body(httpx.AsyncByteStream):
    """The body of a response; closing it gives the connection back, once."""

    def __init__(self, owner: Connections, origin: Origin, connection: _Connection, silence_s: float | None) -> None:
        self._owner: Connections | None = owner
        self._origin = origin
        self._connection = connection
        self._silence_s = silence_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _in_httpx_words():
            async for chunk in self._connection.body(self._silence_s):
                yield chunk

    async def aclose(self) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            await owner.back(self._origin, self._connection)


@contextmanager
def _in_httpx_words() -> Iterator[None]:
    """The exceptions of what is beneath httpx have the names of httpx's; these are what it raises."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        h11.LocalProtocolError,
        h11.RemoteProtocolError,
    ) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error
