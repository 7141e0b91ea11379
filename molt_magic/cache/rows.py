"""What the cache's file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from molt_magic.frozen import fast_init


@dataclass(slots=True, eq=False)
class VectorRow:
    """The semantic side of an entry, as stored; the vector is made just before."""

    seq: int  # 0 until it is stored
    key: str
    scope: str
    embedder: str
    prompt: str
    vector: bytes  # float32, unit length; none before, or where the prompt has none
    block: int = 0  # of `molt_magic.cache.block`


@fast_init
@dataclass(frozen=True, slots=True, eq=False)
class Fresh:
    """A text that is to be stored, under the keys it is given with."""

    text: str
    stored: float  # seconds since the epoch
    expires: float  # likewise
    row: VectorRow | None = None  # of one of the keys


def prompts_of(fresh: Mapping[str, Fresh]) -> list[VectorRow]:
    """The semantic sides of texts by their keys, each once."""
    return [row for key, each in fresh.items() if (row := each.row) is not None and row.key == key]
