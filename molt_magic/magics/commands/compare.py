"""`%route compare`: a form that asks several strategies and models the same question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from molt_magic.magics import options
from molt_magic.magics.commands.base import Command, Namespace
from molt_magic.magics.options import Parser

if TYPE_CHECKING:
    from molt_magic.magics.session import RouteMagics

FLAGS = ("-t", "-q", "-v", "--system", "--max-cost", "-f")  # of a cell, the same for every question of the form


def compare_parser() -> Parser:
    """The parser of `%route compare`."""
    p = Parser("%route compare", "A form: one prompt, several strategies and models side by side.")
    p.add_argument(
        "names", nargs="?", default="", metavar="NAMES", help="strategies and models chosen at first, as rule,cascade"
    )
    cell = options.parser()
    for flag in (*FLAGS, "-o"):
        p._add_action(cell.flags[flag])  # the same flag, not one like it
    return p


def _compare(session: RouteMagics, rest: Sequence[str], namespace: Namespace) -> object:
    from molt_magic.magics.cells import compare_form

    found = compare_parser().read(rest)
    cell = options.read("")
    assert cell is not None
    given = {name: getattr(found, name) for name in ("task", "quality", "system", "max_cost", "form", "name")}
    return compare_form(
        session, replace(cell, compare=options.names(found.names), validate=tuple(found.validate), **given), namespace
    )


COMMANDS = {
    "compare": Command(
        _compare, "[NAMES] [-o NAME]", "a form: one prompt by several strategies and models, side by side", None, compare_parser
    ),
}
