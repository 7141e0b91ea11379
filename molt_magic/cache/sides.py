"""Whether the two sides that a prompt joins by "and" or "or" may change places.

They may where it compares them, and only there: "between March and June" counts days, "Name and Age" may be columns, and of
"Alice and Bob are 30 and 40" the order says which is whose.
"""

from __future__ import annotations

import re

from molt_magic.cache.words import GIVES_AN_ORDER

_OF_BOTH = "difference|similarity|similarities|comparison|distance|border|relation|relationship|war|conflict|alliance|rivalry"
_COMPARED = (
    re.compile(rf"(.*\b(?:{_OF_BOTH})s? between |compare )(\S+) and (\S+)(?: (\S+).*)?"),
    re.compile(r"((?:what|who) (?:\w+ )?(?:\w+er|(?:more|less) \w+) )(\S+) or (\S+)( )?"),
)
_GOES_ON = re.compile(r"[.?!;:]\s+\S|\n|\bset difference", re.IGNORECASE)  # a set difference is a subtraction
_DIGIT = re.compile(r"\d")


def gives_an_order(text: str, words: list[str]) -> bool:
    """Whether the order of what it names may count elsewhere in it. `words` are its words in lower case."""
    return not GIVES_AN_ORDER.isdisjoint(words) or _GOES_ON.search(text) is not None


def in_order(tokens: list[str], names: frozenset[str], text: str, words: list[str]) -> list[str]:
    """ "compare India and Pakistan", "compare Pakistan and India": the two names in the order of the alphabet."""
    if ("and" not in tokens and "or" not in tokens) or _DIGIT.search(text) or gives_an_order(text, words):
        return tokens
    for pattern in _COMPARED:
        if (compared := pattern.fullmatch(" ".join(tokens))) is not None:
            before, one, two, after = compared.groups()
            place = before.count(" ")
            # of "Tom and Anna Smith" only one has the name
            if {one, two} <= names and names.isdisjoint([*tokens[:place], after]):
                return [*tokens[:place], min(one, two), tokens[place + 1], max(one, two), *tokens[place + 3 :]]
    return tokens
