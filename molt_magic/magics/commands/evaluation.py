"""`%route evaluate` and `%route calibrate`: how good the routing is on scored answers, and what can be promised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molt_magic.errors import InputError, UnknownName
from molt_magic.magics import options
from molt_magic.magics.commands.base import Command, Namespace, strategy_of
from molt_magic.magics.options import Parser
from molt_magic.views.tables import Page

if TYPE_CHECKING:
    import pandas as pd

    from molt_magic.magics.session import RouteMagics
    from molt_magic.orchestrator import Orchestrator

LOG = "log"
OFF = "off"


def _source(p: Parser) -> None:
    p.add_argument("source", metavar="TABLE", help="a DataFrame, a .parquet, .csv or .jsonl file, or log")
    p.add_argument("-o", dest="name", type=options.variable, metavar="NAME", help="bind what comes of it to a variable")


def evaluate_parser() -> Parser:
    """The parser of `%route evaluate`."""
    p = Parser("%route evaluate", "Score strategies on recorded, marked answers, beside single models and an oracle.")
    _source(p)
    p.add_argument("-s", dest="strategies", metavar="A,B", help="of rule, semantic, arbitrage, cascade (all)")
    p.add_argument("--share", type=_share, default=0.7, metavar="X", help="of the prompts to learn from (0.7)")
    p.add_argument("--plot", action="store_true", help="show cost against quality")
    return p


def calibrate_parser() -> Parser:
    """The parser of `%route calibrate`."""
    p = Parser(
        "%route calibrate",
        "The cheapest policy that surely keeps a share of the best single model's quality; alone: how the kept one does.",
    )
    p.add_argument("source", nargs="?", metavar="TABLE", help="a DataFrame, a file, or log; off: end the promise that is kept")
    p.add_argument("-o", dest="name", type=options.variable, metavar="NAME", help="bind what comes of it to a variable")
    p.add_argument("--keep", action="store_true", help="let arbitrage go by it from now on")
    p.add_argument("--target", type=_share, default=0.95, metavar="X", help="share of that quality (0.95)")
    p.add_argument("--confidence", type=_share, default=0.95, metavar="X", help="how surely (0.95)")
    return p


def _share(text: str) -> float:
    return options.number(text, "It")


def _evaluate(session: RouteMagics, rest: Sequence[str], namespace: Namespace) -> Page:
    found = evaluate_parser().read(rest)
    from molt_magic import evaluation
    from molt_magic.views import evaluations

    train, test = evaluation.split(table_of(session, found.source, namespace), share=found.share)
    chosen: dict[str, Any] = {} if found.strategies is None else {"strategies": found.strategies.split(",")}
    report = evaluation.evaluate(train=train, test=test, **chosen)
    session.bind(found.name, report)
    if found.plot:
        from IPython.display import display

        display(report.plot())  # type: ignore[no-untyped-call]
    return evaluations.report(report)


def _calibrate(session: RouteMagics, rest: Sequence[str], namespace: Namespace) -> Page:
    found = calibrate_parser().read(rest)
    from molt_magic import evaluation
    from molt_magic.views import evaluations

    orch = session.orchestrator
    if found.source in (None, OFF) and found.keep:
        raise InputError("--keep needs a table to calibrate on.", fix="Write: %route calibrate TABLE --keep")
    if found.source == OFF:
        return _end(orch)
    if found.source is None:
        session.bind(found.name, None if orch.promise is None else evaluation.drift(orch))
        return evaluations.in_use(orch)
    table = table_of(session, found.source, namespace)
    policy = evaluation.calibrate(table, target=found.target, confidence=found.confidence, embedder=orch.embedder)
    session.bind(found.name, policy)
    file = orch.keep(policy) if found.keep else None
    if file is None:
        return evaluations.promise(policy)
    return evaluations.kept(policy, file, strategy_of(session))


def _end(orch: Orchestrator) -> Page:
    """No promise from now on, and what still names one."""
    origin = None if orch.settings.arbitrage.promise is None else orch.settings.origins.get("arbitrage.promise")
    orch.keep(None)
    elsewhere = "" if origin in (None, "%config") else f" Other sessions go by it as long as {origin} names it."
    return Page((f"Arbitrage goes by no promise in this session.{elsewhere}",))


def table_of(session: RouteMagics, source: str, namespace: Namespace) -> pd.DataFrame:
    """The outcome table that a word on the line means."""
    import pandas as pd

    from molt_magic import evaluation

    value = namespace.get(source)
    if isinstance(value, pd.DataFrame):
        return evaluation.read_outcomes(value)
    if source == LOG:
        table = evaluation.from_log(session.orchestrator)
        if not len(table):
            raise InputError("No logged answer is marked yet.", fix="Mark some: %route feedback 1, or -v judge in a cell.")
        return table
    if Path(source).suffix or Path(source).expanduser().exists():
        return evaluation.read_outcomes(source)
    frames = [name for name, held in namespace.items() if isinstance(held, pd.DataFrame) and name[0] != "_"]
    raise UnknownName("table", source, [LOG, *frames])


COMMANDS = {
    "evaluate": Command(
        _evaluate,
        "TABLE [-s A,B] [-o NAME]",
        "score strategies on marked answers (a DataFrame, file, or log)",
        None,
        evaluate_parser,
        values=(LOG,),
    ),
    "calibrate": Command(
        _calibrate,
        "[TABLE [--target X] [--keep] [-o NAME], or off]",
        "the cheapest policy that surely keeps the quality; --keep: arbitrage goes by it; alone: how it does",
        None,
        calibrate_parser,
        values=(LOG, OFF),
    ),
}
