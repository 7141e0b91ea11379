"""What `tidy` takes for the same although a prompt may be about it: white space, and the forms that a character has in Unicode.

White space counts inside quotes, backticks and code blocks, in indented and tabbed material, and everywhere in a prompt that
speaks of such things or is not surely English. Around a prompt and at the ends of its lines it counts only where it is spoken
of.
"""

from __future__ import annotations

import re
from functools import lru_cache

from molt_magic.cache.plain import is_english
from molt_magic.cache.text import KEPT, straight, tidy
from molt_magic.cache.words import ABOUT_CHARACTERS, ABOUT_SPACES

# A single space or a single line end is no matter of this module; before others stands the end of a word, a sign or nothing.
_RUN = re.compile(r"((?<!\w)\w++|(?<=[^\w\s]))(\s{2,}+|[^\S \n])(?=(\w*))")
_LITERAL = re.compile(r"```(?s:.*?)(?:```|\Z)|`[^`\n]+`|\"[^\"]*\"|(?<!\w)'[^'\n]+'(?!\w)|^[^\S\n]+\S.*$", re.MULTILINE)
_ODD = re.compile(r"\S(?:\s\s|[^\S \n])")
_LETTERS = re.compile(r"[a-z]+")
_INDENT = 4  # spaces before the first of several lines, from which they are taken for code and not for a slip


@lru_cache(maxsize=KEPT)
def spacing(text: str) -> tuple[str, ...]:
    """The white space that counts in a prompt, with what stands beside it; and its characters, if it is about characters."""
    if text.isascii() and text.isprintable() and "  " not in text and text == text.strip():
        return ()
    inner = text.strip().lower()
    words = set(_LETTERS.findall(inner))
    about_characters = not words.isdisjoint(ABOUT_CHARACTERS)
    if about_characters or not words.isdisjoint(ABOUT_SPACES):
        found = [*_runs(inner), _end(text), *([char for char in inner if not char.isascii()] if about_characters else ())]
    else:
        found = _literal(straight(inner.replace("\r\n", "\n")))
    return tuple([part for part in (_margin(text), *found) if part])


def _literal(text: str) -> list[str]:
    """What has such white space and stands in quotes or is code, and the rows of tables; outside English, all of its lines."""
    within = [run for run in _runs(text) if "\n" not in run]
    counted = [run for run in within if "\t" in run or not is_english(tidy(text))]
    return counted + [part for part in _LITERAL.findall(text) if _ODD.search(part)]


def _runs(text: str) -> list[str]:
    return ["".join(sides) for sides in _RUN.findall(text)]


def _margin(text: str) -> str:
    """What indents the first of several lines, if they may be code."""
    before = text[: len(text) - len(text.lstrip())].rpartition("\n")[2]
    return f"{before}|" if "\n" in text.strip() and ("\t" in before or len(before) >= _INDENT) else ""


def _end(text: str) -> str:
    """What follows the last word on its line."""
    return text[len(text.rstrip()) :].partition("\n")[0].rstrip("\r")
