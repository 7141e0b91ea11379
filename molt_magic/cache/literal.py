"""What must agree as it stands between two prompts of one answer: code, quotes, signs, numbers, negations, capitals."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from molt_magic.cache.text import KEPT, ungrouped, written_out
from molt_magic.cache.words import ACRONYMS_TOO, AMBIGUOUS_CASE, NEGATIONS, NUMBER_WORDS

_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`|^[ \t]+\S.*$", re.MULTILINE)
_QUOTED = re.compile(r'"([^"\n]*)"|(?<!\w)\'([^\'\n]+)\'(?!\w)')
_NUMBER = re.compile(r"(?:(?<!\w)\.)?\d(?:[\d.,:/-]*\d)?|[^\W\d_]+(?:-[^\W\d_]+)*")
_ANY_SIGN = re.compile(r"[^\w\s.,;:?]")  # without one of these there is no sign
_SIGN = re.compile(
    r"[^\w\s.,;:!?'\"\-]"  # brackets, operators, currencies, emoji
    r"|(?<![^\W\d_])-(?=\s*\.?\d)|(?<=\d)\s*-|(?<!\S)-+(?=\w)"  # minus, and the dashes of a flag
    r"|(?<=\w)[-+](?![\w+])"  # a charge: Na+
    r"|(?<=\d)[!\"]|(?<=\b[a-z])!|(?<=\w)'(?!\w)"  # factorial, inches, feet, derivative
)
_IDENTIFIER = re.compile(
    r"\w*[a-z]\w*[A-Z]\w*|\w*_\w*|\w*[^\W\d_]\w*\d\w*|\w*\d\w*[^\W\d_]\w*|\w+[./@:&+#]\S+|[A-Z]{2,}\w*|\w+(?:\+\+|#)"
)


def quiet(text: str) -> str:
    """Where all is in capitals, they say nothing."""
    return text.lower() if text.isupper() and text.count(" ") > 1 else text


def code(text: str) -> list[str]:
    """Blocks between fences, then what is between backticks and what is indented."""
    return _FENCED.findall(text) + _CODE.findall(_FENCED.sub(" ", text))


def quoted(text: str) -> list[str]:
    """What stands between quotes; an apostrophe is none."""
    return [double or single for double, single in _QUOTED.findall(text)]


@lru_cache(maxsize=KEPT)
def signs(text: str) -> list[str]:
    """Each sign with the word on either side of it, in order: "2 - x" is not "x - 2", even where the words agree."""
    found: list[str] = []
    if text.rstrip("?.").replace(" ", "").isalnum() or _ANY_SIGN.search(text) is None:
        return found
    for sign in _SIGN.finditer(text):
        before, after = re.search(r"(\w*)\s*$", text[: sign.start()][-40:]), re.match(r"\s*(\w*)", text[sign.end() :][:40])
        sides = [side[1] if side else "" for side in (before, after)]
        # of a letter the case counts: the flags -d and -D, the classes \d and \D
        found.append(sign[0].strip().join(side if len(side) == 1 else side.lower() for side in sides))
    return found


def numbers(text: str) -> list[str]:
    """Numbers in their order, "three" as 3; 3.1 and 3.10 are two."""
    found = []
    for token in _NUMBER.findall(ungrouped(text)):
        if not token[0].isalpha():
            found.append(token)
        else:
            found += [NUMBER_WORDS[part] for part in token.lower().split("-") if part in NUMBER_WORDS and part != "one"]
    return found


def negations(words: Iterable[str]) -> Counter[str]:
    """How often each is there, "don't" as "not"."""
    lowered = (part for word in words for part in written_out(word.lower()))
    return Counter("not" if word.endswith("n't") else word for word in lowered if word in NEGATIONS or word.endswith("n't"))


def capitals_differ(left: list[str], right: list[str], verified: bool) -> str | None:
    """A word of `left` whose capitals differ in `right` where that can mean something else.

    The first word of a prompt is free, and so are ordinary names for a writer who uses no capitals at all; where a
    second embedder is asked, all words that mean one thing only.
    """
    forms: dict[str, set[str]] = {}
    for word in right:
        forms.setdefault(word.lower(), set()).add(word)
    careful = not verified and any(word[0].isupper() and word != "I" for word in right[1:])
    for index, word in enumerate(left):
        others = forms.get(word.lower())
        if others is None or word in others or word.lower() in ("i", "i'm", "i've", "i'll", "i'd"):
            continue
        opens = index == 0 or word.lower() == right[0].lower()
        if any(_IDENTIFIER.fullmatch(form) for form in (word, *others)) and not (verified and _shouted(word, others)):
            return f"{word} / {min(others)}"
        if word[0].isupper() and not opens and (careful or word.lower() in AMBIGUOUS_CASE):
            return f"{word} / {min(others)}"
    return None


def _shouted(word: str, others: set[str]) -> bool:
    """Whether capitals throughout are the only difference, and the word is one only: GRE and gre, but not WHO and who."""
    plain = word.lower()
    forms = {plain, plain.upper(), plain.capitalize()}
    return plain.isalpha() and len(plain) > 1 and plain not in ACRONYMS_TOO | AMBIGUOUS_CASE and {word, *others} <= forms
