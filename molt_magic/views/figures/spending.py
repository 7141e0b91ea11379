"""What was spent, by group, and what was saved, over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from molt_magic.result import usd
from molt_magic.views.figures import canvas, key

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from molt_magic.views.figures.canvas import Picture

_LEFT, _WIDTH = 0.62, canvas.WIDTH - 0.72  # inches
_TALL = 1.25  # of a panel
_MOST_TICKS = 9
_FEWEST = 12  # bars that there is room for: one alone must not be as wide as the page
_DAY = 86400
_EVERY = (
    60,
    300,
    900,
    1800,
    3600,
    7200,
    10800,
    21600,
    43200,
    _DAY,
    2 * _DAY,
    7 * _DAY,
    14 * _DAY,
    28 * _DAY,
    84 * _DAY,
    364 * _DAY,
)
_MONDAY = 4 * _DAY


def spending(spent: pd.DataFrame, saved: pd.Series[float], *, seconds: int, unit: str, caption: str) -> Picture:
    """Two panels of bars that share their time: spent, stacked by group, and saved.

    Args:
        spent: USD, a row a span (its start, UTC), a column a group (its name is untrusted), six at most.
        saved: USD by span; negative where the best model would have been cheaper.
        seconds: how long a span is; `unit` is the same in words.
        caption: the heading.
    """
    height = 2 * _TALL + 1.65
    figure = canvas.blank(height)
    canvas.heading(figure, caption, 0.05, height - 0.22)
    entries = [
        key.Entry(str(group), canvas.PALETTE[i], hatch=canvas.HATCHES[i]) for i, group in enumerate(spent) if spent[group].any()
    ]
    canvas.label(figure, f"Spent, USD per {unit}", 0.05, height - 0.45)
    key.draw(figure, entries, 0.05 + canvas.width_of(f"Spent, USD per {unit}") + 0.25, height - 0.45)
    above = canvas.panel(figure, _LEFT, 0.45 + _TALL + 0.45, _WIDTH, _TALL, grid="y")
    _stack(above, spent)
    canvas.label(figure, f"Saved, USD per {unit}", 0.05, 0.45 + _TALL + 0.2)
    below = canvas.panel(figure, _LEFT, 0.45, _WIDTH, _TALL, grid="y")
    _bars(below, saved)
    for axes in (above, below):
        axes.set_xlim(-0.6, max(len(saved), _FEWEST) - 0.4)
        axes.set_xticks([])
    places, told = _times(list(saved.index), seconds)
    canvas.foot(below)
    below.set_xticks(places, told)
    canvas.note(figure, "Time, UTC", canvas.WIDTH - canvas.width_of("Time, UTC", canvas.SIZE - 1) - 0.1, 0.02)
    return canvas.Picture.of(figure, _words(caption, spent, saved, unit))


def _stack(axes: Axes, spent: pd.DataFrame) -> None:
    import numpy as np

    base = np.zeros(len(spent))
    for i, group in enumerate(spent):
        heights = spent[group].to_numpy()
        _rectangles(axes, base, heights, canvas.PALETTE[i], canvas.HATCHES[i])
        base = base + heights
    _scale(axes, 0.0, float(base.max(initial=0.0)))


def _bars(axes: Axes, saved: pd.Series[float]) -> None:
    import numpy as np

    heights = saved.to_numpy()
    _rectangles(axes, np.zeros(len(heights)), heights, canvas.PALETTE[2], "")
    _scale(axes, float(min(0.0, heights.min(initial=0.0))), float(heights.max(initial=0.0)))
    axes.axhline(0, color=canvas.GREY, linewidth=0.8)


def _rectangles(axes: Axes, base: Any, heights: Any, colour: str, hatch: str) -> None:
    import numpy as np

    x = np.flatnonzero(heights)
    canvas.boxes(axes, x - 0.4, x + 0.4, base[x], (base + heights)[x], colour=colour, hatch=hatch)


def _scale(axes: Axes, low: float, high: float) -> None:
    if low == high == 0:
        axes.set_ylim(0, 1)
        axes.set_yticks([0], ["$0"])
        canvas.nothing(axes, "nothing, as far as prices are known")
        return
    ticks = canvas.steps(max(high, -low), 4)
    shown = [-t for t in ticks[:0:-1] if -t >= low - (ticks[1] - ticks[0])] if low < 0 else []
    shown += [t for t in ticks if t <= high + (ticks[1] - ticks[0])] if high > 0 or low == 0 else [0.0]
    axes.set_ylim(min(shown[0], low), max(shown[-1], high))
    axes.set_yticks(shown, canvas.amounts(shown))


def _times(starts: Sequence[pd.Timestamp], seconds: int) -> tuple[list[int], list[str]]:
    """The bars below which a time is written, and the times."""
    span = seconds * len(starts)
    every = next((e for e in _EVERY if e % seconds == 0 and span / e <= _MOST_TICKS), max(_EVERY))
    places = [i for i, start in enumerate(starts) if (int(start.timestamp()) - _MONDAY) % every == 0]
    places = places[:: -(-len(places) // _MOST_TICKS)] or [0]
    form = "%H:%M" if every < _DAY else "%d %b" if span < 400 * _DAY else "%b %Y"
    # a time of day alone does not say which day it was
    return places, [
        f"{starts[p]:{form}}" + (f"\n{starts[p]:%d %b}" if form == "%H:%M" and p == places[0] else "") for p in places
    ]


def _words(caption: str, spent: pd.DataFrame, saved: pd.Series[float], unit: str) -> str:
    whole = spent.sum()
    groups = "; ".join(f"{canvas.cut(str(group))} {usd(float(amount))}" for group, amount in whole.items())
    dearest = spent.sum(axis=1)
    most = (
        f" Most in one {unit}: {usd(float(dearest.max()))}, from {dearest.idxmax():%d %b %H:%M} UTC." if dearest.any() else ""
    )
    return (
        f"{caption}. Bars of spend and saving per {unit}. Spent {usd(float(whole.sum()))}: {groups or 'nothing'}.{most}"
        f" Saved {usd(float(saved.sum()))}."
    )
