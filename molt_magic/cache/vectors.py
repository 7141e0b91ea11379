"""What any embedder gives, as rows that can be compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molt_magic.cache.index import Vector
    from molt_magic.embed import Embedder


def unit_vectors(embedder: Embedder, texts: Sequence[str]) -> list[Vector] | None:
    """Vectors of unit length, or None where a text has none (no known token)."""
    import numpy as np

    found: list[Vector] = []
    for vector in np.asarray(embedder.embed(texts), dtype=np.float32):
        length = math.sqrt(vector.dot(vector))
        if not 1e-6 < length < math.inf:  # false of NaN too
            return None
        found.append(vector if abs(length - 1.0) < 1e-6 else vector / length)
    return found
