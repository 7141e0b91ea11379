"""The cache's file: nothing in it is ever run or followed, and damage costs the cache only."""

from __future__ import annotations

import logging
import os
import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from molt_magic.cache.store import JsonStore, VectorRow
from molt_magic.errors import StoreError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "answers"


@pytest.fixture
def store(folder: Path) -> Iterator[JsonStore]:
    store = JsonStore(folder, max_bytes=10_000_000, busy_s=5)
    store.put("key", '"text"', expire_s=600)
    yield store
    store.close()


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.victim),)


def _plant(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / "cache.db")) as connection, connection:
        connection.execute(statement, values)


def test_the_payload_of_these_tests_is_a_real_one(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Payload(tmp_path / "victim")))
    assert (tmp_path / "victim").exists()


def test_a_planted_pickle_is_not_run_but_dropped(store: JsonStore, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    victim = folder / "victim"
    _plant(folder, "UPDATE Cache SET mode = 4, value = ? WHERE key = 'key'", pickle.dumps(Payload(victim)))
    assert store.get("key") is None
    assert not victim.exists()
    assert "dropped unread" in caplog.text
    assert store.sizes()[0] == 0


def test_a_planted_pickle_in_place_of_text_is_not_run(store: JsonStore, folder: Path) -> None:
    victim = folder / "victim"
    _plant(folder, "UPDATE Cache SET value = ? WHERE key = 'key'", pickle.dumps(Payload(victim)))
    assert store.get("key") is None
    assert not victim.exists()


def test_a_planted_key_is_never_unpickled(store: JsonStore, folder: Path) -> None:
    victim = folder / "victim"
    _plant(folder, "INSERT INTO Cache (key, raw, value) VALUES (?, 0, 'x')", pickle.dumps(Payload(victim)))
    store.put("other", '"text"', expire_s=600)
    assert store.get("other") == '"text"'
    assert store.clear() == 3
    assert not victim.exists()


@pytest.mark.parametrize("mode", [1, 2, 3, 4])
def test_a_planted_file_name_is_neither_read_nor_removed(store: JsonStore, folder: Path, tmp_path: Path, mode: int) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(pickle.dumps(Payload(folder / "victim")))
    plant = "UPDATE Cache SET mode = ?, value = NULL, filename = ? WHERE key = 'key'"
    _plant(folder, plant, mode, "../precious")
    assert store.get("key") is None
    store.put("key", '"text"', expire_s=600)
    _plant(folder, plant, mode, str(precious))
    store.put("key", '"text"', expire_s=600)
    _plant(folder, plant + " AND 1", mode, str(precious))
    store.clear()
    assert precious.exists()
    assert not (folder / "victim").exists()


def test_planted_settings_make_the_file_damaged_and_choose_nothing(store: JsonStore, folder: Path, tmp_path: Path) -> None:
    store.close()
    _plant(folder, "INSERT INTO Settings VALUES ('_directory', ?)", str(tmp_path))
    assert store.get("key") is None
    assert (folder / "damaged-cache.db").exists()
    assert not (tmp_path / "cache.db").exists()
    store.put("key", '"new"', expire_s=600)
    assert store.get("key") == '"new"'


def test_planted_limits_do_not_bring_files_or_pickles_back(store: JsonStore, folder: Path) -> None:
    store.close()
    _plant(folder, "UPDATE Settings SET value = 0 WHERE key = 'disk_min_file_size'")
    store.put("key", '"' + "x" * 100_000 + '"', expire_s=600)
    assert {file.suffix for file in folder.iterdir()} <= {".db", ".db-wal", ".db-shm"}


def test_only_text_is_stored(store: JsonStore) -> None:
    with pytest.raises(ValueError, match="JSON text"):
        store.put("key", {"not": "text"}, expire_s=600)  # type: ignore[arg-type]
    assert store.get("key") == '"text"'


@pytest.mark.parametrize(
    ("damage", "while_open"),
    [("truncated", True), ("truncated", False), ("garbage", True), ("garbage", False), ("table dropped", True)],
)
def test_a_damaged_database_is_set_aside_and_begun_anew_with_one_warning(
    store: JsonStore, folder: Path, caplog: pytest.LogCaptureFixture, damage: str, while_open: bool
) -> None:
    for n in range(200):
        store.put(f"key{n}", '"' + "x" * 1000 + '"', expire_s=600)
    if not while_open:
        store.close()
    database = folder / "cache.db"
    if damage == "table dropped":
        _plant(folder, "DROP TABLE Cache")
    else:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = database.stat().st_size
        os.truncate(database, size // 2 // 4096 * 4096 + 100) if damage == "truncated" else database.write_bytes(
            b"no database" * 2000
        )
    assert store.get("key150") is None
    store.put("key", '"new"', expire_s=600)
    assert store.get("key") == '"new"'
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "set aside" in warnings[0].getMessage()
    assert (folder / "damaged-cache.db").exists()


def test_a_sound_database_that_another_process_put_there_is_not_set_aside(store: JsonStore, folder: Path) -> None:
    other = JsonStore(folder, max_bytes=10_000_000)
    other.put("other", '"text"', expire_s=600)
    store._set_aside_if_damaged()
    assert store.get("other") == '"text"'
    assert not (folder / "damaged-cache.db").exists()
    other.close()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(store: JsonStore, folder: Path) -> None:
    store.close()
    _plant(folder, "PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer molt_magic"):
        store.get("key")
    assert not (folder / "damaged-cache.db").exists()


@pytest.mark.skipif(os.name != "posix", reason="owners are a POSIX matter")
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(folder: Path) -> None:
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    with pytest.raises(StoreError, match="another user"):
        JsonStore(folder, max_bytes=10_000_000).get("key")


def test_a_database_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (tmp_path / "elsewhere.db").touch()
    (folder / "cache.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(StoreError, match="cannot be used"):
        JsonStore(folder, max_bytes=10_000_000).get("key")


def test_a_locked_database_is_an_error_that_says_so_and_is_left_alone(store: JsonStore, folder: Path) -> None:
    store.busy_s = 0.1
    store.close()
    store.get("key")
    with closing(sqlite3.connect(folder / "cache.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            store.put("key", '"new"', expire_s=600)
        assert store.get("key") == '"text"', "reading goes on"
        other.execute("ROLLBACK")
    store.put("key", '"new"', expire_s=600)
    assert store.get("key") == '"new"'


_WRITER = """
import sys
from pathlib import Path
from molt_magic.cache.store import JsonStore, VectorRow
store = JsonStore(Path(sys.argv[1]), max_bytes=50_000_000, busy_s=30)
for n in range(100):
    key = f"{sys.argv[2]}-{n}"
    store.put(key, f'"{key}"', expire_s=600, row=VectorRow(0, key, "s", "e", key, b"1234"))
    assert store.get(key) == f'"{key}"'
print("done")
"""


def test_processes_that_write_at_once_lose_nothing(folder: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(folder), str(n)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for n in range(3)
    ]
    for writer in writers:
        out, err = writer.communicate(timeout=120)
        assert out.strip() == b"done", err.decode()
        assert err == b""
    store = JsonStore(folder, max_bytes=50_000_000)
    assert store.sizes()[:2] == (300, 300)
    rows = [store.row(seq) for seq in store.seqs("s", "e")]
    assert {row.key for row in rows if row} == {f"{name}-{n}" for name in range(3) for n in range(100)}
    store.close()


def test_the_version_changes_when_another_process_or_this_one_writes_and_only_then(store: JsonStore, folder: Path) -> None:
    other = JsonStore(folder, max_bytes=10_000_000)
    before = store.version()
    store.get("key")
    assert store.version() == before
    other.put("other", '"text"', expire_s=600)
    after_other = store.version()
    assert after_other != before
    store.put("key", '"new"', expire_s=600, row=VectorRow(0, "key", "s", "e", "p", b"v"))
    assert store.version() != after_other
    other.close()


def test_a_linked_folder_keeps_the_mode_of_where_it_leads(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir(mode=0o755)
    (tmp_path / "answers").symlink_to(target)
    target.chmod(0o755)  # whatever the umask
    with closing(JsonStore(tmp_path / "answers", max_bytes=1_000_000)) as store:
        store.put("k", "{}", expire_s=600)
    assert target.stat().st_mode & 0o777 == 0o755
