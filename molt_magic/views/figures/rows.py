"""Figures with a named row for each group: how often something happened, how good answers were and how long they took."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from molt_magic.views.figures import canvas, key

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from molt_magic.views.figures.canvas import Picture

MOST = 12  # rows; the others are in the tables

_ROW, _HEAD, _FOOT = 0.27, 0.62, 0.5  # inches
_GAP = 0.3  # between two panels
_NAME = 1.7  # that a name may take
_BAR = 0.5  # that the longest bar has at least, and the gap behind it
_APART = 0.17  # of a row, between the marks of one group: equal scores must not hide each other
_SOURCES = {"judge": "judges", "validator": "validators", "user": "users"}
_PERCENTILES = ("p50", "p90", "p99")


def rates(names: Sequence[str], panels: Mapping[str, Sequence[tuple[int, int]]], *, caption: str) -> Picture:
    """Bars with their figures written beside them, a panel for each kind of event.

    Args:
        names: of the groups; untrusted.
        panels: heading -> (how many, of how many) by group.
    """
    import numpy as np

    figure, names, left, height = _blank(names, caption, head=_HEAD, foot=0.08)
    wide = (canvas.WIDTH - left - _GAP * (len(panels) - 1)) / len(panels)
    for i, (heading, found) in enumerate(panels.items()):
        at = left + i * (wide + _GAP)
        canvas.label(figure, canvas.fit(heading, wide + _GAP - 0.1), at, height - 0.46)
        axes = canvas.panel(figure, at, 0.08, wide, _ROW * len(names))
        _rows(axes, len(names))
        shares = [100 * count / of if of else math.nan for count, of in found[: len(names)]]
        rates = [f"{share:.1f} %" if share == share else "none" for share in shares]
        told = [f"{rate}  {_short(n)} of {_short(of)}" if of else rate for rate, (n, of) in zip(rates, found, strict=False)]
        if max(map(canvas.width_of, told)) + _BAR > wide:
            told = rates  # the table has the counts
        room = max(map(canvas.width_of, told)) + 0.12
        most = max([share for share in shares if share == share], default=0.0) or 1.0
        axes.set_xlim(0, most * wide / max(0.2, wide - room))
        axes.set_xticks([])
        lengths = [0.0 if share != share else share for share in shares]
        y = np.arange(len(names))
        canvas.boxes(axes, np.zeros(len(names)), np.array(lengths), y - 0.25, y + 0.25, colour=canvas.PALETTE[i])
        for row, (length, text) in enumerate(zip(lengths, told, strict=True)):
            axes.annotate(
                text, (length, row), (5, 0), textcoords="offset points", va="center", color=canvas.GREY, fontsize=canvas.SIZE
            )
    stories = [
        f"{heading}: " + "; ".join(f"{canvas.cut(n)} {count} of {of}" for n, (count, of) in zip(names, found, strict=False))
        for heading, found in panels.items()
    ]
    return canvas.Picture.of(figure, f"{caption}. {'. '.join(stories)}.")


def service(
    names: Sequence[str],
    scores: Mapping[str, Sequence[float | None]],
    waits: Sequence[tuple[float, float, float] | None],
    *,
    caption: str,
) -> Picture:
    """Two panels of dots: mean quality by who gave the scores, and percentiles of the time to an answer.

    Args:
        names: of the groups; untrusted.
        scores: judge, validator or user -> mean score in [0, 1] by group, None where there is none.
        waits: p50, p90 and p99 in seconds by group, None where there is none.
    """
    figure, names, left, height = _blank(names, caption, head=_HEAD + 0.22, foot=_FOOT)
    wide = (canvas.WIDTH - left - _GAP - 0.15) / 2
    tall = _ROW * len(names)
    good = canvas.panel(figure, left, _FOOT, wide, tall, grid="x")
    _quality(good, scores, len(names))
    entries = [
        key.Entry(_SOURCES[s], canvas.PALETTE[i], canvas.MARKERS[i])
        for i, s in enumerate(_SOURCES)
        if any(_some(scores.get(s, ())))
    ]
    canvas.label(figure, "Mean quality", left, height - 0.46)
    key.draw(figure, entries, left, height - 0.68)
    slow = canvas.panel(figure, left + wide + _GAP, _FOOT, wide, tall, grid="x")
    _latency(slow, waits, len(names))
    canvas.label(figure, "Time to answer", left + wide + _GAP, height - 0.46)
    entries = [key.Entry(p, canvas.PALETTE[5 - i], canvas.MARKERS[3 + i]) for i, p in enumerate(_PERCENTILES)]
    key.draw(figure, entries, left + wide + _GAP, height - 0.68)
    told = []
    for i, name in enumerate(names):
        parts = [f"{_SOURCES[s]} {v[i]:.2f}" for s, v in scores.items() if v[i] is not None]
        wait = waits[i]
        parts += [] if wait is None else [f"half within {wait[0]:.2g} s, 99 % within {wait[2]:.2g} s"]
        told.append(f"{canvas.cut(name)}: {', '.join(parts) or 'nothing known'}")
    return canvas.Picture.of(figure, f"{caption}. {'; '.join(told)}.")


def _blank(names: Sequence[str], caption: str, *, head: float, foot: float) -> tuple[Figure, list[str], float, float]:
    """A figure with the names of its rows, the names that have room, and where its panels begin; inches."""
    shown = list(names[:MOST])
    height = head + _ROW * len(shown) + foot
    figure = canvas.blank(height)
    canvas.heading(figure, caption, 0.05, height - 0.22)
    labels = [canvas.fit(name, _NAME, is_name=True) for name in shown]
    for i, label in enumerate(labels):
        canvas.label(figure, label, 0.05, foot + _ROW * (len(shown) - i - 0.5))
    return figure, shown, 0.05 + max(map(canvas.width_of, labels), default=0.0) + 0.2, height


def _rows(axes: Axes, count: int) -> None:
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_yticks([])


def _quality(axes: Axes, scores: Mapping[str, Sequence[float | None]], count: int) -> None:
    found = [score for values in scores.values() for score in _some(values[:count])]
    low = max(0.0, math.floor((min(found, default=0.0) - 0.05) * 10) / 10)
    ticks = [i / 10 for i in range(round(low * 10), 11, 1 if low >= 0.5 else 2)]
    _rows(axes, count)
    axes.set_xlim(low - 0.02, 1.03)
    axes.set_xticks(ticks, [f"{t:.1f}" for t in ticks])
    if not found:
        axes.set_xticks([])
        canvas.nothing(axes, "no scores yet")
        return
    axes.set_xlabel("score, 0 to 1", color=canvas.GREY, fontsize=canvas.SIZE - 0.5, labelpad=2)
    for i, source in enumerate(_SOURCES):
        points = [(score, y + _APART * (i - 1)) for y, score in enumerate(scores.get(source, ())[:count]) if score is not None]
        if points:
            xs, ys = zip(*points, strict=True)
            axes.plot(xs, ys, canvas.MARKERS[i], color=canvas.PALETTE[i], markersize=6.5, markeredgewidth=0, clip_on=False)


def _latency(axes: Axes, waits: Sequence[tuple[float, float, float] | None], count: int) -> None:
    _rows(axes, count)
    known = [(y, [max(1e-4, w) for w in wait]) for y, wait in enumerate(waits[:count]) if wait is not None]
    if not known:
        axes.set_xticks([])
        canvas.nothing(axes, "no answers yet")
        return
    low = math.log10(min(w[0] for _, w in known)) - 0.12
    high = math.log10(max(w[2] for _, w in known)) + 0.12
    ticks = canvas.decades(10**low, 10**high)
    axes.set_xlim(low, high)
    axes.set_xticks([math.log10(t) for t in ticks], [f"{t:g}" for t in ticks])
    axes.set_xlabel("seconds, logarithmic", color=canvas.GREY, fontsize=canvas.SIZE - 0.5, labelpad=2)
    for y, wait in known:
        axes.plot([math.log10(wait[0]), math.log10(wait[2])], [y, y], color=canvas.GREY, linewidth=1.2, zorder=1)
    for i in range(3):
        xs = [math.log10(wait[i]) for _, wait in known]
        ys = [y for y, _ in known]
        axes.plot(xs, ys, canvas.MARKERS[3 + i], color=canvas.PALETTE[5 - i], markersize=6.5, markeredgewidth=0, clip_on=False)


def _some(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _short(count: int) -> str:
    """A count in few characters: the table has it in full."""
    return f"{count:,}" if count < 10_000 else f"{count / 1e3:.1f}k" if count < 1_000_000 else f"{count / 1e6:.1f}M"
