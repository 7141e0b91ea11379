"""The words of `%route`: ask and tell about routing. Each returns a page to show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molt_magic.errors import InputError, UnknownName
from molt_magic.magics import options
from molt_magic.magics.options import Parser
from molt_magic.magics.session import DEFAULTS
from molt_magic.result import Result, explain, usd
from molt_magic.views import doctor, listings
from molt_magic.views.tables import Listing, Page, Table

if TYPE_CHECKING:
    from molt_magic.magics.session import RouteMagics
    from molt_magic.types import Decision

Namespace = Mapping[str, Any]
GROUPS = ("model", "provider", "strategy")


@dataclass(frozen=True, slots=True)
class Command:
    """A word of `%route`."""

    run: Callable[[RouteMagics, Sequence[str], Namespace], Page]
    usage: str
    help: str
    most: int | None = 0  # arguments at most; None: it reads flags itself


def run(session: RouteMagics, line: str, namespace: Namespace) -> Page:
    """Do what `%route` is told. Raises UnknownName with the nearest word, or InputError."""
    words = options.split(line)
    if not words or words[0] == "--help":
        return help_page(session)
    word, rest = words[0], words[1:]
    if word not in COMMANDS:
        raise UnknownName("%route word", word, COMMANDS)
    command = COMMANDS[word]
    if "--help" in rest and command.most is not None:  # those that read flags tell them all
        return Page((f"%route {word} {command.usage}".rstrip(), f"{command.help}."))
    if command.most is not None and len(rest) > command.most:
        raise InputError(
            f"%route {word} does not take {rest[command.most]!r}.", fix=f"Write: %route {word} {command.usage}".rstrip()
        )
    return command.run(session, rest, namespace)


def help_page(session: RouteMagics) -> Page:
    """How the session stands, and every word."""
    orch = session.orchestrator
    rows = [(f"%route {word} {c.usage}".rstrip(), c.help) for word, c in COMMANDS.items()]
    rows.append(("%%route --help", "the flags of a cell that asks"))
    ready = [s.model for s in orch.readiness() if s.ready]
    strategy = session.strategy or ("direct" if session.model else orch.settings.defaults.strategy)
    state = f"Strategy {strategy}. Ready: {', '.join(ready) or 'no model; the first use fetches a local one'}."
    return Page((f"{state} {_defaults(session)}".rstrip(), Table("Words of %route", ("Word", "What it does"), rows)))


def _defaults(session: RouteMagics) -> str:
    """The session's own defaults in words."""
    found = ", ".join(f"{name} {value}" for name, value in session.overrides.items())
    return f"Set for this session: {found}." if found else ""


def _status(session: RouteMagics, _rest: Sequence[str], _namespace: Namespace) -> Page:
    return doctor.status(session.orchestrator, defaults=_defaults(session))


def _doctor(session: RouteMagics, _rest: Sequence[str], _namespace: Namespace) -> Page:
    return doctor.page(doctor.examine(lambda: session.orchestrator))


def _models(session: RouteMagics, _rest: Sequence[str], _namespace: Namespace) -> Page:
    orch = session.orchestrator
    return Page((listings.models(orch.catalog.models.values(), orch.readiness()),))


def _strategies(session: RouteMagics, _rest: Sequence[str], _namespace: Namespace) -> Page:
    orch = session.orchestrator
    current = session.strategy or ("direct" if session.model else orch.settings.defaults.strategy)
    return Page((listings.strategies(current), f"Ladder of cascade: {', '.join(orch.catalog.ladder)}."))


def use_parser() -> Parser:
    """The parser of `%route use`."""
    p = Parser("%route use", "Defaults of this session for %%route cells; a flag in a cell is stronger.")
    p.add_argument("name", nargs="?", metavar="STRATEGY", help="the same as -s")
    cell = options.parser()
    for flag in ("-s", "-t", "-m", "-q", "--max-cost", "-f"):
        p._add_action(cell.flags[flag])  # the same flag, not one like it
    p.add_argument("--stream", choices=("auto", "on", "off"), help="show answers while they arrive")
    p.add_argument("--reset", action="store_true", help="take back all of them")
    return p


def _use(session: RouteMagics, rest: Sequence[str], _namespace: Namespace) -> Page:
    from molt_magic.strategies import NAMES

    parser = use_parser()
    found = parser.read(rest)
    if found.help:
        return Page((Listing(parser.format_help()),))
    orch = session.orchestrator
    strategy = found.strategy or found.name
    if strategy is not None and strategy not in NAMES:
        raise UnknownName("strategy", strategy, NAMES)
    if found.model is not None:
        orch.catalog.get(found.model)
        if strategy not in (None, "direct"):
            raise InputError(f"Strategy {strategy} chooses the model itself.", fix="Leave out -m, or use strategy direct.")
    if found.task is not None and found.task not in orch.tasks:
        raise UnknownName("task", found.task, orch.tasks)
    # everything was looked at before anything is changed
    if found.reset:
        for name in DEFAULTS:
            setattr(session, name, None)
        session.form = "markdown"
    if found.model is not None:
        session.strategy = None  # a model means strategy direct
    elif strategy not in (None, "direct"):
        session.model = None
    changes = {name: getattr(found, name) for name in ("task", "model", "quality", "max_cost", "form", "stream")}
    for name, value in {**changes, "strategy": strategy}.items():
        if value is not None:
            setattr(session, name, value)
    return Page((_defaults(session) or "Nothing is set for this session: the configuration applies.",))


def _decision(session: RouteMagics, name: str | None, namespace: Namespace) -> Decision:
    """The decision meant by a variable's name, a decision's id, or nothing: the last one."""
    orch = session.orchestrator
    if name is None:
        last = session.last.decision if session.last is not None else orch.log.last(orch.session)
        if last is None:
            raise InputError(
                "Nothing was routed in this session yet.", fix="Run a %%route cell first, or give a decision's id."
            )
        return last
    value = namespace.get(name)
    if isinstance(value, Result):
        return value.decision
    logged = orch.log.get(name)
    if logged is None:
        raise UnknownName(
            "result or decision", name, [n for n, v in namespace.items() if isinstance(v, Result) and n[0] != "_"]
        )
    return logged


def _explain(session: RouteMagics, rest: Sequence[str], namespace: Namespace) -> Page:
    decision = _decision(session, rest[0] if rest else None, namespace)
    return Page((f"Decision {decision.decision_id}, {decision.time[:19].replace('T', ' ')} UTC", "\n".join(explain(decision))))


def log_parser() -> Parser:
    """The parser of `%route log`."""
    p = Parser("%route log", "The last decisions, of every session.")
    p.add_argument("-n", type=_count, default=10, metavar="N", help="how many to show (10); with -o how many to bind (all)")
    p.add_argument("-o", dest="name", type=options.variable, metavar="DF", help="bind all of them to a variable as a DataFrame")
    return p


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"-n must be a whole number of 1 or more, not {text!r}.")
    return int(text)


def _log(session: RouteMagics, rest: Sequence[str], _namespace: Namespace) -> Page:
    parser = log_parser()
    found = parser.read(rest)
    if found.help:
        return Page((Listing(parser.format_help()),))
    frame = session.orchestrator.log.to_frame(limit=None if found.name and "-n" not in rest else found.n)
    session.bind(found.name, frame)
    rows = [{str(key): value for key, value in row.items()} for row in frame.tail(found.n).to_dict("records")]
    bound = f" All {len(frame)} are in {found.name}." if found.name else ""
    return Page((listings.log(rows, f"The last {len(rows)} decisions.{bound}"),))


def _export(session: RouteMagics, rest: Sequence[str], _namespace: Namespace) -> Page:
    if not rest:
        raise InputError("%route export needs a file.", fix="Write: %route export decisions.csv (or .jsonl, .parquet).")
    written = session.orchestrator.log.export(Path(rest[0]).expanduser())
    return Page((f"Wrote {written}.",))


def _feedback(session: RouteMagics, rest: Sequence[str], namespace: Namespace) -> Page:
    if not rest:
        raise InputError("%route feedback needs a score between 0 and 1.", fix="Write: %route feedback 1 (good) or 0 (bad).")
    score = options.number(rest[0], "A score")
    decision = _decision(session, rest[1] if len(rest) > 1 else None, namespace)
    session.orchestrator.feedback(decision.decision_id, score)
    return Page((f"Noted: {score:g} for {decision.model or 'no model'} (decision {decision.decision_id}).",))


def cost_parser() -> Parser:
    """The parser of `%route cost`."""
    p = Parser("%route cost", "What was spent and saved.")
    p.add_argument("--by", choices=GROUPS, default="model", help="one row each (model)")
    p.add_argument("--all", action="store_true", help="of every session, not only of this one")
    return p


def _cost(session: RouteMagics, rest: Sequence[str], _namespace: Namespace) -> Page:
    parser = cost_parser()
    found = parser.read(rest)
    if found.help:
        return Page((Listing(parser.format_help()),))
    orch = session.orchestrator
    rows = orch.log.totals(by=found.by, session=None if found.all else orch.session)
    return Page((listings.records(rows, f"Cost by {found.by}, {'all sessions' if found.all else 'this session'}"),))


def _budget(session: RouteMagics, rest: Sequence[str], _namespace: Namespace) -> Page:
    orch = session.orchestrator
    if rest:
        limit = None if rest[0] in ("off", "none") else options.amount(rest[0])
        orch.configure({"budget.session_usd": limit})
    limit = orch.settings.budget.session_usd
    spent = usd(orch.spent_usd())
    return Page((f"Spent this session: {spent}" + (f" of {usd(limit)}." if limit is not None else ". No budget is set."),))


CACHE_WORDS = ("stats", "clear", "forget")


def _cache(session: RouteMagics, rest: Sequence[str], namespace: Namespace) -> Page:
    word, name = (rest[0] if rest else "stats"), (rest[1] if len(rest) > 1 else None)
    if word not in CACHE_WORDS:
        raise UnknownName("%route cache word", word, CACHE_WORDS)
    orch = session.orchestrator
    cache = orch.cache
    if cache is None:
        return Page(("The cache is off. %route config cache.enabled true switches it on.",))
    if word == "clear":
        return Page((f"Cleared: {cache.clear()} answers forgotten.",))
    if word == "forget":
        count = orch.forget(_decision(session, name, namespace).decision_id)
        return Page((f"Forgotten: {count} cached answers. The question is asked anew the next time.",))
    return Page((Table("Cache", ("What", "Value"), [(k.replace("_", " "), _figure(k, v)) for k, v in cache.stats().items()]),))


def _figure(name: str, value: object) -> str:
    """A figure of the cache for people."""
    if name.endswith("bytes") and isinstance(value, int):
        return doctor.megabytes(value)
    if value is None:
        return "none"
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _thread(session: RouteMagics, rest: Sequence[str], _namespace: Namespace) -> Page:
    threads = session.orchestrator.threads
    word, name = (rest[0] if rest else "list"), (rest[1] if len(rest) > 1 else None)
    if word not in ("list", "show", "reset"):
        raise UnknownName("%route thread word", word, ("list", "show", "reset"))
    if word == "list":
        rows = [(n, str(len(threads.messages(n)))) for n in threads.names()]
        return Page((Table("Threads", ("Thread", "Messages"), rows),)) if rows else Page(("There are no threads yet.",))
    if word == "reset":
        count = threads.reset(name)
        return Page((f"Forgotten: {name}." if name else f"Forgotten: {count} threads.",))
    if name is None:
        raise InputError(
            "%route thread show needs a thread's name.", fix=f"There are: {', '.join(threads.names()) or 'none yet'}."
        )
    rows = [(message.role, message.text) for message in threads.messages(name)]
    return Page((Table(f"Thread {name}", ("Role", "Text"), rows),))


def _config(session: RouteMagics, rest: Sequence[str], _namespace: Namespace) -> Page:
    orch = session.orchestrator
    words = rest[0].split("=", 1) if len(rest) == 1 and "=" in rest[0] else list(rest)
    if len(words) == 2:
        orch.configure({words[0]: words[1]})
    settings = orch.settings.flat()
    if words:
        matching = {key: v for key, v in settings.items() if key == words[0] or key.removeprefix("defaults.") == words[0]}
        if not matching:
            raise UnknownName("setting", words[0], settings)
        settings = matching
    origins = orch.settings.origins
    rows = [(key, _setting(value), origins.get(key, "default")) for key, value in settings.items()]
    return Page((Table("Settings in force", ("Setting", "Value", "From"), rows),))


def _setting(value: object) -> str:
    if value is None:
        return "not set"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _version(_session: RouteMagics, _rest: Sequence[str], _namespace: Namespace) -> Page:
    from molt_magic import __version__

    return Page((f"molt-magic {__version__}",))


COMMANDS: Mapping[str, Command] = {
    "status": Command(_status, "", "what is in force, which models can answer, what was spent"),
    "models": Command(_models, "", "the catalog, with prices and what each model needs"),
    "strategies": Command(_strategies, "", "the strategies and the one in force"),
    "use": Command(_use, "[STRATEGY] [-m MODEL] [-q Q] ... [--reset]", "set defaults of this session", None),
    "explain": Command(_explain, "[NAME or ID]", "why the last answer, or this one, came from where it came", 1),
    "log": Command(_log, "[-n N] [-o DF]", "the last decisions; -o binds them all as a DataFrame", None),
    "export": Command(_export, "FILE", "write all decisions to .csv, .jsonl or .parquet", 1),
    "cost": Command(_cost, "[--by model|provider|strategy] [--all]", "what was spent and saved", None),
    "budget": Command(_budget, "[USD or off]", "show or set what this session may spend", 1),
    "cache": Command(_cache, "[stats, clear or forget [NAME or ID]]", "what the cache holds; empty it; take back an answer", 2),
    "thread": Command(_thread, "[list, show NAME or reset [NAME]]", "conversations", 2),
    "feedback": Command(_feedback, "SCORE [NAME or ID]", "say how good an answer was, 0 to 1; arbitrage learns from it", 2),
    "config": Command(_config, "[KEY [VALUE]]", "show settings and where they come from, or change one", 2),
    "doctor": Command(_doctor, "", "what is ready, what is missing, and the command that fixes it"),
    "version": Command(_version, "", "the version"),
}
