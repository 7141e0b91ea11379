"""One page of decisions as text: all that crosses the wire of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from molt_magic.views.decisions.query import SHOWN, Query
from molt_magic.views.listings import cell, label

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from molt_magic.views.decisions.finder import Finder

_CUT = 1000  # characters of a value that are looked at to make a cell of it
_NUMBERS = tuple(name for name in SHOWN if name.endswith(("_usd", "_s", "quality", "n_attempts", "escalations")))
COLUMNS = [{"name": name, "label": label(name), "number": name in _NUMBERS} for name in SHOWN]


def page(finder: Finder, found: NDArray[np.int64], query: Query) -> dict[str, Any]:
    """What the front end draws for a query: plain text, numbers of rows and the choices there are."""
    last = max(0, (len(found) - 1) // query.page_size)
    number = min(query.page, last)
    start = number * query.page_size
    rows = finder.frame.iloc[found[start : start + query.page_size]]
    counts = {"start": start, "found": len(found), "total": len(finder.frame), "page": number, "last_page": last}
    return {**_drawn(rows), **counts, "choices": finder.choices(), "ready": True}


def first(newest: pd.DataFrame, total: int, query: Query) -> dict[str, Any]:
    """The newest decisions, to be looked at while the others are read: nothing can be chosen yet."""
    last = max(0, (total - 1) // query.page_size)
    counts = {"start": 0, "found": total, "total": total, "page": 0, "last_page": last}
    return {**_drawn(newest.iloc[::-1]), **counts, "choices": {}, "ready": False}


def _drawn(rows: pd.DataFrame) -> dict[str, Any]:
    columns = {name: [cell(name, _short(value)) for value in rows[name].tolist()] for name in SHOWN}
    cells = [list(row) for row in zip(*columns.values(), strict=True)]
    return {"columns": COLUMNS, "rows": cells, "ids": rows["decision_id"].tolist()}


def _short(value: Any) -> Any:
    return value[:_CUT] if isinstance(value, str) else value
