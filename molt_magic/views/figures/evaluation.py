"""A report's picture: every policy's cost and quality with the line that nothing beats, and whether predictions hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from molt_magic.result import usd
from molt_magic.views.figures import canvas, key
from molt_magic.views.figures.cost_quality import frontier

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from molt_magic.evaluation import Report
    from molt_magic.views.figures.canvas import Picture

_BOTTOM, _TALL = 0.55, 2.9  # inches
_LEFT, _WIDE = 0.55, 4.1  # of the first panel
_RIGHT, _NARROW = 5.25, 2.2  # of the second
_STYLES = ("-", "--", "-.", ":")
_ROW, _LINE = 4, 0.2  # entries of a key in a row, and its height in inches
_TOLD = 6  # models that the second panel tells apart
_TICKS = 4  # amounts below the first panel
_LEAST = 5  # prompts in a bin that is drawn


def evaluation(report: Report) -> Picture:
    """Cost against quality on the test prompts (cost logarithmic), a line a policy and a point a single model, the unbeaten
    ones joined; beside it predicted against observed quality in bins."""
    curve = report.curve
    groups = {str(name): rows for name, rows in curve.groupby("strategy", sort=False) if (rows["cost_usd"] > 0).any()}
    entries = [_entry(i, name) for i, name in enumerate(groups)]
    height = _BOTTOM + _TALL + 0.45 + _LINE * math.ceil(len(entries) / _ROW)
    figure = canvas.blank(height)
    canvas.heading(figure, f"{report.n_test:,} test prompts, {report.n_train:,} to learn from", 0.05, height - 0.24)
    _key(figure, entries, _ROW, 0.05, height - 0.45)
    best = _cost_quality(canvas.panel(figure, _LEFT, _BOTTOM, _WIDE, _TALL, grid="y"), groups)
    _reliability(figure, report.reliability)
    scored = report.summary[["strategy", "cost_usd", "quality"]].to_numpy(dtype=object)
    told = [f"{canvas.cut(str(name))}: {usd(float(cost))}, quality {good:.3f}" for name, cost, good in scored]
    unbeaten = ", ".join(dict.fromkeys(canvas.cut(name) for name, *_ in best))
    words = f"Cost against quality, settings chosen in training: {'; '.join(told)}."
    return canvas.Picture.of(figure, f"{words} On the Pareto line of the curves: {unbeaten}. {_error(report.reliability)}")


def _entry(i: int, name: str) -> key.Entry:
    return key.Entry(canvas.name(name, 26), canvas.PALETTE[i % len(canvas.PALETTE)], _marker(i))


def _key(figure: Figure, entries: list[key.Entry], row: int, left: float, top: float) -> None:
    """A key of several rows, the first of them at `top`."""
    for i in range(0, len(entries), row):
        key.draw(figure, entries[i : i + row], left, top - _LINE * (i // row))


def _marker(i: int) -> str:
    """Colours and markers step apart after a round, so that no two of 36 look alike."""
    return canvas.MARKERS[(i + i // len(canvas.PALETTE)) % len(canvas.MARKERS)]


def _cost_quality(axes: Axes, groups: dict[str, pd.DataFrame]) -> list[tuple[str, float, float]]:
    points: list[tuple[str, float, float]] = []
    for i, (name, rows) in enumerate(groups.items()):
        paid = rows[rows["cost_usd"] > 0].sort_values("cost_usd")
        xs, ys = [math.log10(c) for c in paid["cost_usd"]], list(paid["quality"])
        colour = canvas.PALETTE[i % len(canvas.PALETTE)]
        style = _STYLES[(i // len(canvas.PALETTE) + i) % len(_STYLES)]
        axes.plot(xs, ys, color=colour, linewidth=1.3, linestyle=style, zorder=2)
        marks = [0, len(xs) // 2, len(xs) - 1] if len(xs) > 1 else [0]
        axes.plot(xs, ys, _marker(i), color=colour, markersize=6, markevery=marks, zorder=3)
        if name != "oracle":  # nobody can be it
            points += [(name, 10**x, y) for x, y in zip(xs, ys, strict=True)]
    if not points:  # all of it was free
        return []
    best = frontier(points)
    if len(best) > 1:
        xs, ys = [math.log10(c) for _, c, _ in best], [q for *_, q in best]
        axes.plot(xs, ys, drawstyle="steps-post", color=canvas.GREY, linewidth=3.5, alpha=0.35, zorder=1)
    low, high = min(c for _, c, _ in points), max(c for _, c, _ in points)
    spare = max(0.1, 0.05 * math.log10(high / low))
    axes.set_xlim(math.log10(low) - spare, math.log10(high) + spare)
    ticks = canvas.decades(low * 10**-spare, high * 10**spare)
    ticks = ticks[:: math.ceil(len(ticks) / _TICKS)]
    axes.set_xticks([math.log10(t) for t in ticks], [usd(t) for t in ticks])
    canvas.foot(axes)
    axes.set_xlabel("Cost a prompt, USD, logarithmic (grey: the Pareto line)", color=canvas.GREY, fontsize=canvas.SIZE - 0.5)
    axes.set_ylabel("Quality, 0 to 1", color=canvas.GREY, fontsize=canvas.SIZE)
    return best


def _reliability(figure: Figure, bins: pd.DataFrame) -> None:
    """The second panel, under a key of its models; where they are too many to be told apart, all look alike."""
    models = [str(name) for name in dict.fromkeys(bins["model"])]
    entries = [_entry(i, name) for i, name in enumerate(models)] if len(models) <= _TOLD else []
    row = 1 if len(entries) <= _TOLD // 2 else 2
    tall = _TALL - _LINE * math.ceil(len(entries) / row)
    _key(figure, entries, row, _RIGHT, _BOTTOM + _TALL - 0.03)
    axes = canvas.panel(figure, _RIGHT, _BOTTOM, _NARROW, tall, grid="xy")
    axes.plot([0, 1], [0, 1], color=canvas.GREY, linewidth=1, linestyle=(0, (5, 3)), zorder=1)
    most = float(bins["n"].max()) if len(bins) else 1.0
    for name, rows in bins[bins["n"] >= _LEAST].groupby("model", sort=False):
        look = entries[models.index(str(name))] if entries else key.Entry("", canvas.GREY, "o")
        sizes = [12 + 60 * float(n) / most for n in rows["n"]]
        axes.scatter(
            rows["predicted"], rows["observed"], s=sizes, color=look.colour, marker=look.marker, alpha=0.7, linewidths=0
        )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    marks = [0.0, 0.25, 0.5, 0.75, 1.0]
    axes.set_xticks(marks, ["0", "", "0.5", "", "1"])
    axes.set_yticks(marks, ["0", "", "0.5", "", "1"])
    axes.set_xlabel("Predicted (a mark a model and bin)", color=canvas.GREY, fontsize=canvas.SIZE - 0.5)
    axes.set_ylabel("Observed", color=canvas.GREY, fontsize=canvas.SIZE - 0.5, labelpad=0)


def _error(bins: pd.DataFrame) -> str:
    """The expected calibration error in words (Naeini and others, AAAI 2015): the mean distance of the bins, by size."""
    if not len(bins):
        return "Nothing was predicted."
    distance = float(((bins["predicted"] - bins["observed"]).abs() * bins["n"]).sum() / bins["n"].sum())
    return f"Predicted quality is off by {distance:.3f} on average over bins."
