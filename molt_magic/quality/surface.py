"""The looks of a prompt as some fifty numbers: lengths, digits, signs, options, question words.

They say how hard a prompt is at least as well as its words do, they cost a fraction of a millisecond, and they mean the same
whatever the topic.
"""

from __future__ import annotations

import math
import re
import string
from bisect import bisect
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from molt_magic.quality.words import words_of

Matrix = npt.NDArray[np.float64]

READ_CHARS = 6000  # of a prompt; what comes after changes none of the numbers much

_WORD = re.compile(r"[^\W\d_]+")
# of an ASCII text: words in small letters that no digit or underscore is joined to, where one is; capitals that begin a word
_SMALL_WHOLE = re.compile(r"\b[a-z]+\b")
_JOINED = re.compile(r"[0-9_](?:(?<=[a-z][0-9_])|(?=[a-z]))")
_INITIAL = re.compile(r"[A-Z](?<![A-Za-z][A-Z])")


class _Sought(NamedTuple):
    """An expression, and what an ASCII text must have one of before it need be looked through: words in small letters, or
    characters that are none; nothing: it always must. Of an expression for whole words those are the words."""

    pattern: re.Pattern[str]
    plain: re.Pattern[str]  # the same of an ASCII text
    needs: frozenset[str]
    whole: bool


def _words(words: str) -> _Sought:
    """One of some words, as a whole."""
    return _signs(rf"\b(?:{words})\b", words.split("|"), re.IGNORECASE)._replace(whole=True)


def _signs(pattern: str, needs: Iterable[str], flags: int = 0) -> _Sought:
    plain = re.compile(pattern, flags if r"\s" in pattern else flags | re.ASCII)  # there is more space in ASCII than that knows
    return _Sought(re.compile(pattern, flags), plain, frozenset(needs), whole=False)


_CODE = "def|class|import|return|for|if|while|assert"
_LINE_OF_CODE = _signs(rf"[{{}};]\s*$|^\s*(?:{_CODE})\b|=>|[=!<>]=", "{}=;", re.MULTILINE)
_COUNTED = (
    _signs(r"\d\d*", string.digits),  # an expression that begins with a repetition is tried at every character
    _signs(r"[=+*/^<>\\$|{}\[\]]", r"=+*/^<>\$|{}[]"),
    _LINE_OF_CODE,
    _signs(r"[.!?](?:\s|$)", ".!?"),
    _words("not|except|least|false|incorrect|never|no|none|neither"),
    _signs(r"[A-Z](?<=[^\W\d_A-Z,] [A-Z])[a-z]+", string.ascii_uppercase),  # names, inside a sentence
    _words("i|my|me|you|your|he|she|his|her|they"),
    _signs(r"(?:tion|ment|ity|ness|ism|ology|osis|itis|ical)s?\b", ()),  # learned words
    _words("the|of|a|an|in|to|and"),
)
_FOUND = (
    _words("which|what"),
    _signs(r"\bhow (?:many|much)\b", ["many", "much"], re.IGNORECASE),
    _words("why"),
    _words("how"),
    _words("if"),
    _words("write|create|implement|function"),
    _signs(r"(?:1(?<!\w1)[5-9]|2(?<!\w2)0)\d\d\b", "12"),  # a year
    _signs(r"[$%€£]", "$%"),
    _words("statement|following"),
    _signs(r"__", "_"),
)
_SOUGHT = (*_COUNTED, *_FOUND)
_WORDS = {word: place for place, sought in enumerate(_SOUGHT) if sought.whole for word in sought.needs}
_ALWAYS = frozenset(place for place, sought in enumerate(_SOUGHT) if not sought.needs)
# which other expressions an ASCII text that has such a word, or such a character, is looked through for
_CALLED_FOR = {
    need: tuple(place for place, sought in enumerate(_SOUGHT) if need in sought.needs and not sought.whole)
    for need in frozenset[str]().union(*(sought.needs for sought in _SOUGHT if not sought.whole))
}
_CALLING = frozenset(_CALLED_FOR)
_BEGIN_CODE, _IS_CODE = frozenset(_CODE.split("|")), _COUNTED.index(_LINE_OF_CODE)
_DIGITS, _CAPITALS = string.digits.encode("ascii"), string.ascii_uppercase.encode("ascii")
_SPACE = string.whitespace + "\x1c\x1d\x1e\x1f"  # as `str.isspace` has it
_PLAIN = (string.ascii_lowercase + _SPACE).encode("ascii")
_OPTION = re.compile(r"^\s*\(?[A-J1-9][.):]\s*(.+)$", re.MULTILINE)
_NUMERIC = re.compile(r"[\d\s.,$%/+-]*\d[\d\s.,$%/+-]*")
_OPENS_WITH_QUESTION = re.compile(r"\W*(?:which|what|who|when|where|how|why)\b", re.IGNORECASE)
_OPENS_WITH_ARTICLE = re.compile(r"\W*(?:a|an|the)\b", re.IGNORECASE)


def surface(prompts: Sequence[str]) -> Matrix:
    """The looks of prompts: float64 of shape (len(prompts), columns), not standardised."""
    return np.array([looks_of(prompt) for prompt in prompts], dtype=np.float64)


def looks_of(prompt: str) -> list[float]:
    """The same of one prompt."""
    text = prompt[:READ_CHARS]
    chars, is_ascii = max(len(text), 1), text.isascii()
    seen = _seen_in_ascii(text) if is_ascii else _seen(text)
    sizes = sorted(map(len, seen.words)) or [0]
    counts = [
        len(prompt),
        len(seen.words),
        *_lines(text),
        text.count("?"),
        text.count(","),
        text.count('"') + text.count("'"),
        text.count("("),
        seen.initials,
        *seen.sought[: len(_COUNTED)],
    ]
    shares = [
        sum(sizes) / len(sizes),
        (len(sizes) - bisect(sizes, 6)) / len(sizes),
        bisect(sizes, 3) / len(sizes),
        seen.distinct / max(len(seen.words), 1),
        seen.digits / chars,
        seen.capitals / chars,
        seen.signs / chars,
        not is_ascii,
        *seen.sought[len(_COUNTED) :],
    ]
    return [*map(math.log1p, counts), *shares, *_options(text)]


class _Seen(NamedTuple):
    """What there is to count in a text."""

    words: Sequence[str]
    distinct: int  # words, whatever their letters' case
    initials: int  # words that begin with a capital
    digits: int
    capitals: int
    signs: int  # what is no letter, digit or space
    sought: list[int]  # how often each of _COUNTED is there, and whether each of _FOUND is


def _in(text: str, place: int, pattern: re.Pattern[str]) -> int:
    """How often, or whether, one of _SOUGHT is in a text."""
    return len(pattern.findall(text)) if place < len(_COUNTED) else pattern.search(text) is not None


def _seen(text: str) -> _Seen:
    words = _WORD.findall(text)
    kinds = (str.isdigit, str.isupper, str.isalnum, str.isspace)
    digits, capitals, alphanumeric, spaces = (sum(map(is_one, text)) for is_one in kinds)
    return _Seen(
        words,
        len({word.lower() for word in words}),
        sum([word[0].isupper() for word in words]),
        digits,
        capitals,
        len(text) - alphanumeric - spaces,
        [_in(text, place, sought.pattern) for place, sought in enumerate(_SOUGHT)],
    )


def _seen_in_ascii(text: str) -> _Seen:
    """The same in a third of the time, and most prompts are ASCII: a table of bytes tells letters apart, and most of what is
    sought needs something that is not there."""
    small = text.lower()
    words = words_of(small)
    distinct = set(words)
    marks = text.encode("ascii").translate(None, _PLAIN)  # all but small letters and spaces
    digits = len(marks) - len(marks.translate(None, _DIGITS))
    begins = "A" <= text[:1] <= "Z"  # as most questions do; of what is sought no capital there is part
    inside = marks[begins:]
    capitals = len(inside) - len(inside.translate(None, _CAPITALS))
    signs = set(inside.decode("ascii"))
    sought, places = [0] * len(_SOUGHT), set(_ALWAYS)
    joined = (digits or "_" in signs) and _JOINED.search(small) is not None
    for word in _SMALL_WHOLE.findall(small) if joined else words:
        if word in _WORDS:
            place = _WORDS[word]
            sought[place] = sought[place] + 1 if place < len(_COUNTED) else True
    for need in _CALLING & (distinct | signs):
        places.update(_CALLED_FOR[need])
    if not _BEGIN_CODE.isdisjoint(distinct if "\n" in text else words[:1]):
        places.add(_IS_CODE)
    for place in places:
        sought[place] = _in(text, place, _SOUGHT[place].plain)
    initials = len(_INITIAL.findall(text)) if capitals else begins
    capitals += begins
    return _Seen(words, len(distinct), initials, digits, capitals, len(marks) - digits - capitals, sought)


def _lines(text: str) -> tuple[int, int, int, float, float]:
    """Of the lines: how many, how wide the first, the widest, those after the first on average, and how far they differ."""
    if "\n" not in text:
        return 1, len(text), len(text), 0.0, 0.0
    widths = [len(line) for line in text.split("\n")]
    return len(widths), widths[0], max(widths), _mean(widths[1:]), _deviation(widths)


def _mean(values: Sequence[float]) -> float:
    """0 where there are none. NumPy takes longer to look at a dozen numbers than to add a thousand."""
    return sum(values) / len(values) if values else 0.0


def _deviation(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.sqrt(_mean([(value - mean) ** 2 for value in values]))


_NO_OPTIONS = (0.0,) * 6


def _options(text: str) -> list[float]:
    """Of the options to choose from: how many, how long, how alike, how near to the question; and how the question ends."""
    if "\n" in text:
        found = list(_OPTION.finditer(text))
    else:
        found = [only] if (only := _OPTION.match(text)) is not None else []
    question = text[: found[0].start()] if found else text
    ending = question.rstrip()[-1:]
    return [
        *(_among([match[1] for match in found], question) if found else _NO_OPTIONS),
        math.log1p(len(question)),
        ending == "?",
        ending == ":",
        ending == ".",
        _OPENS_WITH_QUESTION.match(question) is not None,
        _OPENS_WITH_ARTICLE.match(question) is not None,
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
