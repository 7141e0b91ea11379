"""The looks of a prompt as some fifty numbers: lengths, digits, signs, options, question words.

They say how hard a prompt is at least as well as its words do, they cost a fraction of a millisecond, and they mean the same
whatever the topic.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

READ_CHARS = 6000  # of a prompt; what comes after changes none of the numbers much

_WORD = re.compile(r"[^\W\d_]+")


def _whole(words: str) -> str:
    """The expression for one of some words, as a whole."""
    return rf"\b(?:{words})\b"


_COUNTED = tuple(
    re.compile(pattern, flags)
    for pattern, flags in (
        (r"\d+", 0),
        (r"[=+*/^<>\\$|{}\[\]]", 0),
        (r"[{};]\s*$|^\s*(?:def|class|import|return|for|if|while|assert)\b|=>|[=!<>]=", re.MULTILINE),
        (r"[.!?](?:\s|$)", 0),
        (_whole("not|except|least|false|incorrect|never|no|none|neither"), re.IGNORECASE),
        (r"(?<=[^\W\d_A-Z,] )[A-Z][a-z]+", 0),  # names, inside a sentence
        (_whole("i|my|me|you|your|he|she|his|her|they"), re.IGNORECASE),
        (r"(?:tion|ment|ity|ness|ism|ology|osis|itis|ical)s?\b", 0),  # learned words
        (_whole("the|of|a|an|in|to|and"), re.IGNORECASE),
    )
)
_FOUND = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        _whole("which|what"),
        r"\bhow (?:many|much)\b",
        _whole("why"),
        _whole("how"),
        _whole("if"),
        _whole("write|create|implement|function"),
        r"\b1[5-9]\d\d\b|\b20\d\d\b",  # a year
        r"[$%€£]",
        _whole("statement|following"),
        r"__",
    )
)
# of the expressions above for whole words, the words: an ASCII text without one of them need not be looked through
_WORDS_OF = {
    pattern: frozenset(pattern.pattern[5:-3].split("|"))
    for pattern in (*_COUNTED, *_FOUND)
    if re.fullmatch(r"\\b\(\?:[a-z|]+\)\\b", pattern.pattern)
}
_ALPHANUMERIC = string.ascii_letters + string.digits
_SPACE = string.whitespace + "\x1c\x1d\x1e\x1f"  # as `str.isspace` has it
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
    said, ascii_only = {word.lower() for word in words}, text.isascii()

    def absent(pattern: re.Pattern[str]) -> bool:
        return ascii_only and (those := _WORDS_OF.get(pattern)) is not None and said.isdisjoint(those)

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
        _deviation(widths),
        text.count("?"),
        text.count(","),
        text.count('"') + text.count("'"),
        text.count("("),
        sum(word[0].isupper() for word in words),
        *(0 if absent(pattern) else len(pattern.findall(text)) for pattern in _COUNTED),
    ]
    shares = [
        _mean(sizes),
        _mean([size > 6 for size in sizes]),
        _mean([size < 4 for size in sizes]),
        len(said) / max(len(words), 1),
        _count(text, str.isdigit, string.digits) / chars,
        _count(text, str.isupper, string.ascii_uppercase) / chars,
        (len(text) - _count(text, str.isalnum, _ALPHANUMERIC) - _count(text, str.isspace, _SPACE)) / chars,
        not ascii_only,
        *(not absent(pattern) and pattern.search(text) is not None for pattern in _FOUND),
    ]
    return [*map(math.log1p, counts), *map(float, shares), *_options(text)]


def _mean(values: Sequence[float]) -> float:
    """0 where there are none. NumPy takes longer to look at a dozen numbers than to add a thousand."""
    return sum(values) / len(values) if values else 0.0


def _deviation(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.sqrt(_mean([(value - mean) ** 2 for value in values]))


def _count(text: str, is_one: Callable[[str], bool], ascii_ones: str) -> int:
    """How many characters are of a kind. Most prompts are ASCII, and a table of bytes is twenty times as fast."""
    if not text.isascii():
        return sum(map(is_one, text))
    return len(text) - len(text.encode("ascii").translate(None, ascii_ones.encode("ascii")))


def _options(text: str) -> list[float]:
    """Of the options to choose from: how many, how long, how alike, how near to the question; and how the question ends."""
    found = list(_OPTION.finditer(text))
    options = [match[1] for match in found]
    question = text[: found[0].start()] if found else text
    asked = set(question.lower().split())
    bags = [set(option.lower().split()) for option in options[:10]]
    pairs = [len(a & b) / max(len(a | b), 1) for i, a in enumerate(bags) for b in bags[:i]]
    sizes = [len(option.split()) for option in options] or [0]
    ending = question.rstrip()[-1:]
    return [
        math.log1p(len(options)),
        math.log1p(_mean(sizes)),
        _deviation(sizes) / (_mean(sizes) + 1),
        _mean(pairs),
        _mean([len(bag & asked) / max(len(bag), 1) for bag in bags]),
        _mean([_NUMERIC.fullmatch(option) is not None for option in options]),
        math.log1p(len(question)),
        float(ending == "?"),
        float(ending == ":"),
        float(ending == "."),
        float(_OPENS_WITH_QUESTION.match(question) is not None),
        float(_OPENS_WITH_ARTICLE.match(question) is not None),
    ]
