"""Versions move on: a file of every past version is brought forward, and a newer one is refused with the reason, and stays."""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from molt_magic.cache.store import SCHEMA_VERSION, JsonStore
from molt_magic.errors import StoreError
from molt_magic.log import DecisionLog
from molt_magic.log.schema import MIGRATIONS
from molt_magic.orchestrator.examples import KeptExamples
from molt_magic.providers.cassette import Tape
from molt_magic.quality.predictor import Predictor
from molt_magic.quality.promise import Promise
from molt_magic.quality.store import VERSION, load, save
from tests.stores.kept import an_orchestrator
from tests.stress.kernel import taught
from tests.test_log import a_decision, an_outcome


def a_log_of_version(version: int, path: Path) -> None:
    """As the molt_magic of that time left it: the migrations until then, and a row in every table."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statements in MIGRATIONS[:version]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")
        known = [name for _, name, *_ in connection.execute("PRAGMA table_info(decisions)")][1:]
        decision = a_decision("old", prompt="an old prompt")
        row = {name: getattr(decision, name) for name in known}
        row |= {"candidates": json.dumps(row["candidates"]), "attempts": json.dumps(row["attempts"])}
        connection.execute(f"INSERT INTO decisions ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
        connection.execute("INSERT INTO feedback (decision_id, time, score, source) VALUES ('old', '2025', 1.0, 'user')")
        connection.execute(
            "INSERT INTO outcomes (decision_id, model, score, source, embedder, vector)"
            " VALUES ('old', 'm', 1.0, 'judge', 'e', x'00')"
        )


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_log_of_every_past_version_is_brought_forward_with_what_is_in_it(version: int, tmp_path: Path) -> None:
    path, fresh = tmp_path / "old.sqlite", tmp_path / "new.sqlite"
    a_log_of_version(version, path)
    with closing(DecisionLog(path)) as log, closing(DecisionLog(fresh)) as new:
        found = log.get("old")
        assert found is not None
        assert (found.prompt, found.quality, found.promise) == ("an old prompt", 1.0, None)
        assert [outcome.prompt for outcome in log.outcomes()] == ["an old prompt"]
        log.append(a_decision("new"), [an_outcome("new")])
        new.append(a_decision("new"), [an_outcome("new")])
        assert log.get("new") == new.get("new")
    for query in ("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name", "PRAGMA user_version"):
        shapes = []
        for file in (path, fresh):
            with closing(sqlite3.connect(file)) as connection:
                shapes.append(connection.execute(query).fetchall())
        assert shapes[0] == shapes[1], "it is as if it had been made today"


def test_a_newer_log_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    a_log_of_version(len(MIGRATIONS), path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"newer molt_magic .*pip install -U"):
        DecisionLog(path).append(a_decision("new"))
    assert path.read_bytes() == before


def test_a_newer_cache_is_refused_and_stays(tmp_path: Path) -> None:
    with closing(JsonStore(tmp_path, max_bytes=10**6)) as store:
        store.put("k", "{}", expire_s=600)
    with closing(sqlite3.connect(tmp_path / "cache.db")) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with closing(JsonStore(tmp_path, max_bytes=10**6)) as store, pytest.raises(StoreError, match="newer molt_magic"):
        store.put("k", "{}", expire_s=600)
    with closing(sqlite3.connect(tmp_path / "cache.db")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM Cache").fetchone() == (1,)


@pytest.fixture(scope="module")
def fitted() -> Predictor:
    frame = taught(1, rows=40)
    by_model = frame.pivot(index="prompt", columns="model", values="score")
    predictor = Predictor()
    predictor.fit(list(by_model.index), by_model.to_numpy(), tuple(by_model.columns), None)
    return predictor


def of_version(version: int, fitted: Predictor, path: Path) -> None:
    save(fitted, path, {"seen": {}, "size": 80})
    with np.load(path) as file:
        arrays = dict(file)
    arrays["about"] = np.array(json.dumps({**json.loads(str(arrays["about"])), "version": version}))
    np.savez(path, **arrays)


def test_newer_learned_quality_is_not_used_and_not_replaced(
    fitted: Predictor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "quality.npz"
    of_version(VERSION + 1, fitted, path)
    before = path.read_bytes()
    assert load(path, fitted.embedder) is None
    assert "newer molt_magic" in caplog.text
    with pytest.raises(StoreError, match=r"newer molt_magic .*pip install -U"):
        save(fitted, path, {})
    assert path.read_bytes() == before


def test_older_learned_quality_is_fitted_anew_in_its_place(
    fitted: Predictor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "quality.npz"
    of_version(VERSION - 1, fitted, path)
    assert load(path, fitted.embedder) is None
    assert not caplog.records
    save(fitted, path, {"size": 1})
    found = load(path, fitted.embedder)
    assert found is not None
    assert found[1] == {"size": 1}


def test_a_newer_promise_is_refused_with_the_reason(fitted: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "promise.npz"
    of_version(VERSION + 1, fitted, path)
    with pytest.raises(StoreError, match=r"newer molt_magic .*pip install -U"):
        Promise.load(path, fitted.embedder)
    of_version(VERSION - 1, fitted, tmp_path / "older.npz")
    with pytest.raises(StoreError, match=r"older molt_magic .*Calibrate again"):
        Promise.load(tmp_path / "older.npz", fitted.embedder)


def test_newer_examples_are_passed_over_with_the_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_text('{"text": "a", "task": "t"}\n{"version": 2, "text": "b", "task": "t"}\n')
    assert KeptExamples(path).news() == [("a", "t")]
    assert "line 2" in caplog.text
    assert "newer molt_magic (version 2, this one knows 1)" in caplog.text


def test_a_newer_cassette_is_refused_and_nothing_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"molt_cassette": 2, "models": []}\n')
    with pytest.raises(StoreError, match="newer molt_magic"):
        len(Tape(path, locks=tmp_path))
    with an_orchestrator(**{"cassette.file": str(path)}) as orch:
        with pytest.raises(StoreError, match="newer molt_magic"):
            orch.route("Is it there?", model="small")
        assert orch.providers.calls == []  # type: ignore[attr-defined]
    assert path.read_text() == '{"molt_cassette": 2, "models": []}\n'


def test_nothing_is_said_of_files_of_this_version(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        with an_orchestrator() as orch:
            orch.route("Is it there?", model="small")
            orch.classifier.add([("mine", "simple_qa")])
    assert not caplog.records
