"""One form of what is the same text, and the words that are in it."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from molt_magic.cache.words import CONTRACTIONS

KEPT = 16  # texts whose forms are remembered: what is asked is compared with several neighbours, by several checks each
_QUOTES = str.maketrans({"‘": "'", "’": "'", "‚": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"'})  # noqa: RUF001
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_SPACES = re.compile(r"(?<=\S)[ \t\u00a0]+")
# What joins letters into an identifier, a path, an address or a hyphenated word belongs to the word.
WORD = re.compile(r"\w+(?:['.\-/@:&+#]+\w+)*(?:\+\+|#)?")
# of ASCII, a space for what is in no word: between spaces there is then one word as a rule
_APART = bytes(byte if chr(byte).isalnum() or chr(byte) in "_'.-/@:&+#" else ord(" ") for byte in range(128)).ljust(256)


@lru_cache(maxsize=KEPT)
def tidy(text: str) -> str:
    """One form of the same text. Not NFKC, which would make x² an x2. Indentation is kept: it may be code."""
    if not text.isascii():
        text = straight(unicodedata.normalize("NFC", text))
    lines = text.strip().splitlines()
    if len(lines) == 1:
        return _spaced(lines[0])
    return "\n".join([_spaced(line) for line in map(str.rstrip, lines) if line])


def straight(text: str) -> str:
    """With straight quotes."""
    return text.translate(_QUOTES)


def _spaced(line: str) -> str:
    return _SPACES.sub(" ", line) if "  " in line or "\t" in line or "\u00a0" in line else line


def ungrouped(text: str) -> str:
    """1,000 as 1000."""
    if "," not in text:
        return text
    return _GROUPED.sub(lambda match: match[0].replace(",", ""), text)


@lru_cache(maxsize=KEPT)
def words_of(text: str) -> list[str]:
    """What WORD finds; without it, which takes ten times as long, where that is soon seen."""
    if not text.isascii():
        return WORD.findall(text)
    parts = text.encode().translate(_APART).decode().strip(".")
    found = parts.split()
    if parts.replace(" ", "").isalnum():
        return found
    return [word for part in found for word in ((part,) if part.isalnum() else WORD.findall(part))]


@lru_cache(maxsize=KEPT)
def lowered_words_of(text: str) -> list[str]:
    """Its words in lower case."""
    return " ".join(words_of(text)).lower().split(" ")


def written_out(word: str) -> list[str]:
    """The words that a contraction is of; of any other word, itself."""
    return CONTRACTIONS.get(word, word).split()
