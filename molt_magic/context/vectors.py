"""The vector of a text, made once: a conversation's older turns come again with every question."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from molt_magic.embed import Embedder


class Vectors:
    """An embedder that knows the texts it was given last; thread-safe. It keeps their hashes and vectors, no words.

    Args:
        embedder: makes the vectors.
        max_items: how many vectors are kept; those not asked for longest go first.
    """

    def __init__(self, embedder: Embedder, *, max_items: int = 5000) -> None:
        self.embedder = embedder
        self.max_items = max_items
        self._rows: dict[bytes, npt.NDArray[np.float32]] = {}  # hash -> vector, the one asked for last at the end
        self._lock = threading.Lock()

    @property
    def id(self) -> str:
        return self.embedder.id

    @property
    def dim(self) -> int:
        return self.embedder.dim

    def __len__(self) -> int:
        return len(self._rows)

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors of `texts`; see `Embedder`."""
        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        with self._lock:
            rows = {key: self._rows[key] for key in keys if key in self._rows}
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in rows}
        if new:
            made = np.asarray(self.embedder.embed(list(new.values())), dtype=np.float32)
            rows |= {key: row.copy() for key, row in zip(new, made, strict=True)}  # a view would keep all of them
        self._keep(rows)
        return np.array([rows[key] for key in keys], dtype=np.float32).reshape(len(keys), self.dim)

    def _keep(self, rows: dict[bytes, npt.NDArray[np.float32]]) -> None:
        with self._lock:
            for key, row in rows.items():
                self._rows.pop(key, None)
                self._rows[key] = row
            for key in list(self._rows)[: -self.max_items]:
                del self._rows[key]
