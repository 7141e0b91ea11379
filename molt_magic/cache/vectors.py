"""What any embedder gives, as rows that can be compared, and what the cache's own makes of prompts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molt_magic.cache.index import Vector
    from molt_magic.cache.rows import VectorRow
    from molt_magic.embed import Embedder


class PromptVectors:
    """The vectors of prompts, one for all phrasings that the guard takes for the same.

    Args:
        make: makes the embedder when it is first needed.
    """

    def __init__(self, make: Callable[[], Embedder]) -> None:
        self._make = make
        self._made: Embedder | None = None

    @property
    def embedder(self) -> Embedder:
        """It, with its weights read. Raises what its making and its first use raise."""
        if self._made is None:
            embedder = self._make()
            embedder.embed(["a"])  # not in the writer's thread: whoever is forked while that reads the weights waits for ever
            self._made = embedder
        return self._made

    def give(self, rows: Sequence[VectorRow]) -> None:
        """Give prompts that are to be stored their vectors, as far as they have one."""
        for row, vector in zip(rows, self.of([row.prompt for row in rows]), strict=True):
            if vector is not None:
                row.vector = vector.tobytes()

    def of(self, prompts: Sequence[str]) -> list[Vector | None]:
        """Of unit length; None for a prompt of which the embedder knows no word."""
        from molt_magic.cache.plain import gist  # its patterns take a while to make

        # of what is asked only: an embedder that knows capitals calls "france" and "France" strangers
        return unit_vectors(self.embedder, [gist(prompt) for prompt in prompts])


def unit_vectors(embedder: Embedder, texts: Sequence[str]) -> list[Vector | None]:
    """Vectors of unit length; None for a text that has none (no known token)."""
    import numpy as np

    return [_unit(vector) for vector in np.asarray(embedder.embed(texts), dtype=np.float32)]


def _unit(vector: Vector) -> Vector | None:
    length = math.sqrt(vector.dot(vector))
    if not 1e-6 < length < math.inf:  # false of NaN too
        return None
    return vector if abs(length - 1.0) < 1e-6 else vector / length
