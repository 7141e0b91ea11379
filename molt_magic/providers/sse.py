"""Server-sent events, as the WHATWG HTML standard describes them, read from bytes as they arrive.

Only CR, LF and CRLF end a line: a splitter for text would also break at U+2028, which JSON may hold unescaped.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import NamedTuple


class Event(NamedTuple):
    """One event; `name` is empty where the server gave none."""

    name: str
    data: str


async def events(chunks: AsyncIterator[bytes], begun: bytes = b"") -> AsyncGenerator[Event, None]:
    """The events of a stream. One that was cut within a line is dropped: it has not arrived.

    Args:
        begun: what was read of it already.
    """
    lines, block = _Lines(), _Block()
    for event in block.take(lines.take(begun)):
        yield event
    async for chunk in chunks:
        for event in block.take(lines.take(chunk)):
            yield event
    if block.data:  # the blank line after the last event is often forgotten
        yield Event(block.name, "\n".join(block.data))


class _Block:
    """The fields since the last blank line."""

    def __init__(self) -> None:
        self.name = ""
        self.data: list[str] = []

    def take(self, lines: Iterator[str]) -> Iterator[Event]:
        for line in lines:
            if not line:
                if self.data:
                    yield Event(self.name, "\n".join(self.data))
                self.name, self.data = "", []
                continue
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                self.data.append(value)
            elif field == "event":
                self.name = value
            elif field == "error":  # llama.cpp before 2025 names the field for the event
                self.name, self.data = "error", [value]


class _Lines:
    """Cuts bytes into lines."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []  # of a line without its end: joined once, however many pieces a server makes of it
        self._after_cr = False
        self._first = True

    def take(self, chunk: bytes) -> Iterator[str]:
        """The lines that end in this chunk."""
        if not chunk:
            return
        if self._after_cr:  # the line ended with its CR already
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        *ended, rest = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        if ended:
            ended[0] = b"".join([*self._begun, ended[0]])
            self._begun.clear()
        if rest:
            self._begun.append(rest)
        for line in ended:
            text = line.decode("utf-8", "replace")
            yield text.removeprefix("\ufeff") if self._first else text
            self._first = False
