"""Cost against quality: a point each, and the line of those that nothing else beats in both."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from molt_magic.result import usd
from molt_magic.views.figures import canvas
from molt_magic.views.figures.labels import place

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from molt_magic.views.figures.canvas import Picture

_TOP, _LEFT, _RIGHT = 0.42, 0.62, 0.25  # inches around the axes
_FREE = 0.45  # of a decade: how far left of the cheapest what costs nothing stands
_MOST_MISSING = 6  # names in the note below
_KEY = "Filled: on the Pareto line (dashed), where nothing else is both cheaper and better."

Point = tuple[str, float, float]  # name, USD, quality


def cost_quality(
    labels: Sequence[str], cost_usd: Sequence[float | None], quality: Sequence[float | None], *, caption: str
) -> Picture:
    """A scatter of cost (logarithmic; what is free stands at its left) and quality, each point named, with the Pareto line.

    Args:
        labels: the points' names; untrusted.
        cost_usd: USD, None or NaN where unknown.
        quality: in [0, 1], None or NaN where unknown.
        caption: the heading; what the points are and where their quality comes from.

    A point of which cost or quality is unknown is not drawn: a note below the plot, and the picture's words, name it.
    """
    points, missing = _known(labels, cost_usd, quality)
    best = frontier(points)
    notes = _notes(missing, few=not points)
    height = (3.6 if points else 0.4) + 0.2 * len(notes)
    figure = canvas.blank(height)
    canvas.heading(figure, caption, 0.05, height - 0.24)
    for i, line in enumerate(notes):
        canvas.note(figure, line, 0.05, 0.06 + 0.2 * (len(notes) - 1 - i))
    if points:
        bottom = 0.56 + 0.2 * len(notes)
        size = (canvas.WIDTH - _LEFT - _RIGHT, height - bottom - _TOP)
        axes = canvas.panel(figure, _LEFT, bottom, *size, grid="y")
        _draw(axes, points, best, size)
    return canvas.Picture.of(figure, _words(caption, points, best, missing))


def frontier(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats: none is at most as dear and better, or cheaper and at least as good. Cheapest first."""
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p[1], -p[2])):
        if not found or point[2] > found[-1][2] or point[1:] == found[-1][1:]:
            found.append(point)
    return found


def _known(
    labels: Sequence[str], cost_usd: Sequence[float | None], quality: Sequence[float | None]
) -> tuple[list[Point], list[tuple[str, str]]]:
    points, missing = list[Point](), list[tuple[str, str]]()
    for label, cost, good in zip(labels, cost_usd, quality, strict=True):
        unknown = [what for what, value in (("cost", cost), ("quality", good)) if value is None or not math.isfinite(value)]
        if cost is None or good is None or unknown:
            missing.append((str(label), " and ".join(unknown)))
        else:
            points.append((str(label), max(0.0, float(cost)), float(good)))
    return points, missing


def _notes(missing: Sequence[tuple[str, str]], *, few: bool) -> list[str]:
    if not missing:
        return ["There is nothing to draw."] if few else [_KEY]
    by_reason: dict[str, list[str]] = {}
    for label, unknown in missing:
        by_reason.setdefault(unknown, []).append(canvas.name(label, 24))
    told = [] if few else [_KEY]
    for unknown, names in by_reason.items():
        more = f" and {len(names) - _MOST_MISSING} more" if len(names) > _MOST_MISSING else ""
        told.append(f"Not drawn, {unknown} unknown: {', '.join(names[:_MOST_MISSING])}{more}.")
    return told


def _draw(axes: Axes, points: Sequence[Point], best: Sequence[Point], size: tuple[float, float]) -> None:
    at, low, high, ticks = _scale([cost for _, cost, _ in points])
    bottom = max(0.0, math.floor((min(q for *_, q in points) - 0.08) * 10) / 10)
    top = max(1.0, max(q for *_, q in points)) + 0.04 * (1 - bottom)
    axes.set_xlim(low, high)
    axes.set_ylim(bottom, top)
    axes.set_xticks([at(t) for t in ticks], [usd(t) for t in ticks])
    marks = [i / 10 for i in range(round(bottom * 10), 11, 1 if bottom >= 0.5 else 2)]
    axes.set_yticks(marks, [f"{m:.1f}" for m in marks])
    canvas.foot(axes)
    axes.set_xlabel("Cost, USD" + (", logarithmic" if len(ticks) > 1 else ""), color=canvas.GREY, fontsize=canvas.SIZE)
    axes.set_ylabel("Quality, 0 to 1", color=canvas.GREY, fontsize=canvas.SIZE)
    if len({p[1:] for p in best}) > 1:
        xs, ys = [at(cost) for _, cost, _ in best], [q for *_, q in best]
        axes.plot(xs, ys, drawstyle="steps-post", color=canvas.GREY, linewidth=1.4, linestyle=(0, (5, 3)), zorder=2)
    unbeaten = {p[1:] for p in best}
    together: dict[tuple[float, float], list[str]] = {}
    for label, cost, good in points:
        together.setdefault((cost, good), []).append(label)
    for i, (cost, good) in enumerate(together):
        colour, marker = canvas.PALETTE[i % len(canvas.PALETTE)], canvas.MARKERS[i % len(canvas.MARKERS)]
        fill = colour if (cost, good) in unbeaten else "none"
        axes.plot(
            [at(cost)],
            [good],
            marker,
            color=colour,
            markerfacecolor=fill,
            markersize=9,
            markeredgewidth=1.8,
            clip_on=False,
            zorder=3,
        )
    names = [canvas.name(", ".join(found), 36) for found in together.values()]
    places = [((at(cost) - low) / (high - low), (good - bottom) / (top - bottom)) for cost, good in together]
    steps = [((at(cost) - low) / (high - low), (good - bottom) / (top - bottom)) for _, cost, good in best]
    for spot in place(names, places, size, steps=steps):
        axes.annotate(
            spot.text,
            spot.point,
            (spot.left, spot.middle),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=canvas.GREY,
            fontsize=canvas.SIZE,
            ha="left",
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": canvas.GREY, "linewidth": 0.7, "shrinkB": 6} if spot.far else None,
            zorder=4,
        )


def _scale(costs: Sequence[float]) -> tuple[Callable[[float], float], float, float, list[float]]:
    """Where a cost stands on the axis, the axis's ends, and the costs that are written below it."""
    paid = [cost for cost in costs if cost > 0]
    if not paid:
        return (lambda _cost: 0.0), -1.0, 1.0, [0.0]
    low, high = math.log10(min(paid)), math.log10(max(paid))
    spare = max(0.12, 0.06 * (high - low), (0.7 - (high - low)) / 2)  # 0.7: a factor of 5 at least, so that ticks fit
    free = low - _FREE - 0.1 * (high - low)
    first = free - 0.2 * (spare + _FREE) if len(paid) < len(costs) else low - spare
    ticks = canvas.decades(10 ** (low - spare), 10 ** (high + spare))
    if len(paid) < len(costs):
        ticks = [0.0, *(t for t in ticks if math.log10(t) > free + 0.3 * _FREE)]
    return (lambda cost: math.log10(cost) if cost > 0 else free), first, high + spare, ticks


def _words(caption: str, points: Sequence[Point], best: Sequence[Point], missing: Sequence[tuple[str, str]]) -> str:
    told = [f"{canvas.cut(label)}: {usd(cost)}, quality {good:.2f}" for label, cost, good in points]
    parts = [f"{caption}. Cost against quality. {'; '.join(told) or 'Nothing to draw'}."]
    if best:
        parts.append(f"On the Pareto line: {', '.join(canvas.cut(label) for label, *_ in best)}.")
    parts += [f"Not drawn: {canvas.cut(label)} ({unknown} unknown)." for label, unknown in missing]
    return " ".join(parts)
