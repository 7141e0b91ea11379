"""The vectors of words that were met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_WORDS = 2048  # at most, 1 kB each


class Words:
    """For every word the sum of the vectors of its tokens, as bytes: those of a text are joined in half the time that rows of
    an array take. For one writer, and many readers beside it.

    Args:
        most: words that it has room for.
    """

    def __init__(self, dim: int, most: int = _WORDS) -> None:
        self._dim, self._most = dim, most
        self._met: dict[str, bytes] = {}

    def __contains__(self, word: str) -> bool:
        return word in self._met

    def add(self, words: Mapping[str, Sequence[int]], table: NDArray[np.float16]) -> bool:
        """Take in new words by their tokens; whether there was room."""
        if len(self._met) + len(words) > self._most:
            return False
        for word, tokens in words.items():
            self._met[word] = np.add.reduce(table.take(tokens, axis=0).astype(np.float32)).tobytes()
        return True

    def total(self, words: Sequence[str]) -> NDArray[np.float32]:
        """The sum of the vectors of these words, one after the other. Raises KeyError: there is a new one."""
        met = self._met
        joined = b"".join([met[word] for word in words])
        vectors: NDArray[np.float32] = np.ndarray((len(words), self._dim), np.float32, joined)
        total: NDArray[np.float32] = np.add.reduce(vectors)
        return total
