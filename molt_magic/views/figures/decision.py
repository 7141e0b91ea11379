"""One decision as a figure: the candidates with what was predicted of them, and the attempts one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from molt_magic.result import usd
from molt_magic.views import listings
from molt_magic.views.figures import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from molt_magic.types import Decision
    from molt_magic.views.figures.canvas import Picture

_ROW, _HEAD, _FOOT = 0.25, 0.4, 0.5  # inches
_MIDDLE = 2.7  # that the axes take
_NAME = 1.9  # that a name may take
_MOST = 24  # rows of a panel

_GOOD, _BAD, _PLAIN = canvas.PALETTE[2], canvas.PALETTE[1], canvas.PALETTE[0]


def decision(d: Decision) -> Picture | None:
    """Candidates (dot: predicted quality, whisker: its lower bound) over attempts on a time line; None without either."""
    candidates = sorted(d.candidates, key=lambda c: c["skipped"] is not None)[:_MOST]  # those passed over last
    states = dict(zip((id(c) for c in d.candidates), (row[4] for row in listings.candidates(d).rows), strict=True))
    attempts = d.attempts[:_MOST]
    tops = [_HEAD + _ROW * len(rows) + _FOOT if rows else 0.0 for rows in (candidates, attempts)]
    if not any(tops):
        return None
    figure = canvas.blank(sum(tops))
    names = [canvas.fit(str(c["model"]), _NAME, bold=True, is_name=True) for c in candidates], [_who(a) for a in attempts]
    left = 0.15 + max(canvas.width_of(name, bold=True) for name in (*names[0], *names[1]))
    if candidates:
        bottom = tops[1] + _FOOT
        canvas.heading(figure, "Candidates: predicted quality, and its lower bound", 0.05, sum(tops) - 0.22)
        axes = canvas.panel(figure, left, bottom, _MIDDLE, _ROW * len(candidates), grid="x")
        _qualities(axes, candidates, d)
        told = [", ".join([*_expected(c), states[id(c)]]) for c in candidates]
        _columns(figure, names[0], told, left, bottom, bold=[c["model"] == d.model for c in candidates])
    if attempts:
        title = "Planned calls" if d.status == "planned" else "Attempts, one after another"
        canvas.heading(figure, title, 0.05, tops[1] - 0.22)
        if d.status != "planned":
            _times(canvas.panel(figure, left, _FOOT, _MIDDLE, _ROW * len(attempts), grid="x"), attempts)
        _columns(figure, names[1], [_came(a, d) for a in attempts], left, _FOOT, bold=[False] * len(attempts))
    return canvas.Picture.of(figure, _words(d, candidates, states, attempts))


def _expected(candidate: Mapping[str, Any]) -> list[str]:
    """What it was to cost; nothing of a model that could not have answered."""
    cost = candidate["expected_cost_usd"]
    if candidate["predicted_quality"] is None:
        return []
    return ["cost unknown" if cost is None else f"expected {usd(cost)}"]


def _columns(
    figure: Figure, names: Sequence[str], told: Sequence[str], left: float, bottom: float, *, bold: Sequence[bool]
) -> None:
    """The names left of the axes, and what is told of each right of them."""
    across, up = figure.get_size_inches()
    room = canvas.WIDTH - left - _MIDDLE - 0.2
    for i, (name, text, heavy) in enumerate(zip(names, told, bold, strict=True)):
        y = (bottom + _ROW * (len(names) - i - 0.5)) / up
        style: dict[str, Any] = {"color": canvas.GREY, "va": "center_baseline", "fontweight": "bold" if heavy else "normal"}
        figure.text(0.05 / across, y, name, fontsize=canvas.SIZE, **style)
        figure.text(
            (left + _MIDDLE + 0.15) / across, y, canvas.fit(text, room, bold=heavy), fontsize=canvas.SIZE - 0.5, **style
        )


def _qualities(axes: Axes, candidates: Sequence[Mapping[str, Any]], d: Decision) -> None:
    axes.set_ylim(len(candidates) - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_xlim(0, 1.02)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    threshold = d.quality_threshold
    under = "predicted quality, 0 to 1" if threshold is None else f"predicted quality; dashed: threshold {threshold:.2f}"
    axes.set_xlabel(under, color=canvas.GREY, fontsize=canvas.SIZE - 0.5, labelpad=2)
    if threshold is not None:
        axes.axvline(threshold, color=canvas.GREY, linewidth=1.4, linestyle=(0, (5, 3)))
    for y, c in enumerate(candidates):
        colour = _GOOD if c["model"] == d.model else canvas.GREY if c["skipped"] else _PLAIN
        good, low = c["predicted_quality"], c.get("quality_low", c["predicted_quality"])
        if good is None:
            continue
        axes.plot([low, good], [y, y], color=colour, linewidth=1.4)
        axes.plot([low], [y], "|", color=colour, markersize=7, markeredgewidth=1.4)
        marker, size = ("D", 8) if c["model"] == d.model else ("o", 6)
        axes.plot([good], [y], marker, color=colour, markerfacecolor="none" if c["skipped"] else colour, markersize=size)


def _times(axes: Axes, attempts: Sequence[Mapping[str, Any]]) -> None:
    """A bar an attempt, where it began and how long it took; refused and failed ones are hatched as well as coloured."""
    axes.set_ylim(len(attempts) - 0.5, -0.5)
    axes.set_yticks([])
    whole = sum(a["latency_s"] for a in attempts)
    ticks = canvas.steps(whole) if whole else [0.0]
    axes.set_xlim(0, max(ticks[-1], whole) or 1.0)
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.set_xlabel("seconds", color=canvas.GREY, fontsize=canvas.SIZE - 0.5, labelpad=2)
    start = 0.0
    for y, a in enumerate(attempts):
        mark = _mark(a)
        colour = {"\N{CHECK MARK}": _GOOD, "\N{BALLOT X}": _BAD}.get(mark, _PLAIN)
        hatch = "////" if mark == "\N{BALLOT X}" else ""
        axes.barh(
            [y], [a["latency_s"]], left=[start], height=0.5, color=colour, hatch=hatch, edgecolor="#ffffffa0", linewidth=0
        )
        start += a["latency_s"]


def _who(a: Mapping[str, Any]) -> str:
    purpose = "" if a["purpose"] == "answer" else f", {a['purpose']}"
    number = f"{a['index'] + 1}. "
    room = _NAME - canvas.width_of(number + purpose)
    return f"{number}{canvas.fit(str(a['model']), room, is_name=True)}{purpose}"


def _mark(a: Mapping[str, Any]) -> str:
    """Accepted, refused or failed, or nothing where no check looked."""
    if a["error"]:
        return "\N{BALLOT X}"
    return "" if a["verdict"] is None else "\N{CHECK MARK}" if a["verdict"]["accepted"] else "\N{BALLOT X}"


def _came(a: Mapping[str, Any], d: Decision) -> str:
    """What came of an attempt, the most important first: the end may be cut."""
    cost = "cost unknown" if a["cost_usd"] is None else usd(a["cost_usd"])
    if d.status == "planned":
        return cost
    spent = f"{listings.seconds(a['latency_s'])}, {cost}"
    if a["error"]:
        return f"{_mark(a)} failed, {spent}: {a['error']}"
    if a["verdict"] is not None:
        word = "accepted" if a["verdict"]["accepted"] else "refused"
        return f"{_mark(a)} {word}, {spent}: {a['verdict']['reason']}"
    return ", ".join([spent, *_served(a)])


def _served(a: Mapping[str, Any]) -> list[str]:
    return [f"from the {a['cache']} cache"] if a["cache"] in ("exact", "semantic") else []


def _words(
    d: Decision, candidates: Sequence[Mapping[str, Any]], states: Mapping[int, str], attempts: Sequence[Mapping[str, Any]]
) -> str:
    told = [f"Decision by {d.strategy}."]
    if d.quality_threshold is not None:
        told.append(f"Threshold of predicted quality {d.quality_threshold:.2f}.")
    for c in candidates:
        said = [*_expected(c), canvas.cut(states[id(c)], 80)]
        if c["predicted_quality"] is not None:
            low = f" (at least {c['quality_low']:.2f})" if "quality_low" in c else ""
            said.insert(0, f"predicted {c['predicted_quality']:.2f}{low}")
        told.append(f"{canvas.cut(str(c['model']))}: {', '.join(said)}.")
    for a in attempts:
        told.append(
            f"Attempt {a['index'] + 1}, {a['purpose']} by {canvas.cut(str(a['model']))}: {canvas.cut(_came(a, d), 120)}."
        )
    left_out = len(d.candidates) + len(d.attempts) - len(candidates) - len(attempts)
    return " ".join(told) + (f" {left_out} more are not drawn." if left_out else "")
