"""`%route whatif`: what another policy would have cost and scored on the decisions in the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from molt_magic.magics import options
from molt_magic.magics.commands.base import Command, Namespace
from molt_magic.magics.commands.evaluation import table_of
from molt_magic.magics.options import Parser
from molt_magic.views.tables import Page

if TYPE_CHECKING:
    from molt_magic.magics.session import RouteMagics


def whatif_parser() -> Parser:
    """The parser of `%route whatif`."""
    p = Parser(
        "%route whatif",
        "What another policy would have cost and scored on your logged decisions. Known is what its models are known to have "
        "answered to the very prompt (in the log, on the cassette, in a table); the rest is predicted, and said to be.",
    )
    cell = options.parser()
    for flag in ("-s", "-m", "-q"):
        p._add_action(cell.flags[flag])  # the same flag, not one like it
    p.add_argument(
        "--within", type=_number, metavar="X", help="arbitrage: the cheapest this far below the prompt's best, 0 to 1"
    )
    p.add_argument("--price", type=_number, metavar="P", help="arbitrage, cascade: quality given up for a dollar less")
    p.add_argument("--ladder", type=options.names, metavar="A,B", help="cascade: the models, cheap to dear")
    p.add_argument("--table", metavar="TABLE", help="outcomes known besides: a DataFrame, or a .parquet, .csv or .jsonl file")
    p.add_argument("--session", action="store_true", help="the decisions of this session only (all)")
    p.add_argument("-o", dest="name", type=options.variable, metavar="NAME", help="bind what comes of it to a variable")
    return p


def _number(text: str) -> float:
    return options.number(text, "It")


def _whatif(session: RouteMagics, rest: Sequence[str], namespace: Namespace) -> Page:
    from molt_magic.views import whatif

    found = whatif_parser().read(rest)
    result = session.orchestrator.whatif(
        strategy=found.strategy,
        quality=found.quality,
        model=found.model,
        within=found.within,
        price=found.price,
        ladder=found.ladder,
        table=None if found.table is None else table_of(session, found.table, namespace),
        session="this" if found.session else None,
    )
    session.bind(found.name, result)
    return whatif.page(result)


COMMANDS = {
    "whatif": Command(
        _whatif,
        "[-s STRATEGY] [--within X] [-m MODEL] ... [-o NAME]",
        "what another policy would have cost and scored on your decisions",
        None,
        whatif_parser,
    ),
}
