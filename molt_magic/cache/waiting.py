"""Answers that wait for one transaction, to be found like those that are on the disk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from molt_magic.cache.rows import Fresh, VectorRow

if TYPE_CHECKING:
    from molt_magic.cache.index import Vector


class Waiting:
    """Texts by key, and the prompts of some of them by scope. Not thread-safe."""

    def __init__(self) -> None:
        self.texts: dict[str, Fresh] = {}
        self.bytes = 0  # of the texts, were each held once
        self._scopes: dict[tuple[str, str], _Scope] = {}  # by embedder too

    def put(self, keys: Iterable[str], fresh: Fresh) -> None:
        """Take in a text, in the place of what waits under these keys."""
        for key in keys:
            self.texts[key] = fresh
        self.bytes += len(fresh.text)
        if (row := fresh.row) is not None:
            of = (row.scope, row.embedder)
            if (scope := self._scopes.get(of)) is None:
                scope = self._scopes[of] = _Scope()
            scope.add(row)

    def holds(self, row: VectorRow) -> bool:
        """Whether the key of this prompt waits with a prompt."""
        fresh = self.texts.get(row.key)
        return fresh is not None and fresh.row is not None

    def rows(self) -> list[VectorRow]:
        """The prompts."""
        return [row for key, fresh in self.texts.items() if (row := fresh.row) is not None and row.key == key]

    def near(self, scope: str, embedder: str, vector: Vector, *, within: float) -> list[tuple[VectorRow, float]]:
        """The prompts of a scope within this cosine distance, with theirs."""
        found = self._scopes.get((scope, embedder))
        near = [] if found is None else found.near(vector, within)
        return [pair for pair in near if self.texts[pair[0].key].row is pair[0]] if near else near  # but for the replaced


class _Scope:
    """Looks at all of them, whatever their number: they are a few."""

    def __init__(self) -> None:
        self._rows: list[VectorRow] = []
        self._bytes = bytearray()  # of their vectors, and room for more
        self._vectors: Vector | None = None  # the same, as numpy sees it

    def add(self, row: VectorRow) -> None:
        size = len(row.vector)
        start = size * len(self._rows)
        if start == len(self._bytes):
            self._grow(size)
        self._bytes[start : start + size] = row.vector
        self._rows.append(row)

    def _grow(self, size: int) -> None:
        import numpy as np  # it is not loaded by importing the package

        self._bytes = self._bytes + bytes(max(16 * size, len(self._bytes)))
        self._vectors = np.frombuffer(self._bytes, dtype=np.float32).reshape(-1, size // 4)

    def near(self, vector: Vector, within: float) -> list[tuple[VectorRow, float]]:
        assert self._vectors is not None
        likeness = self._vectors[: len(self._rows)].dot(vector)
        if likeness.item(likeness.argmax()) < 1.0 - within:
            return []
        distances = [1.0 - alike for alike in likeness.tolist()]
        return [(row, far) for row, far in zip(self._rows, distances, strict=True) if far <= within]
