"""Headline figures: each a name, a value and what it is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from molt_magic.views.formulas import CLOSED
from molt_magic.views.tables import BORDER, Table
from molt_magic.views.text import for_html

_GRID = "display: grid; grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); gap: 8px; margin: 4px 0 8px 0; padding: 0"
_TILE = f"border: {BORDER}; border-radius: 4px; padding: 6px 12px"
# Jupyter floats the names of a list of figures to the left: here they stand above their values
_PLAIN = "float: none; clear: both; width: auto; margin: 0; padding: 0; font-weight: normal"
_VALUE = f"{_PLAIN}; font-size: 150%; line-height: 1.3; font-variant-numeric: tabular-nums"
_OF = f"{_PLAIN}; font-size: 85%; color: var(--jp-ui-font-color1, inherit)"


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure, its name, and what a reader must know beside it."""

    name: str
    value: str
    of: str = ""


@dataclass(frozen=True, slots=True)
class Tiles:
    """Figures side by side; in Markdown and plain text a table. All text in them is escaped when drawn."""

    caption: str
    tiles: Sequence[Tile]

    def to_html(self) -> str:
        told = "".join(
            f'<div style="{_TILE}"><dt style="{_PLAIN}">{for_html(tile.name)}</dt>'
            f'<dd style="{_VALUE}">{for_html(tile.value)}</dd><dd style="{_OF}">{for_html(tile.of)}</dd></div>'
            for tile in self.tiles
        )
        return f'<div class="{CLOSED}"><strong>{for_html(self.caption)}</strong><dl style="{_GRID}">{told}</dl></div>'

    def to_markdown(self) -> str:
        return self._table.to_markdown()

    def to_plain(self, width: int | None = None, /) -> str:
        return self._table.to_plain(width)

    @property
    def _table(self) -> Table:
        return Table(self.caption, ("Figure", "Value", "Of what"), [(t.name, t.value, t.of) for t in self.tiles])
