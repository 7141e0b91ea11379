"""Words about what is kept: cache, thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from molt_magic.errors import InputError, UnknownName
from molt_magic.magics.commands.base import Command, Namespace, decision_of
from molt_magic.views import sizes
from molt_magic.views.tables import Page, Table

if TYPE_CHECKING:
    from molt_magic.magics.session import RouteMagics

THREAD_WORDS = ("list", "show", "reset")
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
        count = orch.forget(decision_of(session, name, namespace).decision_id)
        return Page((f"Forgotten: {count} cached answers. The question is asked anew the next time.",))
    return Page((Table("Cache", ("What", "Value"), [(k.replace("_", " "), _figure(k, v)) for k, v in cache.stats().items()]),))


def _figure(name: str, value: object) -> str:
    """A figure of the cache for people."""
    if name.endswith("bytes") and isinstance(value, int):
        return sizes.megabytes(value)
    if value is None:
        return "none"
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _thread(session: RouteMagics, rest: Sequence[str], _namespace: Namespace) -> Page:
    threads = session.orchestrator.threads
    word, name = (rest[0] if rest else "list"), (rest[1] if len(rest) > 1 else None)
    if word not in THREAD_WORDS:
        raise UnknownName("%route thread word", word, THREAD_WORDS)
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


COMMANDS = {
    "cache": Command(
        _cache,
        "[stats, clear or forget [NAME or ID]]",
        "what the cache holds; empty it; take back an answer",
        2,
        values=CACHE_WORDS,
    ),
    "thread": Command(_thread, "[list, show NAME or reset [NAME]]", "conversations", 2, values=THREAD_WORDS),
}
