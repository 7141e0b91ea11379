"""What of a prompt says which task it is: the words of its instruction, and the looks of the whole.

A prompt is an instruction, often with material (code, an article, a mail) before or after it. The material says little of the
task and drowns the instruction when both are averaged into one vector, so they are told apart first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise

READ_CHARS = 6000  # of the beginning, and a third of it of the end: an instruction in the middle of a book is not looked for
INSTRUCTION_WORDS = 40
_REMEMBERED, _LONGEST = 4096, 40  # pieces, and characters of one: what is longer hardly comes again
CLOSING_WORDS = 30  # a last paragraph up to this long may be an instruction too

_PARAGRAPH = re.compile(r"\n\s*\n|\n(?=\s)")
_WORD = re.compile(r"[^\W\d_]+[+#]*|\d+|[^\w\s]")
_LETTERS = re.compile(r"[^\W\d_]+")
_CODE = re.compile(
    r"[{};]\s*$|^\s*(?:def|class|import|from|return|for|if|while|func|fn|const|let|var|public|private|SELECT|CREATE|INSERT"
    r"|#include|FROM|RUN)\b|=>|[=!<>]=|\w\(.*\)|^\s{2,}\S",
    re.MULTILINE,
)
_BEYOND_OPENING = re.compile(r"[\n{};=(]")  # what of code is not at the beginning of a text has one of these

# Names that stand for their kind: "into Welsh" and "into Dutch" ask for the same, "in Rust" and "in Ruby" too.
_LANGUAGE_NAMES = (
    "english french german spanish italian portuguese dutch polish russian ukrainian chinese mandarin japanese korean arabic "
    "hebrew hindi turkish greek swedish norwegian danish finnish czech slovak hungarian romanian bulgarian croatian serbian "
    "thai vietnamese indonesian swahili persian urdu bengali latin irish welsh catalan basque icelandic estonian "
    "englisch deutsch französisch spanisch italienisch anglais français allemand espagnol italien inglés español francés "
    "alemán italiano inglese francese tedesco spagnolo português inglês francês"
)
_PROGRAMMING_NAMES = (
    "python java javascript typescript js ts rust golang c++ c# ruby php perl sql bash shell powershell kotlin swift haskell "
    "scala julia matlab lua html css react vue angular numpy pandas pytorch pytest jest django flask fastapi excel regex "
    "docker dockerfile terraform kubernetes function script class api query endpoint"
)
_KINDS = dict.fromkeys(_PROGRAMMING_NAMES.split(), "<programming>") | dict.fromkeys(_LANGUAGE_NAMES.split(), "<language>")
_KIND_NAMES = {"<number>", *_KINDS.values()}

Term = str | tuple[str] | tuple[str, str]  # a word or its kind, the beginning of a word, a pair


def instruction(text: str) -> tuple[str, str]:
    """(the instruction, what else may belong to it) of a prompt.

    The first paragraph is the instruction and a short last one belongs to it, unless the first is material (code, or long)
    and the last is short: then it is the other way round.
    """
    if len(text) > READ_CHARS:
        text = f"{text[:READ_CHARS]}\n\n{text[-READ_CHARS // 3 :]}"
    paragraphs = [stripped for part in _PARAGRAPH.split(text) if (stripped := part.strip())]
    if not paragraphs:
        return "", ""
    first, last = paragraphs[0].split(), paragraphs[-1].split() if len(paragraphs) > 1 else []
    closing = " ".join(last) if len(last) <= CLOSING_WORDS else ""
    opening = " ".join(first[:INSTRUCTION_WORDS])
    if closing and (len(first) > 2 * CLOSING_WORDS or looks_like_code(paragraphs[0]) > 1):
        return (opening, closing) if looks_like_code(paragraphs[-1]) else (closing, "")
    return opening, closing


def looks_like_code(text: str) -> int:
    """How many places of a text look like source code."""
    read = text[:READ_CHARS]
    if _BEYOND_OPENING.search(read) is None:  # only its beginning can: most prompts are a line without such signs
        return int(_CODE.match(read) is not None)
    return len(_CODE.findall(read))


def terms(opening: str, closing: str) -> list[Term]:
    """Words, word beginnings and word pairs of an instruction, with names of languages and numbers as their kind."""
    words = _WORD.findall(opening.lower())
    kinds = _kinds(words)
    found: list[Term] = [*words, *_beginnings(words), *zip(["^", *kinds], kinds, strict=False)]
    if kinds != words:
        found += kinds
    if closing:
        found += _LETTERS.findall(closing.lower())
    return found


class Vocabulary:
    """Some terms, each with a place. What a piece of a prompt adds is remembered, as most come again and again.

    Args:
        terms: in the order of their places.
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        self._places = {term: place for place, term in enumerate(terms)}
        self._pairs: dict[str, dict[str, int]] = {}  # first kind -> second -> place
        for place, term in enumerate(terms):
            if isinstance(term, tuple) and len(term) == 2:
                self._pairs.setdefault(term[0], {})[term[1]] = place
        self._met: dict[str, _Piece] = {}

    def __len__(self) -> int:
        return len(self._places)

    def places(self, opening: str, closing: str) -> list[int]:
        """Of the `terms` of an instruction, ascending: a sum over them is the same in every process."""
        found: set[int] = set()
        pairs = self._pairs.get("^", _NO_PAIRS)
        for piece in opening.split():
            within, first, following = self._met.get(piece) or self._meet(piece)
            found.update(within)
            if first in pairs:
                found.add(pairs[first])
            if first:
                pairs = following
        if closing:
            found.update([self._places[word] for word in _LETTERS.findall(closing.lower()) if word in self._places])
        return sorted(found)

    def _meet(self, piece: str) -> _Piece:
        words = _WORD.findall(piece.lower())
        kinds = _kinds(words)
        own: list[Term] = [*words, *kinds, *_beginnings(words), *pairwise(kinds)]
        places = tuple([self._places[term] for term in own if term in self._places])
        told = (places, kinds[0], self._pairs.get(kinds[-1], _NO_PAIRS)) if kinds else (places, "", _NO_PAIRS)
        if len(piece) <= _LONGEST:
            if len(self._met) >= _REMEMBERED:
                self._met.clear()
            self._met[piece] = told
        return told


# of what stands between two spaces: the places of its terms, the kind of its first word ("": it has none), and the pairs that
# begin with the kind of its last: second -> place
_Piece = tuple[tuple[int, ...], str, dict[str, int]]
_NO_PAIRS: dict[str, int] = {}


def _kinds(words: Sequence[str]) -> list[str]:
    return ["<number>" if word.isdigit() else _KINDS.get(word, word) for word in words]


def _beginnings(words: Sequence[str]) -> list[tuple[str]]:
    return list(zip([word[:5] for word in words if len(word) > 5]))


def spelled(term: Term) -> str:
    """A term in one string, to sort by."""
    if isinstance(term, str):
        return term if term in _KIND_NAMES else f"word {term}"
    return " ".join(("begins" if len(term) == 1 else "pair", *term))


def looks(text: str, opening: str) -> list[float]:
    """Length, code, question mark, material, script, quotes, brevity and ending of a prompt, as numbers of about one.

    Args:
        opening: of its instruction.
    """
    words = len(text[: 4 * READ_CHARS].split())
    head = text[:READ_CHARS]
    foreign = 0 if head.isascii() else sum(ord(character) > 0x24F for character in head)  # past Latin and its extensions
    ending = text.rstrip()[-1:]
    return [
        math.log1p(words) / 2,
        min(looks_like_code(text), 4) / 2,
        ending == "?" or opening.endswith("?"),
        len(opening) < len(text.strip()) - 10,
        min(foreign, 4) / 2,
        '"' in text,
        words < 4,
        ending in (".", ":"),
    ]
