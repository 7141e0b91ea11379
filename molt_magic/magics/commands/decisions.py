"""Words about decisions that were taken: explain, log, export, feedback, cost, budget."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from molt_magic.errors import InputError, UnknownName
from molt_magic.magics import options
from molt_magic.magics.commands.base import Command, Namespace, decision_of
from molt_magic.magics.options import Parser
from molt_magic.orchestrator.marks import scores_in
from molt_magic.views import budgets, listings, sizes
from molt_magic.views.decisions import Decisions, latest
from molt_magic.views.explain import explained
from molt_magic.views.tables import Page

if TYPE_CHECKING:
    from molt_magic.magics.session import RouteMagics
    from molt_magic.orchestrator import Orchestrator

SHOWN = 10  # of the log, where no number is given
GROUPS = ("model", "provider", "strategy")
BUDGETS = ("call", "session", "day")  # of a session where none is named


def _explain(session: RouteMagics, rest: Sequence[str], namespace: Namespace) -> Page:
    return explained(decision_of(session, rest[0] if rest else None, namespace))


def log_parser() -> Parser:
    """The parser of `%route log`."""
    p = Parser("%route log", "The last decisions, of every session.")
    p.add_argument("-n", type=_count, metavar="N", help=f"how many to show ({SHOWN}); with -o how many to bind (all)")
    p.add_argument("-o", dest="name", type=options.variable, metavar="DF", help="bind all of them to a variable as a DataFrame")
    p.add_argument("--prune", type=_days, metavar="DAYS", help="take out for good what is older; what it taught and cost stays")
    p.add_argument("--interact", action="store_true", help="add a table of all of them, to search, sort and open row by row")
    return p


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"-n must be a whole number of 1 or more, not {text!r}.")
    return int(text)


def _days(text: str) -> float:
    days = options.number(text, "DAYS")
    if days < 0:
        raise InputError(f"DAYS must be 0 or more, not {text!r}.")
    return days


def _log(session: RouteMagics, rest: Sequence[str], _namespace: Namespace) -> Page | Decisions:
    found = log_parser().read(rest)
    orch = session.orchestrator
    if found.prune is not None:
        return _prune(orch, found.prune)
    frame = orch.log.to_frame(limit=found.n if found.n or found.name else SHOWN)
    session.bind(found.name, frame)
    page = latest(frame.tail(found.n or SHOWN), f"{len(frame)} are in {found.name}." if found.name else "")
    return Decisions(orch, before=page) if found.interact else page


def _prune(orch: Orchestrator, days: float) -> Page:
    now = datetime.now(UTC)
    age = timedelta(days=min(days, (now - datetime.min.replace(tzinfo=UTC)).days))
    pruned = orch.log.prune(before=now - age)
    left = sizes.log(orch).said
    if not pruned.decisions:
        return Page((f"Nothing in the log is older than {days:g} days: {left}.",))
    count = f"{pruned.decisions:,} decision{'s' if pruned.decisions != 1 else ''}"
    kept = "What they taught stays, with its prompts, and budgets go on counting what they cost."
    return Page((f"Pruned: {count}, {sizes.megabytes(pruned.bytes)}. {kept} Left: {left}.",))


def _export(session: RouteMagics, rest: Sequence[str], _namespace: Namespace) -> Page:
    if not rest:
        raise InputError("%route export needs a file.", fix="Write: %route export decisions.csv (or .jsonl, .parquet).")
    written = session.orchestrator.log.export(Path(rest[0]).expanduser())
    return Page((f"Wrote {written}.",))


def _feedback(session: RouteMagics, rest: Sequence[str], namespace: Namespace) -> Page:
    if not rest:
        raise InputError("%route feedback needs a score between 0 and 1.", fix="Write: %route feedback 1 (good) or 0 (bad).")
    if rest[0].startswith("task="):
        return _task_of_feedback(session, rest, namespace)
    if len(rest) == 1 and hasattr(namespace.get(rest[0].partition(".")[0]), "items"):  # a frame, a Series, a mapping
        return _column_of_feedback(session, rest[0], namespace)
    score = options.number(rest[0], "A score")
    decision = decision_of(session, rest[1] if len(rest) > 1 else None, namespace)
    session.orchestrator.feedback(decision.decision_id, score)
    return Page((f"Noted: {score:g} for {decision.model or 'no model'} (decision {decision.decision_id}).",))


def _task_of_feedback(session: RouteMagics, rest: Sequence[str], namespace: Namespace) -> Page:
    """The prompt becomes an example of the task it should have been taken for."""
    task = rest[0].removeprefix("task=")
    decision = decision_of(session, rest[1] if len(rest) > 1 else None, namespace)
    orch = session.orchestrator
    if decision.prompt is None:
        raise InputError(
            "This decision's prompt was not kept.", fix='Write: current().classifier.add([("the prompt", "its task")]).'
        )
    orch.classifier.add([(decision.prompt, None if task == "none" else task)])
    told = "" if task in (*orch.tasks, "none") else f" It has no route yet: add [routes.{task}] to molt.toml."
    return Page((f"Noted: such a prompt is {task}.{told}",))


def _column_of_feedback(session: RouteMagics, word: str, namespace: Namespace) -> Page:
    """The scores in a frame, or in a column of it that has another name."""
    name, _, column = word.partition(".")
    value = namespace[name]
    if column:
        import pandas as pd

        if not isinstance(value, pd.DataFrame):
            raise InputError(f"{name} is a {type(value).__name__}, not a DataFrame.", fix="Write: %route feedback DF.column.")
        value = scores_in(value, column)
    session.orchestrator.feedback(value)
    return Page((f"Noted: {len(value):,} scores of {word}.",))


def cost_parser() -> Parser:
    """The parser of `%route cost`."""
    p = Parser("%route cost", "What was spent and saved.")
    p.add_argument("--by", choices=GROUPS, default="model", help="one row each (model)")
    p.add_argument("--all", action="store_true", help="of every session, not only of this one")
    return p


def _cost(session: RouteMagics, rest: Sequence[str], _namespace: Namespace) -> Page:
    found = cost_parser().read(rest)
    orch = session.orchestrator
    rows = orch.log.totals(by=found.by, session=None if found.all else orch.session)
    return Page((listings.records(rows, f"Cost by {found.by}, {'all sessions' if found.all else 'this session'}"),))


def _budget(session: RouteMagics, rest: Sequence[str], _namespace: Namespace) -> Page:
    orch = session.orchestrator
    if rest and rest[0] in BUDGETS:
        if len(rest) == 1:
            raise InputError(
                f"%route budget {rest[0]} needs an amount.", fix=f"Write: %route budget {rest[0]} 2 (USD), or off."
            )
        orch.configure({f"budget.{rest[0]}_usd": _limit(rest[1])})
    elif len(rest) > 1:
        raise UnknownName("budget", rest[0], BUDGETS)
    elif rest and (limit := _limit(rest[0])) is None:
        orch.configure({f"budget.{name}_usd": None for name in BUDGETS})
    elif rest:
        orch.configure({"budget.session_usd": limit})
    return budgets.page(orch)


def _limit(text: str) -> float | None:
    return None if text in ("off", "none") else options.amount(text)


COMMANDS = {
    "explain": Command(_explain, "[NAME or ID]", "why the last answer, or this one, came from where it came", 1),
    "log": Command(
        _log,
        "[-n N] [-o DF] [--interact] [--prune DAYS]",
        "the last decisions; -o binds them all as a DataFrame; --prune takes out the old ones",
        None,
        log_parser,
    ),
    "export": Command(_export, "FILE", "write all decisions to .csv, .jsonl or .parquet", 1),
    "feedback": Command(
        _feedback,
        "SCORE [NAME or ID], or DF[.col], or task=TASK [NAME or ID]",
        "say how good an answer was, 0 to 1, or a column of scores beside decision_id: arbitrage learns from it; "
        "or which task its prompt was: semantic does",
        2,
    ),
    "cost": Command(_cost, "[--by model|provider|strategy] [--all]", "what was spent and saved", None, cost_parser),
    "budget": Command(_budget, "[[call|session|day] USD or off]", "show or set what may be spent", 2, values=(*BUDGETS, "off")),
}
