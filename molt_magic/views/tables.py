"""Tables and pages of them, in HTML, Markdown and plain text."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from molt_magic.views.columns import draw
from molt_magic.views.formulas import CLOSED
from molt_magic.views.text import fenced, for_html, for_markdown, one_line, printable

# Jupyter's own colours, so that both themes work; where there is no Jupyter the page's own
BORDER = "1px solid var(--jp-border-color2, rgba(128, 128, 128, 0.5))"
_INERT = CLOSED  # dollars in a table are money, not formulas
_LINES = 'style="white-space: pre-wrap"'
_FIXED = 'style="white-space: pre; overflow-x: auto; margin: 4px 0"'
_WHOLE = 24  # characters: names, states and amounts of this length stay on one line
# takes what room the other columns leave, and no more
_CUT = "; max-width: 0; min-width: 14em; width: 100%; overflow: hidden; text-overflow: ellipsis"
_NUMBER = re.compile(r"-?\$?[\d,.]+(?:e-?\d+)?(?: m?s)?")


@dataclass(frozen=True, slots=True)
class Table:
    """A captioned table of text. Cells are untrusted and are escaped when drawn.

    Attributes:
        cut: a column of which as much is shown as fits, so that every row is one line; in a notebook a tooltip has all.
        optional: columns that a narrow terminal may leave out, the first first; it says so.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    cut: str | None = None
    optional: Sequence[str] = ()

    def to_html(self) -> str:
        right = [_is_numeric([row[i] for row in self.rows]) for i in range(len(self.columns))]
        head = "".join(
            f'<th scope="col" {_style(name, r)}>{for_html(name)}</th>' for name, r in zip(self.columns, right, strict=True)
        )
        body = "".join(f"<tr>{self._html_row(row, right)}</tr>" for row in self.rows)
        caption = f'<caption style="text-align: left; font-weight: bold; caption-side: top">{for_html(self.caption)}</caption>'
        style = "border-collapse: collapse; margin: 4px 0"
        table = f'<table class="{_INERT}" style="{style}">{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        return f'<div style="overflow-x: auto">{table}</div>'

    def _html_row(self, row: Sequence[str], right: Sequence[bool]) -> str:
        cells = []
        for i, cell in enumerate(row):
            shown = for_html(cell)
            if i == 0:
                cells.append(f'<th scope="row" {_style(cell, right[i])}>{shown}</th>')
            elif self.columns[i] == self.cut:
                cells.append(f'<td {_style(cell, right[i], _CUT)} title="{shown}">{shown}</td>')
            else:
                cells.append(f"<td {_style(cell, right[i])}>{shown}</td>")
        return "".join(cells)

    def to_markdown(self) -> str:
        lines = [self.columns, ["---"] * len(self.columns)]
        shown = [" | ".join(map(for_markdown, lines[0])), " | ".join(lines[1])]
        shown += [" | ".join(for_markdown(cell) for cell in row) for row in self.rows]
        return f"**{for_markdown(self.caption)}**\n\n" + "\n".join(f"| {line} |" for line in shown)

    def to_plain(self, width: int | None = None) -> str:
        """The table in at most `width` characters a line (the terminal's, where not given); long cells wrap."""
        total = width or shutil.get_terminal_size((120, 24)).columns
        return "\n".join([one_line(self.caption), *draw(self.columns, self.rows, total, cut=self.cut, optional=self.optional)])


def _is_numeric(cells: Sequence[str]) -> bool:
    """Whether a column holds numbers, amounts or durations, which are read from the right."""
    told = [cell for cell in cells if cell not in ("", "unknown", "none")]
    return bool(told) and all(_NUMBER.fullmatch(cell) for cell in told)


def _style(cell: str, right: bool, extra: str = "") -> str:
    wrap = "nowrap" if extra or (len(cell) <= _WHOLE and "\n" not in cell) else "pre-wrap"
    side = "right" if right else "left"
    around = f"vertical-align: top; padding: 2px 8px; border-bottom: {BORDER}"
    return f'style="text-align: {side}; {around}; white-space: {wrap}{extra}"'


@dataclass(frozen=True, slots=True)
class Listing:
    """Text whose columns line up only in a type of fixed width, such as the help of a command."""

    text: str

    def to_html(self) -> str:
        return f'<pre class="{_INERT}" {_FIXED}>{for_html(self.text)}</pre>'

    def to_markdown(self) -> str:
        return fenced(printable(self.text).rstrip())

    def to_plain(self, _width: int | None = None) -> str:
        return printable(self.text)


class Part(Protocol):
    """What a page is made of beside lines of text."""

    def to_html(self) -> str: ...

    def to_markdown(self) -> str: ...

    def to_plain(self, width: int | None = None, /) -> str: ...


@dataclass(frozen=True, slots=True)
class Page:
    """Lines of text and tables, one under the other; what `%route` subcommands return and `molt` prints."""

    parts: Sequence[str | Part]

    def to_html(self) -> str:
        return "".join(
            part.to_html() if not isinstance(part, str) else f'<div class="{_INERT}" {_LINES}>{for_html(part)}</div>'
            for part in self.parts
        )

    def to_markdown(self) -> str:
        return "\n\n".join(
            part.to_markdown() if not isinstance(part, str) else "  \n".join(map(for_markdown, part.splitlines()))
            for part in self.parts
        )

    def to_plain(self, width: int | None = None) -> str:
        return "\n\n".join(part.to_plain(width) if not isinstance(part, str) else printable(part) for part in self.parts)

    def bundle(self) -> Mapping[str, str]:
        """The page as text/html, text/markdown and text/plain."""
        return {"text/html": self.to_html(), "text/markdown": self.to_markdown(), "text/plain": self.to_plain()}

    def _repr_mimebundle_(self, **_kind: object) -> Mapping[str, str]:
        return self.bundle()

    def __repr__(self) -> str:
        return self.to_plain()
