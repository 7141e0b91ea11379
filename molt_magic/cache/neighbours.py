"""The prompts of the store that are nearest to one, whoever stored them: an index a scope, which follows the store.

A lookup and a put cost the same however many entries there are. What would not (moving vectors into the graph, forgetting what
the store has dropped, writing the graph down) is done in a thread of its own, a little at a time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from molt_magic.cache.block import block_of
from molt_magic.cache.index import IndexIdentity, ScopeIndex, Vector
from molt_magic.cache.rows import VectorRow
from molt_magic.cache.store import JsonStore
from molt_magic.cache.vectors import PromptVectors
from molt_magic.cache.writer import Writer

if TYPE_CHECKING:
    from molt_magic.embed import Embedder

logger = logging.getLogger("molt_magic.cache")

COUNT = 8  # looked at in turn: the nearest may have expired or be refused
SCOPES_IN_MEMORY = 32
LEAST_CHANGES = 2_000  # in a scope before what is gone is looked for, or the graph written
SHARE_CHANGED = 4  # and at least one in so many of its vectors: both cost as much as there are
SLICE_S = 0.001  # that the thread works at a time, and that a lookup may have to wait for it ...
PAUSE_S = 0.01  # ... and that it rests in between, unless it is so far behind that lookups are slow
READ_AT_ONCE = 5_000  # vectors


class Neighbours:
    """Finds near prompts in the indexes of the scopes that are in use.

    Args:
        store: where the vectors are.
        writer: has those that are on their way there.
        vectors: makes them.
        directory: where graphs are kept.
        distance: largest cosine distance of a neighbour.
    """

    def __init__(self, store: JsonStore, writer: Writer, vectors: PromptVectors, *, directory: Path, distance: float) -> None:
        self.store = store
        self.writer = writer
        self.vectors = vectors
        self.directory = directory
        self.distance = distance
        self._held = threading.RLock()
        self._followed: OrderedDict[str, _Followed] = OrderedDict()
        self._pid = os.getpid()

    def near(self, scope: str, prompt: str) -> list[tuple[VectorRow, float]]:
        """Up to COUNT living entries of the scope within the distance, nearest first; none where the guard can accept none."""
        block = block_of(scope, prompt)
        # what waits before what is stored: if it is written in between, it is found in both, and never in neither
        waiting = self.writer.of_block(block)
        is_stored = self.store.holds(block)
        if not waiting and not is_stored:
            return []
        vector, *others = self.vectors.of([prompt, *[row.prompt for row in waiting]])
        if vector is None:
            return []
        far = [(row, 1.0 - float(vector.dot(other))) for row, other in zip(waiting, others, strict=True) if other is not None]
        near = [pair for pair in far if pair[1] <= self.distance]
        if is_stored:
            found = {row.key for row, _ in near}
            stored = self._stored(scope, self.vectors.embedder, vector)
            near += [pair for pair in stored if pair[0].key not in found and not self.writer.replaces(pair[0])]
        return sorted(near, key=lambda pair: pair[1])[:COUNT]

    def row(self, key: str, scope: str, prompt: str) -> VectorRow:
        """The semantic side of an answer that is to be stored. Raises what the embedder raises, if it cannot be used."""
        # a lone surrogate is no UTF-8
        text = prompt if prompt.isascii() else prompt.encode("utf-8", "backslashreplace").decode("utf-8")
        return VectorRow(0, key, scope, self.vectors.embedder.id, text, b"", block_of(scope, text))

    def _stored(self, scope: str, embedder: Embedder, vector: Vector) -> list[tuple[VectorRow, float]]:
        with self._lock:
            followed = self._follow(scope, embedder)
            for attempt in range(3):
                if attempt == 2:
                    followed.forget_the_gone(self.store)
                near = followed.index.nearest(vector, COUNT, within=self.distance)
                if not near:
                    return []
                rows = [(self.store.row(seq), far) for seq, far in near]
                gone = [seq for (seq, _), (row, _) in zip(near, rows, strict=True) if row is None]
                if not gone:
                    break
                followed.index.forget(gone)  # expired, taken back or replaced since: look again among the living
            return [(row, far) for row, far in rows if row is not None]

    def written(self, scopes: Iterable[str]) -> None:
        """Take in what was written of these scopes, before a lookup has to."""
        with self._lock:
            for scope in scopes:
                self._follow(scope, self.vectors.embedder)

    def settle(self) -> None:
        """Do now, in one go, what a thread does by and by."""
        with self._lock:
            for followed in self._followed.values():
                while followed.index.settle(1.0):
                    pass
                followed.tidy(self.store)

    def clear(self) -> None:
        """Forget every index, and remove the graphs."""
        with self._lock:
            self._followed.clear()
            for file in self.directory.glob("index-*"):
                file.unlink(missing_ok=True)

    def close(self) -> None:
        """Write the graphs down and let the indexes go; the next lookup takes them up again. Raises OSError."""
        with self._lock:
            try:
                for followed in self._followed.values():
                    followed.index.settle(30 * SLICE_S)
                    followed.index.save()
            finally:
                self._followed.clear()

    # -- within

    @property
    def _lock(self) -> threading.RLock:
        """Of the indexes. In a process that was forked it may have been in the thread's hands, and a graph half changed: that
        process begins anew."""
        if self._pid != os.getpid():
            self._held, self._followed, self._pid = threading.RLock(), OrderedDict(), os.getpid()
        return self._held

    def _follow(self, scope: str, embedder: Embedder) -> _Followed:
        """The scope's index, up to date with what any process has stored."""
        version = self.store.version()
        followed = self._followed.get(scope)
        if followed is None or not followed.index.identity.names(version[0], embedder.id, embedder.dim):
            identity = IndexIdentity(version[0], scope, embedder.id, embedder.dim)
            name = hashlib.sha256(f"{scope}\n{identity.embedder}".encode()).hexdigest()[:16]
            followed = _Followed(ScopeIndex(identity, path=self.directory / f"index-{name}.hnsw"))
            followed.index.load()
            self._followed[scope] = followed
            while len(self._followed) > SCOPES_IN_MEMORY:
                _, dropped = self._followed.popitem(last=False)
                dropped.index.save()
        self._followed.move_to_end(scope)
        self._catch_up(followed, version)
        return followed

    def _catch_up(self, followed: _Followed, version: tuple[str, int, int]) -> None:
        if version != followed.version:
            followed.catch_up(self.store, version)
            self._tend(followed)

    def _tend(self, followed: _Followed) -> None:
        """Begin the thread if there is something for it to do."""
        if followed.needs_tending and (followed.tending is None or not followed.tending.is_alive()):
            # no daemon: one that is stopped in the midst of hnswlib's code takes the interpreter down with it
            followed.tending = threading.Thread(target=self._tend_in_thread, args=(followed,), name="molt-cache", daemon=False)
            followed.tending.start()

    def _tend_in_thread(self, followed: _Followed) -> None:
        scope = followed.index.identity.scope
        try:
            while threading.main_thread().is_alive():  # who ends the program does not wait for a graph
                with self._lock:
                    if self._followed.get(scope) is not followed:
                        return
                    if not followed.index.settle(SLICE_S):
                        followed.tidy(self.store)
                        return
                    pause = SLICE_S if followed.index.far_behind else PAUSE_S
                time.sleep(pause)
        except Exception as error:  # noqa: BLE001  # nobody waits for it, and lookups do without
            level = logging.DEBUG if followed.told else logging.WARNING
            logger.log(level, "The vector index could not be tended; lookups become slower until it can: %s", error)
            followed.told = True


class _Followed:
    """An index with how far it has followed the store."""

    def __init__(self, index: ScopeIndex) -> None:
        self.index = index
        self.tending: threading.Thread | None = None
        self.told = False  # that tending it failed
        self.version: tuple[str, int, int] | None = None  # of the store, that it has followed
        self._last = 0  # number of the newest vector that was taken in
        self._added = 0  # since what is gone was looked for

    def catch_up(self, store: JsonStore, version: tuple[str, int, int]) -> None:
        """Take in the vectors that are new in this version; at first, forget those of a saved graph that are gone."""
        identity = self.index.identity
        seqs = store.seqs(identity.scope, identity.embedder, after=self._last)
        if self.version is None:
            self.index.keep(seqs)
        new = [seq for seq in sorted(seqs) if seq not in self.index]
        for start in range(0, len(new), READ_AT_ONCE):
            self.index.add(store.vectors(new[start : start + READ_AT_ONCE]))
        self._last, self.version = max(seqs, default=self._last), version
        self._added += len(new)

    def forget_the_gone(self, store: JsonStore) -> None:
        """Forget what the store has no more."""
        identity = self.index.identity
        self.index.keep(store.seqs(identity.scope, identity.embedder))
        self._added = 0

    @property
    def needs_tending(self) -> bool:
        return self.index.waiting or self._added > self._many

    def tidy(self, store: JsonStore) -> None:
        """What is worth doing once much has changed."""
        if self._added > self._many:  # entries that were replaced or have expired would pile up
            self.forget_the_gone(store)
        try:
            self.index.save(at_least=self._many)
        except OSError as error:
            logger.warning("The vector index is kept in memory only, and the next kernel builds it again: %s", error)
            self.index.path = None

    @property
    def _many(self) -> int:
        return max(LEAST_CHANGES, len(self.index) // SHARE_CHANGED)
