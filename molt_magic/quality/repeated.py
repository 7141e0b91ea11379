"""Which prompts are one text asked again: what is learned from one of them says nothing new of another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def numbered(texts: Sequence[str]) -> npt.NDArray[np.intp]:
    """The number of the text that each is, shape (n,): 0, 1, 2 and so on, in the order in which they first come."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text, len(numbers)) for text in texts], dtype=np.intp)


def most_repeated(numbers: npt.NDArray[np.intp]) -> int:
    """How often the most frequent text is there; 0 of none."""
    return int(np.bincount(numbers).max(initial=0))
