"""A comparison that has ended: the answers side by side, a row each in a table, and cost against quality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from molt_magic.orchestrator import Comparison
from molt_magic.result import usd
from molt_magic.views.compare import cards
from molt_magic.views.compare.cards import Row
from molt_magic.views.listings import seconds
from molt_magic.views.tables import Table

if TYPE_CHECKING:
    from molt_magic.views.figures.canvas import Picture

HEADINGS = ("Name", "Model", "Cost", "Saved", "Latency", "Predicted", "Judged", "Status", "Reason")
_OPTIONAL = ("Status", "Saved", "Predicted")  # what a narrow terminal can do without


def bundle(comparison: Comparison, form: str = "markdown") -> dict[str, str]:
    """The whole as text/html, text/markdown and text/plain; it needs no kernel and no script."""
    rows, results = rows_of(comparison), comparison.results
    told = [(row, results.get(str(row["strategy"])), form) for row in rows]
    below = table(comparison, rows)
    return {
        "text/html": cards.side_by_side([cards.ended(*one) for one in told]) + below.to_html(),
        "text/markdown": "\n\n".join([*(cards.ended_in_markdown(*one) for one in told), below.to_markdown()]),
        "text/plain": "\n\n".join([*(cards.ended_in_text(*one) for one in told), below.to_plain()]),
    }


def rows_of(comparison: Comparison) -> list[Row]:
    """A row a name, in order."""
    return [comparison.row(name) for name in comparison.names]


def table(comparison: Comparison, rows: Sequence[Row]) -> Table:
    """The figures, a row a name; predicted and judged quality in [0, 1]."""
    costs = [row["cost_usd"] for row in rows]
    total = usd(None if any(cost is None for cost in costs) else sum(costs))
    caption = {
        "live": f"Compared: cost {total} in all. Predicted quality and judged quality are 0 to 1",
        "dry run": "Plans compared: nothing was called, all figures are estimates",
        "recorded": "Recorded answers compared: nothing was paid, the costs are those of the recording",
    }[comparison.mode]
    hidden = {"Status"} if all(row["status"] in ("ok", "planned") for row in rows) else set()  # where it tells nothing
    hidden |= {"Latency", "Judged"} if comparison.mode == "dry run" else set()
    hidden |= {"Model"} if all(row["model"] in (None, row["strategy"]) for row in rows) else set()
    shown = [name for name in HEADINGS if name not in hidden]
    cells = [_cells(row) for row in rows]
    optional = [name for name in _OPTIONAL if name not in hidden]
    return Table(caption, shown, [[cell[name] for name in shown] for cell in cells], optional=optional)


def _cells(row: Row) -> dict[str, str]:
    return {
        "Name": str(row["strategy"]),
        "Model": str(row["model"] or "none"),
        "Cost": usd(row["cost_usd"]),
        "Saved": usd(row["saved_usd"]),
        "Latency": "" if row["status"] == "planned" else seconds(row["latency_s"]),
        "Predicted": _share(row["predicted_quality"]),
        "Judged": _share(row["quality"]),
        "Status": str(row["status"]).replace("_", " "),
        "Reason": str(row["error"] or row["reason"] or ""),
    }


def picture(comparison: Comparison, rows: Sequence[Row] | None = None) -> Picture | None:
    """Cost against quality, judged where it was judged and predicted elsewhere; None where there is nothing to draw."""
    from molt_magic.views.figures.cost_quality import cost_quality

    shown = [row for row in rows or rows_of(comparison) if row["status"] in ("ok", "best_effort", "planned")]
    judged = [row["quality"] is not None for row in shown]
    quality = [row["predicted_quality"] if row["quality"] is None else row["quality"] for row in shown]
    if not any(q is not None and row["cost_usd"] is not None for q, row in zip(quality, shown, strict=True)):
        return None
    return cost_quality(
        [str(row["strategy"]) for row in shown],
        [row["cost_usd"] for row in shown],
        quality,
        caption=_caption(
            comparison, [str(row["strategy"]) for row, known in zip(shown, judged, strict=True) if known], len(shown)
        ),
    )


def _caption(comparison: Comparison, judged: Sequence[str], count: int) -> str:
    cost = "Estimated cost" if comparison.mode == "dry run" else "Cost"
    if not judged:
        return f"{cost} and predicted quality (no answer was judged)"
    if len(judged) == count:
        return f"{cost} and judged quality"
    return f"{cost} and quality: judged for {', '.join(judged)}, predicted for the others"


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"
