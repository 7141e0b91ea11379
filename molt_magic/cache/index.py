"""Nearest vectors of one scope: exact in numpy, and a graph (hnswlib) once there are thousands.

The index is derived from the vectors in the store. A graph on disk only saves the time of building it again: it is used
if its checksum, dimension, embedder and store are the expected ones, and built anew from the vectors if they are not
(hnswlib itself loads a damaged or foreign file without a word).
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import threading
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from molt_magic.drafts import sweep

logger = logging.getLogger("molt_magic.cache")

Vector = NDArray[np.float32]

FORMAT = 1
# Up to here a look at all of them, by their first figures (0.25 ms), costs less than the graph with a vector's way into it, and
# misses nothing.
EXACT_BELOW = 24_000
WAITING_SHARE = 16  # of `exact_below`, one part in so many may wait beside the graph: a look at them costs next to nothing
AT_ONCE = 2  # vectors that go into the graph between two looks at the clock, a third of a millisecond each where there are many
TAKEN_OUT = 500  # vectors at a time from a graph, which hands each figure over as an object of eight times its size
SEARCHED_WITH = 64  # of hnswlib; with half the work in building and here, it misses ten times as many neighbours
LEAST_SHRUNK = 1024  # rows of the block that are worth giving back
UNIT_TOLERANCE = 1e-3
SKETCHED = 32  # figures of a vector that are looked at first, of 256 as a rule
SHARE_SKETCHED = 4  # at most one in so many
PRODUCT = 250_000  # figures of a matrix at a time: of more, the library's threads take part, which cost more than they save


@dataclass(frozen=True, slots=True)
class IndexIdentity:
    """What an index was built from; any difference makes it useless."""

    store: str
    scope: str
    embedder: str
    dim: int

    def names(self, store: str, embedder: str, dim: int) -> bool:
        """Whether it is this one, of a scope that is known to be the same."""
        return self.store == store and self.embedder == embedder and self.dim == dim


class ScopeIndex:
    """Vectors of one scope by their number in the store.

    Args:
        identity: what the vectors belong to; `identity.dim` is their length.
        path: where the graph is kept (`path` and `path` + `.json`), or None to keep it in memory.
        exact_below: number of vectors from which a graph is used.

    New vectors wait in a numpy block, which is searched exactly; `settle` moves them into the graph a few at a time, so
    that neither a large store nor a rebuild ever stops the user. Not thread-safe.
    """

    def __init__(self, identity: IndexIdentity, *, path: Path | None = None, exact_below: int = EXACT_BELOW) -> None:
        self.identity = identity
        self.path = path
        self.exact_below = exact_below
        self._block: Vector = np.zeros((64, identity.dim), dtype=np.float32)
        self._sketched = min(SKETCHED, identity.dim // SHARE_SKETCHED)
        # of the block's rows, by columns, which the product goes through twice as fast; see `_within`
        self._sketch: Vector = np.zeros((64, self._sketched + 1), dtype=np.float32, order="F")
        self._asked: Vector = np.ones(self._sketched + 1, dtype=np.float32)  # likewise, of a vector that is looked for
        self._seqs: list[int] = []  # of the block's rows
        self._places: dict[int, int] = {}  # seq -> row of the block
        self._graph: Any = None  # hnswlib.Index
        self._in_graph: set[int] = set()
        self._unsaved = 0

    def __len__(self) -> int:
        return len(self._seqs) + len(self._in_graph)

    def __contains__(self, seq: int) -> bool:
        return seq in self._places or seq in self._in_graph

    @property
    def known(self) -> set[int]:
        """The numbers of all vectors held."""
        return self._in_graph | self._places.keys()

    @property
    def waiting(self) -> bool:
        """Whether so many wait for the graph that it is time to `settle`."""
        return len(self) >= self.exact_below and len(self._seqs) * WAITING_SHARE >= self.exact_below

    @property
    def far_behind(self) -> bool:
        """Whether so many wait that looking at them makes lookups slow."""
        return len(self._seqs) > self.exact_below

    def add(self, rows: Iterable[tuple[int, bytes]]) -> None:
        """Take vectors (float32 bytes); those of a wrong length, or not of unit length, are left out."""
        new = {seq: data for seq, data in rows if len(data) == 4 * self.identity.dim and seq not in self}
        if not new:
            return
        if len(new) == 1:  # as a put is; the steps below would take longer than all the rest of it
            ((seq, data),) = new.items()
            self._add_one(seq, np.frombuffer(data, dtype=np.float32))
            return
        vectors = np.frombuffer(b"".join(new.values()), dtype=np.float32).reshape(len(new), self.identity.dim)
        lengths = np.sqrt(np.add.reduce(vectors * vectors, axis=1))
        sound = np.abs(lengths - 1.0) <= UNIT_TOLERANCE  # written so that NaN is left out too
        seqs, vectors = [seq for seq, is_sound in zip(new, sound, strict=True) if is_sound], vectors[sound]
        size, grown = len(self._seqs), len(self._seqs) + len(seqs)
        if grown > len(self._block):
            self._resize(max(_larger(len(self._block)), grown))
        self._block[size:grown] = vectors
        first = vectors[:, : self._sketched]
        self._sketch[size:grown, :-1] = first
        self._sketch[size:grown, -1] = -np.add.reduce(first * first, axis=1) / 2
        self._places.update(zip(seqs, range(size, grown), strict=True))
        self._seqs += seqs

    def _add_one(self, seq: int, vector: Vector) -> None:
        if not abs(math.sqrt(vector.dot(vector)) - 1.0) <= UNIT_TOLERANCE:
            return
        place = len(self._seqs)
        if place == len(self._block):
            self._resize(_larger(place))
        first = vector[: self._sketched]
        self._block[place] = vector
        sketch = self._sketch[place]
        sketch[:-1], sketch[-1] = first, -first.dot(first) / 2
        self._places[seq] = place
        self._seqs.append(seq)

    def forget(self, seqs: Iterable[int]) -> None:
        """Forget these vectors, as far as they are held."""
        for seq in seqs:
            if seq in self:
                self._remove(seq)

    def keep(self, alive: Collection[int]) -> None:
        """Forget every vector whose number is not in `alive`, and make good for those that were forgotten in the graph."""
        self.forget(self.known - set(alive))
        if self._graph is not None and self._graph.get_current_count() > 2 * len(self._in_graph):
            self._dissolve()

    def nearest(self, vector: Vector, count: int, *, within: float = 2.0) -> list[tuple[int, float]]:
        """The `count` nearest as (seq, cosine distance), nearest first, none beyond `within`. `vector` is of unit length."""
        found = self._query_block(vector, count, within) if self._seqs else []
        if self._in_graph:
            found += [(seq, distance) for seq, distance in self._query_graph(vector, count) if distance <= within]
        if not found:
            return found
        found.sort(key=lambda pair: (pair[1], -pair[0]))  # of equals the newest
        return found[:count]

    def settle(self, budget_s: float) -> bool:
        """Move waiting vectors into the graph for about `budget_s` seconds, once there are enough for one; whether any still
        wait for it."""
        if len(self) < self.exact_below or not self._seqs:
            return False
        until = time.perf_counter() + budget_s
        graph = self._graph if self._graph is not None else self._new_graph()
        while self._seqs and time.perf_counter() < until:
            take = self._seqs[-AT_ONCE:]
            start = len(self._seqs) - len(take)
            if graph.get_current_count() + len(take) > graph.get_max_elements():
                graph.resize_index(_larger(graph.get_max_elements()))
            graph.add_items(self._block[start : len(self._seqs)], np.array(take), num_threads=1)
            del self._seqs[start:]
            for seq in take:
                del self._places[seq]
            self._in_graph.update(take)
            self._unsaved += len(take)
        if len(self._block) > LEAST_SHRUNK and 2 * len(self._seqs) < len(self._block):
            self._resize(max(64, _larger(len(self._seqs))))  # they would be held twice
        return bool(self._seqs)

    # -- the block

    def _query_block(self, vector: Vector, count: int, within: float) -> list[tuple[int, float]]:
        rows = self._within(vector, within)
        if not len(rows):
            return []
        block = self._block[: len(self._seqs)]
        if len(rows) * SHARE_SKETCHED > len(block):
            distances = 1.0 - _product(block, vector)
            rows = np.flatnonzero(distances <= within)
            distances = distances[rows]
        else:
            distances = 1.0 - block.take(rows, axis=0).dot(vector)
            if distances.item(distances.argmin()) > within:  # as mostly; the steps below take longer than all above
                return []
        best = np.argpartition(distances, count - 1)[:count] if len(rows) > count else range(len(rows))
        near = [(self._seqs[rows[i]], float(distances[i])) for i in best]
        return [(seq, distance) for seq, distance in near if distance <= within]

    def _within(self, vector: Vector, within: float) -> NDArray[np.intp]:
        """The rows that may be `within` this distance, by their first figures; few others.

        Of unit vectors the distance is half the square of the distance between their ends, and that square is no smaller than
        what the first figures alone make of it.
        """
        first = vector[: self._sketched]
        self._asked[:-1] = first
        farthest = float(first.dot(first)) / 2 - within - 3 * UNIT_TOLERANCE
        likely = _product(self._sketch[: len(self._seqs)], self._asked)
        return (likely >= farthest).nonzero()[0]

    def _resize(self, rows: int) -> None:
        held = len(self._seqs)
        self._block.resize((rows, self._block.shape[1]), refcheck=False)  # where it is: a second one would be as large
        sketch = self._sketch[:held]
        self._sketch = np.zeros((rows, sketch.shape[1]), dtype=np.float32, order="F")
        self._sketch[:held] = sketch

    # -- the graph

    def _new_graph(self) -> Any:
        import hnswlib

        self._graph = hnswlib.Index(space="ip", dim=self.identity.dim)
        self._graph.init_index(max_elements=2 * self.exact_below, M=16, ef_construction=100)
        self._graph.set_ef(SEARCHED_WITH)
        return self._graph

    def _query_graph(self, vector: Vector, count: int) -> list[tuple[int, float]]:
        for wanted in (min(count, len(self._in_graph)), 1):
            if wanted < 1:
                return []
            # hnswlib raises when it reaches fewer than it was asked for, which deleted ones make likely
            with suppress(RuntimeError):
                labels, distances = self._graph.knn_query(vector, k=wanted, num_threads=1)
                return [(int(label), float(d)) for label, d in zip(labels[0], distances[0], strict=True)]
        return []

    def _dissolve(self) -> None:
        """Give up a graph that is mostly deleted vectors (hnswlib never frees one); the living wait for a new graph."""
        live, graph = sorted(self._in_graph), self._graph
        self._graph, self._in_graph = None, set()
        for start in range(0, len(live), TAKEN_OUT):
            some = live[start : start + TAKEN_OUT]
            vectors = np.asarray(graph.get_items(some), dtype=np.float32)
            self.add((seq, vector.tobytes()) for seq, vector in zip(some, vectors, strict=True))

    def _remove(self, seq: int) -> None:
        if seq in self._in_graph:
            self._graph.mark_deleted(seq)
            self._in_graph.discard(seq)
            self._unsaved += 1
            return
        place, last = self._places.pop(seq), len(self._seqs) - 1
        if place != last:
            self._block[place], self._sketch[place] = self._block[last], self._sketch[last]
            self._seqs[place] = self._seqs[last]
            self._places[self._seqs[place]] = place
        self._seqs.pop()

    # -- on disk

    def save(self, *, at_least: int = 1) -> bool:
        """Write the graph if `at_least` changes are not on disk yet; whether it was written.

        Raises:
            OSError: it cannot be written.
        """
        if self.path is None or self._graph is None or self._unsaved < at_least:
            return False
        # Written aside and renamed, so that a reader sees a whole file; two writers leave a pair that fails its checksum.
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}-{threading.get_ident()}.part")
        sweep(self.path.parent, "index-")
        try:
            os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
            self._graph.save_index(str(draft))
            note = {"format": FORMAT, "sha256": _sha256(draft), "live": sorted(self._in_graph), **asdict(self.identity)}
            draft.replace(self.path)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(note, file)
            draft.replace(self._note)
        except RuntimeError as error:  # hnswlib's word for a full disk or a missing folder
            raise OSError(str(error)) from error
        finally:
            draft.unlink(missing_ok=True)
        self._unsaved = 0
        return True

    def load(self) -> bool:
        """Take the graph from disk if it is whole and ours; whether it was. Call before anything was added."""
        if self.path is None or not self.path.exists():
            return False
        try:
            live = self._read_graph()
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            logger.info("The vector index %s is not used and will be built again: %s.", self.path.name, error)
            self._graph, self._in_graph = None, set()
            return False
        self._in_graph = live
        return True

    def _read_graph(self) -> set[int]:
        assert self.path is not None
        note = json.loads(self._note.read_text(encoding="utf-8"))
        expected = {"format": FORMAT, **asdict(self.identity)}
        if not isinstance(note, dict) or {name: note.get(name) for name in expected} != expected:
            raise ValueError("it was built from something else")
        if note["sha256"] != _sha256(self.path):
            raise ValueError("its checksum is wrong")
        import hnswlib

        graph = hnswlib.Index(space="ip", dim=self.identity.dim)
        graph.load_index(str(self.path), max_elements=0)
        graph.set_ef(SEARCHED_WITH)
        labels, live = {int(label) for label in graph.get_ids_list()}, {int(seq) for seq in note["live"]}
        if not live <= labels:
            raise ValueError("it lacks vectors that it names")
        self._graph = graph
        return live

    @property
    def _note(self) -> Path:
        assert self.path is not None
        return self.path.with_name(self.path.name + ".json")


def _larger(rows: int) -> int:
    return rows + max(64, rows // 4)


def _product(matrix: Vector, vector: Vector) -> Vector:
    rows = max(1, PRODUCT // matrix.shape[1])
    if len(matrix) <= rows:
        return matrix @ vector
    return np.concatenate([matrix[start : start + rows] @ vector for start in range(0, len(matrix), rows)])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
