"""The words and word pairs of a prompt as TF-IDF over the commonest terms (Salton and Buckley 1988: (1 + log tf) * idf).

Terms are known by a hash only: nothing of what was asked is kept in the file of a model. Rare terms are left out rather than
folded into shared columns: on 5,000 prompts folding cost a third of what the words explain.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]

COLUMNS = 768
READ_CHARS = 4000  # of a prompt, and half as many of its end where it is longer
TOO_COMMON = 0.5  # share of prompts
TOO_RARE = 2  # prompts

_TOKEN = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")
_ASCII_TOKEN = re.compile(r"[a-z]+|[0-9]+|[^\w\s]")  # the same of ASCII in small letters, in half the time


@dataclass(frozen=True)
class Lexical:
    """Which terms are looked at, and how rare they are."""

    terms: npt.NDArray[np.int64]  # hashes, ascending, shape (d,)
    rarity: npt.NDArray[np.float32]  # shape (d,)

    @classmethod
    def fit(cls, prompts: Sequence[Counter[int]]) -> Lexical:
        """Take the terms that are in the most prompts, though not in half of them; a prompt as its `terms_of`."""
        seen: Counter[int] = Counter()
        for prompt in prompts:
            seen.update(prompt.keys())
        usual = [(n, term) for term, n in seen.items() if TOO_RARE <= n <= TOO_COMMON * len(prompts)]
        kept = sorted(term for _, term in sorted(usual, reverse=True)[:COLUMNS])
        rarity = np.log((1 + len(prompts)) / (1 + np.array([seen[term] for term in kept]))) + 1
        return cls(np.array(kept, dtype=np.int64), rarity.astype(np.float32))

    def rows(self, prompts: Sequence[Counter[int]]) -> Rows:
        """Rows of unit length or zero, float32 of shape (len(prompts), d); a prompt as its `terms_of`."""
        places = self._places
        rows = np.zeros((len(prompts), len(self.terms)), dtype=np.float32)
        for row, prompt in zip(rows, prompts, strict=True):
            found = [(places[term], n) for term, n in prompt.items() if term in places]
            if found:
                at, counts = (np.array(column) for column in zip(*found, strict=True))
                weights = (1 + np.log(counts)) * self.rarity[at]
                row[at] = weights / np.sqrt(weights @ weights)
        return rows

    def row(self, hashes: Sequence[int]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """The row of a single prompt, given its `hashes_of`: which columns are not 0, and what they are."""
        places, counts = self._places, dict[int, int]()
        for place in [places[term] for term in hashes if term in places]:
            counts[place] = counts.get(place, 0) + 1
        rarity = self._rarity
        weights = [rarity[place] if n == 1 else (1.0 + math.log(n)) * rarity[place] for place, n in counts.items()]
        length = math.sqrt(sum([weight * weight for weight in weights])) or 1.0
        return np.array(list(counts), dtype=np.intp), np.array(weights, dtype=np.float64) / length

    @cached_property
    def _rarity(self) -> list[float]:
        found: list[float] = self.rarity.tolist()
        return found

    @cached_property
    def _places(self) -> dict[int, int]:
        return {int(term): i for i, term in enumerate(self.terms)}


def terms_of(prompt: str) -> Counter[int]:
    """Hashes of the words and pairs of words of a prompt, and how often each is there."""
    return Counter(hashes_of(prompt))


def hashes_of(prompt: str) -> list[int]:
    """Hashes of the words of a prompt in their order, then of its pairs of words."""
    if len(prompt) > READ_CHARS * 3 // 2:
        prompt = f"{prompt[:READ_CHARS]}\n{prompt[-READ_CHARS // 2 :]}"
    token = _ASCII_TOKEN if prompt.isascii() else _TOKEN
    words = [zlib.crc32(word.encode()) for word in token.findall(prompt.lower())]
    return words + [(a * 0x9E3779B1 + b) & 0xFFFFFFFF for a, b in pairwise(words)]
