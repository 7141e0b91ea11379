"""Frames of answers, from `--each`, as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from molt_magic.batch.ask import INTERRUPTED
from molt_magic.batch.frame import NOT_ASKED
from molt_magic.result import usd
from molt_magic.views import listings
from molt_magic.views.tables import Page
from molt_magic.views.text import one_line

if TYPE_CHECKING:
    import pandas as pd

    from molt_magic.batch import Forecast

SHOWN_ROWS = 50  # of --each; the frame has them all
_EACH = ("text", "model", "status", "cost_usd", "latency_s", "cache", "error")
_REASON_LIMIT = 240  # characters
_ANSWERED = ("ok", "best_effort")


def each(frame: pd.DataFrame, *, forecast: Forecast | None = None, run: str | None = None) -> Page:
    """The first rows of a routed column, under what became of all of them.

    Args:
        forecast: what was expected of it.
        run: the name under which its answers are kept.
    """
    rows = _rows(frame.head(SHOWN_ROWS))
    labels = [str(label) for label in frame.head(SHOWN_ROWS).index]
    records = [{"row": label, **_shown(row)} for label, row in zip(labels, rows, strict=True)]
    left = frame[frame["status"] == NOT_ASKED]
    story = [_counted(frame), _paid(frame, forecast if left.empty else None)]
    if not left.empty:
        if (why := str(left["error"].iloc[0])) != INTERRUPTED:
            story.append(one_line(why, _REASON_LIMIT))
        if run is not None:
            story.append(f"What was answered is kept as {run!r}: run again, the cell asks only the rest.")
    if len(frame) > SHOWN_ROWS:
        story.append(f"The first {SHOWN_ROWS} rows are shown.")
    return Page(("\n".join(story), listings.records(records, "Answers by row", cut="text")))


def _counted(frame: pd.DataFrame) -> str:
    answered = int(frame["status"].isin(_ANSWERED).sum())
    broken, waiting = (int((frame["status"] == status).sum()) for status in ("interrupted", NOT_ASKED))
    failed = len(frame) - answered - broken - waiting
    parts = [f"{answered:,} answered", f"{failed:,} failed"]
    parts += [f"{n:,} {word}" for n, word in ((broken, "interrupted"), (waiting, "not asked")) if n]
    return f"{len(frame):,} rows: {', '.join(parts)}."


def _paid(frame: pd.DataFrame, forecast: Forecast | None) -> str:
    """What the rows cost and saved. A row without a figure that was answered has an unknown price."""
    asked = frame[frame["status"].isin(_ANSWERED)]
    cost = None if asked["cost_usd"].isna().any() else math.fsum(frame["cost_usd"].dropna())
    told = forecast is not None and forecast.cost_usd is not None and not forecast.known  # else it is that of the rest
    expected = f" (about {usd(forecast.cost_usd)} was expected)" if forecast is not None and told else ""
    saved = "" if asked["saved_usd"].isna().any() else f", saved {usd(math.fsum(asked['saved_usd']))}"
    return f"Cost {usd(cost)}{expected}{saved}."


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that are shown. A row that nobody was asked for has no model and no cost: they are not unknown."""
    asked = row["decision_id"] is not None
    return {name: row[name] if asked or name in ("status", "error") else "" for name in _EACH}


def _rows(frame: pd.DataFrame) -> list[Mapping[str, Any]]:
    """The rows as mappings, what is missing as None."""
    return [{str(k): None if v is None or v != v else v for k, v in row.items()} for row in frame.to_dict("records")]
