"""What a word of `%route` is, and the decision that a word is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from molt_magic.errors import InputError, UnknownName
from molt_magic.magics.options import Parser
from molt_magic.result import Result

if TYPE_CHECKING:
    from molt_magic.magics.session import RouteMagics
    from molt_magic.types import Decision

Namespace = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """A word of `%route`."""

    run: Callable[[RouteMagics, Sequence[str], Namespace], object]
    usage: str
    help: str
    most: int | None = 0  # arguments at most; None: `parser` reads flags
    parser: Callable[[], Parser] | None = None
    values: Sequence[str] = ()  # what its first argument may be, for completion


def strategy_of(session: RouteMagics) -> str:
    """The strategy of a cell that does not say."""
    return session.strategy or ("direct" if session.model else session.orchestrator.settings.defaults.strategy)


def decision_of(session: RouteMagics, name: str | None, namespace: Namespace) -> Decision:
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
