"""The widget of the table: what crosses the wire between the kernel and the page, and nothing else.

Imported only when a table is wanted: it brings ipywidgets along.
"""

from __future__ import annotations

from pathlib import Path

import anywidget
from traitlets import Dict, Unicode

_HERE = Path(__file__).parent


class DecisionTable(anywidget.AnyWidget):
    """One page of decisions and the story of the one that is open.

    Attributes:
        query: what is asked for, as `Query.read` takes it; written by the page.
        opened: the id of the decision that is open, or an empty text; written by the page.
        view: the visible page, as `pages.page` makes it.
        story: of the open decision: `title` and `code` as text, `html` ready to be shown, `cached` whether it can be forgotten.
        said: `text`, the result of what was done last, `failed`, and `n`, which tells one message from the next.
    """

    _esm = _HERE / "table.js"
    _css = _HERE / "table.css"

    query = Dict().tag(sync=True)
    opened = Unicode().tag(sync=True)
    view = Dict().tag(sync=True)
    story = Dict().tag(sync=True)
    said = Dict().tag(sync=True)

    def __repr__(self) -> str:
        return "The table of decisions (run the cell again to use it)"
