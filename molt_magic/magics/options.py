"""The flags of `%%route`: what they are, and a parser whose complaints are short errors that name the fix."""

from __future__ import annotations

import argparse
import json
import keyword
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from molt_magic.errors import InputError, UnknownName
from molt_magic.views.forms import FORMATS


class Parser(argparse.ArgumentParser):
    """argparse that raises our errors, never exits, and knows the nearest flag to a wrong one."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, add_help=False, allow_abbrev=False)
        self.add_argument("--help", action="store_true", help="show this text")

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message[:1].upper()}{message[1:]}.", fix=f"See {self.prog} --help.")

    @property
    def flags(self) -> dict[str, argparse.Action]:
        """Every spelling of a flag and what it does."""
        return dict(self._option_string_actions)

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """The flags in `words`.

        Raises:
            UnknownName: a flag that does not exist.
            InputError: anything else that cannot be read.
        """
        if "--help" in words:
            return argparse.Namespace(help=True)
        found, rest = self.parse_known_args(list(words))
        if rest and rest[0].startswith("-"):
            raise UnknownName("flag", rest[0].split("=")[0], self.flags)
        if rest:
            raise InputError(f"{rest[0]!r} is no flag of {self.prog}.", fix=f"See {self.prog} --help.")
        return found


def split(line: str) -> list[str]:
    """The words of a magic's line. Quotes group; a backslash is a backslash (regular expressions need theirs)."""
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.escape = ""
    try:
        return list(lexer)
    except ValueError:
        raise InputError("A quote on the %route line is not closed.", fix="Close it, or use the other kind of quote.") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The flags of one `%%route` cell; None: not given, the session's default applies."""

    strategy: str | None
    task: str | None
    model: str | None
    quality: float | None
    validate: tuple[str, ...]
    name: str | None
    thread: str | None
    system: str | None
    params: dict[str, Any]
    form: str | None
    schema: str | None
    max_cost: float | None
    deadline: float | None
    dry_run: bool
    cache: bool | Literal["refresh"]
    log: bool
    stream: bool
    raw: bool
    quiet: bool
    compare: tuple[str, ...]
    recorded: bool
    each: str | None
    resume: str | None
    concurrency: int | None
    interact: bool


def parser() -> Parser:
    """The parser of `%%route`."""
    p = Parser("%%route", "Route the prompt below to a model. {{name}} in it is replaced by the value of a variable.")
    add = p.add_argument
    add("-s", "--strategy", metavar="NAME", help="rule, semantic, arbitrage, cascade or direct")
    add("-t", "--task", metavar="TASK", help="a task of the routing table; without it one is proposed")
    add("-m", "--model", metavar="NAME", help="this model of the catalog (strategy direct)")
    add("-q", "--quality", metavar="Q", type=_share, help="threshold of predicted quality, 0 to 1")
    add("-v", "--validate", metavar="CHECK", action="append", default=[], help="a check on the answer; may be repeated")
    add("-o", "--output", dest="name", metavar="NAME", type=variable, help="bind the result to a variable")
    add("--thread", metavar="NAME", help="a conversation; running the cell again replaces its turn")
    add("--system", metavar="TEXT", help="system message; {{name}} is filled here too")
    add(
        "--param",
        metavar=("K", "V"),
        nargs=2,
        action="append",
        default=[],
        help="a parameter such as temperature; may be repeated",
    )
    add("-f", "--format", dest="form", metavar="FORMAT", type=_form, help="markdown, text, json or code")
    add("--schema", metavar="NAME", help="a variable: JSON schema or pydantic model to follow; -v schema:NAME checks it")
    add("--max-cost", metavar="USD", type=amount, help="refuse to spend more on this prompt; with --each: on all rows")
    add("--deadline", metavar="S", type=_seconds, help="seconds that all of it may take, other models and judges included")
    add("--dry-run", action="store_true", help="show what would be called and its estimated cost; call nothing")
    cache = p.add_mutually_exclusive_group()
    cache.add_argument("--no-cache", action="store_true", help="neither read nor write the cache")
    cache.add_argument("--refresh", action="store_true", help="ask again and replace the cached answer")
    add("--no-log", action="store_true", help="leave this prompt out of the decision log")
    add("--no-stream", action="store_true", help="show the answer once, when it is whole")
    add("--raw", action="store_true", help="send the prompt as it stands: {{ }} is not filled")
    add("--quiet", action="store_true", help="show nothing; the result is still the cell's value")
    add("--compare", metavar="S,S", type=_names, default=(), help="ask by several strategies or models at once, side by side")
    add("--recorded", action="store_true", help="with --compare: answers of the log or a cassette, nothing is paid")
    add("--each", metavar="DF.col", help="route each row: {{col}} is the row's value, {{row.other}} its other columns")
    add("--resume", metavar="NAME", help="with --each: a run that is kept; the cell run again asks only what has no answer yet")
    add("--concurrency", metavar="N", type=_count, help="with --each: so many rows at once")
    add("--interact", action="store_true", help="add a small form for trying other settings")
    return p


def read(line: str) -> Options | None:
    """The options on a `%%route` line; None when help was asked for. Raises InputError, UnknownName."""
    found = parser().read(split(line))
    if found.help:
        return None
    options = Options(
        strategy=found.strategy,
        task=found.task,
        model=found.model,
        quality=found.quality,
        validate=tuple(found.validate),
        name=found.name,
        thread=found.thread,
        system=found.system,
        params={key: literal(value) for key, value in found.param},
        form=found.form,
        schema=found.schema,
        max_cost=found.max_cost,
        deadline=found.deadline,
        dry_run=found.dry_run,
        cache="refresh" if found.refresh else not found.no_cache,
        log=not found.no_log,
        stream=not found.no_stream,
        raw=found.raw,
        quiet=found.quiet,
        compare=found.compare,
        recorded=found.recorded,
        each=found.each,
        resume=found.resume,
        concurrency=found.concurrency,
        interact=found.interact,
    )
    _refuse_contradictions(options)
    return options


def _refuse_contradictions(options: Options) -> None:
    modes = [flag for flag, on in _modes(options).items() if on]
    if len(modes) > 1:
        raise InputError(f"{modes[0]} and {modes[1]} cannot be used together.", fix="Use one of them in this cell.")
    if options.compare and (options.strategy or options.model):
        flag = "-s" if options.strategy else "-m"
        raise InputError(f"--compare names what is compared; {flag} adds another.", fix="Put all of them after --compare.")
    if options.recorded and not options.compare:
        raise InputError(
            "--recorded goes with --compare.", fix="For one answer, replay a cassette: %route cassette replay FILE."
        )
    if options.recorded and options.dry_run:
        raise InputError("--recorded and --dry-run cannot be used together.", fix="Use one of them in this cell.")
    if options.thread and (options.compare or options.each):
        raise InputError(f"A thread takes one answer a cell; {modes[0]} gives several.", fix="Leave out --thread.")
    for flag, value in (("--resume", options.resume), ("--concurrency", options.concurrency)):
        if value is not None and options.each is None:
            raise InputError(f"{flag} goes with --each.", fix="Name the column: --each frame.column.")
    if options.raw and options.each:
        raise InputError("--each fills {{ }} for each row; --raw forbids it.", fix="Leave out --raw.")


def _modes(options: Options) -> dict[str, bool]:
    """What a cell may do only one of: a comparison and a column may be planned, a comparison may have a form beside it."""
    return {
        "--compare": bool(options.compare),
        "--each": options.each is not None,
        "--interact": options.interact and not options.compare,
        "--dry-run": options.dry_run and not options.compare and options.each is None,
    }


def literal(text: str) -> Any:
    """A value from the line: JSON where it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def variable(text: str) -> str:
    """`text`, when a variable may have this name. Raises InputError."""
    if not text.isidentifier() or keyword.iskeyword(text):
        raise InputError(f"{text!r} cannot be a variable's name.", fix="Use letters, digits and _, as in -o answer.")
    return text


def number(text: str, what: str) -> float:
    """A finite number. Raises InputError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{what} must be a number, not {text!r}.")
    return value


def amount(text: str) -> float:
    """An amount of USD, 0 or more. Raises InputError."""
    value = number(text.removeprefix("$"), "An amount in USD")
    if value < 0:
        raise InputError(f"An amount in USD must be 0 or more, not {text}.")
    return value


def _seconds(text: str) -> float:
    value = number(text.removesuffix("s"), "A deadline in seconds")
    if value < 0.01:
        raise InputError(f"A deadline must be 0.01 s or more, not {text}.")
    return value


def _count(text: str) -> int:
    value = number(text, "A number of rows")
    if value < 1 or value != int(value):
        raise InputError(f"A number of rows must be a whole number, 1 or more, not {text}.")
    return int(value)


def _share(text: str) -> float:
    value = number(text, "Quality")
    if not 0 <= value <= 1:
        raise InputError(f"Quality must be between 0 and 1, not {text}.")
    return value


def _form(text: str) -> str:
    if text not in FORMATS:
        raise UnknownName("format", text, FORMATS)
    return text


def _names(text: str) -> tuple[str, ...]:
    found = names(text)
    if len(found) < 2:
        raise InputError("--compare needs at least two names.", fix="As in --compare rule,cascade or --compare cascade,gpt-5.")
    return found


def names(text: str) -> tuple[str, ...]:
    """The names of a list with commas, each once."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
