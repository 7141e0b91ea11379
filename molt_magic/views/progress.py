"""Progress of what takes long (weights arriving, a model loading, rows answered): in a notebook, in a terminal, in a log."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from molt_magic.views.text import for_html, one_line

_WIDTH = 24
_EVERY_S = 0.1  # between repaints of a terminal line
_LOG_EVERY_S = 10.0  # between lines where there is no terminal: a log must not fill up

_WATCHED_S = 2.0  # before this a pace means nothing
_STEPS = 3  # nor before so many steps forward
_RECENT_S = 30.0  # the pace is that of the last half minute, or of the last steps where those took longer
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")


class TimeLeft:
    """Estimates from the pace so far how long something will still take. Nothing is said before it means something."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, deque[tuple[float, float]]] = {}  # what is done -> (when, fraction), a step each

    def __call__(self, what: str, fraction: float | None) -> float | None:
        """Take in how far `what` is, in [0, 1]; returns the seconds left, or None while that is unknown."""
        if fraction is None or not 0 <= fraction < 1:
            self._seen.pop(label_of(what), None)
            return None
        steps = self._seen.setdefault(label_of(what), deque())
        now = self._clock()
        if steps and fraction < steps[-1][1]:
            steps.clear()  # it began again
        if not steps or fraction > steps[-1][1]:
            steps.append((now, fraction))
        while len(steps) > _STEPS + 1 and steps[1][0] < now - _RECENT_S:
            steps.popleft()
        begun, from_ = steps[0]
        if len(steps) <= _STEPS or steps[-1][0] - begun < _WATCHED_S:
            return None
        pace = (steps[-1][1] - from_) / (steps[-1][0] - begun)
        return max(0.0, (1 - fraction) / pace - (now - steps[-1][0]))


def label_of(what: str) -> str:
    """What is being done, without the figures that change while it is: `fetching x.gguf: 3 MB`, `2 of 9 rows`."""
    return _NUMBERS.sub("#", what.split(":")[0])


def told(what: str, left_s: float | None) -> str:
    """What is being done, with the time left where it is known: `12 of 40 rows, $0.0012 so far, 0:35 left`."""
    return one_line(what) if left_s is None else f"{one_line(what)}, {clock(left_s)} left"


def clock(seconds: float) -> str:
    """A duration as a clock shows it: `0:35`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def as_html(what: str, fraction: float | None) -> str:
    """A progress bar with its label beside it; without a fraction it only says that something goes on."""
    share = "" if fraction is None else f"{_within(fraction):.0%} · "
    value = "" if fraction is None else f' value="{_within(fraction):.3f}" max="1"'
    bar_style = "width: 12em; max-width: 40%; vertical-align: middle; accent-color: var(--jp-brand-color1, #1976d2)"
    return (
        '<label class="molt-progress" style="display: block; font-style: italic">'
        f'<progress{value} style="{bar_style}"></progress> <span>{share}{for_html(what)}</span></label>'
    )


def as_text(what: str, fraction: float | None) -> str:
    """The same on a line of text."""
    return one_line(what if fraction is None else f"{what} {bar(fraction)}")


class TerminalProgress:
    """A callback `(what, fraction)` that keeps one line of a terminal up to date.

    Where the stream is no terminal (a pipe, a CI log) it writes a line when something begins, now and then, and when it ends.
    """

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._clock = clock
        self._left = TimeLeft(clock)
        self._what = ""
        self._painted = float("-inf")
        self._length = 0

    def __call__(self, what: str, fraction: float | None, *, tells_time: bool = False) -> None:
        """Say what is being done and how much of it is.

        Args:
            fraction: in [0, 1]; None when unknown.
            tells_time: `what` says itself how long it will take.
        """
        now = self._clock()
        left_s = None if tells_time else self._left(what, fraction)
        label = label_of(what)
        first, last = label != self._what, fraction is not None and fraction >= 1
        if not (first or last) and now - self._painted < (_EVERY_S if self._live else _LOG_EVERY_S):
            return
        self._what, self._painted = label, now
        line = as_text(told(what, left_s), fraction)
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
    fraction = _within(fraction)
    done = round(fraction * _WIDTH)
    return f"[{'#' * done}{'.' * (_WIDTH - done)}] {fraction:4.0%}"


def _within(fraction: float) -> float:
    return min(1.0, max(0.0, fraction))
