"""The vectors of words that were met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_TOKENS = 2048  # of all words at most, 1 kB each


class Words:
    """For every word the vectors of its tokens, as bytes: those of a text are joined in half the time that rows of an array
    take. For one writer, and many readers beside it."""

    def __init__(self, dim: int) -> None:
        self._dim, self._size = dim, 4 * dim
        self._met: dict[str, bytes] = {}
        self._tokens = 0

    def __contains__(self, word: str) -> bool:
        return word in self._met

    def add(self, words: Mapping[str, Sequence[int]], table: NDArray[np.float16]) -> bool:
        """Take in new words by their tokens; whether there was room."""
        tokens = [token for each in words.values() for token in each]
        if self._tokens + len(tokens) > _TOKENS:
            return False
        self._tokens += len(tokens)
        vectors = table.take(np.array(tokens, dtype=np.intp), axis=0).astype(np.float32)
        start = 0
        for word, each in words.items():
            self._met[word] = vectors[start : start + len(each)].tobytes()
            start += len(each)
        return True

    def total(self, words: Sequence[str]) -> NDArray[np.float32]:
        """The sum of the vectors of the tokens of these words, one after the other. Raises KeyError: there is a new one."""
        met = self._met
        joined = b"".join([met[word] for word in words])
        vectors: NDArray[np.float32] = np.ndarray((len(joined) // self._size, self._dim), np.float32, joined)
        total: NDArray[np.float32] = np.add.reduce(vectors)
        return total
