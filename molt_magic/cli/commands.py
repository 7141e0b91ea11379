"""`molt quickstart`, `open`, `doctor`, `models`, `evaluate`, `bench`, `version`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from molt_magic.errors import MoltError, UnknownName
from molt_magic.views.text import one_line

INTERRUPTED = 130  # what a shell gives for a program ended by Ctrl-C
PIPE_CLOSED = 141  # and by a closed pipe


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    top = argparse.ArgumentParser(prog="molt", description="Route every prompt of a notebook to the right model, and say why.")
    words = top.add_subparsers(dest="word", metavar="COMMAND", required=True)

    quick = words.add_parser("quickstart", help="run the first notebook on local models and print its decisions")
    quick.add_argument("--small", action="store_true", help="use only the two small models (0.6 GB)")
    quick.set_defaults(run=_quickstart)

    opened = words.add_parser("open", help="open the notebooks in JupyterLab")
    opened.add_argument("--to", type=Path, metavar="FOLDER", help="copy them here (./molt-notebooks), where they are installed")
    opened.add_argument("--no-browser", action="store_true", help="start the server only")
    opened.add_argument("flags", nargs="*", metavar="FLAG", help="more flags for JupyterLab, after --")
    opened.set_defaults(run=_open)

    words.add_parser("doctor", help="what is ready, what is missing, the command that fixes it").set_defaults(run=_doctor)

    models = words.add_parser("models", help="list the models, or pull local ones")
    models.set_defaults(run=_models)
    pull = models.add_subparsers(dest="action", metavar="ACTION").add_parser(
        "pull", help="fetch and verify local models' weights"
    )
    pull.add_argument("names", nargs="+", metavar="NAME", help="models of the catalog")

    scored = words.add_parser("evaluate", help="score the strategies on a table of recorded and marked answers")
    scored.add_argument(
        "file", type=Path, metavar="FILE", help="outcomes, one row a prompt and model: .parquet, .csv or .jsonl"
    )
    scored.add_argument("--test", type=Path, metavar="FILE", help="score on this table, learn from all of the first")
    scored.add_argument("--share", type=float, default=0.7, metavar="X", help="of the prompts to learn from (0.7)")
    scored.add_argument("--strategies", metavar="A,B", help="of rule, semantic, arbitrage, cascade (all)")
    scored.add_argument("--curve", type=_file, metavar="FILE", help="write every setting's cost and quality to this .csv file")
    scored.add_argument("--plot", type=_file, metavar="FILE", help="write the picture to this .png file")
    scored.add_argument(
        "--promise", type=float, metavar="X", help="say whether this share of the best model's quality can be promised"
    )
    scored.set_defaults(run=_evaluate)

    timed = words.add_parser("bench", help="measure what molt_magic costs on this machine, beside raw httpx and others")
    timed.add_argument("--quick", action="store_true", help="a short run of some 20 s, with small caches")
    timed.add_argument(
        "--peers", action="store_true", help="others beside us, where installed: pip install litellm semantic-router openai"
    )
    timed.add_argument(
        "--json", type=_file, default=Path("molt-bench.json"), metavar="FILE", help="every figure goes here (./molt-bench.json)"
    )
    timed.add_argument("--only", metavar="A,B", help="of calls, flights, imports, caches (all)")
    timed.add_argument("--rounds", type=_count, metavar="N", help="of everything that answers at once (20)")
    timed.add_argument("--calls", type=_count, metavar="N", help="in a round of many calls in flight (1000)")
    timed.add_argument("--starts", type=_count, metavar="N", help="of every program that imports (5)")
    timed.add_argument("--entries", type=_counts, metavar="N,N", help="sizes of the cache, growing (1000,10000,100000)")
    timed.set_defaults(run=_bench)

    words.add_parser("version", help="the version").set_defaults(run=_version)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run `molt`; returns the exit code: 0 well, 1 an error that was told, 2 wrong arguments, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal cannot show is no reason to fail
            stream.reconfigure(errors="replace")
    chosen = parser().parse_args(argv)
    try:
        code: int = chosen.run(chosen)
        sys.stdout.flush()
    except MoltError as error:
        print(f"molt: {one_line(error.message)}", file=sys.stderr)
        if error.fix:
            print(one_line(error.fix), file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read our output has had enough
        _drop_output()
        return PIPE_CLOSED
    except OSError as error:
        print(f"molt: {error.filename or 'The output'}: {error.strerror or error}", file=sys.stderr)
        print("Free some space, or choose a place that you may write to.", file=sys.stderr)
        _drop_output()
        return 1
    except KeyboardInterrupt:
        print("molt: interrupted", file=sys.stderr)
        return INTERRUPTED
    return code


def _drop_output() -> None:
    """What is still in the buffer must not complain at exit."""
    with suppress(OSError, ValueError):  # there is no file behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _quickstart(chosen: argparse.Namespace) -> int:
    from molt_magic.cli import quickstart

    print(quickstart.run(small=chosen.small).to_plain())
    return 0


def _open(chosen: argparse.Namespace) -> int:
    from molt_magic.cli import notebooks

    return notebooks.open_lab(notebooks.writable(chosen.to), browser=not chosen.no_browser, flags=chosen.flags)


def _doctor(_chosen: argparse.Namespace) -> int:
    from molt_magic.orchestrator import Orchestrator
    from molt_magic.views import doctor

    made: list[Orchestrator] = []

    def make() -> Orchestrator:
        made.append(Orchestrator())
        return made[0]

    findings = doctor.examine(make)
    for orch in made:
        orch.close()
    print(doctor.page(findings).to_plain())
    return 0 if all(finding.ok or finding.optional for finding in findings) else 1


def _models(chosen: argparse.Namespace) -> int:
    from molt_magic.cli import weights
    from molt_magic.config import load_settings

    if chosen.action == "pull":
        for path in weights.pull(load_settings(), chosen.names):
            print(path)
        return 0
    from molt_magic.orchestrator import Orchestrator
    from molt_magic.views import listings

    with Orchestrator() as orch:
        print(listings.models(orch.catalog.models.values(), orch.readiness()).to_plain())
    return 0


def _evaluate(chosen: argparse.Namespace) -> int:
    from molt_magic import evaluation
    from molt_magic.views import evaluations

    table = evaluation.read_outcomes(chosen.file)
    if chosen.test is None:
        train, test = evaluation.split(table, share=chosen.share)
    else:
        train, test = table, evaluation.read_outcomes(chosen.test)
    strategies = evaluation.STRATEGIES if chosen.strategies is None else chosen.strategies.split(",")
    report = evaluation.evaluate(train=train, test=test, strategies=strategies)
    print(evaluations.report(report).to_plain())
    if chosen.curve is not None:
        report.curve.to_csv(chosen.curve, index=False)
    if chosen.plot is not None:
        chosen.plot.write_bytes(report.plot().png)
    if chosen.promise is not None:
        print(evaluations.promise(evaluation.calibrate(train, target=chosen.promise)).to_plain())
    return 0


def _bench(chosen: argparse.Namespace) -> int:
    from molt_magic import bench
    from molt_magic.views import benches
    from molt_magic.views.progress import TerminalProgress

    parts = bench.PARTS if chosen.only is None else tuple(chosen.only.split(","))
    if stray := next((part for part in parts if part not in bench.PARTS), None):
        raise UnknownName("part of the bench", stray, bench.PARTS)
    given = {name: getattr(chosen, name) for name in ("rounds", "calls", "starts", "entries")}
    sizes = replace(
        bench.QUICK if chosen.quick else bench.FULL,
        peers=chosen.peers,
        parts=parts,
        **{name: value for name, value in given.items() if value is not None},
    )
    progress = TerminalProgress(sys.stderr)
    try:
        found = bench.run(sizes, on_progress=progress)
    finally:
        progress.close()
    print(benches.report(found).to_plain())
    found.write(chosen.json)
    return 0


def _file(text: str) -> Path:
    """A file that can be made, for argparse: before the work, not after it."""
    path = Path(text).expanduser()
    if not path.absolute().parent.is_dir() or path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} cannot be written: it is a folder, or there is none that it could be in")
    return path


def _count(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _counts(text: str) -> tuple[int, ...]:
    """Such numbers, ascending."""
    return tuple(sorted(map(_count, text.split(","))))


def _version(_chosen: argparse.Namespace) -> int:
    from molt_magic import __version__

    print(f"molt-magic {__version__}")
    return 0
