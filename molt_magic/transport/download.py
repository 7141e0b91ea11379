"""A file fetched over HTTP, going on where an earlier try stopped."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx

from molt_magic.errors import BadRequest, ConnectionFailed, ProviderError, ServerError, TimedOut
from molt_magic.transport.failures import host_of, is_loopback, mapped

OnProgress = Callable[[int, int | None], None]  # bytes so far, bytes in all or None

_REDIRECTS = 5
_FRUITLESS = 3  # tries in a row without a new byte, then the break is reported


def fetch(client: httpx.Client, url: str, part: Path, on_progress: OnProgress | None, timeout: httpx.Timeout) -> int:
    """Fetch `url` into `part` and return its size in bytes; see `Transport.download`."""
    fruitless = 0
    while True:
        before = _size(part)
        try:
            with mapped(url, ""):
                return _try(client, url, part, on_progress, timeout)
        except (ConnectionFailed, TimedOut) as error:
            fruitless = 0 if _size(part) > before else fruitless + 1
            if not error.retryable or fruitless >= _FRUITLESS or _size(part) == 0:
                raise


def _try(client: httpx.Client, url: str, part: Path, on_progress: OnProgress | None, timeout: httpx.Timeout) -> int:
    have = _size(part)
    headers = {"accept-encoding": "identity"}
    if have:
        headers["range"] = f"bytes={have}-"
    for _ in range(_REDIRECTS + 1):
        with client.stream("GET", url, headers=headers, timeout=timeout) as response:
            if response.is_redirect:
                url = _next_hop(url, response.headers.get("location", ""))
                continue
            content_range = response.headers.get("content-range", "")
            if response.status_code == 416:
                if content_range == f"bytes */{have}":
                    return have  # the part is the whole file
                part.unlink()
                raise ConnectionFailed(f"{host_of(url)} has another file now; the part was dropped.")
            if response.status_code not in (200, 206):
                raise _refused(url, response.status_code)
            going_on = response.status_code == 206 and content_range.startswith(f"bytes {have}-")
            return _save(response, part, have if going_on else 0, on_progress)
    raise ConnectionFailed(f"{host_of(url)} redirects more than {_REDIRECTS} times.", retryable=False)


def _save(response: httpx.Response, part: Path, start: int, on_progress: OnProgress | None) -> int:
    length = response.headers.get("content-length", "")
    total = start + int(length) if length.isdigit() else None
    size = start
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if start else os.O_TRUNC), 0o600)
    with os.fdopen(descriptor, "ab" if start else "wb") as file:
        for chunk in response.iter_bytes():
            file.write(chunk)
            size += len(chunk)
            if on_progress is not None:
                on_progress(size, total)
    return size


def _next_hop(url: str, location: str) -> str:
    target = urljoin(url, location)
    if urlsplit(target).scheme != "https" and (urlsplit(url).scheme == "https" or not is_loopback(target)):
        raise ConnectionFailed(f"{host_of(url)} redirects to an address that is not https.", retryable=False)
    return target


def _refused(url: str, status: int) -> ProviderError:
    if status >= 500 or status == 429:
        return ServerError(f"{host_of(url)} answered {status}.", status=status, fix="Try again later.")
    return BadRequest(f"{host_of(url)} answered {status} for the file.", status=status, fix="Check the address of the file.")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
