"""The cache as its user sees it: exact and semantic hits, and never an error on the way of a request."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest

from molt_magic.cache import Cache
from molt_magic.errors import InputError, StoreError
from molt_magic.serial import canonical_key
from molt_magic.types import Message
from tests.cache.embedders import BrokenEmbedder, ConstantEmbedder, FarEmbedder, WordEmbedder

OpenCache = Callable[..., Cache]
KEY, OTHER = canonical_key({"n": 1}), canonical_key({"n": 2})
ASKED = "What is the capital of France?"


# -- keys


def test_a_key_is_the_same_for_the_same_data_whatever_its_order_and_kind_of_container() -> None:
    one = canonical_key({"model": "m", "params": {"a": 1, "b": [1, 2]}, "flags": {"x", "y"}})
    two = canonical_key({"flags": frozenset(["y", "x"]), "params": MappingProxyType({"b": (1, 2), "a": 1.0}), "model": "m"})
    assert one == two
    assert len(one) == 64


@pytest.mark.parametrize(
    ("one", "two"),
    [({"a": 1}, {"a": "1"}), ({"a": True}, {"a": 1}), ({"a": None}, {}), ({"a": 0.1}, {"a": 0.2}), ({"a": ["b"]}, {"a": "b"})],
)
def test_keys_of_different_data_differ(one: dict[str, object], two: dict[str, object]) -> None:
    assert canonical_key(one) != canonical_key(two)


def test_messages_can_be_part_of_a_key() -> None:
    assert canonical_key({"m": (Message("user", "a"),)}) != canonical_key({"m": (Message("user", "b"),)})


@pytest.mark.parametrize("part", [object(), b"bytes", float("nan"), len, {1: "a"}])
def test_what_is_not_data_is_refused_as_a_key(part: object) -> None:
    with pytest.raises(InputError, match=r"cache key|not text"):
        canonical_key({"part": part})


# -- exact


def test_an_answer_is_found_again_by_its_key_only(cache: Cache) -> None:
    cache.put(KEY, {"text": "Paris", "tokens": [1, 2]})
    entry = cache.get(KEY)
    assert entry is not None
    assert entry.value == {"text": "Paris", "tokens": [1, 2]}
    assert entry.distance is None
    assert cache.get(OTHER) is None


def test_an_answer_survives_closing_and_is_seen_by_another_cache_of_the_folder(open_cache: OpenCache) -> None:
    first, second = open_cache(), open_cache()
    first.put(KEY, {"text": "one"})
    first.flush()
    assert second.get(KEY) is not None
    second.put(KEY, {"text": "two"})
    second.flush()
    first.close()
    entry = first.get(KEY)
    assert entry is not None
    assert entry.value == {"text": "two"}


def test_text_of_any_kind_comes_back_as_it_was(cache: Cache) -> None:
    value = {"text": "naïve 日本 \U0001f600 \ud83d \x00 end", "number": 1e-9, "none": None, "logprob": float("-inf")}
    cache.put(KEY, value)
    entry = cache.get(KEY)
    assert entry is not None
    assert entry.value == value


def test_an_answer_expires(open_cache: OpenCache) -> None:
    short = open_cache(ttl_seconds=0)
    short.put(KEY, {"text": "Paris"})
    assert short.get(KEY) is None


def test_a_shorter_limit_applies_to_answers_that_are_there_already(open_cache: OpenCache) -> None:
    first = open_cache(ttl_seconds=600)
    first.put(KEY, {"text": "Paris"}, scope="s", prompt=ASKED)
    first.flush()
    assert open_cache(ttl_seconds=600).get(KEY) is not None
    assert open_cache(ttl_seconds=0).get(KEY) is None
    assert open_cache(ttl_seconds=0).nearest("s", ASKED) is None


def test_an_answer_from_the_future_is_not_used(cache: Cache) -> None:
    """The clock was set back since: its age means nothing."""
    cache.put(KEY, {"text": "Paris"})
    cache.flush()
    envelope = json.loads(cache._store.get(KEY) or "")
    cache._store.put(KEY, json.dumps(envelope | {"stored": envelope["stored"] + 3600}), expire_s=600)
    assert cache.get(KEY) is None


def test_the_folder_stays_within_its_bound_and_the_oldest_go_first(open_cache: OpenCache) -> None:
    cache = open_cache(max_bytes=1_000_000)
    keys = [canonical_key({"n": n}) for n in range(200)]
    for key in keys:
        cache.put(key, {"text": "x" * 20_000}, scope="s", prompt=f"question {key}")
    assert cache.get(keys[0]) is None
    assert cache.get(keys[-1]) is not None
    assert (cache.directory / "cache.db").stat().st_size < 1_300_000
    assert cache.stats()["semantic_entries"] == cache.stats()["entries"] < 60


def test_small_answers_under_several_keys_stay_within_the_bound_too(open_cache: OpenCache) -> None:
    cache = open_cache(max_bytes=400_000)
    for n in range(600):
        cache.put(f"{n:064}", {"text": "x" * 500}, scope="s", prompt=f"question {n}", also=[f"a{n:063}"])
        assert cache.get(f"{n:064}") is not None
        assert cache.get(f"a{n:063}") is not None
    assert cache.get(f"{0:064}") is None
    assert (cache.directory / "cache.db").stat().st_size < 520_000
    assert cache.nearest("s", "question 599") is not None


def test_answers_that_have_expired_leave_the_disk(open_cache: OpenCache) -> None:
    open_cache(ttl_seconds=0).put(KEY, {"text": "Paris"}, scope="s", prompt=ASKED)
    cache = open_cache()
    for n in range(20):
        cache.put(f"{n:064}", {"text": "Paris"})
    assert cache.stats()["entries"] == 20
    assert cache.stats()["semantic_entries"] == 0


def test_an_answer_larger_than_the_cache_is_left_out_and_said(open_cache: OpenCache, caplog: pytest.LogCaptureFixture) -> None:
    cache = open_cache(max_bytes=100_000)
    cache.put(KEY, {"text": "x" * 60_000})
    assert cache.get(KEY) is None
    assert "too large" in caplog.text


def test_what_json_cannot_hold_is_not_cached_and_said_once(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        cache.put(KEY, {"text": object()})
    assert cache.get(KEY) is None
    assert len(caplog.records) == 1


def test_forget_takes_back_an_entry_and_its_vector(cache: Cache) -> None:
    cache.put(KEY, {"text": "Paris"}, scope="s", prompt=ASKED)
    assert cache.forget(KEY)
    assert not cache.forget(KEY)
    assert cache.get(KEY) is None
    assert cache.nearest("s", ASKED) is None
    assert cache.stats()["semantic_entries"] == 0


def test_clear_drops_everything_and_leaves_no_text_on_disk(cache: Cache) -> None:
    cache.put(KEY, {"text": "a canary sings"}, scope="s", prompt="who is the canary")
    assert cache.clear() == 1
    assert cache.get(KEY) is None
    assert cache.nearest("s", "who is the canary") is None
    cache.close()
    assert not any(b"canary" in file.read_bytes() for file in cache.directory.rglob("*"))
    cache.put(KEY, {"text": "again"})
    assert cache.get(KEY) is not None


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")
def test_folder_and_files_are_for_the_user_only_also_when_they_were_wider(folder: Path, open_cache: OpenCache) -> None:
    cache = open_cache()
    cache.put(KEY, {"text": "Paris"}, scope="s", prompt=ASKED)
    cache.close()
    folder.chmod(0o755)
    (folder / "cache.db").chmod(0o644)
    cache.put(OTHER, {"text": "Paris"}, scope="s", prompt=ASKED)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


# -- semantic


def test_the_same_words_in_the_same_scope_hit(cache: Cache) -> None:
    cache.put(KEY, {"text": "Paris"}, scope="s", prompt=ASKED)
    entry = cache.nearest("s", "what is the capital of France")
    assert entry is not None
    assert (entry.key, entry.prompt, entry.value) == (KEY, ASKED, {"text": "Paris"})
    assert entry.distance == pytest.approx(0, abs=1e-6)
    assert cache.stats()["semantic_hits"] == 1


def test_another_scope_never_hits(cache: Cache) -> None:
    cache.put(KEY, {"text": "Paris"}, scope="s", prompt=ASKED)
    assert cache.nearest("t", ASKED) is None


def test_a_prompt_farther_than_the_distance_does_not_hit(open_cache: OpenCache) -> None:
    cache = open_cache()
    cache.put(KEY, {"text": "Paris"}, scope="s", prompt="How do I reverse a string in Python?")
    asked = "How do I reverse a string in Python? Thanks. Bye. So long. Farewell. Adieu."
    assert cache.nearest("s", asked) is None
    assert cache.stats()["semantic_refused"] == 0


def test_the_guard_refuses_what_the_embedder_calls_the_same(open_cache: OpenCache) -> None:
    cache = open_cache(embedder=ConstantEmbedder)
    cache.put(KEY, {"text": "three"}, scope="s", prompt="Are there flights from Oslo to Rome?")
    assert cache.nearest("s", "Are there flights from Rome to Oslo?") is None
    assert cache.stats()["semantic_refused"] == 1


def test_a_refused_neighbour_does_not_hide_a_right_one(open_cache: OpenCache) -> None:
    cache = open_cache(embedder=ConstantEmbedder)
    cache.put(KEY, {"text": "12"}, scope="s", prompt="What is 15% of 80?")
    cache.put(OTHER, {"text": "9"}, scope="s", prompt="What is 15% of 60?")
    for asked, key in (("what is 15% of 80", KEY), ("what is 15% of 60", OTHER)):
        entry = cache.nearest("s", asked)
        assert entry is not None
        assert entry.key == key


def test_the_second_embedder_can_refuse(open_cache: OpenCache) -> None:
    cache = open_cache(verifier=FarEmbedder)
    cache.put(KEY, {"text": "Paris"}, scope="s", prompt=ASKED)
    assert cache.nearest("s", "Which is the capital of France?") is None
    assert cache.nearest("s", f" {ASKED} ") is not None, "the same text needs no second opinion"
    assert cache.nearest("s", "Hi, what is the capital of France") is not None, "nor does a text of which it is shown the same"


def test_the_second_embedder_is_shown_a_text_once(open_cache: OpenCache) -> None:
    verifier = WordEmbedder()
    cache = open_cache(embedder=ConstantEmbedder, verifier=lambda: verifier)
    cache.put(KEY, {"text": "Lima"}, scope="s", prompt="What is the largest city in Peru?")
    for _ in range(3):
        cache.nearest("s", "What is the biggest city in Peru?")
    assert verifier.calls == 1


@pytest.mark.parametrize("missing", [lambda: None, BrokenEmbedder])
def test_without_a_second_embedder_only_the_same_words_hit(open_cache: OpenCache, missing: Callable[[], object]) -> None:
    cache = open_cache(embedder=ConstantEmbedder, verifier=missing)
    cache.put(KEY, {"text": "Lima"}, scope="s", prompt="What is the largest city in Peru?")
    assert cache.nearest("s", "What is the biggest city in Peru?") is None
    assert cache.nearest("s", "Tell me what the largest city in Peru is") is not None


def test_a_synonym_hits_when_the_second_embedder_agrees(open_cache: OpenCache) -> None:
    cache = open_cache(embedder=ConstantEmbedder)
    cache.put(KEY, {"text": "Lima"}, scope="s", prompt="What is the largest city in Peru?")
    assert cache.nearest("s", "What is the biggest city in Peru?") is not None


def test_an_entry_of_another_cache_is_seen_at_once(open_cache: OpenCache) -> None:
    first, second = open_cache(), open_cache()
    assert first.nearest("s", ASKED) is None
    second.put(KEY, {"text": "Paris"}, scope="s", prompt=ASKED)
    second.flush()
    assert first.nearest("s", ASKED) is not None
    second.forget(KEY)
    assert first.nearest("s", ASKED) is None


def test_an_answer_stored_again_hits_with_its_new_text(open_cache: OpenCache) -> None:
    first, second = open_cache(), open_cache()
    for text in ("one", "two", "three"):
        second.put(KEY, {"text": text}, scope="s", prompt=ASKED)
        second.flush()
        entry = first.nearest("s", ASKED)
        assert entry is not None
        assert entry.value == {"text": text}


def test_vectors_of_another_embedder_are_not_used(open_cache: OpenCache) -> None:
    first = open_cache()
    first.put(KEY, {"text": "Paris"}, scope="s", prompt=ASKED)
    first.flush()
    assert open_cache(embedder=lambda: WordEmbedder(id="words-32", dim=32)).nearest("s", ASKED) is None
    assert open_cache(embedder=lambda: WordEmbedder(id="renamed")).nearest("s", ASKED) is None
    assert open_cache().nearest("s", ASKED) is not None


def test_prompts_are_embedded_when_they_are_written_and_for_no_lookup_in_vain(open_cache: OpenCache) -> None:
    embedder = WordEmbedder()
    cache = open_cache(embedder=lambda: embedder)
    cache.put(KEY, {"text": "Paris"}, scope="s", prompt=ASKED)
    cache.flush()
    before = embedder.calls
    for place in ("Peru", "Chile", "Laos"):
        assert cache.nearest("s", f"What is the capital of {place}?") is None
    assert embedder.calls == before
    assert cache.nearest("s", ASKED) is not None
    for place in ("Peru", "Chile", "Laos"):
        cache.put(place, {"text": "?"}, scope="s", prompt=f"What is the capital of {place}?")
    before = embedder.calls
    cache.flush()
    assert embedder.calls == before + 1


@pytest.mark.parametrize("off", [{"semantic": False}, {"prompts": False}])
def test_switched_off_neither_vector_nor_prompt_is_stored(open_cache: OpenCache, off: dict[str, bool]) -> None:
    cache = open_cache(**off)
    cache.put(KEY, {"text": "Paris"}, scope="s", prompt="who is the canary")
    assert cache.get(KEY) is not None
    assert cache.nearest("s", "who is the canary") is None
    cache.close()
    assert not any(b"canary" in file.read_bytes() for file in cache.directory.rglob("*"))


def test_a_broken_embedder_leaves_the_exact_cache_working_and_is_said_once(
    open_cache: OpenCache, caplog: pytest.LogCaptureFixture
) -> None:
    cache = open_cache(embedder=BrokenEmbedder)
    for _ in range(3):
        cache.put(KEY, {"text": "Paris"}, scope="s", prompt=ASKED)
    assert cache.get(KEY) is not None
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1
    assert cache.nearest("s", ASKED) is None


@pytest.mark.parametrize("prompt", ["", "   ", "?"])
def test_a_prompt_without_words_neither_fails_nor_hits(cache: Cache, prompt: str) -> None:
    cache.put(KEY, {"text": "Paris"}, scope="s", prompt=ASKED)
    cache.put(OTHER, {"text": "?"}, scope="s", prompt=prompt)
    assert cache.nearest("s", prompt) is None


# -- trouble


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_folder_that_cannot_be_made_is_a_miss_with_one_warning(
    tmp_path: Path, open_cache: OpenCache, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = open_cache(directory=tmp_path / "file" / "answers")
    for _ in range(3):
        cache.put(KEY, {"text": "Paris"}, scope="s", prompt=ASKED)
        assert cache.get(KEY) is None
        assert cache.nearest("s", ASKED) is None
    assert len(_warnings(caplog)) == 1
    assert "MOLT_HOME" in _warnings(caplog)[0]
    assert cache.stats()["trouble"]


def test_forget_and_clear_say_when_they_could_not(tmp_path: Path, open_cache: OpenCache) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = open_cache(directory=tmp_path / "file" / "answers")
    with pytest.raises(StoreError, match="cannot be used"):
        cache.forget(KEY)
    with pytest.raises(StoreError, match="cannot be used"):
        cache.clear()


_AS_A_USER = """
import logging, os, sys
from pathlib import Path
import molt_magic.cache.store
from molt_magic.cache import Cache
if os.getuid() == 0:  # root may write anywhere; imports come first, since another user may not read them
    os.setgid(65534); os.setuid(65534)
os.umask(0)
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
folder = Path(sys.argv[1])
def cache():
    limits = dict(ttl_seconds=600, max_bytes=10**7, semantic=False, semantic_distance=0.05)
    return Cache(folder / "answers", embedder=None, verifier=None, **limits)
first = cache(); first.put("k", {"text": "kept"}); first.close()
(folder / "answers").chmod(0o500)
for file in (folder / "answers").iterdir(): file.chmod(0o400)
second = cache()
for _ in range(3): second.put("k", {"text": "new"}); print("GET", second.get("k"))
second.close()
(folder / "answers").chmod(0o700)
for file in (folder / "answers").iterdir(): file.chmod(0o600)
print("AFTER", cache().get("k").value)
"""


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")
def test_a_read_only_folder_is_a_miss_with_one_warning_and_stays_as_it_is(tmp_path_factory: pytest.TempPathFactory) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as open_to_all:  # pytest's own folders are closed to the other user
        Path(open_to_all).chmod(0o777)
        done = subprocess.run([sys.executable, "-c", _AS_A_USER, open_to_all], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines.count("GET None") == 3
    assert len([line for line in lines if line.startswith("WARNING")]) == 1
    assert lines[-1] == "AFTER {'text': 'kept'}"


def test_threads_share_one_cache(cache: Cache) -> None:
    failures: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for n in range(30):
                key = canonical_key({"name": name, "n": n})
                cache.put(key, {"n": n}, scope="s", prompt=f"question {name} {n}")
                entry = cache.get(key)
                assert entry is not None
                assert entry.value == {"n": n}
                assert cache.nearest("s", f"question {name} {n}") is not None
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert cache.stats()["entries"] == 120
