"""The connections of one event loop: to servers, and where the environment names a proxy, through that."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any
from urllib.request import getproxies

import httpcore
import httpx

from molt_magic.transport.dial import connect
from molt_magic.transport.failures import is_loopback, proxies_understood
from molt_magic.transport.headers import Fields

POOL = 200  # connections of one event loop; more calls than this wait for a free one
KEPT_S = 5.0  # how long a connection that is not used is kept; many servers close theirs soon after

# no proxy for this machine, whatever HTTP_PROXY says
DIRECT: Mapping[str, None] = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}


@dataclass(slots=True)
class Outgoing:
    """A request to be sent."""

    method: str
    url: str
    fields: Fields  # without the host
    content: bytes | None
    connect_s: float  # seconds to connect
    silence_s: float | None  # seconds without a byte; None: as long as it takes


@dataclass(slots=True)
class Received:
    """A response whose body is still to be read. Until it is closed it holds its connection."""

    status: int
    fields: list[tuple[bytes, bytes]]
    body: AsyncIterable[bytes]  # as it comes over the wire
    aclose: Callable[[], Awaitable[None]]


class Connections:
    """Sends requests from one event loop."""

    def __init__(self) -> None:
        self._kept = _Kept()
        self._proxied = _Proxied() if any(getproxies().get(scheme) for scheme in ("http", "https", "all")) else None

    def send(self, asked: Outgoing) -> Awaitable[Received]:
        """Send a request, once there is a place for it. Raises one of `failures.FAILURES`."""
        if self._proxied is not None and not is_loopback(asked.url):
            return self._proxied.send(asked)
        return self._kept.send(asked)

    async def aclose(self) -> None:
        """Close all, what is under way too."""
        await self._kept.aclose()
        if self._proxied is not None:
            await self._proxied.aclose()


class _Kept:
    """Connections that are kept after a request for the next, the last used of a server first.

    httpcore's pool looks at all of its connections, and at all that wait, whenever a request comes or goes: with 50 in flight
    that takes most of the time. Here it is one that is looked at. A connection itself is httpcore's.
    """

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(POOL)
        self._open: set[httpcore.AsyncHTTP11Connection] = set()
        self._opening = 0
        self._idle: dict[str, list[httpcore.AsyncHTTP11Connection]] = {}  # by server, the last used last

    async def send(self, asked: Outgoing) -> Received:
        address = _address(asked.url)
        timeouts = {"read": asked.silence_s, "write": asked.silence_s}
        request = httpcore.Request(asked.method, address.url, content=asked.content, extensions={"timeout": timeouts})
        # not as an argument: these are bytes, and httpcore's look at the type of each costs more than the rest of its request
        request.headers = Fields([(b"host", address.host), *asked.fields])
        await self._places.acquire()
        connection = None
        try:
            connection = await self._taken(address) or await self._opened(address, asked.connect_s)
            response = await connection.handle_async_request(request)
        except BaseException:
            self._places.release()
            if connection is not None:
                await self._close(connection)
            raise
        body: Any = response.stream  # httpcore types it for code that is not async as well
        return Received(response.status, response.headers, body, partial(self._end, address, connection, body))

    async def _end(self, address: _Address, connection: httpcore.AsyncHTTP11Connection, body: Any) -> None:
        """Keep the connection of a response that was read to its end, close it otherwise; either way its place is free."""
        try:
            await body.aclose()
        finally:
            self._places.release()
            if connection.is_idle():
                idle = self._idle.setdefault(address.server, [])
                idle.append(connection)
                while idle[0] is not connection and idle[0].has_expired():
                    await self._close(idle.pop(0))
            else:
                await self._close(connection)

    async def _taken(self, address: _Address) -> httpcore.AsyncHTTP11Connection | None:
        """A kept connection, unless its server has closed it meanwhile."""
        idle = self._idle.get(address.server)
        while idle:
            connection = idle.pop()
            if not connection.has_expired():
                return connection
            await self._close(connection)
        return None

    async def _opened(self, address: _Address, connect_s: float) -> httpcore.AsyncHTTP11Connection:
        """A new connection; where there are as many as there may be, one that is kept for another server is closed."""
        origin = address.origin
        tls = certificates() if origin.scheme == b"https" else None
        self._opening += 1
        try:
            if len(self._open) + self._opening > POOL:
                await self._close(next(idle for idle in self._idle.values() if idle).pop(0))
            stream = await connect(origin.host.decode("ascii"), origin.port, tls=tls, timeout_s=connect_s)
        finally:
            self._opening -= 1
        connection = httpcore.AsyncHTTP11Connection(origin, stream, keepalive_expiry=KEPT_S)
        self._open.add(connection)
        return connection

    async def _close(self, connection: httpcore.AsyncHTTP11Connection) -> None:
        self._open.discard(connection)
        await connection.aclose()

    async def aclose(self) -> None:
        self._idle.clear()
        for connection in list(self._open):
            await self._close(connection)


class _Proxied:
    """As httpx reads HTTP_PROXY, NO_PROXY and the like."""

    def __init__(self) -> None:
        limits = httpx.Limits(max_connections=POOL, max_keepalive_connections=POOL // 2)
        with proxies_understood():
            self._client = httpx.AsyncClient(verify=certificates(), limits=limits, follow_redirects=False, mounts=DIRECT)

    async def send(self, asked: Outgoing) -> Received:
        timeouts = {"connect": asked.connect_s, "read": asked.silence_s, "write": asked.silence_s, "pool": None}
        request = httpx.Request(
            asked.method, asked.url, headers=asked.fields, content=asked.content, extensions={"timeout": timeouts}
        )
        response = await self._client.send(request, stream=True)
        body: Any = response.stream  # likewise
        return Received(response.status_code, response.headers.raw, body, response.aclose)

    async def aclose(self) -> None:
        await self._client.aclose()


@dataclass(frozen=True, slots=True)
class _Address:
    """A URL, taken apart."""

    url: httpcore.URL
    origin: httpcore.Origin
    server: str  # scheme, host and port
    host: bytes  # as a request names it


@lru_cache(maxsize=256)
def _address(url: str) -> _Address:
    """A URL, taken apart once. Raises httpx.InvalidURL."""
    parsed = httpx.URL(url)
    found = httpcore.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path)
    return _Address(found, found.origin, str(found.origin), parsed.netloc)


@cache
def certificates() -> ssl.SSLContext:
    """The trusted certificates, `SSL_CERT_FILE` and `SSL_CERT_DIR` honoured; read once, it takes a tenth of a second."""
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
