"""Progress of what takes long (weights arriving, a model loading), in a terminal."""

from __future__ import annotations

import time
from typing import TextIO

from molt_magic.views.text import one_line

_WIDTH = 24
_EVERY_S = 0.1  # between repaints of a terminal line
_LOG_EVERY_S = 10.0  # between lines where there is no terminal: a log must not fill up


class TerminalProgress:
    """A callback `(what, fraction)` that keeps one line of a terminal up to date.

    Where the stream is no terminal (a pipe, a CI log) it writes a line when something begins, now and then, and when it ends.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._what = ""
        self._painted = 0.0
        self._length = 0

    def __call__(self, what: str, fraction: float | None) -> None:
        """Say what is being done and how much of it is; `fraction` in [0, 1], None when unknown."""
        now = time.monotonic()
        label = what.split(":")[0]
        first, last = label != self._what, fraction is not None and fraction >= 1
        if not (first or last) and now - self._painted < (_EVERY_S if self._live else _LOG_EVERY_S):
            return
        self._what, self._painted = label, now
        line = one_line(f"{what} {bar(fraction)}" if fraction is not None else what)
        if self._live:
            self._stream.write("\r" + line.ljust(self._length))
            self._length = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Leave the line; what is written next starts on its own."""
        if self._live and self._length:
            self._stream.write("\n")
            self._stream.flush()
        self._length, self._what = 0, ""


def bar(fraction: float) -> str:
    """A bar of text with its percentage."""
    fraction = min(1.0, max(0.0, fraction))
    done = round(fraction * _WIDTH)
    return f"[{'#' * done}{'.' * (_WIDTH - done)}] {fraction:4.0%}"
