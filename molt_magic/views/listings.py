"""The tables of routing: candidates and attempts of a decision, models, strategies, decisions, costs."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from molt_magic.catalog import prices_of
from molt_magic.result import usd
from molt_magic.types import Decision, ModelSpec
from molt_magic.views.tables import Table
from molt_magic.views.text import one_line

if TYPE_CHECKING:
    from molt_magic.orchestrator import Readiness

# fmt: off
LOG_COLUMNS = (
    "time", "prompt", "strategy", "task", "model", "status", "n_attempts", "escalations", "cache", "cost_usd", "saved_usd",
    "latency_s",
)
# fmt: on
_OPTIONAL = (
    "escalations",
    "saved_usd",
    "n_attempts",
    "task",
    "latency_s",
    "time",
)  # of the log: what a narrow terminal can do without
# fmt: off
_LABELS = {
    "time": "Time, UTC", "n_attempts": "Calls", "escalations": "Escalated", "cost_usd": "Cost", "saved_usd": "Saved",
    "latency_s": "Latency",
}
# fmt: on
_CELL_LIMIT = 200  # characters of a reason, a prompt or an answer in a table


def seconds(value: float | None) -> str:
    """A duration for people."""
    return "unknown" if value is None else f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def candidates(decision: Decision) -> Table:
    """Every model considered, with what was expected of it and why it was passed over."""
    rows = [
        (
            one_line(str(c["model"]), _CELL_LIMIT),
            *_expected(c),
            one_line(str(c["evidence"]), _CELL_LIMIT),
            _state(c, decision),
        )
        for c in decision.candidates
    ]
    return Table("Candidates", ("Model", "Expected cost", "Predicted quality", "Rests on", "State"), rows)


def _expected(candidate: Mapping[str, Any]) -> tuple[str, str]:
    """Cost and quality; nothing was expected of a model that could not have answered."""
    if candidate["predicted_quality"] is None:
        return "", ""
    return usd(candidate["expected_cost_usd"]), f"{candidate['predicted_quality']:.2f}"


def _state(candidate: Mapping[str, Any], decision: Decision) -> str:
    if candidate["model"] == decision.model:
        return "planned" if decision.status == "planned" else "failed" if decision.status == "error" else "chosen"
    if candidate["skipped"]:
        return f"passed over: {one_line(str(candidate['skipped']), _CELL_LIMIT)}"
    return "tried" if any(a["model"] == candidate["model"] for a in decision.attempts) else "not needed"


def attempts(decision: Decision) -> Table:
    """Every call that was made, or that a dry run would make."""
    rows = [
        (
            str(a["index"] + 1),
            one_line(str(a["model"]), _CELL_LIMIT),
            str(a["purpose"]),
            _outcome(a),
            _verdict(a["verdict"]),
            f"{a['input_tokens']} in, {a['output_tokens']} out{' (estimated)' if a['tokens_estimated'] else ''}",
            usd(a["cost_usd"]),
            seconds(a["latency_s"]),
        )
        for a in decision.attempts
    ]
    if decision.status == "planned":  # nothing has come of it yet: no outcome, no time
        planned = [
            (n, model, purpose, _checks(a), tokens, cost)
            for (n, model, purpose, _, _, tokens, cost, _), a in zip(rows, decision.attempts, strict=True)
        ]
        return Table("Planned calls", ("#", "Model", "For", "Check", "Tokens", "Cost"), planned)
    return Table("Attempts", ("#", "Model", "For", "Outcome", "Check", "Tokens", "Cost", "Time"), rows)


def _outcome(attempt: Mapping[str, Any]) -> str:
    if attempt["error"]:
        outcome = one_line(str(attempt["error"]), _CELL_LIMIT)
    elif attempt["cache"] in ("exact", "semantic"):
        outcome = f"from the {attempt['cache']} cache"
    else:
        outcome = str(attempt["finish_reason"])
    retries = sum(retry.get("step", "failed") == "failed" for retry in attempt["retries"])
    return f"{outcome}, after {retries} {'retry' if retries == 1 else 'retries'}" if retries else outcome


def _verdict(verdict: Mapping[str, Any] | None) -> str:
    if verdict is None:
        return "none"
    word = "accepted" if verdict["accepted"] else "refused"
    return f"{word} by {verdict['validator'] or 'the check'}: {one_line(str(verdict['reason']), _CELL_LIMIT)}"


def _checks(attempt: Mapping[str, Any]) -> str:
    """What would check a planned answer."""
    return one_line(str(attempt["verdict"]["reason"]), _CELL_LIMIT) if attempt["verdict"] else "none"


def models(specs: Iterable[ModelSpec], readiness: Iterable[Readiness]) -> Table:
    """The catalog, with what is ready and what makes the rest so."""
    state = {r.model: r for r in readiness}
    rows = [
        (
            spec.name,
            f"{spec.provider}: {spec.model}",
            f"{spec.context_window:,}" if spec.context_window else "unknown",
            _price(prices_of(spec).input_usd_per_mtok),
            _price(prices_of(spec).output_usd_per_mtok),
            f"{spec.prior_quality:.2f}",
            *_ready(state.get(spec.name)),
        )
        for spec in specs
    ]
    columns = ("Model", "Served by", "Window, tokens", "Input/M", "Output/M", "Prior quality", "State", "To make it ready")
    caption = "Models, cheap to dear; prices in USD per million tokens"
    return Table(caption, columns, rows, optional=("Served by", "Prior quality", "Window, tokens"))


def _price(amount: float | None) -> str:
    """A price per million tokens; cents line up."""
    return usd(amount) if amount is None or amount < 0.1 else f"${amount:.2f}"


def _ready(state: Readiness | None) -> tuple[str, str]:
    """Whether a model can be used, and what to do where it cannot."""
    if state is None or state.ready:
        return "ready" if state is None else state.reason, ""
    return "not ready", state.fix or state.reason


def readiness(states: Sequence[Readiness]) -> Table:
    """What can answer now and what would make the rest ready."""
    rows = [(s.model, s.provider, s.reason if s.ready else "not ready", "" if s.ready else s.reason, s.fix) for s in states]
    return Table("Models", ("Model", "Provider", "State", "Why", "To make it ready"), rows)


def strategies(current: str) -> Table:
    """The strategies, each in a line; the one in force is marked."""
    from molt_magic import strategies as known

    rows = [
        (name, "in force" if name == current else "", (inspect.getdoc(getattr(known, name.title())) or "").splitlines()[0])
        for name in known.NAMES
    ]
    return Table("Strategies", ("Strategy", "Session default", "What it does"), rows)


def log(rows: Iterable[Mapping[str, Any]], caption: str, columns: Sequence[str] = LOG_COLUMNS) -> Table:
    """Decisions, newest last; the columns a person looks at first. In a terminal each is one line, its prompt cut to fit."""
    cells = [tuple(cell(name, row.get(name)) for name in columns) for row in rows]
    optional = [label(name) for name in _OPTIONAL if name in columns]
    return Table(caption, [label(name) for name in columns], cells, cut=label("prompt"), optional=optional)


def label(name: str) -> str:
    """A column's heading."""
    return _LABELS.get(name) or name.removesuffix("_usd").removesuffix("_s").replace("_", " ").capitalize()


def cell(name: str, value: Any) -> str:
    """A value of a column, for people; untrusted text in it is printable and on one line.

    None is what is not known; an empty text is what there is not.
    """
    if isinstance(value, str) and not value:
        return ""
    if value is None or value != value:  # NaN is what a frame makes of None
        return "unknown" if name.endswith("_usd") else "none" if name in ("model", "provider") else ""
    if name.endswith("_usd"):
        return usd(float(value))
    if name.endswith("_s"):
        return seconds(float(value))
    if name.endswith("quality"):
        return f"{float(value):.2f}"
    if name == "time":
        return str(value)[:19].replace("T", " ")
    if name == "status":
        return str(value).replace("_", " ")
    return one_line(str(value), _CELL_LIMIT)


def records(rows: Sequence[Mapping[str, Any]], caption: str, *, cut: str | None = None) -> Table:
    """Any records with the same keys, amounts and durations written for people. A column of which nothing is known is left out.

    Args:
        cut: the name of a column of which a terminal shows what fits, so that each record is one line.
    """
    names = [name for name in rows[0] if any(cell(name, row[name]) for row in rows)] if rows else ["nothing_yet"]
    cells = [[cell(name, row[name]) for name in names] for row in rows]
    return Table(caption, [label(name) for name in names], cells, cut=None if cut is None or cut not in names else label(cut))
