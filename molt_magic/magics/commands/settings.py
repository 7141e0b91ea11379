"""Words about what is in force and what is ready: status, models, strategies, use, config, doctor, version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from molt_magic.errors import InputError, UnknownName
from molt_magic.magics import options
from molt_magic.magics.commands.base import Command, Namespace, strategy_of
from molt_magic.magics.options import Parser
from molt_magic.magics.session import DEFAULTS
from molt_magic.views import doctor, evaluations, listings
from molt_magic.views.tables import Page, Table

if TYPE_CHECKING:
    from molt_magic.magics.session import RouteMagics


def own_defaults(session: RouteMagics) -> str:
    """The session's own defaults in words."""
    found = ", ".join(f"{name} {value}" for name, value in session.overrides.items())
    return f"Set for this session: {found}." if found else ""


def _status(session: RouteMagics, _rest: Sequence[str], _namespace: Namespace) -> Page:
    return doctor.status(session.orchestrator, defaults=own_defaults(session))


def _doctor(session: RouteMagics, _rest: Sequence[str], _namespace: Namespace) -> Page:
    return doctor.page(doctor.examine(lambda: session.orchestrator))


def _models(session: RouteMagics, _rest: Sequence[str], _namespace: Namespace) -> Page:
    orch = session.orchestrator
    return Page((listings.models(orch.catalog.models.values(), orch.readiness()),))


def _strategies(session: RouteMagics, _rest: Sequence[str], _namespace: Namespace) -> Page:
    orch = session.orchestrator
    lines = [f"Ladder of cascade: {', '.join(orch.catalog.ladder)}."]
    if orch.settings.arbitrage.promise is not None:
        lines.append(f"Arbitrage goes by a promise: {evaluations.in_a_line(orch)}")
    return Page((listings.strategies(strategy_of(session)), *lines))


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

    found = use_parser().read(rest)
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
    return Page((own_defaults(session) or "Nothing is set for this session: the configuration applies.",))


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
    if value is None or value == {}:
        return "not set"
    if isinstance(value, Mapping):  # ladders by task
        return "; ".join(f"{task}: {_setting(ladder)}" for task, ladder in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _version(_session: RouteMagics, _rest: Sequence[str], _namespace: Namespace) -> Page:
    from molt_magic import __version__

    return Page((f"molt-magic {__version__}",))


COMMANDS = {
    "status": Command(_status, "", "what is in force, which models can answer, what was spent"),
    "models": Command(_models, "", "the catalog, with prices and what each model needs"),
    "strategies": Command(_strategies, "", "the strategies and the one in force"),
    "use": Command(_use, "[STRATEGY] [-m MODEL] [-q Q] ... [--reset]", "set defaults of this session", None, use_parser),
    "config": Command(_config, "[KEY [VALUE]]", "show settings and where they come from, or change one", 2),
    "doctor": Command(_doctor, "", "what is ready, what is missing, and the command that fixes it"),
    "version": Command(_version, "", "the version"),
}
