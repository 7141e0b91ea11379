"""The second embedder's word on two prompts that the first called near and the guard let pass."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molt_magic.cache.index import Vector
    from molt_magic.embed import Embedder

VERIFIED_SIMILARITY = 0.85  # cosine of the second embedder, of prompts whose words the guard has found to agree
REMEMBERED = 512  # vectors: milliseconds each to make, and the same few neighbours are met again and again


class SecondOpinion:
    """Compares prompts by a better, slower embedder.

    Args:
        make: makes it when it is first needed; None: there is none.
    """

    def __init__(self, make: Callable[[], Embedder | None]) -> None:
        self._make = make
        self._made = False
        self._embedder: Embedder | None = None
        self._lock = threading.Lock()  # of its making; never held while embedding
        self._vectors: OrderedDict[str, Vector] = OrderedDict()

    @property
    def there(self) -> bool:
        """Whether there is a second embedder. Raises what its making raises, once."""
        with self._lock:
            if not self._made:
                self._made = True
                self._embedder = self._make()
            return self._embedder is not None

    def give_up(self) -> None:
        """Its model cannot be used: it is not tried again."""
        with self._lock:
            self._embedder = None

    def agrees(self, asked: str, stored: str) -> bool:
        """Whether the two mean the same. Raises what the embedder raises."""
        from molt_magic.cache.plain import core

        one, two = core(asked), core(stored)
        if one == two:
            return True  # one text, one vector
        embedder = self._embedder
        if embedder is None:
            return False
        found = self._known(embedder, one, two)
        return found is not None and float(found[0] @ found[1]) >= VERIFIED_SIMILARITY

    def _known(self, embedder: Embedder, one: str, two: str) -> tuple[Vector, Vector] | None:
        """Both vectors, those that are not remembered made at once; None where a text has none."""
        from molt_magic.cache.vectors import unit_vectors

        with self._lock:
            held = {text: vector for text in (one, two) if (vector := self._vectors.get(text)) is not None}
        missing = [text for text in (one, two) if text not in held]
        if missing:
            for text, vector in zip(missing, unit_vectors(embedder, missing), strict=True):
                if vector is None:
                    return None
                held[text] = vector
        with self._lock:
            for text, vector in held.items():
                self._vectors[text] = vector
                self._vectors.move_to_end(text)
            while len(self._vectors) > REMEMBERED:
                self._vectors.popitem(last=False)
        return held[one], held[two]
