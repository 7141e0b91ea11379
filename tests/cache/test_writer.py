"""Answers on their way to the disk: known at once, written a moment later, and lost by nothing but a kill."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from molt_magic.cache import Cache, writer
from molt_magic.cache.store import JsonStore
from molt_magic.errors import StoreError

OpenCache = Callable[..., Cache]

ASKED = "What is the capital of France?"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread takes its time: what waits, waits."""
    monkeypatch.setattr(writer, "WAIT_S", 60.0)


def on_disk(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / "cache.db")) as connection:
        return {key for (key,) in connection.execute("SELECT key FROM Cache")}


def soon(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def text_of(cache: Cache, key: str) -> Any:
    entry = cache.get(key)
    return None if entry is None else entry.value["text"]


def test_another_process_finds_an_answer_a_moment_later(open_cache: OpenCache) -> None:
    first, second = open_cache(), open_cache()
    first.put("k", {"text": "Paris"}, scope="s", prompt=ASKED, also=["a"])
    assert soon(lambda: second.get("k") is not None)
    assert second.get("a") is not None
    assert second.nearest("s", ASKED) is not None


@pytest.mark.usefixtures("later")
def test_this_one_finds_at_once_what_waits(open_cache: OpenCache) -> None:
    cache, other = open_cache(), open_cache()
    cache.put("k", {"text": "Paris"}, scope="s", prompt=ASKED, also=["a"])
    assert other.get("k") is None, "it is not written yet"
    assert text_of(cache, "k") == text_of(cache, "a") == "Paris"
    found = cache.nearest("s", "what is the capital of France")
    assert found is not None
    assert (found.key, found.prompt) == ("k", ASKED)
    assert cache.nearest("t", ASKED) is None
    cache.flush()
    assert other.get("k") is not None


@pytest.mark.usefixtures("later")
def test_what_is_put_again_while_it_waits_is_the_later_one(open_cache: OpenCache, folder: Path) -> None:
    cache = open_cache()
    cache.put("k", {"text": "one"}, scope="s", prompt="What is one?", also=["a"])
    cache.put("k", {"text": "two"}, scope="s", prompt="What is two?")
    for _ in range(2):
        assert (text_of(cache, "k"), text_of(cache, "a")) == ("two", "one")
        assert cache.nearest("s", "What is one?") is None
        assert cache.nearest("s", "What is two?") is not None
        cache.flush()
    assert on_disk(folder) == {"k", "a"}
    cache.put("k", {"text": "three"}, scope="s", prompt="What is three?")
    assert cache.nearest("s", "What is two?") is None, "its prompt is on the disk still, its answer is no more"
    assert cache.nearest("s", "What is three?") is not None


@pytest.mark.usefixtures("later")
def test_answers_that_are_put_in_a_moment_are_one_transaction(open_cache: OpenCache, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    put_all = JsonStore.put_all
    monkeypatch.setattr(JsonStore, "put_all", lambda self, fresh: (written.append(len(fresh)), put_all(self, fresh))[1])
    cache = open_cache()
    for n in range(100):
        cache.put(f"k{n}", {"text": "x"}, scope="s", prompt=f"question {n}", also=[f"a{n}"])
    cache.flush()
    cache.flush()
    assert written == [200]
    assert cache.stats()["semantic_entries"] == 100


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("size", [10, 100_000])
def test_no_more_than_a_few_wait(open_cache: OpenCache, folder: Path, size: int) -> None:
    cache = open_cache()
    for n in range(600):
        cache.put(f"{n}", {"text": "x" * size})
        waiting = cache._writer._waiting
        assert len(waiting.texts) < writer.MOST_WAITING
        assert waiting.bytes < cache.max_bytes // writer.SHARE_WAITING
    assert on_disk(folder)


@pytest.mark.usefixtures("later")
def test_what_is_being_written_is_found_and_taken_back(open_cache: OpenCache, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_go_on = threading.Event(), threading.Event()
    put_all = JsonStore.put_all

    def slowly(self: JsonStore, fresh: Any) -> None:
        begun.set()
        assert may_go_on.wait(30)
        put_all(self, fresh)

    monkeypatch.setattr(JsonStore, "put_all", slowly)
    cache = open_cache()
    cache.put("k", {"text": "Paris"}, scope="s", prompt=ASKED)
    cache.put("l", {"text": "Lima"}, scope="s", prompt="What is the capital of Peru?")
    flushing = threading.Thread(target=cache.flush)
    flushing.start()
    assert begun.wait(30)
    assert text_of(cache, "k") == "Paris"
    assert cache.nearest("s", ASKED) is not None
    cache.put("k", {"text": "PARIS"}, scope="s", prompt=ASKED)
    found = cache.nearest("s", ASKED)
    assert found is not None
    assert found.value == {"text": "PARIS"}
    taken_back: list[bool] = []
    forgetting = threading.Thread(target=lambda: taken_back.append(cache.forget("l")))
    forgetting.start()
    may_go_on.set()
    flushing.join(30)
    forgetting.join(30)
    assert taken_back == [True]
    assert text_of(cache, "l") is None
    assert text_of(cache, "k") == "PARIS"


@pytest.mark.usefixtures("later")
def test_what_waits_is_cleared_counted_and_written_at_the_end(open_cache: OpenCache, folder: Path) -> None:
    cache = open_cache()
    cache.put("k", {"text": "Paris"}, scope="s", prompt=ASKED)
    assert (cache.stats()["entries"], cache.stats()["semantic_entries"]) == (1, 1)
    cache.put("l", {"text": "Paris"}, scope="s", prompt=ASKED)
    assert cache.clear() == 2
    assert cache.get("l") is None
    assert cache.nearest("s", ASKED) is None
    for key in ("m", "n"):
        cache.put(key, {"text": "Paris"}, scope="s", prompt=ASKED)
        cache.close()
        assert key in on_disk(folder)
        assert text_of(cache, key) == "Paris", "a later use opens it again"


def test_the_thread_ends_and_begins_again(open_cache: OpenCache, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("molt_magic.soon.IDLE_S", 0.05)
    cache = open_cache()
    for key in ("k", "l"):
        cache.put(key, {"text": "Paris"})
        assert soon(lambda: not cache._writer._soon.running)
        assert key in on_disk(folder)


def test_what_cannot_be_written_is_a_miss_and_said_once(
    open_cache: OpenCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(self: JsonStore, fresh: Any) -> None:
        raise StoreError("The cache cannot be used: the disk is full.")

    cache = open_cache()
    with monkeypatch.context() as patch:
        patch.setattr(JsonStore, "put_all", full)
        for n in range(3):
            cache.put(f"k{n}", {"text": "Paris"}, scope="s", prompt=ASKED)
            cache.flush()
            assert cache.get(f"k{n}") is None
            assert cache.nearest("s", ASKED) is None
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1
    assert "full" in cache.stats()["trouble"]
    cache.put("k", {"text": "Paris"})
    cache.flush()
    assert text_of(cache, "k") == "Paris"


@pytest.mark.usefixtures("later")
def test_a_file_that_is_damaged_while_answers_wait_takes_none_of_them(open_cache: OpenCache, folder: Path) -> None:
    cache = open_cache()
    cache.put("k", {"text": "x" * 100_000})
    cache.flush()
    cache.put("l", {"text": "Lima"})
    with closing(sqlite3.connect(folder / "cache.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.execute("DROP TABLE Cache")
        connection.commit()
    assert cache.get("k") is None, "it is set aside by who reads"
    assert (folder / "damaged-cache.db").exists()
    cache.flush()
    assert on_disk(folder) == {"l"}
    assert text_of(cache, "l") == "Lima"
    with closing(sqlite3.connect(folder / "cache.db")) as connection:
        connection.execute("DROP TABLE Cache")
        connection.commit()
    cache.put("m", {"text": "Paris"})
    cache.flush()  # and now by who writes
    assert text_of(cache, "m") == "Paris"
    assert on_disk(folder) == {"m"}


_KERNEL = """
import os, signal, sys, time
from pathlib import Path
from molt_magic.cache import Cache
from tests.cache.embedders import ConstantEmbedder, WordEmbedder
limits = dict(ttl_seconds=600, max_bytes=50_000_000, semantic=True, semantic_distance=0.05)
cache = Cache(Path(sys.argv[1]), embedder=WordEmbedder, verifier=ConstantEmbedder, **limits)
cache.put("early", {"text": "one"}, scope="s", prompt="What is one?")
time.sleep(1.0)
cache.put("late", {"text": "two"}, scope="s", prompt="What is two?")
"""
_ENDS = {
    "the end": "",
    "an error": "raise SystemExit(3)",
    "another thread": "import threading; threading.Thread(target=lambda: cache.put('last', {'text': 'x'})).start()",
    "kill": "os.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.mark.parametrize("end", _ENDS)
def test_a_process_that_ends_writes_all_and_one_that_is_killed_all_but_its_last_moment(folder: Path, end: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _KERNEL + _ENDS[end], str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert not done.stderr
    written = on_disk(folder)
    assert "early" in written
    assert "late" in written or end == "kill"
    with closing(sqlite3.connect(folder / "cache.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


@pytest.mark.usefixtures("later")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_writes_its_own_answers_only(open_cache: OpenCache, folder: Path) -> None:
    cache = open_cache()
    cache.put("parent", {"text": "one"}, scope="s", prompt="What is one?")
    with cache._writer._lock, cache._writer._writing, cache._store._lock, cache._store._writing:
        child = os.fork()
        if not child:
            code = 1
            try:  # all locks are held for ever, by nobody
                cache.put("child", {"text": "two"}, scope="s", prompt="What is two?")
                assert cache.nearest("s", "What is two?") is not None
                cache.flush()
                code = 0 if on_disk(folder) == {"child"} and text_of(cache, "child") == "two" else 2
            finally:
                os._exit(code)
    until = time.monotonic() + 30
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < until:
        time.sleep(0.02)
    if ended == (0, 0):
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert ended == (child, 0)
    cache.flush()
    assert on_disk(folder) == {"parent", "child"}
    assert text_of(cache, "parent") == "one"
