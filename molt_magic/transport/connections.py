"""The connections of one event loop: to servers, and where the environment names a proxy, through that."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from urllib.request import getproxies

import httpx

from molt_magic.transport.decoding import NextPiece
from molt_magic.transport.dial import connect
from molt_magic.transport.failures import is_loopback, proxies_understood
from molt_magic.transport.headers import Headers, read
from molt_magic.transport.http11 import Connection, written

POOL = 200  # connections of one event loop; more calls than this wait for a free one
KEPT_S = 5.0  # how long a connection that is not used is kept; many servers close theirs soon after

# no proxy for this machine, whatever HTTP_PROXY says
DIRECT: Mapping[str, None] = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}


@dataclass(slots=True)
class Outgoing:
    """A request to be sent."""

    method: str
    url: str
    headers: Headers  # without the host
    content: bytes
    connect_s: float  # seconds to connect
    silence_s: float | None  # seconds without a byte; None: as long as it takes


@dataclass(slots=True)
class Received:
    """A response whose body is still to be read. Until it is closed it holds its connection."""

    status: int
    headers: dict[str, str]
    piece: NextPiece  # of the body, as it comes over the wire
    aclose: Callable[[], Awaitable[None]]


class Connections:
    """Sends requests from one event loop."""

    def __init__(self) -> None:
        self._kept = _Kept()
        self._closing: asyncio.Task[None] | None = None
        self._proxied = _Proxied() if any(getproxies().get(scheme) for scheme in ("http", "https", "all")) else None

    def send(self, asked: Outgoing) -> Awaitable[Received]:
        """Send a request, once there is a place for it. Raises one of `failures.FAILURES`."""
        if self._proxied is not None and not is_loopback(asked.url):
            return self._proxied.send(asked)
        return self._kept.send(asked)

    def close(self) -> None:
        """Close all, what is under way too, in the loop's next turns."""
        self._kept.close()
        if self._proxied is not None:
            self._closing = asyncio.create_task(self._proxied.aclose())

    async def aclose(self) -> None:
        """The same, and wait for it."""
        self.close()
        await asyncio.sleep(0)
        if self._closing is not None:
            await self._closing


class _Kept:
    """Connections that are kept after a request for the next, the last used of a server first."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(POOL)
        self._open: set[Connection] = set()
        self._opening = 0
        self._idle: dict[str, list[Connection]] = {}  # by server, the last used last

    async def send(self, asked: Outgoing) -> Received:
        address = _address(asked.url)
        await self._places.acquire()
        connection = None
        try:
            connection = self._taken(address) or await self._opened(address, asked.connect_s)
            exchange = connection.ask(
                written(asked.method, address.target, address.host, asked.headers, asked.content), asked.silence_s
            )
            await exchange.begun()
        except BaseException:
            self._places.release()
            if connection is not None:
                await self._close(connection)
            raise
        return Received(exchange.status, exchange.headers, exchange.piece, partial(self._end, address, connection))

    async def _end(self, address: _Address, connection: Connection) -> None:
        """Keep the connection of a response that was read to its end, close it otherwise; either way its place is free."""
        self._places.release()
        if not connection.release():
            await self._close(connection)
            return
        idle = self._idle.setdefault(address.server, [])
        idle.append(connection)
        while idle and _has_expired(idle[0]):
            await self._close(idle.pop(0))

    def _taken(self, address: _Address) -> Connection | None:
        """A kept connection, unless its server has closed it meanwhile."""
        idle = self._idle.get(address.server)
        while idle:
            connection = idle.pop()
            if not _has_expired(connection) and connection.is_quiet():
                return connection
            self._drop(connection)
        return None

    async def _opened(self, address: _Address, connect_s: float) -> Connection:
        """A new connection; where there are as many as there may be, one that is kept for another server is closed."""
        self._opening += 1
        try:
            if len(self._open) + self._opening > POOL:
                await self._close(next(idle for idle in self._idle.values() if idle).pop(0))
            tls = certificates() if address.tls else None
            connection = await connect(address.name, address.port, tls=tls, timeout_s=connect_s)
        finally:
            self._opening -= 1
        self._open.add(connection)
        return connection

    def _drop(self, connection: Connection) -> None:
        self._open.discard(connection)
        connection.close()

    async def _close(self, connection: Connection) -> None:
        self._drop(connection)
        await asyncio.sleep(0)  # asyncio closes the socket in the loop's next turn, which code that blocks would put off

    def close(self) -> None:
        self._idle.clear()
        for connection in list(self._open):
            self._drop(connection)


def _has_expired(connection: Connection) -> bool:
    return time.monotonic() - connection.used > KEPT_S


class _Proxied:
    """As httpx reads HTTP_PROXY, NO_PROXY and the like."""

    def __init__(self) -> None:
        limits = httpx.Limits(max_connections=POOL, max_keepalive_connections=POOL // 2)
        with proxies_understood():
            self._client = httpx.AsyncClient(verify=certificates(), limits=limits, follow_redirects=False, mounts=DIRECT)

    async def send(self, asked: Outgoing) -> Received:
        timeouts = {"connect": asked.connect_s, "read": asked.silence_s, "write": asked.silence_s, "pool": None}
        request = httpx.Request(
            asked.method, asked.url, headers=asked.headers, content=asked.content, extensions={"timeout": timeouts}
        )
        response = await self._client.send(request, stream=True)
        pieces = response.aiter_raw()
        return Received(response.status_code, read(response.headers.raw), lambda: anext(pieces, b""), response.aclose)

    async def aclose(self) -> None:
        await self._client.aclose()


@dataclass(frozen=True, slots=True)
class _Address:
    """A URL, taken apart."""

    server: str  # scheme, host and port
    tls: bool
    name: str
    port: int
    host: str  # as a request names it
    target: str


@lru_cache(maxsize=256)
def _address(url: str) -> _Address:
    """A URL, taken apart once. Raises httpx.InvalidURL."""
    parsed = httpx.URL(url)
    tls = parsed.scheme == "https"
    name, port = parsed.raw_host.decode("ascii"), parsed.port or (443 if tls else 80)
    server = f"{parsed.scheme}://{name}:{port}"
    return _Address(server, tls, name, port, parsed.netloc.decode("ascii"), parsed.raw_path.decode("ascii"))


@cache
def certificates() -> ssl.SSLContext:
    """The trusted certificates, `SSL_CERT_FILE` and `SSL_CERT_DIR` honoured; read once, it takes a tenth of a second."""
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
