"""The decision log: what was acknowledged stays, whoever else writes and whatever ends the process."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from molt_magic.errors import InputError, StoreError, UnknownName
from molt_magic.log import DecisionLog
from molt_magic.log.schema import COLUMNS, MIGRATIONS
from molt_magic.types import Decision, Outcome


def a_decision(decision_id: str = "d1", **changes: Any) -> Decision:
    given: dict[str, Any] = {
        "decision_id": decision_id, "time": "2025-03-04T05:06:07.123456+00:00", "session": "s1", "cell_id": None,
        "strategy": "rule", "task": "simple_qa", "task_score": None, "prompt_hash": "abc", "prompt": "What is it?",
        "model": "cheap", "served_model": "cheap-2025", "provider": "openai", "deployment": None,
        "candidates": ({"name": "cheap", "skipped": None},), "attempts": ({"model": "cheap", "text": "It is."},),
        "n_attempts": 1, "escalations": 0, "fallbacks": 0, "fallback_reason": None, "cache": "miss", "cache_distance": None,
        "input_tokens": 10, "output_tokens": 5, "cached_tokens": 0, "reasoning_tokens": 0, "cost_usd": 0.25,
        "overhead_cost_usd": 0.0, "baseline_model": "dear", "baseline_cost_usd": 1.0, "saved_usd": 0.75, "latency_s": 1.5,
        "ttft_s": 0.5, "overhead_ms": 2.0, "predicted_quality": 0.6, "quality_threshold": 0.85, "quality": None,
        "quality_source": None, "context_action": "none", "context_tokens_before": 10, "context_tokens_after": 10,
        "status": "ok", "error": None, "reason": "it was asked for",
    }  # fmt: skip
    return Decision(**(given | changes))


def an_outcome(decision_id: str = "d1", score: float = 1.0, source: Any = "validator", model: str = "cheap") -> Outcome:
    return Outcome(decision_id, model, "simple_qa", score, source, "words-64", np.ones(4, dtype=np.float32).tobytes())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "decisions.sqlite"


@pytest.fixture
def log(path: Path) -> Iterator[DecisionLog]:
    log = DecisionLog(path)
    yield log
    log.close()


# -- rows


def test_the_columns_are_the_fields_of_a_decision(log: DecisionLog, path: Path) -> None:
    log.append(a_decision())
    with closing(sqlite3.connect(path)) as connection:
        stored = [name for _, name, *_ in connection.execute("PRAGMA table_info(decisions)")]
    assert stored == ["seq", *(field.name for field in dataclasses.fields(Decision))]


def test_a_decision_comes_back_as_it_went_in(log: DecisionLog) -> None:
    decision = a_decision(cost_usd=None, cell_id="c", error="timeout: late", quality=0.5, quality_source="judge")
    log.append(decision)
    assert log.get("d1") == decision
    assert log.get("d2") is None


def test_text_of_any_kind_is_logged(log: DecisionLog) -> None:
    log.append(
        a_decision(
            prompt="日本 \U0001f600 '; DROP TABLE decisions; -- \x00", error="half \ud83d", attempts=({"text": "\ud83d"},)
        )
    )
    found = log.get("d1")
    assert found is not None
    assert found.prompt == "日本 \U0001f600 '; DROP TABLE decisions; -- \x00"
    assert found.error == "half \\ud83d"


def test_the_last_decision_is_the_newest_of_the_session(log: DecisionLog) -> None:
    assert log.last() is None
    for decision_id, session in (("d1", "s1"), ("d2", "s2"), ("d3", "s1")):
        log.append(a_decision(decision_id, session=session))
    assert [getattr(log.last(session), "decision_id", None) for session in (None, "s1", "s2", "s3")] == ["d3", "d3", "d2", None]


def test_a_decision_is_logged_once(log: DecisionLog) -> None:
    log.append(a_decision(), [an_outcome()])
    with pytest.raises(StoreError, match="already"):
        log.append(a_decision(), [an_outcome()])
    assert len(log.outcomes_since(0)[0]) == 1


def test_a_decision_whose_outcome_is_wrong_is_not_written_at_all(log: DecisionLog) -> None:
    with pytest.raises(StoreError, match="CHECK"):
        log.append(a_decision(), [an_outcome(score=7)])
    assert log.get("d1") is None


def test_a_decision_that_json_cannot_hold_is_an_error_and_not_half_written(log: DecisionLog) -> None:
    with pytest.raises(StoreError, match="cannot be logged"):
        log.append(a_decision(attempts=({"text": object()},)))
    assert log.last() is None


def test_rows_cannot_be_changed_in_place(log: DecisionLog, path: Path) -> None:
    log.append(a_decision(), [an_outcome()])
    log.feedback("d1", 1)
    with closing(sqlite3.connect(path)) as connection:
        for table, column in (("decisions", "cost_usd"), ("feedback", "score"), ("outcomes", "score")):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(f"UPDATE {table} SET {column} = 0")


def test_without_prompts_none_of_the_prompt_is_on_disk(path: Path) -> None:
    prompt = "the canary sings at noon"
    log = DecisionLog(path, prompts=False)
    messages = [{"role": "user", "content": prompt}]
    log.append(
        a_decision(
            prompt=prompt, error=f"bad request: {prompt}", reason=f"said {prompt!r}", attempts=({"messages": messages, "n": 1},)
        )
    )
    found = log.get("d1")
    assert found is not None
    assert found.prompt is None
    assert found.attempts == ({"n": 1},)
    assert found.error == "bad request: [prompt]"
    log.close()
    assert not any(b"canary" in file.read_bytes() for file in path.parent.iterdir())


# -- frames


def test_the_frame_has_a_typed_column_for_every_field(log: DecisionLog) -> None:
    log.append(a_decision())
    log.append(a_decision("d2", cost_usd=None, ttft_s=None, time="2025-03-04T05:06:07+00:00"))
    frame = log.to_frame()
    assert tuple(frame.columns) == COLUMNS
    assert isinstance(frame["time"].dtype, pd.DatetimeTZDtype)
    assert str(frame["time"].dt.tz) == "UTC"
    assert frame["time"][0] == pd.Timestamp("2025-03-04T05:06:07.123456Z")
    assert {str(frame[name].dtype) for name in ("cost_usd", "saved_usd", "ttft_s", "quality", "overhead_ms")} == {"float64"}
    assert {str(frame[name].dtype) for name in ("n_attempts", "input_tokens", "context_tokens_after")} == {"int64"}
    assert np.isnan(frame["cost_usd"][1])
    assert frame["candidates"][0] == [{"name": "cheap", "skipped": None}]
    assert frame["fallback_reason"][0] is None


def test_an_empty_log_gives_a_frame_of_the_same_types(log: DecisionLog, tmp_path: Path) -> None:
    empty = log.to_frame()
    log.append(a_decision())
    assert len(empty) == 0
    assert dict(empty.dtypes) == dict(log.to_frame().dtypes)
    assert empty["cost_usd"].sum() == 0
    for ending in ("csv", "jsonl", "parquet"):
        assert log.export(tmp_path / f"empty.{ending}", empty).exists()


def test_a_limit_gives_the_newest_rows_in_the_order_they_were_made(log: DecisionLog) -> None:
    for n in range(5):
        log.append(a_decision(f"d{n}"))
    assert list(log.to_frame()["decision_id"]) == ["d0", "d1", "d2", "d3", "d4"]
    assert list(log.to_frame(limit=2)["decision_id"]) == ["d3", "d4"]
    assert len(log.to_frame(limit=0)) == 0
    with pytest.raises(InputError, match="-1 rows"):
        log.to_frame(limit=-1)


# -- feedback


def test_the_newest_word_of_the_strongest_source_counts(log: DecisionLog) -> None:
    log.append(a_decision(quality=0.4, quality_source="judge"))
    log.append(a_decision("d2", quality=0.9, quality_source="validator"))

    def quality() -> list[tuple[float, str]]:
        frame = log.to_frame()
        return list(zip(frame["quality"], frame["quality_source"], strict=True))

    assert quality() == [(0.4, "judge"), (0.9, "validator")]
    log.feedback("d1", 0.1, "validator")
    assert quality()[0] == (0.4, "judge")
    log.feedback("d1", 0.6, "judge")
    assert quality()[0] == (0.6, "judge")
    log.feedback("d1", 1)
    log.feedback("d1", 0, "judge")
    assert quality() == [(1.0, "user"), (0.9, "validator")]
    log.feedback("d1", 0)
    assert quality()[0] == (0.0, "user")
    found = log.get("d1")
    assert found is not None
    assert (found.quality, found.quality_source) == (0.0, "user")
    assert log.last() == log.get("d2")


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_score_out_of_range_is_refused(log: DecisionLog, score: float) -> None:
    log.append(a_decision())
    with pytest.raises(InputError, match="between 0 and 1"):
        log.feedback("d1", score)


def test_feedback_on_an_unknown_decision_or_from_an_unknown_source_is_refused(log: DecisionLog) -> None:
    log.append(a_decision())
    with pytest.raises(UnknownName, match="'d1'"):
        log.feedback("d2", 1)
    with pytest.raises(UnknownName, match="user"):
        log.feedback("d1", 1, "users")  # type: ignore[arg-type]
    assert log.outcomes() == []


# -- outcomes


def test_outcomes_come_back_newest_last_with_their_vectors(log: DecisionLog) -> None:
    for n in range(3):
        log.append(a_decision(f"d{n}"), [an_outcome(f"d{n}", score=n / 2)])
    assert [outcome.score for outcome in log.outcomes()] == [0.0, 0.5, 1.0]
    assert [outcome.score for outcome in log.outcomes(limit=2)] == [0.5, 1.0]
    assert log.outcomes()[0] == an_outcome("d0", score=0.0)


def test_version_tells_of_own_rows_at_once_and_of_others_a_moment_later(log: DecisionLog, path: Path) -> None:
    seen = log.version()
    assert log.version() == seen
    log.append(a_decision("own"))
    assert log.version() != seen
    other = DecisionLog(path)
    other.last()
    seen = log.version()
    other.append(a_decision("another's"))
    until = time.monotonic() + 10
    while log.version() == seen and time.monotonic() < until:
        time.sleep(0.01)
    assert log.version() != seen
    other.close()


def test_outcomes_since_gives_only_what_is_new_also_from_another_kernel(log: DecisionLog, path: Path) -> None:
    log.append(a_decision(), [an_outcome()])
    first, seen = log.outcomes_since(0)
    assert len(first) == 1
    assert log.outcomes_since(seen) == ([], seen)
    other = DecisionLog(path)
    other.feedback("d1", 0.0, outcomes=[an_outcome(score=0.0, source="user")])
    other.close()
    new, _ = log.outcomes_since(seen)
    assert [(outcome.score, outcome.source) for outcome in new] == [(0.0, "user")]


def test_of_several_outcomes_for_one_answer_the_strongest_newest_counts(log: DecisionLog) -> None:
    log.append(a_decision(), [an_outcome(score=1.0), an_outcome(score=0.2, model="dear")])
    log.feedback("d1", 0.3, outcomes=[an_outcome(score=0.3, source="user")])
    log.add_outcomes([an_outcome(score=0.9, source="judge")])
    found = [(outcome.model, outcome.score, outcome.source) for outcome in log.outcomes()]
    assert found == [("dear", 0.2, "validator"), ("cheap", 0.3, "user")]


def test_imported_outcomes_are_written_once_and_again_when_they_say_something_else(log: DecisionLog) -> None:
    table = [an_outcome("x", source="imported"), an_outcome("y", source="imported")]
    assert log.add_outcomes(table) == 2
    assert log.add_outcomes(table) == 0
    assert log.add_outcomes([an_outcome("x", source="imported", score=0.0)]) == 1
    assert [(outcome.decision_id, outcome.score) for outcome in log.outcomes()] == [("y", 1.0), ("x", 0.0)]


def test_marks_are_written_all_or_none(log: DecisionLog) -> None:
    log.append(a_decision("d1"))
    log.append(a_decision("d2"))
    with pytest.raises(UnknownName, match="'d3'"):
        log.mark([("d1", 1.0), ("d3", 0.0)])
    assert log.feedback_since(0) == []
    log.mark([("d1", 1.0), ("d2", 0.0)])
    assert [(said, score) for _, said, score, _ in log.feedback_since(0)] == [("d1", 1.0), ("d2", 0.0)]


def test_columns_of_gives_some_columns_of_the_decisions_that_are_there(log: DecisionLog) -> None:
    log.append(a_decision("d1", task="simple_qa"))
    assert log.columns_of(["d1", "nope"], ("model", "task")) == {"d1": ("cheap", "simple_qa")}


# -- sums


@pytest.mark.parametrize("session", [None, "s1"])
def test_totals_read_no_decision_that_they_do_not_count(log: DecisionLog, session: str | None) -> None:
    """Not even the rest of those that they count: a row is kilobytes."""
    log.append(a_decision())
    asked: list[str] = []
    with log._database.reading() as connection:
        connection.set_trace_callback(asked.append)
        log.totals(session=session)
        connection.set_trace_callback(None)
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {asked[0]}", {"session": session}))
    assert ("USING COVERING INDEX" in plan) if session is None else ("SEARCH decisions USING INDEX decisions_s" in plan)


def test_totals_add_up_by_model_with_unknown_costs_counted_apart(log: DecisionLog) -> None:
    log.append(a_decision("d1"))
    log.append(a_decision("d2", cost_usd=None, saved_usd=None, session="s2"))
    log.append(a_decision("d3", cost_usd=0.0, cache="exact"))
    log.append(a_decision("d4", model="odd", cost_usd=None, saved_usd=None, status="error"))
    log.append(a_decision("d5", cost_usd=9.0, status="planned"))
    cheap, odd = log.totals()
    assert cheap == {
        "model": "cheap", "decisions": 3, "cached": 1, "errors": 0, "input_tokens": 30, "output_tokens": 15, "cost_usd": 0.25,
        "saved_usd": 1.5, "unknown_costs": 1,
    }  # fmt: skip
    assert (odd["cost_usd"], odd["errors"], odd["unknown_costs"]) == (None, 1, 1)
    assert [row["decisions"] for row in log.totals("strategy", session="s1")] == [3]
    with pytest.raises(UnknownName, match="model"):
        log.totals("modell")  # type: ignore[arg-type]


def test_spent_is_what_the_session_cost_without_dry_runs(log: DecisionLog) -> None:
    for n, (cost, status, session) in enumerate(
        [(0.5, "ok", "s1"), (None, "ok", "s1"), (9.0, "planned", "s1"), (3.0, "ok", "s2")]
    ):
        log.append(a_decision(f"d{n}", cost_usd=cost, status=status, session=session))
    assert log.spent("s1") == 0.5
    assert log.spent("nobody") == 0.0


def test_spending_is_of_a_session_or_a_span_and_counts_the_known_calls_of_a_decision(log: DecisionLog) -> None:
    calls = ({"cost_usd": None}, {"cost_usd": 0.25})
    log.append(a_decision("d1", cost_usd=0.5, time="2025-03-04T23:59:59+00:00"))
    log.append(a_decision("d2", cost_usd=1.0, time="2025-03-05T00:00:00+00:00"))
    log.append(a_decision("d3", cost_usd=None, attempts=calls, session="s2", time="2025-03-05T10:00:00.5+00:00"))
    log.append(a_decision("d4", cost_usd=9.0, deployment="cassette", time="2025-03-05T10:00:00.5+00:00"))
    log.append(a_decision("d5", cost_usd=4.0, time="2025-03-06T00:00:00+00:00"))
    day = {"since": "2025-03-05T00:00:00+00:00", "until": "2025-03-06T00:00:00+00:00"}
    assert log.spending(**day) == (1.25, 1)
    assert log.spending("s1", **day) == (1.0, 0)
    assert log.spending() == (5.75, 1)
    assert log.spending(**day, after=2) == log.spending(after=2, through=4) == (0.25, 1)
    assert log.spending(**day, through=2) == (1.0, 0)
    assert log.spending("s1", after=1, through=5) == (5.0, 0)


def test_stats_name_the_file_and_its_size(log: DecisionLog, path: Path) -> None:
    log.append(a_decision(), [an_outcome()])
    stats = log.stats()
    assert (stats["path"], stats["decisions"], stats["outcomes"]) == (str(path), 1, 1)
    assert stats["bytes"] > 10_000


@pytest.mark.parametrize("count", [-1, 2.5, "2"])
def test_a_number_of_rows_is_a_whole_one(log: DecisionLog, count: Any) -> None:
    log.append(a_decision())
    with pytest.raises(InputError, match="whole number"):
        log.to_frame(count)
    with pytest.raises(InputError, match="whole number"):
        log.prune(keep=count)
    assert len(log.to_frame(np.int64(2))) == 1


# -- export


def test_jsonl_holds_the_rows_nested_and_exact(log: DecisionLog, tmp_path: Path) -> None:
    log.append(a_decision(cost_usd=1.2345678901e-7, ttft_s=None, prompt="=1+1 日本"))
    (line,) = log.export(tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    row = json.loads(line)
    assert row["prompt"] == "=1+1 日本"
    assert row["cost_usd"] == pytest.approx(1.2345678901e-7, rel=1e-9)
    assert row["ttft_s"] is None
    assert row["attempts"] == [{"model": "cheap", "text": "It is."}]
    assert row["time"] == "2025-03-04T05:06:07.123456Z"


def test_parquet_comes_back_with_its_types(log: DecisionLog, tmp_path: Path) -> None:
    log.append(a_decision())
    log.append(a_decision("d2", cost_usd=None, candidates=(), attempts=()))
    back = pd.read_parquet(log.export(tmp_path / "out.parquet"))
    assert tuple(back.columns) == COLUMNS
    assert isinstance(back["time"].dtype, pd.DatetimeTZDtype)
    assert np.isnan(back["cost_usd"][1])
    assert json.loads(back["candidates"][0]) == [{"name": "cheap", "skipped": None}]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_cell_that_a_spreadsheet_would_run_is_neutralised_in_csv(log: DecisionLog, tmp_path: Path, start: str) -> None:
    log.append(a_decision(prompt=f"{start}cmd|' /C calc'!A0", saved_usd=-0.5))
    with log.export(tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["prompt"] == f"'{start}cmd|' /C calc'!A0"
    assert row["saved_usd"] == "-0.5", "a number stays a number"
    assert json.loads(row["attempts"]) == [{"model": "cheap", "text": "It is."}]


def test_a_frame_of_the_users_own_is_exported(log: DecisionLog, tmp_path: Path) -> None:
    frame = pd.DataFrame({"=x": ["=y", None, 3], "n": [-1, 2, 3]})
    text = log.export(tmp_path / "own.CSV", frame).read_text()
    assert text.splitlines() == ["'=x,n", "'=y,-1", ",2", "3,3"]
    assert list(frame.columns) == ["=x", "n"], "the frame itself is not touched"


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")
def test_exports_and_the_log_are_for_the_user_only(log: DecisionLog, path: Path, tmp_path: Path) -> None:
    log.append(a_decision())
    out = log.export(tmp_path / "out.csv")
    files = [out, *path.parent.iterdir()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_export_that_fails_leaves_the_old_file_and_no_rest(log: DecisionLog, tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    target.write_text("old")
    with pytest.raises((TypeError, ValueError)):  # pyarrow's word for a frame it has no types for
        log.export(target, pd.DataFrame({"x": [1, "mixed", object()]}))
    assert target.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir() if "out.parquet" in file.name] == ["out.parquet"]


def test_an_unknown_ending_or_a_missing_folder_is_an_error_with_its_fix(log: DecisionLog, tmp_path: Path) -> None:
    log.append(a_decision())
    with pytest.raises(InputError, match=r"\.csv, \.jsonl or \.parquet"):
        log.export(tmp_path / "out.xlsx")
    with pytest.raises(StoreError, match="Make the folder first"):
        log.export(tmp_path / "missing" / "out.csv")


def test_parquet_without_pyarrow_says_what_to_install(
    log: DecisionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(a_decision())
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # what an import finds when it is not installed
    with pytest.raises(InputError, match="pip install pyarrow"):
        log.export(tmp_path / "out.parquet")
    assert not list(tmp_path.glob("*out.parquet*"))


# -- files


def test_a_log_of_a_newer_version_is_refused_and_left_alone(log: DecisionLog, path: Path) -> None:
    log.append(a_decision())
    log.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"newer molt_magic .*pip install -U"):
        log.append(a_decision("d2"))
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        DecisionLog(path).append(a_decision())
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["garbage", "truncated"])
def test_a_damaged_log_is_an_error_with_a_fix_and_is_never_deleted(log: DecisionLog, path: Path, damage: str) -> None:
    for n in range(50):
        log.append(a_decision(f"d{n}", reason="x" * 2000))
    log.close()
    path.write_bytes(b"not a database" * 1000 if damage == "garbage" else path.read_bytes()[:20_000])
    before = path.read_bytes()
    for use in (lambda: log.append(a_decision("new")), log.to_frame, lambda: log.get("d1")):
        with pytest.raises(StoreError, match=r"damaged.*move it aside"):
            use()
    assert path.read_bytes() == before


def test_a_log_that_cannot_be_opened_is_an_error_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot be opened.*MOLT_HOME"):
        DecisionLog(tmp_path / "file" / "decisions.sqlite").append(a_decision())
    with pytest.raises(StoreError, match=r"cannot be opened.*MOLT_HOME"):
        DecisionLog(tmp_path).last()


def test_a_locked_log_is_an_error_and_nothing_is_written(log: DecisionLog, path: Path) -> None:
    log.append(a_decision())
    log._database.busy_s = 0.1
    log.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"locked.*try again"):
            log.append(a_decision("d2"))
        assert log.get("d1") is not None, "reading goes on"
        other.execute("ROLLBACK")
    log.append(a_decision("d2"))
    assert len(log.to_frame()) == 2


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_who_writes_or_reads_waits_for_another_process_whatever_was_done_before(
    log: DecisionLog, path: Path, journal: str
) -> None:
    log.append(a_decision())
    if journal == "delete":  # as where the switch to a write-ahead journal was refused
        log.close()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("molt_magic.log.database._use_wal", lambda _: False)
            assert log.last() is not None
    for n in range(2):
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
            other.execute("BEGIN EXCLUSIVE")
            threading.Timer(0.2, other.execute, ["COMMIT"]).start()
            log.append(a_decision(f"after-{n}"))
            assert not other.in_transaction
            other.execute("BEGIN EXCLUSIVE")
            threading.Timer(0.2, other.execute, ["COMMIT"]).start()
            assert log.get(f"after-{n}") is not None, "which with a write-ahead journal needs no waiting"
            assert log.version()
            while other.in_transaction:
                time.sleep(0.01)
    assert len(log.to_frame()) == 3


_APPENDER = """
import sys
from pathlib import Path
from molt_magic.log import DecisionLog
from tests.test_log import a_decision, an_outcome
log = DecisionLog(Path(sys.argv[1]))
n = 0
while n < int(sys.argv[3]):
    name = f"{sys.argv[2]}-{n}"
    log.append(a_decision(name), [an_outcome(name)])
    print(name, flush=True)
    n += 1
"""
_ROOT = Path(__file__).parent.parent


def _appender(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _APPENDER, str(path), name, str(count)]
    return subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_four_processes_that_append_at_once_lose_no_row(path: Path) -> None:
    for process in [_appender(path, str(n), 100) for n in range(4)]:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    log = DecisionLog(path)
    assert set(log.to_frame()["decision_id"]) == {f"{name}-{n}" for name in range(4) for n in range(100)}
    assert len(log.outcomes()) == 400
    log.close()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9")
@pytest.mark.parametrize("after", [1, 7, 40])
def test_kill_9_loses_no_acknowledged_row_and_leaves_no_half(path: Path, after: int) -> None:
    process = _appender(path, "k", 1_000_000)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(after)]
    process.kill()
    rest = process.stdout.read()  # with what was read ahead of these lines, which `communicate` leaves out
    _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, err
    acknowledged += rest.split("\n")[:-1]  # a last line without its end was cut off, so it was not acknowledged
    assert len(acknowledged) >= after
    log = DecisionLog(path)
    kept = set(log.to_frame()["decision_id"])
    assert set(acknowledged) <= kept
    assert {outcome.decision_id for outcome in log.outcomes(limit=10**7)} == kept
    log.append(a_decision("after"))
    log.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


_SYNCED = """
import os, sys, time
from pathlib import Path
from molt_magic.log import DecisionLog
from tests.test_log import a_decision
syncs = []
sys.addaudithook(lambda event, given: syncs.append(given) if event == "open" and str(given[0]).endswith("-wal") else None)
log = DecisionLog(Path(sys.argv[1]))
log.flush()
assert not syncs, "nothing was written"
for n in range(200):
    log.append(a_decision(f"d{n}"))
until = time.monotonic() + 20
while not syncs and time.monotonic() < until:
    time.sleep(0.001)
assert 1 <= len(syncs) < 200, f"{len(syncs)} for 200 rows: each stands for all before it"
before = len(syncs)
log.flush()
assert len(syncs) > before
log.close()
os._exit(0)
"""


def test_what_is_written_is_synced_to_the_disk_right_after_and_flush_waits_for_it(path: Path) -> None:
    """SQLite opens its journal by itself; what Python opens it for is to sync it."""
    subprocess.run([sys.executable, "-c", _SYNCED, str(path)], cwd=_ROOT, check=True, timeout=60)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM decisions").fetchone() == (200,)


def test_threads_of_one_process_share_a_log(log: DecisionLog) -> None:
    def work(name: int) -> None:
        for n in range(25):
            log.append(a_decision(f"{name}-{n}"))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.to_frame()) == 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_opens_the_log_for_itself(log: DecisionLog, path: Path) -> None:
    log.append(a_decision("parent"))
    script = (
        "import os, sys\nfrom pathlib import Path\n"
        "from molt_magic.log import DecisionLog\nfrom tests.test_log import a_decision\n"
        "log = DecisionLog(Path(sys.argv[1])); log.append(a_decision('before')); pid = os.fork()\n"
        "log.append(a_decision('child' if pid == 0 else 'after'))\n"
        "os._exit(0) if pid == 0 else os.waitpid(pid, 0); log.append(a_decision('last'))"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], cwd=_ROOT, check=True, timeout=60)
    assert set(log.to_frame()["decision_id"]) == {"parent", "before", "child", "after", "last"}


def test_importing_the_log_and_the_cache_loads_neither_pandas_nor_numpy() -> None:
    script = "import sys, molt_magic.log, molt_magic.cache; print({'pandas', 'numpy', 'hnswlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=_ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"
