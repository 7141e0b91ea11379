"""Server-sent events, as the WHATWG HTML standard describes them, read from bytes as they arrive.

Only CR, LF and CRLF end a line: a splitter for text would also break at U+2028, which JSON may hold unescaped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple


class Event(NamedTuple):
    """One event; `name` is empty where the server gave none."""

    name: str
    data: str


async def events(chunks: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    """The events of a stream. One that was cut within a line is dropped: it has not arrived."""
    name = ""
    data: list[str] = []
    async for line in _lines(chunks):
        if not line:
            if data:
                yield Event(name, "\n".join(data))
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "error":  # llama.cpp before 2025 names the field for the event
            name, data = "error", [value]
    if data:  # the blank line after the last event is often forgotten
        yield Event(name, "\n".join(data))


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    rest = b""
    first = True
    async for chunk in chunks:
        rest += chunk
        held = b""
        if rest.endswith(b"\r"):  # its LF may be in the next chunk
            rest, held = rest[:-1], b"\r"
        *whole, rest = rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        rest += held
        for line in whole:
            text = line.decode("utf-8", "replace")
            yield text.removeprefix("\ufeff") if first else text
            first = False
    if rest.endswith(b"\r"):
        yield rest[:-1].decode("utf-8", "replace")
