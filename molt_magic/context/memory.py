"""Memory: passages of turns that no longer fit, found again by what the question is about."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from molt_magic.context.turns import Turn, transcript
from molt_magic.tokens import split

if TYPE_CHECKING:
    from molt_magic.embed import Embedder

PASSAGE_TOKENS = 120  # one or two facts: smaller loses what a pronoun stands for, larger blurs the vector


class Memory:
    """Texts of one question's history and their vectors, in this process only; thread-safe.

    Args:
        embedder: makes the vectors; unit rows are expected.
        max_items: how many texts are kept; the oldest go first.
    """

    def __init__(self, embedder: Embedder, *, max_items: int = 5000) -> None:
        self.embedder = embedder
        self.max_items = max_items
        self._texts: dict[str, str] = {}  # hash -> text, oldest first
        self._vectors: npt.NDArray[np.float32] | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._texts)

    def remember(self, texts: Iterable[str]) -> int:
        """Add what is not known yet (compared by content); the number of texts added."""
        stripped = (text.strip() for text in texts)
        named = {hashlib.sha256(text.encode()).hexdigest(): text for text in stripped if text}
        with self._lock:
            new = {key: text for key, text in named.items() if key not in self._texts}
            if not new:
                return 0
            vectors = np.asarray(self.embedder.embed(list(new.values())), dtype=np.float32)
            self._vectors = vectors if self._vectors is None else np.vstack([self._vectors, vectors])
            self._texts |= new
            surplus = len(self._texts) - self.max_items
            if surplus > 0:
                self._vectors = self._vectors[surplus:]
                for key in list(self._texts)[:surplus]:
                    del self._texts[key]
            return len(new)

    def recall(self, query: str, k: int = 8) -> list[tuple[str, float]]:
        """The `k` texts nearest to the query with their cosine similarity, nearest first."""
        with self._lock:
            if self._vectors is None or k < 1 or not query.strip():
                return []
            similarity = self._vectors @ np.asarray(self.embedder.embed([query]), dtype=np.float32)[0]
            texts = list(self._texts.values())
            nearest = np.argsort(-similarity, kind="stable")[:k]
            return [(texts[i], float(similarity[i])) for i in nearest]


def passages(turns: Sequence[Turn], family: str) -> list[str]:
    """The turns as passages of at most `PASSAGE_TOKENS`, each with its speaker."""
    return [
        piece.strip()
        for turn in turns
        for message in turn
        for piece in split(transcript([message]), PASSAGE_TOKENS, family)
        if piece.strip()
    ]
