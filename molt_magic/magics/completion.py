"""Tab completion of `%%route` and `%route`: flags, strategies, models, tasks, formats, checks, words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from molt_magic.errors import MoltError

if TYPE_CHECKING:
    from molt_magic.catalog import Catalog
    from molt_magic.magics.session import RouteMagics


def suggestions(session: RouteMagics, text: str, *, first_line: bool) -> list[str] | None:
    """What may stand at the end of `text`, a line up to the cursor; None: not our line."""
    stripped = text.lstrip()
    magic, space, rest = stripped.partition(" ")
    if not space or magic not in ("%route", "%%route") or (magic == "%%route" and not first_line):
        return None
    words = rest.split(" ")
    fragment, before = words[-1], [w for w in words[:-1] if w]
    found = _cell(session, before) if magic == "%%route" else _line(session, before)
    head, comma, _ = fragment.rpartition(",")  # --compare a,b; %route compare a,b; --ladder a,b
    prefix = head + comma if before and before[-1] in ("--compare", "compare", "--ladder") else ""
    return [prefix + name for name in found if (prefix + name).startswith(fragment)]


def _cell(session: RouteMagics, before: list[str]) -> Iterable[str]:
    from molt_magic.magics.options import parser

    flags = parser().flags
    if before and (action := flags.get(before[-1])) is not None and action.nargs != 0:
        return _values(session, action.dest)
    return [*flags]


def _line(session: RouteMagics, before: list[str]) -> Iterable[str]:
    from molt_magic.magics import commands

    if not before:
        return [*commands.COMMANDS]
    word = before[0]
    command = commands.COMMANDS.get(word)
    if command is not None and command.parser is not None:
        flags = command.parser().flags
        if (action := flags.get(before[-1])) is not None and action.nargs != 0:
            return [str(choice) for choice in action.choices] if action.choices else _values(session, action.dest)
        first = {"use": "strategy", "compare": "compare"}.get(word) if len(before) == 1 else None
        words = command.values if len(before) == 1 else ()
        return [*(_values(session, first) if first else words), *flags]
    if word == "config" and len(before) == 1:
        from molt_magic.config.schema import KEYS

        return list(KEYS)
    if len(before) == 1 and command is not None and command.values:
        return command.values
    if word == "thread" and len(before) == 2 and session.started is not None:
        return session.started.threads.names()
    return []


def _values(session: RouteMagics, dest: str) -> Iterable[str]:
    """The values a flag may have."""
    from molt_magic.strategies import NAMES
    from molt_magic.validators import FORMS as CHECKS
    from molt_magic.views.forms import FORMATS

    if dest == "thread":
        return session.started.threads.names() if session.started is not None else []
    if dest == "resume":
        return [name for name in session.started.runs if " " not in name] if session.started is not None else []
    if dest == "compare":
        return [*NAMES, *_catalog(session).models]
    if dest in ("model", "ladder", "task"):
        catalog = _catalog(session)
        return list(catalog.routes if dest == "task" else catalog.models)
    if dest == "validate":
        return [name + ":" if form.startswith(":") else name for name, form in CHECKS.items()]
    known: dict[str, tuple[str, ...]] = {"strategy": NAMES, "form": FORMATS}
    return known.get(dest, ())


def _catalog(session: RouteMagics) -> Catalog:
    """The catalog, without making an orchestrator for the sake of a Tab."""
    if session.started is not None:
        return session.started.catalog
    from molt_magic.catalog import Catalog
    from molt_magic.config import load_settings

    settings = load_settings()
    return Catalog.load(
        models=settings.models,
        routes=settings.routes,
        ladder=settings.cascade.ladder,
        shipped=settings.defaults.catalog == "shipped",
    )


def matcher(session: RouteMagics) -> Callable[[Any], Any] | None:
    """A matcher for `Completer.custom_matchers`; None where this IPython has no such thing (its interface is provisional)."""
    try:
        from IPython.core.completer import SimpleCompletion, context_matcher
    except ImportError:
        return None

    @context_matcher(identifier="molt_magic.route", priority=100)  # type: ignore[untyped-decorator]
    def route_matcher(context: Any) -> dict[str, Any]:
        try:
            found = suggestions(session, context.text_until_cursor, first_line=context.cursor_line == 0)
        except MoltError:
            found = None  # a configuration that cannot be read is told when it is used, not while typing
        if found is None:
            return {"completions": [], "suppress": False}
        return {
            "completions": [SimpleCompletion(text=name, type="param") for name in found],
            "matched_fragment": context.text_until_cursor.rpartition(" ")[2],
            "suppress": True,
            "ordered": True,
        }

    matches: Callable[[Any], Any] = route_matcher
    return matches
