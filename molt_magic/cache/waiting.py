"""Answers that wait for one transaction, to be found like those that are on the disk."""

from __future__ import annotations

from collections.abc import Iterable

from molt_magic.cache.rows import Fresh, VectorRow


class Waiting:
    """Texts by key, and the prompts of some of them by block. Not thread-safe."""

    def __init__(self) -> None:
        self.texts: dict[str, Fresh] = {}
        self.bytes = 0  # of the texts, were each held once
        self._blocks: dict[int, list[VectorRow]] = {}

    def put(self, keys: Iterable[str], fresh: Fresh) -> None:
        """Take in a text, in the place of what waits under these keys."""
        for key in keys:
            self.texts[key] = fresh
        self.bytes += len(fresh.text)
        if (row := fresh.row) is not None:
            self._blocks.setdefault(row.block, []).append(row)

    def holds(self, row: VectorRow) -> bool:
        """Whether the key of this prompt waits with a prompt."""
        fresh = self.texts.get(row.key)
        return fresh is not None and fresh.row is not None

    def of_block(self, block: int) -> list[VectorRow]:
        """The prompts of a block."""
        rows = self._blocks.get(block)
        return [row for row in rows if self.texts[row.key].row is row] if rows else []  # but for the replaced
