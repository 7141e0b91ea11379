"""A tiny deterministic embedder: a bag of hashed words."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class WordEmbedder:
    """Prompts of the same words are at distance 0, prompts with no word in common at about 1."""

    def __init__(self, *, id: str = "words-64", dim: int = 64) -> None:
        self.id = id
        self.dim = dim
        self.calls = 0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls += 1
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().replace("?", "").split():
                seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
                rows[row] += np.random.default_rng(seed).normal(size=self.dim).astype(np.float32)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(lengths == 0, 1, lengths)


class ConstantEmbedder:
    """Calls everything the same: what is refused then is refused by the guard."""

    id = "constant-4"
    dim = 4

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.tile(np.array([[1, 0, 0, 0]], dtype=np.float32), (len(texts), 1))


class FarEmbedder:
    """Calls no two prompts of one call the same."""

    id = "far-8"
    dim = 8

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.eye(8, dtype=np.float32)[: len(texts)]


class BrokenEmbedder:
    id = "broken"
    dim = 4

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise RuntimeError("no model")
