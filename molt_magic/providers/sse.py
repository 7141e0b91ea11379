"""Server-sent events, as the WHATWG HTML standard describes them, read from bytes as they arrive.

Only CR, LF and CRLF end a line: a splitter for text would also break at U+2028, which JSON may hold unescaped.
"""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    """One event; `name` is empty where the server gave none."""

    name: str
    data: str


class Events:
    """Cuts a stream into its events. One that was cut within a line is dropped: it has not arrived."""

    def __init__(self) -> None:
        self._lines = _Lines()
        self._name = ""
        self._data: list[str] = []  # of the event that has begun

    def take(self, chunk: bytes) -> list[Event]:
        """The events that end in this chunk."""
        found = []
        for line in self._lines.take(chunk):
            if not line:
                found += self.end()
                continue
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                self._data.append(value)
            elif field == "event":
                self._name = value
            elif field == "error":  # llama.cpp before 2025 names the field for the event
                self._name, self._data = "error", [value]
        return found

    def end(self) -> list[Event]:
        """The event that has begun, at the end of the stream: the blank line after the last one is often forgotten."""
        found = [Event(self._name, "\n".join(self._data))] if self._data else []
        self._name, self._data = "", []
        return found


class _Lines:
    """Cuts bytes into lines."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []  # of a line without its end: joined once, however many pieces a server makes of it
        self._after_cr = False
        self._first = True

    def take(self, chunk: bytes) -> list[str]:
        """The lines that end in this chunk."""
        if not chunk:
            return []
        if self._after_cr:  # the line ended with its CR already
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        ended, end, rest = chunk.rpartition(b"\n")
        if not end:
            self._begun.append(rest)
            return []
        text = b"".join([*self._begun, ended]).decode("utf-8", "replace")
        self._begun = [rest]
        if self._first:
            self._first, text = False, text.removeprefix("\ufeff")
        return text.split("\n")
