"""The HTTP client: JSON, streams and downloads."""

from __future__ import annotations

import asyncio
import json as jsonlib
import ssl
import threading
import time
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies
from weakref import WeakKeyDictionary

import httpx

from molt_magic.errors import BadRequest, MalformedAnswer, TimedOut, Unauthorized
from molt_magic.files import make_folder
from molt_magic.transport.download import OnProgress, fetch
from molt_magic.transport.failures import (
    CHECK_URL,
    host_of,
    is_loopback,
    mapped,
    not_an_address,
    proxies_understood,
    timed_out,
    too_large,
    with_password,
)
from molt_magic.transport.headers import Headers

MAX_BYTES = 32_000_000  # of one response; a chat answer has some hundred kB at most
POOL = 200  # connections of one event loop; more calls than this wait for a free one
SHARE = 8  # of them that one pool of httpx holds

# no proxy for this machine, whatever HTTP_PROXY says
_DIRECT: Mapping[str, None] = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}
_USUAL = {"accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": f"python-httpx/{httpx.__version__}"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    def json(self, provider: str = "") -> Any:
        """The body as JSON. Raises MalformedAnswer where it is something else."""
        try:
            return jsonlib.loads(self.body)
        except (ValueError, RecursionError):  # the second: brackets within brackets without end
            message = f"The server answered {self.status} with {self.kind}, not with JSON."
            raise MalformedAnswer(message, provider=provider, status=self.status, fix=CHECK_URL) from None

    @property
    def kind(self) -> str:
        """What the body is, in words, for messages."""
        if not self.body.strip():
            return "an empty body"
        html = "html" in self.headers.get("content-type", "") or self.body.lstrip()[:1] == b"<"
        return "a web page" if html else "text"


class Reply:
    """A response whose body is still to be read, once: with `chunks` or with `read`."""

    def __init__(self, response: httpx.Response, *, url: str, max_bytes: int, provider: str) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers  # names in any case
        self._response = response
        self._url = url
        self._max_bytes = max_bytes
        self._provider = provider

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives, decompressed. Raises ProviderError: broken off, silent for too long, too large."""
        size = 0
        told = self.headers.get("content-length", "")
        if told.isdecimal() and int(told) > self._max_bytes:  # need not be read to be refused
            raise too_large(self._max_bytes, self._provider)
        body = self._response.aiter_bytes()
        while True:
            with mapped(self._url, self._provider):  # around the read only: what the reader raises is the reader's
                chunk = await anext(body, None)
            if chunk is None:
                return
            size += len(chunk)
            if size > self._max_bytes:
                raise too_large(self._max_bytes, self._provider)
            yield chunk

    async def read(self) -> Answer:
        """The rest of the body at once."""
        return Answer(self.status, self.headers, b"".join([chunk async for chunk in self.chunks()]))


class Transport:
    """HTTP for one set of providers; one pool of kept-alive connections per event loop, made at first use.

    Args:
        connect_s: seconds to connect.
        first_token_s: seconds of silence a stream may keep, before its first byte and between two.
        total_s: seconds one response may take.
        max_bytes: the largest response read, in bytes; downloads have no limit of their own.
    """

    def __init__(
        self, *, connect_s: float = 10, first_token_s: float = 60, total_s: float = 600, max_bytes: int = MAX_BYTES
    ) -> None:
        self.connect_s = connect_s
        self.first_token_s = first_token_s
        self.total_s = total_s
        self.max_bytes = max_bytes
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pools] = WeakKeyDictionary()
        self._lock = threading.Lock()
        self._warned: set[str] = set()
        self._looked_at: set[str] = set()

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        provider: str = "",
        silence_s: float | None = None,
        total_s: float | None = None,
    ) -> AsyncIterator[Reply]:
        """Send a request; the response is handed over before its body is read. Leaving the block ends the request.

        Args:
            method: GET or POST.
            url: http(s); no redirect is followed.
            headers: header fields.
            json: the body, sent as JSON.
            provider: named in errors.
            silence_s: seconds without a byte; `first_token_s` by default.
            total_s: seconds for all of it, the block included; the transport's by default.

        Raises:
            ProviderError: ConnectionFailed, TimedOut or MalformedAnswer, for every exception of the client.
        """
        total = self.total_s if total_s is None else total_s
        silence = self.first_token_s if silence_s is None else silence_s
        limit = asyncio.timeout(total)
        try:
            async with limit, self._response(method, url, headers, json, provider, silence_s=silence) as response:
                yield Reply(response, url=url, max_bytes=self.max_bytes, provider=provider)
        except TimeoutError:
            if not limit.expired():
                raise  # raised by what runs inside the block, not by our limit
            raise _too_slow(url, total, provider) from None

    @asynccontextmanager
    async def _response(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        json: Any,
        provider: str,
        *,
        silence_s: float | None,
    ) -> AsyncIterator[httpx.Response]:
        """Send a request; its response is to be read inside, and closed at the end."""
        pools = self._pools_of(url)
        timeouts = {"connect": self.connect_s, "read": silence_s, "write": silence_s, "pool": None}
        async with pools.place(url) as pool:
            with mapped(url, provider):
                request = httpx.Request(
                    method, _parsed(url), **_sent(headers, json, provider), extensions={"timeout": timeouts}
                )
                response = await pool.handle_async_request(request)
            try:
                yield response
            finally:
                await response.aclose()

    async def post_json(
        self,
        url: str,
        body: Any,
        *,
        headers: Mapping[str, str] | None = None,
        provider: str = "",
        total_s: float | None = None,
    ) -> Answer:
        """POST JSON and read the whole answer, whatever its status."""
        total = self.total_s if total_s is None else total_s
        limit = asyncio.timeout(total)
        try:
            # silence may last as long as the answer takes: nothing is sent until it is whole
            async with limit, self._response("POST", url, headers, body, provider, silence_s=None) as response:
                return await Reply(response, url=url, max_bytes=self.max_bytes, provider=provider).read()
        except TimeoutError:
            if not limit.expired():
                raise
            raise _too_slow(url, total, provider) from None

    async def get_json(
        self, url: str, *, headers: Mapping[str, str] | None = None, provider: str = "", total_s: float | None = None
    ) -> Answer:
        """GET and read the whole answer, whatever its status."""
        async with self.stream("GET", url, headers=headers, provider=provider, total_s=total_s) as reply:
            return await reply.read()

    def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        provider: str = "",
        total_s: float | None = None,
    ) -> Answer:
        """One request from code that is not async; the whole answer, whatever its status."""
        total = self.total_s if total_s is None else total_s
        deadline = time.monotonic() + total
        timeout = httpx.Timeout(total, connect=min(self.connect_s, total))
        body = bytearray()
        with (
            self._sync_client(url) as client,
            mapped(url, provider),
            client.stream(method, url, **_sent(headers, json, provider), timeout=timeout) as response,
        ):
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > self.max_bytes:
                    raise too_large(self.max_bytes, provider)
                if time.monotonic() > deadline:
                    raise _too_slow(url, total, provider)
            return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, bytes(body))

    def download(self, url: str, part_path: Path, on_progress: OnProgress | None = None) -> int:
        """Fetch a file into `part_path`, going on where an earlier try stopped. Sends no key anywhere.

        Args:
            url: http(s); redirects are followed, but not from https to plain http.
            part_path: what is there already is kept and continued; the caller verifies the whole and renames it.
            on_progress: called with the bytes so far and in all (None: the server does not say). What it raises ends
                the download; the part stays.

        Returns:
            The size of the file, in bytes.

        Raises:
            ProviderError: ConnectionFailed, TimedOut, ServerError, BadRequest or MalformedAnswer; the part stays.
        """
        make_folder(part_path.parent)
        with self._sync_client(url) as client:
            timeout = httpx.Timeout(self.first_token_s, connect=self.connect_s)
            return fetch(client, url, part_path, on_progress, timeout)

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        with self._lock:
            pools = self._pools.pop(asyncio.get_running_loop(), None)
        if pools is not None:
            await pools.aclose()

    def close(self) -> None:
        """Close from outside: what belongs to a running loop is closed there, what belongs to an ended one is let go."""
        with self._lock:
            known = list(self._pools.items())
            self._pools.clear()
        for loop, pools in known:
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(pools.aclose(), loop)

    def _pools_of(self, url: str) -> _Pools:
        """What sends requests in the running loop."""
        self._look_at(url)
        loop = asyncio.get_running_loop()
        with self._lock:
            pools = self._pools.get(loop)
            if pools is None:
                pools = self._pools[loop] = _Pools()
        return pools

    def _sync_client(self, url: str) -> httpx.Client:
        self._look_at(url)
        with proxies_understood():
            return httpx.Client(verify=_certificates(), follow_redirects=False, mounts=_DIRECT)

    def _look_at(self, url: str) -> None:
        """Refuse what is no address; warn once of a machine that is reached over plain http."""
        if url in self._looked_at:
            return
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
            good = parts.scheme in ("http", "https") and host and parts.port != 0
        except ValueError:
            good = False
        if not good:
            raise not_an_address()
        if "@" in parts.netloc:
            raise with_password()
        self._looked_at.add(url)
        if parts.scheme == "https" or is_loopback(url) or host in self._warned:
            return
        self._warned.add(host)
        warnings.warn(
            f"{host} is reached over plain http: prompts and keys can be read on the way. Use https.", UserWarning, stacklevel=2
        )


class _Pools:
    """The connections of one event loop: to servers, and where the environment names a proxy, through that.

    A request goes to httpx's transport itself: what its client does around one (redirects, cookies, authentication) is not
    wanted here. And its pool looks at all of its connections, and at all that wait, whenever a request comes or goes, so that
    with 50 in flight most of the time is spent on that: there are many small ones, the last used of which is used first.
    """

    def __init__(self) -> None:
        certificates = _certificates()
        limits = httpx.Limits(max_connections=SHARE, max_keepalive_connections=SHARE)
        self._direct = [httpx.AsyncHTTPTransport(verify=certificates, limits=limits) for _ in range(POOL // SHARE)]
        self._places: asyncio.LifoQueue[httpx.AsyncBaseTransport] = asyncio.LifoQueue()
        for pool in reversed(self._direct):
            for _ in range(SHARE):
                self._places.put_nowait(pool)
        self._proxied = _Proxied() if any(getproxies().get(scheme) for scheme in ("http", "https", "all")) else None

    @asynccontextmanager
    async def place(self, url: str) -> AsyncIterator[httpx.AsyncBaseTransport]:
        """A pool with a place for one request, once there is one."""
        if self._proxied is not None and not is_loopback(url):
            yield self._proxied
            return
        pool = await self._places.get()
        try:
            yield pool
        finally:
            self._places.put_nowait(pool)

    async def aclose(self) -> None:
        for pool in self._direct:
            await pool.aclose()
        if self._proxied is not None:
            await self._proxied.aclose()


class _Proxied(httpx.AsyncBaseTransport):
    """As httpx reads HTTP_PROXY, NO_PROXY and the like."""

    def __init__(self) -> None:
        limits = httpx.Limits(max_connections=POOL, max_keepalive_connections=POOL // 2)
        with proxies_understood():
            self._client = httpx.AsyncClient(verify=_certificates(), limits=limits, follow_redirects=False, mounts=_DIRECT)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._client.send(request, stream=True)

    async def aclose(self) -> None:
        await self._client.aclose()


@lru_cache(maxsize=256)
def _parsed(url: str) -> httpx.URL:
    """An address, taken apart once. Raises httpx.InvalidURL."""
    return httpx.URL(url)


@cache
def _certificates() -> ssl.SSLContext:
    """The trusted certificates, `SSL_CERT_FILE` and `SSL_CERT_DIR` honoured; read once, it takes a tenth of a second."""
    return httpx.create_ssl_context()


def _too_slow(url: str, total_s: float, provider: str) -> TimedOut:
    return timed_out(f"{host_of(url)} took longer than {total_s:g} s.", "network.total_s", provider)


def _sent(headers: Mapping[str, str] | None, json: Any, provider: str) -> dict[str, Any]:
    """Headers and body as they go over the wire, refused here where they cannot."""
    fields = Headers({**_USUAL, **(headers or {})})
    if not all(value.isascii() and value.isprintable() for value in fields.values()):
        raise Unauthorized(
            "The key holds characters that no key has.", provider=provider, fix="Look for line breaks and quotes around it."
        )
    if json is None:
        return {"headers": fields}
    try:
        content = jsonlib.dumps(json, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        message = f"The request cannot be written as JSON: {error}."
        raise BadRequest(message, provider=provider, fix="Pass numbers, text, lists and dicts as parameters.") from None
    return {"headers": Headers({"content-type": "application/json", **fields}), "content": content}
