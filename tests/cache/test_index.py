"""The vector index: exact, graph, both at once, and a file that is only trusted when it is whole and ours."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from molt_magic.cache import Cache
from molt_magic.cache import index as index_module
from molt_magic.cache.index import IndexIdentity, ScopeIndex, Vector
from molt_magic.serial import canonical_key
from tests.cache.embedders import ConstantEmbedder, WordEmbedder

IDENTITY = IndexIdentity("store", "scope", "embedder", 16)


@pytest.fixture(scope="module")
def vectors() -> Vector:
    rows = np.random.default_rng(0).normal(size=(600, 16)).astype(np.float32)
    unit: Vector = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _filled(vectors: Vector, **changes: object) -> ScopeIndex:
    index = ScopeIndex(IDENTITY, **changes)  # type: ignore[arg-type]
    index.add((seq, vector.tobytes()) for seq, vector in enumerate(vectors))
    return index


def _settled(vectors: Vector, **changes: object) -> ScopeIndex:
    index = _filled(vectors, exact_below=100, **changes)
    index.settle(budget_s=30)
    return index


@pytest.mark.parametrize("make", [_filled, _settled])
def test_the_nearest_is_found_with_its_distance(vectors: Vector, make: object) -> None:
    index = make(vectors)  # type: ignore[operator]
    for seq in range(0, 600, 7):
        ((found, distance),) = index.nearest(vectors[seq], 1)
        assert found == seq
        assert distance == pytest.approx(0, abs=1e-5)
    truth = 1 - vectors @ vectors[3]
    assert [seq for seq, _ in index.nearest(vectors[3], 5)] == list(np.argsort(truth)[:5])


@pytest.mark.parametrize("within", [0.0, 0.02, 0.05, 0.5, 1.2])
def test_within_a_distance_all_are_found_that_a_look_at_every_vector_finds(vectors: Vector, within: float) -> None:
    middles = vectors[:30].repeat(10, axis=0)
    near = middles + np.random.default_rng(1).normal(scale=0.05, size=middles.shape).astype(np.float32)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    held = np.concatenate([near, vectors[30:]])
    index = ScopeIndex(IDENTITY)
    for seq, vector in enumerate(held):  # as puts come, one at a time
        index.add([(seq, vector.tobytes())])
    index.forget(range(0, 300, 7))
    alive = [seq for seq in range(len(held)) if seq in index]
    for asked in vectors[:60]:
        truth = {seq for seq in alive if 1 - held[seq] @ asked <= within - 1e-6}
        found = index.nearest(asked, len(held), within=within)
        assert truth <= {seq for seq, _ in found}
        assert all(distance <= within for _, distance in found)


def test_the_graph_is_used_from_the_limit_on(vectors: Vector) -> None:
    index = _filled(vectors[:99], exact_below=100)
    index.settle(budget_s=30)
    assert index._graph is None
    index.add([(99, vectors[99].tobytes())])
    index.settle(budget_s=30)
    assert index._graph is not None
    assert len(index) == 100


def test_vectors_that_wait_are_found_beside_the_graph(vectors: Vector) -> None:
    index = _settled(vectors[:300])
    index.add([(300, vectors[300].tobytes())])
    assert index.nearest(vectors[300], 1)[0][0] == 300
    assert index.nearest(vectors[5], 1)[0][0] == 5


@pytest.mark.parametrize("make", [_filled, _settled])
def test_what_is_not_kept_is_not_found(vectors: Vector, make: object) -> None:
    index = make(vectors)  # type: ignore[operator]
    alive = set(range(0, 600, 2))
    index.keep(alive)
    assert len(index) == 300
    for seq in range(40):
        assert all(found in alive for found, _ in index.nearest(vectors[seq], 8))
    index.keep({4, 8})
    assert sorted(seq for seq, _ in index.nearest(vectors[4], 8)) == [4, 8]
    index.keep(set())
    assert index.nearest(vectors[4], 8) == []


def test_vectors_of_a_wrong_length_or_not_of_unit_length_are_left_out(vectors: Vector) -> None:
    index = ScopeIndex(IDENTITY)
    bad = (vectors[0][:8].tobytes(), (2 * vectors[0]).tobytes(), np.full(16, np.nan, np.float32).tobytes(), b"")
    index.add(enumerate(bad))
    assert len(index) == 0


def test_a_graph_is_saved_and_used_again(vectors: Vector, tmp_path: Path) -> None:
    path = tmp_path / "index.hnsw"
    index = _settled(vectors, path=path)
    index.keep(set(range(500)))
    assert index.save()
    assert not index.save(), "nothing changed since"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["index.hnsw", "index.hnsw.json"]
    again = ScopeIndex(IDENTITY, path=path, exact_below=100)
    assert again.load()
    assert again.known == set(range(500))
    assert again.nearest(vectors[7], 1)[0][0] == 7
    assert all(seq < 500 for seq, _ in again.nearest(vectors[550], 8))
    again.add([(601, vectors[550].tobytes())])
    again.settle(budget_s=30)
    assert again.nearest(vectors[550], 1)[0][0] == 601


@pytest.mark.parametrize("change", [{"dim": 8}, {"embedder": "other"}, {"store": "other"}, {"scope": "other"}])
def test_a_graph_of_something_else_is_not_used(vectors: Vector, tmp_path: Path, change: dict[str, object]) -> None:
    _settled(vectors, path=tmp_path / "index.hnsw").save()
    other = ScopeIndex(replace(IDENTITY, **change), path=tmp_path / "index.hnsw")  # type: ignore[arg-type]
    assert not other.load()
    assert len(other) == 0


@pytest.mark.parametrize(
    "damage", ["flipped byte", "truncated", "no note", "bad note", "older format", "note of another graph"]
)
def test_a_damaged_graph_is_not_used(vectors: Vector, tmp_path: Path, damage: str) -> None:
    path, note = tmp_path / "index.hnsw", tmp_path / "index.hnsw.json"
    _settled(vectors, path=path).save()
    data = bytearray(path.read_bytes())
    if damage == "flipped byte":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "truncated":
        path.write_bytes(data[:-100])
    elif damage == "no note":
        note.unlink()
    elif damage == "bad note":
        note.write_text("[]")
    elif damage == "older format":
        note.write_text(json.dumps(json.loads(note.read_text()) | {"format": 0}))
    else:
        _settled(vectors[:200], path=tmp_path / "other").save()
        (tmp_path / "other.json").replace(note)
    index = ScopeIndex(IDENTITY, path=path)
    assert not index.load()
    index.add([(1, vectors[1].tobytes())])
    assert index.nearest(vectors[1], 1)[0][0] == 1


# -- within the cache


@pytest.fixture
def small_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs from 50 entries on, so that a test does not need thousands."""
    monkeypatch.setattr(ScopeIndex.__init__, "__kwdefaults__", {"path": None, "exact_below": 50})
    assert index_module.EXACT_BELOW == 24_000


def _cache(folder: Path) -> Cache:
    return Cache(
        folder, ttl_seconds=600, max_bytes=10**8, semantic=True, semantic_distance=0.05,
        embedder=WordEmbedder, verifier=ConstantEmbedder,
    )  # fmt: skip


def _store(cache: Cache, n: int) -> None:
    """Store a prompt, and find it on the disk."""
    text = f"w{n} x{n} y{n}"
    cache.put(canonical_key({"n": n}), {"n": n}, scope="s", prompt=text)
    cache.flush()
    assert cache.nearest("s", text) is not None


def test_no_lookup_in_vain_waits_for_the_index(tmp_path: Path) -> None:
    first, second = _cache(tmp_path / "answers"), _cache(tmp_path / "answers")
    for n in range(100):
        _store(first, n)
    assert second.nearest("s", "w100 x100 y100") is None
    assert not second._near._followed
    assert all(second.nearest("s", f"w{n} x{n} y{n}") is not None for n in range(100))
    assert len(second._near._followed["s"].index) == 100
    first.close()
    second.close()


@pytest.mark.usefixtures("small_graphs")
def test_no_put_builds_the_graph_but_a_thread_beside_it(tmp_path: Path) -> None:
    cache = _cache(tmp_path / "answers")
    _store(cache, 0)
    for n in range(1, 200):
        cache.put(canonical_key({"n": n}), {"n": n}, scope="s", prompt=f"w{n} x{n} y{n}")
        assert cache.nearest("s", f"w{n} x{n} y{n}") is not None
    cache.flush()
    followed = cache._near._followed["s"]
    assert followed.tending is not None
    followed.tending.join(30)
    assert len(followed.index) == 200
    assert not followed.index.waiting
    assert len(followed.index._in_graph) > 150
    assert all(cache.nearest("s", f"w{n} x{n} y{n}") is not None for n in range(200))
    cache.close()


@pytest.mark.usefixtures("small_graphs")
def test_an_index_that_cannot_be_written_is_said_once_and_goes_on_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("molt_magic.cache.neighbours.LEAST_CHANGES", 20)
    cache = _cache(tmp_path / "answers")
    _store(cache, 0)
    followed = cache._near._followed["s"]
    followed.index.path = tmp_path / "nowhere" / "index-1.hnsw"
    for n in range(200):
        cache.put(canonical_key({"n": n}), {"n": n}, scope="s", prompt=f"w{n} x{n} y{n}")
        cache.settle()
    assert len(followed.index._in_graph) > 150
    assert [record.getMessage()[:44] for record in caplog.records] == ["The vector index is kept in memory only, and"]
    cache.close()


@pytest.mark.usefixtures("small_graphs")
@pytest.mark.parametrize("harm", ["none", "missing", "damaged", "stale", "other database"])
def test_the_cache_finds_every_entry_whatever_became_of_the_index_file(tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "answers"
    cache = _cache(folder)
    words = [f"w{n} x{n} y{n}" for n in range(120)]
    for n in range(120):
        _store(cache, n)
    cache.close()
    (graph,) = folder.glob("index-*.hnsw")
    if harm == "missing":
        graph.unlink()
    elif harm == "damaged":
        graph.write_bytes(graph.read_bytes()[:-50])
    elif harm == "stale":
        other = _cache(folder)
        other.put(canonical_key({"n": 120}), {"n": 120}, scope="s", prompt="w120 x120 y120")
        other.forget(canonical_key({"n": 3}))
        other._near._followed.clear()  # closes without saving
        other.close()
    elif harm == "other database":
        cache._store.delete(canonical_key({"n": 0}))
        cache.close()
        (folder / "cache.db").unlink()
        cache = _cache(folder)
        cache.put(canonical_key({"n": 7}), {"n": 7}, scope="s", prompt="quite different")
        assert cache.nearest("s", words[0]) is None
        found = cache.nearest("s", "quite different")
        assert found is not None
        assert found.value == {"n": 7}
        cache.close()
        return
    cache = _cache(folder)
    gone = {3} if harm == "stale" else set()
    for n, text in enumerate([*words, "w120 x120 y120"] if harm == "stale" else words):
        found = cache.nearest("s", text)
        assert (found is None) == (n in gone)
        assert found is None or found.value == {"n": n}
    cache.close()
