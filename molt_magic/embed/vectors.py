"""Unit vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """`rows` scaled to unit length; a row of zeros stays one."""
    import numpy as np

    # as np.linalg.norm, without its preliminaries
    lengths: NDArray[np.float32] = np.sqrt(np.add.reduce(rows * rows, axis=1, keepdims=True))
    lengths[lengths == 0] = 1
    unit: NDArray[np.float32] = rows / lengths
    return unit
