"""The vectors of words that were met."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

_WORDS = 2048  # at most, 1 kB each


class Words(dict[str, bytes]):
    """For every word the sum of the vectors of its tokens, as bytes: those of a text are joined in half the time that rows of
    an array take. A word is learned when it is looked up first; with no room left all others are forgotten. For any number of
    threads: who learns the same learns it alike.

    Args:
        tokens: of a word.
        table: a row for every token.
    """

    def __init__(self, tokens: Callable[[str], Sequence[int]], table: NDArray[np.float16]) -> None:
        super().__init__()
        self._tokens, self._table = tokens, table

    def __missing__(self, word: str) -> bytes:
        if len(self) >= _WORDS:
            self.clear()
        self[word] = vector = self.of_tokens(self._tokens(word)).tobytes()
        return vector

    def of_tokens(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """The sum of the vectors of these tokens, one after the other."""
        rows = self._table.take(np.array(tokens, dtype=np.intp), axis=0)
        total: NDArray[np.float32] = np.add.reduce(rows.astype(np.float32))
        return total

    def total(self, words: Sequence[str]) -> NDArray[np.float32]:
        """The sum of the vectors of these words, one after the other."""
        joined = b"".join([self[word] for word in words])
        vectors: NDArray[np.float32] = np.ndarray((len(words), self._table.shape[1]), np.float32, joined)
        total: NDArray[np.float32] = np.add.reduce(vectors)
        return total
