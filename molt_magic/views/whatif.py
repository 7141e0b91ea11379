"""A what-if as a page: what is known, what is predicted, and what a reader has to know."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from molt_magic.result import usd
from molt_magic.views.tables import Page, Table

if TYPE_CHECKING:
    from molt_magic.evaluation.whatif import WhatIf

_FIGURES = {
    "known_cost_usd": "Cost where known",
    "known_quality": "Quality where known",
    "cost_usd": "Cost, predictions included",
    "quality": "Quality, predictions included",
}


def page(found: WhatIf) -> Page:
    """The statement, the figures of both sides with their intervals, the notes."""
    if not len(found.frame):
        return Page((found.statement, *found.notes))
    rows = []
    for record in found.summary.to_dict("records"):
        names = ("known_cost_usd", "known_quality", "cost_usd", "quality")
        rows.append(
            [str(record["policy"]), *(_cell(record, name, usd if "usd" in name else "{:.2f}".format) for name in names)]
        )
    last = found.summary.iloc[-1]
    caption = (
        f"{last['n']:,} decisions; the cost is known of {last['n_cost_known']:,}, the quality of {last['n_quality_known']:,}; "
        "95 % intervals"
    )
    return Page((found.statement, Table(caption, ("Policy", *_FIGURES.values()), rows), *found.notes))


def _cell(record: Mapping[Any, Any], name: str, told: Callable[[float], str]) -> str:
    value, lo, hi = (float(record[f"{name}{end}"]) for end in ("", "_lo", "_hi"))
    return "" if math.isnan(value) else f"{told(value)} ({told(lo)} to {told(hi)})"
