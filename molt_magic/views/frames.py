"""Frames of answers, from `--compare` and `--each`: the figures as a table, the answers as sanitised Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from molt_magic.views import answer, listings
from molt_magic.views.tables import Page
from molt_magic.views.text import for_html, for_markdown, one_line

if TYPE_CHECKING:
    import pandas as pd

SHOWN_ROWS = 50  # of --each; the frame has them all
_COMPARED = ("strategy", "model", "status", "cost_usd", "saved_usd", "latency_s", "cache", "reason", "error")
_EACH = ("text", "model", "status", "cost_usd", "latency_s", "cache", "error")


def compared(frame: pd.DataFrame, form: str = "markdown") -> dict[str, str]:
    """One row a strategy, then each answer under the strategy's name."""
    rows = _rows(frame)
    table = listings.records([{name: row[name] for name in _COMPARED} for row in rows], "Strategies compared")
    shown = [(f"{row['strategy']}: {row['model'] or 'no model'}", answer.show(str(row["text"] or ""), form)) for row in rows]
    html = (f"<details open><summary>{for_html(t)}</summary>{a['text/html']}</details>" for t, a in shown)
    markdown = (f"**{for_markdown(t)}**\n\n{a['text/markdown']}" for t, a in shown)
    plain = (f"{one_line(t)}\n{a['text/plain']}" for t, a in shown)
    return {
        "text/html": "".join([table.to_html(), *html]),
        "text/markdown": "\n\n".join([table.to_markdown(), *markdown]),
        "text/plain": "\n\n".join([table.to_plain(), *plain]),
    }


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
