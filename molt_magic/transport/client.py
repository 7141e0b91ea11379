"""The HTTP client: JSON, streams and downloads."""

from __future__ import annotations

import asyncio
import json as jsonlib
import re
import threading
import time
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx

from molt_magic.errors import BadRequest, TimedOut, Unauthorized
from molt_magic.files import make_folder
from molt_magic.transport.connections import DIRECT, Connections, Outgoing, certificates
from molt_magic.transport.download import OnProgress, fetch
from molt_magic.transport.failures import (
    FAILURES,
    host_of,
    is_loopback,
    mapped,
    not_an_address,
    proxies_understood,
    timed_out,
    too_large,
    translate,
    with_password,
)
from molt_magic.transport.headers import Headers, read
from molt_magic.transport.limit import limit
from molt_magic.transport.reply import Answer, Reply

MAX_BYTES = 32_000_000  # of one response; a chat answer has some hundred kB at most

_USUAL = {"accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": f"python-httpx/{httpx.__version__}"}
_NAMES = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_write = jsonlib.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


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
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Connections] = WeakKeyDictionary()
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
        with limit(total, lambda: _too_slow(url, total, provider)):
            reply = await self._send(method, url, headers, json, provider, silence)
            try:
                yield reply
            finally:
                await reply.aclose()

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str] | None, json: Any, provider: str, silence_s: float | None
    ) -> Reply:
        """Send a request; its reply is to be closed."""
        self._look_at(url)
        fields, content = _sent(headers, json, provider)
        asked = Outgoing(method, url, fields, content, self.connect_s, silence_s)
        try:
            received = await self._connections().send(asked)
        except FAILURES as error:
            raise translate(error, url, provider) from None
        return Reply(received, url=url, max_bytes=self.max_bytes, provider=provider)

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
        with limit(total, lambda: _too_slow(url, total, provider)):
            # silence may last as long as the answer takes: nothing is sent until it is whole
            reply = await self._send("POST", url, headers, body, provider, None)
            try:
                return await reply.read()
            finally:
                await reply.aclose()

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
        fields, content = _sent(headers, json, provider)
        with (
            self._sync_client(url) as client,
            mapped(url, provider),
            client.stream(method, url, headers=fields, content=content, timeout=timeout) as response,
        ):
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > self.max_bytes:
                    raise too_large(self.max_bytes, provider)
                if time.monotonic() > deadline:
                    raise _too_slow(url, total, provider)
            return Answer(response.status_code, read(response.headers.raw), bytes(body))

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
            connections = self._by_loop.pop(asyncio.get_running_loop(), None)
        if connections is not None:
            await connections.aclose()

    def close(self) -> None:
        """Close from outside: what belongs to a loop is closed as soon as that runs, what belongs to an ended one is let go."""
        with self._lock:
            known = list(self._by_loop.items())
            self._by_loop.clear()
        for loop, connections in known:
            if not loop.is_closed():
                loop.call_soon_threadsafe(connections.close)

    def _connections(self) -> Connections:
        """Those of the running loop."""
        loop = asyncio.get_running_loop()
        found = self._by_loop.get(loop)
        if found is None:
            found = Connections()
            with self._lock:
                self._by_loop[loop] = found
        return found

    def _sync_client(self, url: str) -> httpx.Client:
        self._look_at(url)
        with proxies_understood():
            return httpx.Client(verify=certificates(), follow_redirects=False, mounts=DIRECT)

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


def _too_slow(url: str, total_s: float, provider: str) -> TimedOut:
    return timed_out(f"{host_of(url)} took longer than {total_s:g} s.", "network.total_s", provider)


def _sent(headers: Mapping[str, str] | None, json: Any, provider: str) -> tuple[Headers, bytes]:
    """Header fields and body as they go over the wire, refused here where they cannot."""
    if headers and not _can_be_sent(headers):
        raise Unauthorized(
            "The key holds characters that no key has.", provider=provider, fix="Look for line breaks and quotes around it."
        )
    fields = Headers(_USUAL)
    fields.update(headers or ())
    if json is None:
        return fields, b""
    try:
        content = _write(json).encode()
    except (TypeError, ValueError) as error:
        message = f"The request cannot be written as JSON: {error}."
        raise BadRequest(message, provider=provider, fix="Pass numbers, text, lists and dicts as parameters.") from None
    fields["content-type"] = "application/json"
    fields["content-length"] = str(len(content))
    return fields, content


def _can_be_sent(headers: Mapping[str, str]) -> bool:
    """A function of its own: a verbose traceback of what raises shows its variables, and the key would be in them."""
    names, values = "".join(headers), "".join(headers.values())
    return "" not in headers and _NAMES.fullmatch(names) is not None and values.isascii() and values.isprintable()
