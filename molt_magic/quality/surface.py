"""The looks of a prompt as some fifty numbers: lengths, digits, signs, options, question words.

They say how hard a prompt is at least as well as its words do, they cost a fraction of a millisecond, and they mean the same
whatever the topic.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

READ_CHARS = 6000  # of a prompt; what comes after changes none of the numbers much

_WORD = re.compile(r"[^\W\d_]+")


class _Sought(NamedTuple):
    """An expression, and what an ASCII text must have one of before it need be looked through: words in small letters, or
    characters that are none; nothing: it always must. Of an expression for whole words those are the words."""

    pattern: re.Pattern[str]
    needs: frozenset[str]
    whole: bool

    def times(self, text: str, ascii_words: _Words | None) -> int:
        """How often it is in a text."""
        if ascii_words is not None and self.needs:
            if ascii_words.there.isdisjoint(self.needs):
                return 0
            if self.whole and ascii_words.apart:
                return sum([word in self.needs for word in ascii_words.words])
        return len(self.pattern.findall(text))

    def found(self, text: str, ascii_words: _Words | None) -> bool:
        """Whether it is in a text."""
        if ascii_words is not None and self.needs:
            if ascii_words.there.isdisjoint(self.needs):
                return False
            if self.whole and ascii_words.apart:
                return True
        return self.pattern.search(text) is not None


class _Words(NamedTuple):
    """The words of an ASCII text."""

    words: list[str]  # in small letters
    there: frozenset[str]  # the same, and the characters of the text that are no small letters
    apart: bool  # no digit or underscore joins one to what is no word

    @classmethod
    def of(cls, text: str, words: list[str]) -> _Words:
        signs = frozenset(text) - _SMALL
        return cls(words, signs.union(words), signs.isdisjoint(_JOINING))


def _words(words: str) -> _Sought:
    """One of some words, as a whole."""
    return _Sought(re.compile(rf"\b(?:{words})\b", re.IGNORECASE), frozenset(words.split("|")), whole=True)


def _signs(pattern: str, needs: Iterable[str], flags: int = 0) -> _Sought:
    return _Sought(re.compile(pattern, flags), frozenset(needs), whole=False)


_CODE = "def|class|import|return|for|if|while|assert"
_COUNTED = (
    _signs(r"\d+", string.digits),
    _signs(r"[=+*/^<>\\$|{}\[\]]", r"=+*/^<>\$|{}[]"),
    _signs(rf"[{{}};]\s*$|^\s*(?:{_CODE})\b|=>|[=!<>]=", [*"{};=", *_CODE.split("|")], re.MULTILINE),
    _signs(r"[.!?](?:\s|$)", ".!?"),
    _words("not|except|least|false|incorrect|never|no|none|neither"),
    _signs(r"(?<=[^\W\d_A-Z,] )[A-Z][a-z]+", string.ascii_uppercase),  # names, inside a sentence
    _words("i|my|me|you|your|he|she|his|her|they"),
    _signs(r"(?:tion|ment|ity|ness|ism|ology|osis|itis|ical)s?\b", ()),  # learned words
    _words("the|of|a|an|in|to|and"),
)
_FOUND = (
    _words("which|what"),
    _signs(r"\bhow (?:many|much)\b", ["how"], re.IGNORECASE),
    _words("why"),
    _words("how"),
    _words("if"),
    _words("write|create|implement|function"),
    _signs(r"\b1[5-9]\d\d\b|\b20\d\d\b", "12"),  # a year
    _signs(r"[$%€£]", "$%"),
    _words("statement|following"),
    _signs(r"__", "_"),
)
_SMALL, _JOINING = frozenset(string.ascii_lowercase), frozenset(string.digits + "_")
_DIGITS, _CAPITALS = string.digits.encode("ascii"), string.ascii_uppercase.encode("ascii")
_ALPHANUMERIC = (string.ascii_letters + string.digits).encode("ascii")
_SPACE = (string.whitespace + "\x1c\x1d\x1e\x1f").encode("ascii")  # as `str.isspace` has it
_OPTION = re.compile(r"^\s*\(?[A-J1-9][.):]\s*(.+)$", re.MULTILINE)
_NUMERIC = re.compile(r"[\d\s.,$%/+-]*\d[\d\s.,$%/+-]*")
_OPENS_WITH_QUESTION = re.compile(r"\W*(?:which|what|who|when|where|how|why)\b", re.IGNORECASE)
_OPENS_WITH_ARTICLE = re.compile(r"\W*(?:a|an|the)\b", re.IGNORECASE)


def surface(prompts: Sequence[str]) -> Matrix:
    """The looks of prompts: float64 of shape (len(prompts), columns), not standardised."""
    return np.array([_looks(prompt[:READ_CHARS], len(prompt)) for prompt in prompts], dtype=np.float64)


def _looks(text: str, length: int) -> list[float]:
    chars = max(len(text), 1)
    words = _WORD.findall(text)
    small = [word.lower() for word in words]
    ascii_words = _Words.of(text, small) if text.isascii() else None
    digits, capitals, alphanumeric, spaces = _kinds(text)
    sizes = [len(word) for word in words] or [0]
    lines = text.split("\n")
    widths = [len(line) for line in lines]
    counts = [
        length,
        len(words),
        len(lines),
        len(lines[0]),
        max(widths),
        _mean(widths[1:]),
        _deviation(widths) if len(widths) > 1 else 0.0,
        text.count("?"),
        text.count(","),
        text.count('"') + text.count("'"),
        text.count("("),
        sum([word[0].isupper() for word in words]) if capitals else 0,
        *[sought.times(text, ascii_words) for sought in _COUNTED],
    ]
    shares = [
        _mean(sizes),
        _mean([size > 6 for size in sizes]),
        _mean([size < 4 for size in sizes]),
        len(set(small)) / max(len(words), 1),
        digits / chars,
        capitals / chars,
        (len(text) - alphanumeric - spaces) / chars,
        ascii_words is None,
        *[sought.found(text, ascii_words) for sought in _FOUND],
    ]
    return [*map(math.log1p, counts), *map(float, shares), *_options(text)]


def _mean(values: Sequence[float]) -> float:
    """0 where there are none. NumPy takes longer to look at a dozen numbers than to add a thousand."""
    return sum(values) / len(values) if values else 0.0


def _deviation(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.sqrt(_mean([(value - mean) ** 2 for value in values]))


def _kinds(text: str) -> tuple[int, int, int, int]:
    """How many digits, capitals, letters and digits, spaces. Most prompts are ASCII, and a table of bytes is twenty times as
    fast."""
    if text.isascii():
        rest, size = text.encode("ascii").translate, len(text)
        return (
            size - len(rest(None, _DIGITS)),
            size - len(rest(None, _CAPITALS)),
            size - len(rest(None, _ALPHANUMERIC)),
            size - len(rest(None, _SPACE)),
        )
    kinds = (str.isdigit, str.isupper, str.isalnum, str.isspace)
    digits, capitals, alphanumeric, spaces = (sum(map(is_one, text)) for is_one in kinds)
    return digits, capitals, alphanumeric, spaces


_NO_OPTIONS = (0.0,) * 6


def _options(text: str) -> list[float]:
    """Of the options to choose from: how many, how long, how alike, how near to the question; and how the question ends."""
    found = list(_OPTION.finditer(text))
    question = text[: found[0].start()] if found else text
    ending = question.rstrip()[-1:]
    return [
        *(_among([match[1] for match in found], question) if found else _NO_OPTIONS),
        math.log1p(len(question)),
        float(ending == "?"),
        float(ending == ":"),
        float(ending == "."),
        float(_OPENS_WITH_QUESTION.match(question) is not None),
        float(_OPENS_WITH_ARTICLE.match(question) is not None),
    ]


def _among(options: Sequence[str], question: str) -> list[float]:
    """Of some options: how many, how long, how alike, how near to the question, and how many are numbers."""
    asked = set(question.lower().split())
    bags = [set(option.lower().split()) for option in options[:10]]
    pairs = [len(a & b) / max(len(a | b), 1) for i, a in enumerate(bags) for b in bags[:i]]
    sizes = [len(option.split()) for option in options]
    return [
        math.log1p(len(options)),
        math.log1p(_mean(sizes)),
        _deviation(sizes) / (_mean(sizes) + 1),
        _mean(pairs),
        _mean([len(bag & asked) / max(len(bag), 1) for bag in bags]),
        _mean([_NUMERIC.fullmatch(option) is not None for option in options]),
    ]
