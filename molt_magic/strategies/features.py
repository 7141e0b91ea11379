"""What of a prompt says which task it is: the words of its instruction, and the looks of the whole.

A prompt is an instruction, often with material (code, an article, a mail) before or after it. The material says little of the
task and drowns the instruction when both are averaged into one vector, so they are told apart first.
"""

from __future__ import annotations

import math
import re

READ_CHARS = 6000  # of the beginning, and a third of it of the end: an instruction in the middle of a book is not looked for
INSTRUCTION_WORDS = 40
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
    kinds = ["<number>" if word.isdigit() else _KINDS.get(word, word) for word in words]
    beginnings = [word[:5] for word in words if len(word) > 5]
    found: list[Term] = [*words, *zip(beginnings), *zip(["^", *kinds], kinds, strict=False)]
    if kinds != words:
        found += kinds
    if closing:
        found += _LETTERS.findall(closing.lower())
    return found


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
