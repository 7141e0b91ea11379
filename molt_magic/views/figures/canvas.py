"""What every figure is drawn on, and the picture that comes of it. No pyplot: nothing of the user's own plots is touched."""

from __future__ import annotations

import base64
import functools
import io
import math
import struct
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from molt_magic.views.text import for_html, one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The page behind a picture is white or nearly black and a picture cannot know which. This grey has the same contrast to both
# (4.35:1 to white, 4.34:1 to #111); no single colour has more, so small print that matters is in a table too.
GREY = "#797979"
FAINT = "#79797955"  # grid lines: seen on both, in front of neither
# Okabe and Ito's colours for every kind of colour vision, "Color Universal Design" (2008), those too light for white darkened:
# each has at least 3:1 to white and to #111
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#B87F00", "#CC79A7", "#2F8FC9")
MARKERS = ("o", "s", "^", "D", "v", "P")
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----")

WIDTH = 7.6  # inches, at 100 CSS pixels each: what a notebook's cell has on a laptop
SIZE = 9.5  # points, of all text but headings
_CSS_DPI = 100
_SCALE = 2  # device pixels a CSS pixel: sharp on today's screens
_FONT = "DejaVu Sans"  # comes with matplotlib
_LIMIT = 28  # characters of a name


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure as PNG, and the same in words.

    Attributes:
        png: the file's bytes; transparent, two pixels for each pixel of CSS.
        alt: what a reader who cannot see it is told; names in it are untrusted.
    """

    png: bytes
    alt: str

    @classmethod
    def of(cls, figure: Figure, alt: str) -> Picture:
        """Draw a figure of `blank`."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.text import Text
        from PIL import Image

        for text in figure.findobj(Text):
            text.set_parse_math(False)  # a dollar is money, or a hostile name
            text.set_usetex(False)
            text.set_fontfamily(_FONT)
        drawn = FigureCanvasAgg(figure)
        drawn.draw()  # type: ignore[no-untyped-call]  # matplotlib's gap
        pixels = bytes(drawn.buffer_rgba())  # type: ignore[no-untyped-call]  # matplotlib's gap
        whole = Image.frombytes("RGBA", drawn.get_width_height(), pixels)
        held = io.BytesIO()
        # a palette has all there is of a few colours and their edges, in a third of the bytes: notebooks keep them
        whole.quantize(256, method=Image.Quantize.FASTOCTREE).save(held, "png")
        return cls(held.getvalue(), one_line(alt))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in CSS pixels."""
        width, height = struct.unpack(">II", self.png[16:24])
        return round(width / _SCALE), round(height / _SCALE)

    def html(self) -> str:
        """The picture as an HTML image that needs no file beside it."""
        width, height = self.size
        return (
            f'<img src="data:image/png;base64,{self._text}" alt="{for_html(self.alt)}" width="{width}" height="{height}"'
            ' style="max-width: 100%; height: auto">'
        )

    def bundle(self) -> tuple[dict[str, str], dict[str, Any]]:
        """The picture as image/png with its words as text/plain, and the metadata that goes with them."""
        width, height = self.size
        return (
            {"image/png": self._text, "text/plain": self.alt},
            {"image/png": {"width": width, "height": height, "alt": self.alt}},
        )

    def show(self) -> None:
        """Show the picture where the front end shows pictures: in a terminal its words would repeat those around it."""
        from IPython.core.getipython import get_ipython
        from IPython.display import display

        shell = get_ipython()
        formatter = None if shell is None else shell.display_formatter
        if formatter is None or "image/png" in formatter.active_types:
            display(self)  # type: ignore[no-untyped-call]

    def _repr_mimebundle_(self, **_kind: object) -> tuple[dict[str, str], dict[str, Any]]:
        return self.bundle()

    def __repr__(self) -> str:
        return self.alt

    @property
    def _text(self) -> str:
        return base64.b64encode(self.png).decode("ascii")


def blank(height: float, width: float = WIDTH) -> Figure:
    """A transparent figure; sizes in inches, each 100 CSS pixels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_CSS_DPI * _SCALE, facecolor="none", edgecolor="none")
    figure.set_layout_engine("none")  # whatever the user's rcParams say
    return figure


def panel(figure: Figure, left: float, bottom: float, width: float, height: float, *, grid: str = "") -> Axes:
    """Axes in a figure, in inches from its lower left corner, with no frame and no ticks of their own.

    Args:
        grid: `x`, `y` or both: faint lines at the ticks of these axes.
    """
    across, up = figure.get_size_inches()
    axes = figure.add_axes((left / across, bottom / up, width / across, height / up), facecolor="none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, labelsize=SIZE, labelcolor=GREY, color=GREY, pad=4)
    for name in grid:
        getattr(axes, f"{name}axis").grid(visible=True, color=FAINT, linewidth=0.8, linestyle="-")
    axes.set_axisbelow(True)
    return axes


def heading(figure: Figure, text: str, left: float, top: float) -> None:
    """A panel's heading, untrusted; in inches from the figure's lower left corner to the text's."""
    across, up = figure.get_size_inches()
    shown = fit(text, across - left - 0.05, SIZE + 0.5, bold=True)
    figure.text(left / across, top / up, shown, color=GREY, fontsize=SIZE + 0.5, fontweight="bold", ha="left", va="bottom")


def label(figure: Figure, text: str, left: float, middle: float) -> None:
    """An axis's name above its panel, where it can be read without turning the head; in inches as `heading`."""
    across, up = figure.get_size_inches()
    figure.text(left / across, middle / up, text, color=GREY, fontsize=SIZE, ha="left", va="center_baseline")


def boxes(axes: Axes, left: Any, right: Any, bottom: Any, top: Any, *, colour: str, hatch: str = "") -> None:
    """Rectangles as one shape, in the axes' own figures; sixty bars with a pattern are drawn as fast as one."""
    import numpy as np
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    corners = np.stack([(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]).transpose(2, 0, 1)
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(corners)
    if codes:
        axes.add_patch(PathPatch(Path(corners.reshape(-1, 2), codes), **area(colour, hatch)))


def area(colour: str, hatch: str) -> dict[str, Any]:
    """How an area of a colour and its pattern is drawn."""
    return {"facecolor": colour, "edgecolor": "#ffffffa0", "hatch": hatch, "linewidth": 0.0}


def nothing(axes: Axes, text: str) -> None:
    """Say in a panel's middle why it is empty."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, color=GREY, fontsize=SIZE, ha="center", va="center", fontstyle="italic")


def foot(axes: Axes) -> None:
    """A line along the bottom with a tick at each figure written below it."""
    axes.spines["bottom"].set(visible=True, color=GREY, linewidth=0.8)
    axes.tick_params(axis="x", length=4)


def note(figure: Figure, text: str, left: float, bottom: float) -> None:
    """Small print, untrusted; in inches from the figure's lower left corner."""
    across, up = figure.get_size_inches()
    shown = fit(text, across - left - 0.05, SIZE - 1)
    figure.text(left / across, bottom / up, shown, color=GREY, fontsize=SIZE - 1, ha="left", va="bottom")


def name(text: str, limit: int = _LIMIT) -> str:
    """An untrusted name as a figure can show it: one line of at most `limit` characters, each one that the font has.

    It is cut in its middle: long names differ at their ends.
    """
    shown = _shown(text)
    return shown if len(shown) <= limit else _halves(shown, limit)


def cut(text: str, limit: int = _LIMIT) -> str:
    """An untrusted text as a picture's words can say it: one line of at most `limit` characters."""
    line = one_line(text)
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def fit(text: str, room: float, size: float = SIZE, *, bold: bool = False, is_name: bool = False) -> str:
    """As much of an untrusted text as fits into `room` inches, cut at its end, or as `name` cuts where it is one."""
    whole = shown = cut(_shown(text), 400)  # far more than a figure is wide
    limit = len(whole)
    while limit > 1 and (wide := width_of(shown, size, bold=bold)) > room:
        limit = max(1, min(limit - 1, math.floor(len(shown) * room / wide) + 1))
        shown = _halves(whole, limit) if is_name else cut(whole, limit)
    return shown


def _shown(text: str) -> str:
    """One line without what cannot be drawn: a square stands for a character that the font does not have."""
    line, known = one_line(unicodedata.normalize("NFC", text)), _glyphs()
    kept = (c for c in line if unicodedata.category(c) not in ("Cf", "Mn"))
    return "".join(c if ord(c) in known else "\N{WHITE SQUARE}" for c in kept)


def _halves(text: str, limit: int) -> str:
    """Both ends of a text, `limit` characters together."""
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail].rstrip()}…{text[len(text) - tail :].lstrip()}"


@functools.cache
def _glyphs() -> frozenset[int]:
    """The code points that the font can show."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family=_FONT))).get_charmap())


@functools.cache
def _measure() -> Any:
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    return RendererAgg(1, 1, 72), FontProperties  # type: ignore[no-untyped-call]  # matplotlib's gap


@functools.lru_cache(4096)
def width_of(text: str, size: float = SIZE, *, bold: bool = False) -> float:
    """How wide a text is, in inches."""
    renderer, properties = _measure()
    font = properties(family=_FONT, size=size, weight="bold" if bold else "normal")
    return float(renderer.get_text_width_height_descent(text, font, False)[0]) / 72


def steps(top: float, most: int = 5) -> list[float]:
    """Round figures from 0 to at least `top`, `most` of them at most: the ticks of an axis that starts at 0."""
    if not math.isfinite(top) or top <= 0:
        return [0.0, 1.0]
    rough = top / (most - 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m >= rough * (1 - 1e-9))
    return [i * step for i in range(math.ceil(top / step - 1e-9) + 1)]


def amounts(ticks: Sequence[float]) -> list[str]:
    """Ticks of USD, all with as many places as the step between them needs."""
    size = min((abs(b - a) for a, b in pairwise(ticks)), default=1.0)
    places = 0 if size >= 1 and all(t == round(t) for t in ticks) else max(2, math.ceil(-math.log10(size) - 1e-9))
    if any(abs(round(t, places) - t) > size / 100 for t in ticks):  # steps of 2.5
        places += 1
    return [f"{'-' if t < 0 else ''}${abs(t):,.{places}f}" for t in ticks]


def decades(low: float, high: float) -> list[float]:
    """Round figures (1, 2, 5 times a power of ten) between two positive ones, seven at most: a logarithmic axis's ticks."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for within in ((1, 2, 5), (1, 3), (1,)):
        found = [m * 10.0**e for e in range(first, last + 1) for m in within if low <= m * 10.0**e <= high]
        if len(found) <= 7:
            break
    return found[:: math.ceil(len(found) / 7)] if found else [low, high]
