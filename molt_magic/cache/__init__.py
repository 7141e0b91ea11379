"""Answers kept for the next time they are asked for: the exact request, or one that means the same.

Nothing here ever fails a request. A cache that cannot be read or written is a miss, said once in the log
(`molt_magic.cache`); only `forget` and `clear`, which somebody asked for, raise.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molt_magic.errors import StoreError

if TYPE_CHECKING:
    from molt_magic.cache.index import ScopeIndex, Vector
    from molt_magic.cache.memory import MemoryStore
    from molt_magic.cache.store import JsonStore, VectorRow
    from molt_magic.embed import Embedder

logger = logging.getLogger("molt_magic.cache")

VERIFIED_SIMILARITY = 0.85  # cosine of the second embedder, of prompts whose words the guard has found to agree
NEIGHBOURS = 8  # looked at in turn: the nearest may have expired or be refused
SCOPES_IN_MEMORY = 32
CLOCK_SLACK_S = 60.0  # an entry from further in the future was written before the clock was set back
SAVE_EVERY = 2_000  # vectors in a graph


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored answer."""

    key: str
    value: Mapping[str, Any]
    distance: float | None = None  # cosine distance of a semantic hit; None: the exact request
    prompt: str | None = None  # the prompt that a semantic hit was stored for


class Cache:
    """Exact and semantic cache of one folder, shared by the threads and processes that open it.

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
        from molt_magic.cache.store import JsonStore

        self.directory = directory
        self.ttl_seconds = ttl_seconds
        self.max_bytes = max_bytes
        self.semantic = semantic and prompts
        self.semantic_distance = semantic_distance
        self._make_embedder, self._make_verifier = embedder, verifier
        self._embedder: Embedder | None = None
        self._verifier: Embedder | None = None
        self._verifier_made = False
        self._store = JsonStore(directory, max_bytes=max_bytes)
        self._kept: JsonStore | MemoryStore = self._store if prompts else MemoryStore(max_bytes=max_bytes)
        self._lock = threading.RLock()  # of the indexes and the embedders' making; never held while embedding
        self._indexes: OrderedDict[str, _Watched] = OrderedDict()
        self._recent: tuple[str, Vector] | None = None  # the last prompt's vector: a miss is stored soon after
        self._told: set[str] = set()
        self._counts = {"hits": 0, "misses": 0, "semantic_hits": 0, "semantic_refused": 0}
        self._trouble: str | None = None

    # -- exact

    def get(self, key: str) -> Entry | None:
        """The answer to exactly this request, None when there is none, it is too old or the cache cannot be read."""
        found = None
        with self._degrading("read"):
            found = self._fetch(key)
        self._counts["hits" if found else "misses"] += 1
        return found

    def put(self, key: str, value: Mapping[str, Any], *, scope: str | None = None, prompt: str | None = None) -> None:
        """Store an answer; with a scope and a prompt also for prompts that mean the same.

        Args:
            key: of `molt_magic.serial.canonical_key`.
            value: what JSON can hold.
            scope: everything else that shapes the answer (system, history, task, parameters), hashed.
            prompt: the text the answer is for.
        """
        with self._degrading("write"):
            try:
                text = json.dumps({"stored": time.time(), "value": value}, default=_jsonable, separators=(",", ":"))
            except (TypeError, ValueError, RecursionError) as error:
                raise StoreError(f"An answer could not be cached: {error}.") from error
            if 4 * len(text) > self.max_bytes:
                raise StoreError(f"An answer of {len(text):,} bytes is too large for a cache of {self.max_bytes:,}.")
            row = self._semantic_row(key, scope, prompt) if scope is not None and prompt is not None else None
            self._kept.put(key, text, expire_s=self.ttl_seconds, row=row)
            with self._lock:
                watched = self._indexes.get(row.scope) if row else None
                if watched is not None:
                    self._refresh(watched)
                    watched.index.settle()
                    watched.index.save(at_least=SAVE_EVERY)

    def forget(self, key: str) -> bool:
        """Take back one entry; whether there was one. Raises StoreError if the cache cannot be written."""
        return self._kept.delete(key)

    def clear(self) -> int:
        """Drop all entries; how many there were. Raises StoreError if the cache cannot be written."""
        with self._lock:
            self._indexes.clear()
            count = self._kept.clear()
            if self._kept is not self._store and self.directory.exists():  # from a time when prompts were kept
                count += self._store.clear()
            for file in self.directory.glob("index-*"):
                file.unlink(missing_ok=True)
        return count

    # -- semantic

    def nearest(self, scope: str, prompt: str) -> Entry | None:
        """The answer to the nearest prompt of the same scope that means the same, if one does.

        Near by the first embedder, nothing of substance different by the guard, and near by the second embedder.
        """
        if not self.semantic or not prompt.strip():
            return None
        with self._degrading("search"):
            vector = self._vector(prompt)
            if vector is None:
                return None
            for row, distance in self._neighbours(scope, vector):
                entry = self._fetch(row.key)
                if entry is None:
                    continue
                if self._means_the_same(prompt, row.prompt):
                    self._counts["semantic_hits"] += 1
                    return Entry(row.key, entry.value, distance=max(0.0, distance), prompt=row.prompt)
                self._counts["semantic_refused"] += 1
        return None

    def stats(self) -> Mapping[str, Any]:
        """What is stored (entries, vectors, bytes), the limits, the counts of this process, and trouble if there is any."""
        entries = vectors = used = 0
        with self._degrading("read"):
            entries, vectors, used = self._kept.sizes()
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

    def close(self) -> None:
        """Save the indexes and close the files; a later use opens them again."""
        with self._lock:
            with self._degrading("save"):
                for watched in self._indexes.values():
                    watched.index.save()
            self._indexes.clear()
            self._kept.close()
            self._store.close()

    # -- within

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
        from molt_magic.cache.store import VectorRow

        if not self.semantic or not prompt.strip():
            return None
        with self._degrading("embed"):
            vector = self._vector(prompt)
            if vector is not None and self._embedder is not None:
                text = prompt.encode("utf-8", "backslashreplace").decode("utf-8")  # a lone surrogate is no UTF-8
                return VectorRow(0, key, scope, self._embedder.id, text, vector.tobytes())
        return None

    def _vector(self, prompt: str) -> Vector | None:
        from molt_magic.cache import guard

        recent = self._recent
        if recent is not None and recent[0] == prompt:
            return recent[1]
        with self._lock:
            if self._embedder is None:
                self._embedder = self._make_embedder()
        # of what is asked only: an embedder that knows capitals calls "france" and "France" strangers
        vector = _unit_rows(self._embedder, [guard.gist(prompt)])
        if vector is None:
            return None
        row: Vector = vector[0]
        self._recent = (prompt, row)
        return row

    def _means_the_same(self, asked: str, stored: str) -> bool:
        from molt_magic.cache import guard

        if guard.same_text(asked, stored):
            return True
        if guard.refusal(asked, stored, verified=True) is not None:
            return False
        verifier = self._second_embedder()
        if verifier is not None:
            with self._degrading("verify"):
                pair = _unit_rows(verifier, [guard.core(asked), guard.core(stored)])
                return pair is not None and float(pair[0] @ pair[1]) >= VERIFIED_SIMILARITY
            with self._lock:
                self._verifier = None  # its model cannot be loaded: not tried again
        return guard.refusal(asked, stored, verified=False) is None

    def _second_embedder(self) -> Embedder | None:
        with self._lock:
            if not self._verifier_made:
                self._verifier_made = True
                with self._degrading("verify"):
                    self._verifier = self._make_verifier()
            return self._verifier

    def _neighbours(self, scope: str, vector: Vector) -> Iterator[tuple[VectorRow, float]]:
        """Living entries within the distance, nearest first."""
        with self._lock:
            watched = self._watch(scope)
            found = watched.index.nearest(vector, NEIGHBOURS)
            near = [(self._store.row(seq), distance) for seq, distance in found if distance <= self.semantic_distance]
            if any(row is None for row, _ in near):  # expired, forgotten or replaced since: look again among the living
                watched.index.keep(self._store.seqs(scope, watched.index.identity.embedder))
                found = watched.index.nearest(vector, NEIGHBOURS)
                near = [(self._store.row(seq), distance) for seq, distance in found if distance <= self.semantic_distance]
        return ((row, distance) for row, distance in near if row is not None)

    def _watch(self, scope: str) -> _Watched:
        """The scope's index, up to date with what any process has stored."""
        from molt_magic.cache.index import IndexIdentity, ScopeIndex

        assert self._embedder is not None
        identity = IndexIdentity(self._store.identity, scope, self._embedder.id, self._embedder.dim)
        watched = self._indexes.get(scope)
        if watched is None or watched.index.identity != identity:
            name = hashlib.sha256(f"{scope}\n{identity.embedder}".encode()).hexdigest()[:16]
            index = ScopeIndex(identity, path=self.directory / f"index-{name}.hnsw")
            index.load()
            index.keep(self._store.seqs(scope, identity.embedder))
            watched = self._indexes[scope] = _Watched(index)
            while len(self._indexes) > SCOPES_IN_MEMORY:
                _, dropped = self._indexes.popitem(last=False)
                dropped.index.save()
        self._indexes.move_to_end(scope)
        self._refresh(watched)
        return watched

    def _refresh(self, watched: _Watched) -> None:
        version = self._store.version()
        if version == watched.version:
            return
        index, identity = watched.index, watched.index.identity
        new = self._store.seqs(identity.scope, identity.embedder, after=watched.last) - index.known
        index.add(self._store.vectors(new))
        watched.last = max(new, default=watched.last)
        watched.version = version
        watched.added += len(new)
        if watched.added > SAVE_EVERY:  # entries that were replaced or have expired would pile up
            index.keep(self._store.seqs(identity.scope, identity.embedder))
            watched.added = 0

    @contextmanager
    def _degrading(self, doing: str) -> Iterator[None]:
        """Whatever fails in here is a miss, said once a kind."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # an embedder is anybody's code; a cache must never fail a request
            self._trouble = f"{doing}: {error}"
            kind = "store" if isinstance(error, StoreError) else f"{doing}: {type(error).__name__}"
            logger.log(logging.DEBUG if kind in self._told else logging.WARNING, "The cache is not used (%s): %s", doing, error)
            self._told.add(kind)


class _Watched:
    """An index with how far it has followed the store."""

    def __init__(self, index: ScopeIndex) -> None:
        self.index = index
        self.version: tuple[str, int, int] | None = None
        self.last = 0
        self.added = 0


def _jsonable(part: Any) -> Any:
    if isinstance(part, Mapping):
        return dict(part)
    raise TypeError(f"{type(part).__name__} is not JSON")


def _unit_rows(embedder: Embedder, texts: Sequence[str]) -> Vector | None:
    """Unit rows, or None where a text has no vector (no known token)."""
    import numpy as np

    vectors = np.asarray(embedder.embed(texts), dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths <= 1e-6).any():
        return None
    unit: Vector = vectors / lengths
    return unit


__all__ = ["Cache", "Entry"]
