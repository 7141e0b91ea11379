"""The key of a figure: which mark, colour and pattern means what, in a row above the axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from molt_magic.views.figures import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIZE = canvas.SIZE - 0.5  # points
_GAP, _MARK = 0.2, 0.2  # inches between two entries, and that a mark takes


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a key, its text untrusted; `hatch` makes it an area, else it is a point."""

    text: str
    colour: str
    marker: str = "s"
    hatch: str | None = None


def draw(figure: Figure, entries: Sequence[Entry], left: float, middle: float) -> float:
    """Draw entries from left to right, their texts cut where there is no room for all of them; returns where they end.

    In inches from the figure's lower left corner.
    """
    from matplotlib.artist import Artist
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    across, up = figure.get_size_inches()
    told = [canvas.name(entry.text) for entry in entries]
    each = _MARK + _GAP
    if left + sum(each + canvas.width_of(text, _SIZE) for text in told) > across + _GAP:
        told = [canvas.fit(text, (across + _GAP - left) / len(told) - each, _SIZE, is_name=True) for text in told]
    for entry, text in zip(entries, told, strict=True):
        mark: Artist
        if entry.hatch is None:
            mark = Line2D(
                [(left + 0.06) / across], [middle / up], linestyle="none", marker=entry.marker, color=entry.colour, markersize=6
            )
        else:
            corner = (left / across, (middle - 0.05) / up)
            mark = Rectangle(
                corner, 0.15 / across, 0.1 / up, **canvas.area(entry.colour, entry.hatch), transform=figure.transFigure
            )
        figure.add_artist(mark)
        place = ((left + _MARK) / across, middle / up)
        figure.text(*place, text, color=canvas.GREY, fontsize=_SIZE, ha="left", va="center_baseline")
        left += _MARK + canvas.width_of(text, _SIZE) + _GAP
    return left
