"""The words of `%route`: ask and tell about routing. Each returns what is to be shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from molt_magic.errors import InputError, UnknownName
from molt_magic.magics import options
from molt_magic.magics.commands import cassette, compare, dashboard, decisions, evaluation, settings, stores, whatif
from molt_magic.magics.commands.base import Command, Namespace, strategy_of
from molt_magic.magics.commands.settings import own_defaults
from molt_magic.views.tables import Listing, Page, Table

if TYPE_CHECKING:
    from molt_magic.magics.session import RouteMagics

__all__ = ["COMMANDS", "run"]


def run(session: RouteMagics, line: str, namespace: Namespace) -> object:
    """Do what `%route` is told. Raises UnknownName with the nearest word, or InputError."""
    words = options.split(line)
    if not words or words[0] == "--help":
        return help_page(session)
    word, rest = words[0], words[1:]
    if word not in COMMANDS:
        raise UnknownName("%route word", word, COMMANDS)
    command = COMMANDS[word]
    if "--help" in rest and command.parser is not None:
        return Page((Listing(command.parser().format_help()),))
    if "--help" in rest:
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
    state = f"Strategy {strategy_of(session)}. Ready: {', '.join(ready) or 'no model; the first use fetches a local one'}."
    return Page((f"{state} {own_defaults(session)}".rstrip(), Table("Words of %route", ("Word", "What it does"), rows)))


# in the order in which a person meets them
_ALL = {
    **settings.COMMANDS,
    **compare.COMMANDS,
    **decisions.COMMANDS,
    **dashboard.COMMANDS,
    **stores.COMMANDS,
    **cassette.COMMANDS,
    **evaluation.COMMANDS,
    **whatif.COMMANDS,
}
# fmt: off
_ORDER = (
    "status", "models", "strategies", "use", "compare", "explain", "log", "export", "dashboard", "cost", "budget", "cache",
    "cassette", "thread", "feedback", "evaluate", "calibrate", "whatif", "config", "doctor", "version",
)
# fmt: on
COMMANDS: Mapping[str, Command] = {word: _ALL[word] for word in _ORDER}
