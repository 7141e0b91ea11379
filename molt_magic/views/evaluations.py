"""Evaluations and promises as tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from molt_magic.errors import MoltError
from molt_magic.result import usd
from molt_magic.views.paths import at_home
from molt_magic.views.tables import Page, Table

if TYPE_CHECKING:
    from molt_magic.evaluation import Policy, Report
    from molt_magic.orchestrator import Orchestrator

_FIGURES = {
    "quality": "Quality",
    "cost_usd": "Cost a prompt",
    "saved_at_best": "Saved at the best's quality",
    "saved_at_99": "at 99 %",
    "saved_at_95": "at 95 %",
    "aiq": "AIQ",
    "apgr": "APGR",
    "cpt50": "CPT50, %",
    "cpt80": "CPT80, %",
}
_SHARES = ("saved_at_best", "saved_at_99", "saved_at_95")


def report(found: Report) -> Page:
    """The summary of an evaluation with its intervals, and what a reader has to know."""
    rows: list[Sequence[str]] = []
    for record in found.summary.to_dict("records"):
        cells = [_cell(name, *(float(record[f"{name}{end}"]) for end in ("", "_lo", "_hi"))) for name in _FIGURES]
        rows.append([str(record["strategy"]), *cells])
    said = f"{found.n_test:,} prompts scored, {found.n_train:,} to learn from; the best single model is {found.best_single}."
    table = Table("Policies on the test prompts, 95 % intervals", ("Policy", *_FIGURES.values()), rows, optional=("CPT50, %",))
    return Page((said, table, *found.notes))


def promise(policy: Policy) -> Page:
    """What a calibrated policy promises, or that it cannot."""
    return Page((policy.statement,))


def kept(policy: Policy, file: Path, strategy: str) -> Page:
    """What was promised and is kept from now on, and how other sessions come to go by it.

    Args:
        strategy: the one in force.
    """
    other = "" if strategy == "arbitrage" else f" The strategy in force is {strategy}: use arbitrage with -s arbitrage."
    said = f"Kept in {at_home(file)}: in this session arbitrage goes by it. Others do where molt.toml says, under [arbitrage]:"
    return Page((f"{policy.statement}{other}", said, f"promise = '{at_home(file)}'"))


def in_use(orch: Orchestrator) -> Page:
    """The promise in force and what became of it; that there is none, otherwise. Raises ConfigError or StoreError."""
    from molt_magic.evaluation import drift

    found = orch.promise
    if found is None:
        return Page(("No promise is kept.", "Make one with: %route calibrate TABLE --keep"))
    made = f"Promise {found.id}, calibrated {found.created[:16].replace('T', ' ')} UTC."
    return Page((found.statement, f"{made} Arbitrage goes by it.", drift(orch).statement))


def in_a_line(orch: Orchestrator) -> str:
    """The promise in force, or what is wrong with it; that it has drifted, where it has."""
    from molt_magic.evaluation import drift

    try:
        found = drift(orch)
    except MoltError as error:
        return str(error)
    return f"{found.promise.said}{f'. It {found.verdict}' if found.drifted else ''}."


def _cell(name: str, value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return ""
    if name == "cost_usd":
        return usd(value)
    if name in _SHARES:
        return "{:.0%} ({:.0%} to {:.0%})".format(*(round(share, 2) + 0.0 for share in (value, low, high)))  # no -0 %
    places = 1 if name.startswith("cpt") else 3
    return f"{value:.{places}f} ({low:.{places}f} to {high:.{places}f})"
