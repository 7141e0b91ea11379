"""The connections of one event loop, for httpx: its own engine, with the pool left out.

httpx keeps connections in a pool that looks at all of them, and at all that wait, whenever a request comes or goes: with 50 in
flight most of the time is spent on that. Here the idle ones lie on a stack, and a request looks at the topmost only.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from molt_magic.transport.network import Network

KEEP_S = 5.0  # an idle connection is kept, as httpx does
Origin = tuple[str, str, int]  # scheme, host, port


class Connections(httpx.AsyncBaseTransport):
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
        self._idle: defaultdict[Origin, deque[httpcore.AsyncHTTP11Connection]] = defaultdict(deque)  # the last used last
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, its timeouts among its extensions; its place is free again when the response is closed.

        Raises:
            httpx.HTTPError: of the kind that fits.
        """
        url = request.url
        origin = (url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80))
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        await self._places.acquire()
        try:
            with _in_httpx_words():
                connection = await self._connection(origin, request.extensions["timeout"]["connect"])
                response = await connection.handle_async_request(asked)
        except BaseException:
            self._places.release()
            raise
        body = _Body(response, lambda: self._back(origin, connection))
        return httpx.Response(response.status, headers=response.headers, stream=body, extensions=response.extensions)

    async def aclose(self) -> None:
        """Close what is idle; what is in use is closed once it is given back."""
        self._closed = True
        idle = [connection for of in self._idle.values() for connection in of]
        self._idle.clear()
        for connection in idle:
            await connection.aclose()

    async def _connection(self, origin: Origin, connect_s: float) -> httpcore.AsyncHTTP11Connection:
        """The connection to this origin that was used last, or a new one; those whose time is over are closed."""
        idle = self._idle[origin]
        while idle and idle[0].has_expired():
            await idle.popleft().aclose()
        while idle:
            connection = idle.pop()
            if not connection.has_expired():
                return connection
            await connection.aclose()
        scheme, host, port = origin
        stream = await self._network.connect_tcp(host, port, timeout=connect_s)
        if scheme == "https":
            stream = await stream.start_tls(self._certificates, server_hostname=host, timeout=connect_s)
        name = httpcore.Origin(scheme.encode(), host.encode(), port)
        return httpcore.AsyncHTTP11Connection(name, stream, keepalive_expiry=KEEP_S)

    async def _back(self, origin: Origin, connection: httpcore.AsyncHTTP11Connection) -> None:
        """Take a connection back after its response."""
        self._places.release()
        if connection.is_idle() and not self._closed and sum(map(len, self._idle.values())) < self._most_idle:
            self._idle[origin].append(connection)
        else:  # its server wants it closed, or the response was not read to its end
            await connection.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of a response; closing it gives the connection back, once."""

    def __init__(self, response: httpcore.Response, back: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._response = response
        self._back: Callable[[], Coroutine[Any, Any, None]] | None = back

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _in_httpx_words():
            async for chunk in self._response.aiter_stream():
                yield chunk

    async def aclose(self) -> None:
        back, self._back = self._back, None
        if back is not None:
            try:
                with _in_httpx_words():
                    await self._response.aclose()
            finally:
                await back()


@contextmanager
def _in_httpx_words() -> Iterator[None]:
    """The engine's exceptions have the names of httpx's; these are what a transport raises."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error
