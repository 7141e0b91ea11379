"""What any embedder gives, as rows that can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molt_magic.cache.index import Vector
    from molt_magic.embed import Embedder


def unit_rows(embedder: Embedder, texts: Sequence[str]) -> Vector | None:
    """Vectors of unit length, or None where a text has none (no known token)."""
    import numpy as np

    vectors: Vector = np.asarray(embedder.embed(texts), dtype=np.float32)
    lengths: Vector = np.sqrt(
        np.add.reduce(vectors * vectors, axis=1, keepdims=True)
    )  # as np.linalg.norm, without its preliminaries
    if not np.isfinite(lengths).all() or (lengths <= 1e-6).any():
        return None
    unit: Vector = vectors / lengths
    return unit
