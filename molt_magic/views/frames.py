"""Frames of answers, from `--each`, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from molt_magic.views import listings
from molt_magic.views.tables import Page

if TYPE_CHECKING:
    import pandas as pd

SHOWN_ROWS = 50  # of --each; the frame has them all
_EACH = ("text", "model", "status", "cost_usd", "latency_s", "cache", "error")


def each(frame: pd.DataFrame) -> Page:
    """The first rows of a routed column, its failures counted."""
    rows = _rows(frame.head(SHOWN_ROWS))
    labels = [str(label) for label in frame.head(SHOWN_ROWS).index]
    failed = int(frame["error"].notna().sum())
    story = f"{len(frame)} rows, {failed} failed." + (f" The first {SHOWN_ROWS} are shown." if len(frame) > SHOWN_ROWS else "")
    records = [{"row": label, **{name: row[name] for name in _EACH}} for label, row in zip(labels, rows, strict=True)]
    return Page((story, listings.records(records, "Answers by row", cut="text")))


def _rows(frame: pd.DataFrame) -> list[Mapping[str, Any]]:
    """The rows as mappings, what is missing as None."""
    return [{str(k): None if v is None or v != v else v for k, v in row.items()} for row in frame.to_dict("records")]
