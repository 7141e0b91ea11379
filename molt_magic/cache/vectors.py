"""What any embedder gives, as rows that can be compared."""

from __future__ import annotations

import math
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
    # one look at each end: the comparison is false of NaN
    if not (lengths.min(initial=math.inf) > 1e-6 and lengths.max(initial=0.0) < math.inf):
        return None
    unit: Vector = vectors / lengths
    return unit
