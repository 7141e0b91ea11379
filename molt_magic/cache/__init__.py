"""Answers kept for the next time they are asked for: the exact request, or one that means the same.

Nothing here ever fails a request. A cache that cannot be read or written is a miss, said once in the log
(`molt_magic.cache`); only `forget` and `clear`, which somebody asked for, raise.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molt_magic.cache.vectors import PromptVectors
from molt_magic.errors import StoreError

if TYPE_CHECKING:
    from molt_magic.cache.memory import MemoryStore
    from molt_magic.cache.neighbours import Neighbours
    from molt_magic.cache.rows import VectorRow
    from molt_magic.cache.writer import Writer
    from molt_magic.embed import Embedder

logger = logging.getLogger("molt_magic.cache")

CLOCK_SLACK_S = 60.0  # an entry from further in the future was written before the clock was set back


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored answer."""

    key: str
    value: Mapping[str, Any]
    distance: float | None = None  # cosine distance of a semantic hit; None: the exact request
    prompt: str | None = None  # the prompt that a semantic hit was stored for


class Cache:
    """Exact and semantic cache of one folder, shared by the threads and processes that open it.

    What is stored is found at once by this process, and by others some 50 ms later: a thread writes many answers at a time, and
    makes the vectors of their prompts.
    A process that is killed loses the answers of that time, which are then asked for again.

    Args:
        directory: a folder of its own; made 0700, its files 0600.
        ttl_seconds: seconds an answer is used for, judged at reading as well as at writing.
        max_bytes: bound of the database; the oldest answers go first. One answer may take a quarter of it.
        semantic: whether prompts that mean the same may share an answer.
        semantic_distance: largest cosine distance (1 - cosine similarity) of such prompts.
        embedder: makes the embedder when one is first needed.
        verifier: makes the second embedder, or None where there is none: then only prompts of the same words may hit.
        prompts: False keeps prompts, and answers that may repeat them, off the disk: answers are kept in memory, for this
            process, and there are no semantic hits.
    """

    def __init__(
        self,
        directory: Path,
        *,
        ttl_seconds: float,
        max_bytes: int,
        semantic: bool,
        semantic_distance: float,
        embedder: Callable[[], Embedder],
        verifier: Callable[[], Embedder | None],
        prompts: bool = True,
    ) -> None:
        from molt_magic.cache.memory import MemoryStore
        from molt_magic.cache.second import SecondOpinion
        from molt_magic.cache.store import JsonStore
        from molt_magic.cache.writer import Writer

        self.directory = directory
        self.ttl_seconds = ttl_seconds
        self.max_bytes = max_bytes
        self.semantic = semantic and prompts
        self.semantic_distance = semantic_distance
        self._vectors = PromptVectors(embedder)
        self._second = SecondOpinion(verifier)
        self._store = JsonStore(directory, max_bytes=max_bytes)
        self._writer = Writer(self._store, embed=self._embed, failed=partial(self._failed, "write"), written=self._written)
        self._kept: Writer | MemoryStore = self._writer if prompts else MemoryStore(max_bytes=max_bytes)
        self._lock = threading.RLock()  # of the making of what is made late
        self._neighbours: Neighbours | None = None
        self._told: set[str] = set()
        self._counts = {"hits": 0, "misses": 0, "semantic_hits": 0, "semantic_refused": 0}
        self._trouble: str | None = None

    # -- exact

    def get(self, key: str) -> Entry | None:
        """The answer to exactly this request, None when there is none, it is too old or the cache cannot be read."""
        found = None
        try:
            found = self._fetch(key)
        except Exception as error:  # noqa: BLE001  # as all of these: see the module's first lines
            self._failed("read", error)
        self._counts["hits" if found else "misses"] += 1
        return found

    def put(
        self,
        key: str,
        value: Mapping[str, Any] | str,
        *,
        scope: str | None = None,
        prompt: str | None = None,
        also: Sequence[str] = (),
    ) -> None:
        """Store an answer; with a scope and a prompt also for prompts that mean the same.

        Args:
            key: of `molt_magic.serial.canonical_key`.
            value: what JSON can hold, or the JSON of it.
            scope: everything else that shapes the answer (system, history, task, parameters), hashed.
            prompt: the text the answer is for.
            also: other keys of the same answer.
        """
        try:
            row = self._semantic_row(key, scope, prompt) if scope is not None and prompt is not None else None
            self._kept.put(key, self._envelope(value), expire_s=self.ttl_seconds, row=row, also=also)
        except Exception as error:  # noqa: BLE001
            self._failed("write", error)

    def forget(self, key: str) -> bool:
        """Take back one entry; whether there was one. Raises StoreError if the cache cannot be written."""
        return self._kept.delete(key)

    def clear(self) -> int:
        """Drop all entries; how many there were. Raises StoreError if the cache cannot be written."""
        count = self._kept.clear()
        if self._kept is not self._writer and self.directory.exists():  # from a time when prompts were kept
            count += self._store.clear()
        self._near.clear()
        return count

    # -- semantic

    def nearest(self, scope: str, prompt: str) -> Entry | None:
        """The answer to the nearest prompt of the same scope that means the same, if one does.

        Near by the first embedder, nothing of substance different by the guard, and near by the second embedder.
        """
        if not self.semantic or not prompt.strip():
            return None
        try:
            for row, distance in self._near.near(scope, prompt):
                entry = self._fetch(row.key)
                if entry is None:
                    continue
                if self._means_the_same(prompt, row.prompt):
                    self._counts["semantic_hits"] += 1
                    return Entry(row.key, entry.value, distance=max(0.0, distance), prompt=row.prompt)
                self._counts["semantic_refused"] += 1
        except Exception as error:  # noqa: BLE001
            self._failed("search", error)
        return None

    def stats(self) -> Mapping[str, Any]:
        """What is stored (entries, vectors, bytes), the limits, the counts of this process, and trouble if there is any."""
        entries = vectors = used = 0
        try:
            entries, vectors, used = self._kept.sizes()
        except Exception as error:  # noqa: BLE001
            self._failed("read", error)
        return {
            "directory": str(self.directory),
            "entries": entries,
            "semantic_entries": vectors,
            "bytes": used,
            "max_bytes": self.max_bytes,
            "ttl_seconds": self.ttl_seconds,
            "semantic": self.semantic,
            **self._counts,
            "trouble": self._trouble,
        }

    def flush(self) -> None:
        """Bring all that was stored to the disk now, where other processes find it."""
        self._kept.flush()

    def settle(self) -> None:
        """Give all that was stored its place in the index now: lookups are then as fast as they will be."""
        self._kept.flush()
        self._near.settle()

    def close(self) -> None:
        """Save the indexes and close the files; a later use opens them again."""
        self._kept.close()
        if self._neighbours is not None:
            try:
                self._neighbours.close()
            except Exception as error:  # noqa: BLE001
                self._failed("save", error)
        self._store.close()

    # -- within

    def _envelope(self, value: Mapping[str, Any] | str) -> str:
        try:
            written = value if isinstance(value, str) else _ENCODER.encode(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise StoreError(f"An answer could not be cached: {error}.") from error
        text = f'{{"stored":{time.time()!r},"value":{written}}}'
        if 4 * len(text) > self.max_bytes:
            raise StoreError(f"An answer of {len(text):,} bytes is too large for a cache of {self.max_bytes:,}.")
        return text

    def _fetch(self, key: str) -> Entry | None:
        text = self._kept.get(key)
        if text is None:
            return None
        try:
            envelope = json.loads(text)
            age, value = time.time() - envelope["stored"], envelope["value"]
        except (ValueError, KeyError, TypeError, RecursionError):
            value, age = None, 0.0
        if not isinstance(value, dict):
            logger.warning("The cache held an entry that is not one of ours: dropped.")
            self._kept.delete(key)
            return None
        # the row's own expiry was fixed when it was written: by another limit perhaps, or by a clock since set back
        return Entry(key, value) if -CLOCK_SLACK_S <= age <= self.ttl_seconds else None

    def _semantic_row(self, key: str, scope: str, prompt: str) -> VectorRow | None:
        if not self.semantic or not prompt.strip():
            return None
        try:
            return self._near.row(key, scope, prompt)
        except Exception as error:  # noqa: BLE001
            self._failed("embed", error)
        return None

    def _embed(self, rows: Sequence[VectorRow]) -> None:
        try:
            self._vectors.give(rows)
        except Exception as error:  # noqa: BLE001
            self._failed("embed", error)

    def _written(self, scopes: set[str]) -> None:
        if self._neighbours is not None:
            self._neighbours.written(scopes)

    @property
    def _near(self) -> Neighbours:
        if self._neighbours is None:
            from molt_magic.cache.neighbours import Neighbours  # numpy is not loaded by importing the package

            with self._lock:
                if self._neighbours is None:
                    folder, distance = self.directory, self.semantic_distance
                    self._neighbours = Neighbours(self._store, self._writer, self._vectors, directory=folder, distance=distance)
        return self._neighbours

    def _means_the_same(self, asked: str, stored: str) -> bool:
        from molt_magic.cache.guard import refusal, same_text

        if same_text(asked, stored):
            return True
        if refusal(asked, stored, verified=True) is not None:
            return False
        try:
            if self._second.there:
                return self._second.agrees(asked, stored)
        except Exception as error:  # noqa: BLE001
            self._failed("verify", error)
            self._second.give_up()  # its model cannot be loaded, or used: it is not tried again
        return refusal(asked, stored, verified=False) is None

    def _failed(self, doing: str, error: Exception) -> None:
        self._trouble = f"{doing}: {error}"
        kind = "store" if isinstance(error, StoreError) else f"{doing}: {type(error).__name__}"
        logger.log(logging.DEBUG if kind in self._told else logging.WARNING, "The cache is not used (%s): %s", doing, error)
        self._told.add(kind)


def _jsonable(part: Any) -> Any:
    if isinstance(part, Mapping):
        return dict(part)
    raise TypeError(f"{type(part).__name__} is not JSON")


_ENCODER = json.JSONEncoder(default=_jsonable, separators=(",", ":"))

__all__ = ["Cache", "Entry"]
