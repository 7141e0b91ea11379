"""Tables and pages of them, in HTML, Markdown and plain text."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from molt_magic.views.text import for_html, for_markdown, one_line, printable

# Jupyter's own colours, so that both themes work; where there is no Jupyter the page's own
BORDER = "1px solid var(--jp-border-color2, rgba(128, 128, 128, 0.5))"
_CELL = f'style="text-align: left; vertical-align: top; padding: 2px 8px; border-bottom: {BORDER}; white-space: pre-wrap"'
_INERT = "mathjax_ignore tex2jax_ignore"  # dollars in a table are money, not formulas
_LINES = 'style="white-space: pre-wrap"'
_GAP = "  "


@dataclass(frozen=True, slots=True)
class Table:
    """A captioned table of text. Cells are untrusted and are escaped when drawn."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def to_html(self) -> str:
        head = "".join(f'<th scope="col" {_CELL}>{for_html(name)}</th>' for name in self.columns)
        body = "".join(f"<tr>{self._html_row(row)}</tr>" for row in self.rows)
        caption = f'<caption style="text-align: left; font-weight: bold; caption-side: top">{for_html(self.caption)}</caption>'
        style = "border-collapse: collapse; margin: 4px 0"
        return f'<table class="{_INERT}" style="{style}">{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'

    @staticmethod
    def _html_row(row: Sequence[str]) -> str:
        first, *rest = row
        cells = "".join(f"<td {_CELL}>{for_html(cell)}</td>" for cell in rest)
        return f'<th scope="row" {_CELL}>{for_html(first)}</th>{cells}'

    def to_markdown(self) -> str:
        lines = [self.columns, ["---"] * len(self.columns)]
        shown = [" | ".join(map(for_markdown, lines[0])), " | ".join(lines[1])]
        shown += [" | ".join(for_markdown(cell) for cell in row) for row in self.rows]
        return f"**{for_markdown(self.caption)}**\n\n" + "\n".join(f"| {line} |" for line in shown)

    def to_plain(self, width: int | None = None) -> str:
        """The table in at most `width` characters a line (the terminal's, where not given); long cells wrap."""
        cells = [[one_line(cell) for cell in row] for row in (self.columns, *self.rows)]
        widths = _widths(cells, width or shutil.get_terminal_size((120, 24)).columns)
        lines = [one_line(self.caption), *_plain_row(cells[0], widths), _GAP.join("-" * w for w in widths)]
        for row in cells[1:]:
            lines += _plain_row(row, widths)
        return "\n".join(line.rstrip() for line in lines)


def _widths(rows: Sequence[Sequence[str]], total: int) -> list[int]:
    """Natural widths, the widest columns narrowed until the whole fits."""
    widths = [max(1, *(len(row[i]) for row in rows)) for i in range(len(rows[0]))]
    room = total - len(_GAP) * (len(widths) - 1)
    while sum(widths) > room and max(widths) > 12:
        widths[widths.index(max(widths))] -= 1
    return widths


def _plain_row(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    wrapped = [textwrap.wrap(cell, width, break_on_hyphens=False) or [""] for cell, width in zip(row, widths, strict=True)]
    height = max(len(lines) for lines in wrapped)
    return [
        _GAP.join((lines[i] if i < len(lines) else "").ljust(width) for lines, width in zip(wrapped, widths, strict=True))
        for i in range(height)
    ]


@dataclass(frozen=True, slots=True)
class Page:
    """Lines of text and tables, one under the other; what `%route` subcommands return and `molt` prints."""

    parts: Sequence[str | Table]

    def to_html(self) -> str:
        return "".join(
            part.to_html() if isinstance(part, Table) else f'<div class="{_INERT}" {_LINES}>{for_html(part)}</div>'
            for part in self.parts
        )

    def to_markdown(self) -> str:
        return "\n\n".join(
            part.to_markdown() if isinstance(part, Table) else "  \n".join(map(for_markdown, part.splitlines()))
            for part in self.parts
        )

    def to_plain(self, width: int | None = None) -> str:
        return "\n\n".join(part.to_plain(width) if isinstance(part, Table) else printable(part) for part in self.parts)

    def bundle(self) -> Mapping[str, str]:
        """The page as text/html, text/markdown and text/plain."""
        return {"text/html": self.to_html(), "text/markdown": self.to_markdown(), "text/plain": self.to_plain()}

    def _repr_mimebundle_(self, **_kind: object) -> Mapping[str, str]:
        return self.bundle()

    def __repr__(self) -> str:
        return self.to_plain()
