"""The word about how routing is doing: dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from molt_magic.magics.commands.base import Command, Namespace
from molt_magic.magics.options import Parser
from molt_magic.views.dashboard import BY, LAST, Dashboard
from molt_magic.views.tables import Page

if TYPE_CHECKING:
    from molt_magic.magics.session import RouteMagics


def dashboard_parser() -> Parser:
    """The parser of `%route dashboard`."""
    p = Parser(
        "%route dashboard", "Spend, savings, cache, fallbacks, escalations, quality and time to answer, kept up to date."
    )
    p.add_argument("--last", choices=LAST, default="7d", help="which decisions (7d)")
    p.add_argument("--by", choices=BY, default="model", help="a row each (model)")
    return p


def _dashboard(session: RouteMagics, rest: Sequence[str], _namespace: Namespace) -> Page | Dashboard:
    found = dashboard_parser().read(rest)
    return Dashboard(session.orchestrator, last=found.last, by=found.by)


COMMANDS = {
    "dashboard": Command(
        _dashboard,
        "[--last 24h|7d|session|all] [--by model|provider|strategy]",
        "how routing is doing: money, cache, quality, time",
        None,
        dashboard_parser,
    ),
}
