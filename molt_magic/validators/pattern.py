"""`regex:PATTERN`: the pattern is found in the answer. One that may take for ever is matched where it can be ended.

A match of `re` holds the interpreter until it is done: no deadline and no interrupt ends it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from molt_magic.errors import ConfigError
from molt_magic.types import Attempt, Verdict
from molt_magic.validators.child import said_by_child
from molt_magic.validators.rules import Rule, accept, refuse, text_of

TIME_S = 5.0
MAX_WAYS = 10**8  # in-process: a third of a second for the worst of repeats, three for many optional parts in a row

_DRIVER = """
import re
print(json.dumps(re.search(job["pattern"], job["text"]) is not None))
"""


def regex(pattern: str) -> Rule:
    """The pattern is found somewhere in the answer (`re.search`); anchor it with ^ and $ for all of it.

    Raises:
        ConfigError: it is no regular expression.
    """
    try:
        compiled = re.compile(pattern)
        choices = _choices(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"Validator regex:{pattern} is not a regular expression: {error}.", fix="Mend the pattern.") from None

    def rule(attempt: Attempt) -> Verdict:
        text = text_of(attempt)
        if choices is not None and _ways(choices, len(text)) <= MAX_WAYS:
            found = compiled.search(text) is not None
        else:
            try:
                found = _found_by_child(pattern, text)
            except TimeoutError:
                return refuse(f"{pattern!r} was not done within {TIME_S:g} s: it tries too many ways to match")
        return accept("matches") if found else refuse(f"no match for {pattern!r}")

    return rule


def _found_by_child(pattern: str, text: str) -> bool:
    out, _ = said_by_child(_DRIVER, {"pattern": pattern, "text": text}, time_s=TIME_S)
    if not out:
        raise RuntimeError("the process that matches the pattern ended early (memory or CPU time)")
    return out.strip() == b"true"


def _choices(pattern: str) -> list[tuple[int, int]] | None:
    """The bounds of each choice in a pattern; None: the ways through it may grow exponentially with the text, or who knows."""
    # there is no public door to the parser
    nodes = list(_nodes(re._parser.parse(pattern)))  # type: ignore[attr-defined]
    if any(name.startswith("GROUPREF") for name, _ in nodes):
        return None
    repeated = [inner for name, argument in nodes if _is_repeat(name) and argument[1] > 1 for inner in _nodes(argument[2])]
    if any(low != high for low, high in map(_choice, repeated)):
        return None
    return [choice for choice in map(_choice, nodes) if choice[0] != choice[1]]


def _ways(choices: list[tuple[int, int]], chars: int) -> int:
    """The most ways in which a text of so many characters can be tried, from each of its places."""
    return math.prod((min(high, chars) - min(low, chars) + 1 for low, high in choices), start=chars)


def _choice(node: tuple[str, Any]) -> tuple[int, int]:
    """The least and the most that a node may take: of a repeat its bounds, of alternatives the first and the last."""
    name, argument = node
    if name == "BRANCH":
        return 1, len(argument[1])
    return (int(argument[0]), int(argument[1])) if _is_repeat(name) else (1, 1)


def _is_repeat(name: str) -> bool:
    return name.endswith("_REPEAT")


def _nodes(argument: Any) -> Iterator[tuple[str, Any]]:
    """The nodes of a parse tree, or of an argument of one: (name of the operation, its argument)."""
    if hasattr(argument, "data"):  # a SubPattern
        for operation, inner in argument.data:
            yield str(operation), inner
            yield from _nodes(inner)
    elif isinstance(argument, list | tuple):
        for part in argument:
            yield from _nodes(part)
