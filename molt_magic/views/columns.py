"""A table in plain text: how wide its columns are, what gives way when the terminal is narrow, where a cell breaks."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from molt_magic.views.text import one_line

_GAP = "  "
_WORD = 24  # characters of a word that a column keeps whole: a model's name, a variable's
_CUT = 24  # characters that a column cut to fit keeps at least
_JOINT = re.compile(r"[-_/:=]")  # a word too long for its column breaks after one of these


def draw(
    columns: Sequence[str], rows: Sequence[Sequence[str]], total: int, *, cut: str | None, optional: Sequence[str]
) -> list[str]:
    """The lines of a table.

    Args:
        total: characters a line, the terminal's width.
        cut: the column whose cells are cut to fit, so that every row is one line; the others keep their width.
        optional: columns that give way, the first first, where the others would be too narrow. The last line names them.
    """
    kept, dropped = list(range(len(columns))), list[str]()
    grid = [[one_line(cell) for cell in row] for row in (columns, *rows)]
    for name in [None, *optional]:
        if name is not None:
            kept.remove(columns.index(name))
            dropped.append(name)
        least = [_least([row[i] for row in grid], columns[i] == cut, whole=cut is not None) for i in kept]
        if sum(least) <= _room(total, kept):
            break
    head, *body = [[row[i] for i in kept] for row in grid]
    at = None if cut is None else kept.index(columns.index(cut))
    widths = _widths([head, *body], least, _room(total, kept), at)
    if at is not None:
        body = [[*row[:at], _shortened(row[at], widths[at]), *row[at + 1 :]] for row in body]
    lines = [*_row(head, widths), _GAP.join("-" * width for width in widths)]
    for row in body:
        lines += _row(row, widths)
    if dropped:
        lines += textwrap.wrap(f"(No room for: {', '.join(dropped)}.)", total)
    return [line.rstrip() for line in lines]


def _room(total: int, kept: Sequence[int]) -> int:
    return total - len(_GAP) * (len(kept) - 1)


def _least(cells: Sequence[str], is_cut: bool, *, whole: bool) -> int:
    """The width under which a column does not read well: its cells whole, or its words."""
    head, *rest = cells
    heading = max(map(len, head.split()), default=1)
    natural = max([heading, *map(len, rest)])
    if is_cut:
        return min(natural, _CUT)
    return natural if whole else max(heading, *(min(len(word), _WORD) for cell in cells for word in cell.split() or [""]))


def _widths(rows: Sequence[Sequence[str]], least: Sequence[int], room: int, cut: int | None) -> list[int]:
    """Natural widths, the widest columns narrowed until the whole fits.

    Long headings wrap first; then columns narrow to the least that reads well, then the one that is cut, then whatever is
    widest.
    """
    headings = [max(map(len, name.split()), default=1) for name in rows[0]]
    cells = [max(map(len, column), default=1) for column in zip(*rows[1:], strict=True)] or headings
    widths = [max(1, len(name), width) for name, width in zip(rows[0], cells, strict=True)]
    unwrapped = [max(pair) for pair in zip(headings, cells, strict=True)]
    short = [headings[i] if i == cut else width for i, width in enumerate(least)]
    for floors in (unwrapped, least, short, [1] * len(widths)):
        while sum(widths) > room:
            width, at = max((width, i) if width > floors[i] else (0, i) for i, width in enumerate(widths))
            if not width:
                break
            widths[at] -= 1
    return widths


def _shortened(cell: str, width: int) -> str:
    return cell if len(cell) <= width else f"{cell[: width - 1].rstrip()}…"


def _row(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    wrapped = [_wrap(cell, width) for cell, width in zip(row, widths, strict=True)]
    return [
        _GAP.join((lines[i] if i < len(lines) else "").ljust(width) for lines, width in zip(wrapped, widths, strict=True))
        for i in range(max(map(len, wrapped)))
    ]


def _wrap(cell: str, width: int) -> list[str]:
    """The lines of a cell. A word that is too long breaks after a hyphen or the like, and anywhere only without one."""
    lines = []
    for line in textwrap.wrap(cell, width, break_on_hyphens=False, break_long_words=False):
        while len(line) > width:
            at = max((joint.end() for joint in _JOINT.finditer(line, 0, width)), default=width)
            lines.append(line[:at])
            line = line[at:]
        lines.append(line)
    return lines or [""]
