"""Files of the stores that are cut off, overwritten, emptied, or something else altogether: what was paid for is handed over,
what is derived is made anew, and what is the only copy is never deleted."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from molt_magic.errors import StoreError
from molt_magic.quality.fit import KeptFit
from molt_magic.quality.store import load, read
from tests.stores.kept import an_orchestrator, fill

posix = pytest.mark.skipif(os.name != "posix", reason="links and modes are a POSIX matter")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all stores, filled and closed."""
    folder = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOLT_HOME", str(folder))
        with an_orchestrator() as orch:
            fill(orch)
    return folder


@pytest.fixture
def home(filled: Path) -> Path:
    """The test's own copy of it, where an orchestrator finds it."""
    folder = Path(os.environ["MOLT_HOME"])
    shutil.copytree(filled, folder, dirs_exist_ok=True)
    return folder


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def overwrite(path: Path) -> None:
    """Random bytes over the middle half."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 4)
        file.write(random.Random(0).randbytes(size // 2))


def empty(path: Path) -> None:
    os.truncate(path, 0)


def be_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def lead_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere" / "at-all")


DAMAGES = [cut, overwrite, empty, be_a_folder, pytest.param(lead_nowhere, marks=posix)]
Damage = Callable[[Path], None]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_log_that_cannot_be_used_costs_nothing_and_is_left_alone(home: Path, damage: Damage) -> None:
    path = home / "data" / "decisions.sqlite"
    damage(path)
    before = path.read_bytes() if path.is_file() else None
    with an_orchestrator() as orch:
        if damage is empty:  # nothing is in it: it is a new one
            assert orch.route("Is it there?").text
            assert len(orch.log.to_frame()) == 1
            return
        with pytest.raises(StoreError) as told:  # noqa: PT012  # damage in the middle shows where it is read
            orch.route("Is it there?", cache=False)
            orch.log.to_frame()
        assert told.value.fix
        if orch.providers.calls:  # type: ignore[attr-defined]
            assert told.value.result is None or told.value.result.text, "what was paid for is handed over"
    if before is not None and damage is not overwrite:
        assert path.read_bytes() == before
    assert path.exists() or path.is_symlink()


def test_a_log_that_breaks_while_an_answer_is_under_way_costs_the_row_not_the_answer(home: Path) -> None:
    path = home / "data" / "decisions.sqlite"
    with an_orchestrator() as orch:
        orch.route("first")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP INDEX decisions_spent")
            connection.execute("CREATE TRIGGER broken BEFORE INSERT ON decisions BEGIN SELECT RAISE(ABORT, 'broken'); END")
        with pytest.raises(StoreError, match="broken") as told:
            orch.route("second", cache=False)
        assert told.value.result is not None
        assert told.value.result.text == "Small says so."
        assert told.value.decision_id is None
        assert orch.spent_usd() > orch.log.spent(orch.session), "what it cost is counted all the same"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_cache_that_cannot_be_used_is_told_once_and_answers_go_on(
    home: Path, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    damage(home / "cache" / "answers" / "cache.db")
    with an_orchestrator() as orch:
        texts = [orch.route(f"question {n}", model="small").text for n in range(4) for _ in range(2)]
        assert texts == ["Small says so."] * 8
        assert len(orch.log.to_frame()) == 28
    warnings = [record for record in caplog.records if record.name == "molt_magic.cache" and record.levelno >= logging.WARNING]
    assert len(warnings) == (0 if damage is empty else 1), [record.getMessage() for record in warnings]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_fit_that_cannot_be_read_is_replaced(
    home: Path, filled: Path, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    path = home / "data" / "quality.npz"
    damage(path)
    with an_orchestrator() as orch:
        assert load(path, orch.embedder) is None
        quality = orch._parts.quality
        assert quality._fit is None
        whole = KeptFit(filled / "data" / "quality.npz", orch.embedder).load()
        assert whole is not None
        quality._kept.keep(whole)  # as a fit ends
        if damage is be_a_folder:
            assert "cannot be kept" in caplog.text
            assert path.is_dir()
        else:
            assert sum(read(path, orch.embedder)[1]["seen"].values()) > 200
            assert not path.is_symlink()


@pytest.mark.parametrize("damage", DAMAGES)
def test_examples_that_cannot_be_read_are_passed_over_and_stay(
    home: Path, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    path = home / "data" / "examples.jsonl"
    path.write_text("".join(json.dumps({"text": f"example {n}", "task": "simple_qa"}) + "\n" for n in range(40)))
    damage(path)
    before = path.read_bytes() if path.is_file() else b""
    with an_orchestrator() as orch:
        for _ in range(3):
            assert orch.route("Is it there?", strategy="semantic").text
        if damage in (be_a_folder, lead_nowhere):
            with pytest.raises(StoreError, match="cannot be written"):
                orch.classifier.add([("another", "simple_qa")])
        else:
            orch.classifier.add([("another", "simple_qa")])
            assert path.read_bytes().startswith(before)
    told = [record for record in caplog.records if "your examples" in record.getMessage()]
    assert len(told) == (1 if damage is be_a_folder else 0)


@pytest.mark.parametrize("damage", [cut, overwrite, empty, be_a_folder])
def test_a_cassette_that_cannot_be_read_costs_nothing_and_is_left_alone(tmp_path: Path, damage: Damage) -> None:
    tape = tmp_path / "answers.jsonl"
    with an_orchestrator(**{"cassette.file": str(tape)}) as orch:
        for n in range(9):
            orch.route(f"question {n}", model="small")
    damage(tape)
    before = tape.read_bytes() if tape.is_file() else None
    with an_orchestrator(**{"cassette.file": str(tape)}) as orch:
        if damage is cut:  # the last line is, and it is recorded again
            assert orch.route("question 8", model="small").text
            assert tape.read_text().count("\n") == 10 - 3
            return
        with pytest.raises(StoreError) as told:
            orch.route("question 8", model="small")
        assert told.value.fix
        assert orch.providers.calls == []  # type: ignore[attr-defined]
    if before is not None:
        assert tape.read_bytes() == before


@posix
def test_an_answer_that_cannot_be_put_on_the_cassette_is_handed_over_with_the_error(tmp_path: Path) -> None:
    tape = tmp_path / "tapes" / "answers.jsonl"
    with an_orchestrator(**{"cassette.file": str(tape)}) as orch:
        orch.route("question 1", model="small")
        locks = orch.settings.cache_dir / "locks"
        locks.rename(locks.with_name("elsewhere"))
        locks.write_text("in the way")
        with pytest.raises(StoreError, match="cannot be written") as told:
            orch.route("question 2", model="small")
        assert told.value.result is not None
        assert told.value.result.text == "Small says so."
        assert len(orch.log.to_frame()) == 2, "it is in the log"
        locks.unlink()
        locks.with_name("elsewhere").rename(locks)
        orch.route("question 2", model="small", cache="refresh")
        assert tape.read_text().count("question 2") == 1
