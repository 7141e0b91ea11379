"""A run that has a name: what it was answered is never asked again, whatever happened in between."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from molt_magic import Orchestrator, errors
from molt_magic.views.sizes import sizes
from tests.batch.test_map import echo
from tests.conftest import MakeOrchestrator

HOLD = """
import sys
from pathlib import Path
from molt_magic.batch.file import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def calls(orch: Orchestrator) -> int:
    return len(orch.providers.calls)  # type: ignore[attr-defined]


def file_of(orch: Orchestrator, name: str = "r") -> Path:
    return orch.settings.data_dir / "runs" / f"{name}.sqlite"


def test_a_run_is_gone_on_with_where_it_ended_also_with_more_prompts_in_another_order(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": echo})
    before = orch.map(["a", "b", "bad"], model="small", resume="r", cache=False)
    other = orchestrator({"small": echo})  # as after a restart: nothing but the files is shared
    frame = other.map(["c", "b", "bad", "a", "a"], model="small", resume="r", cache=False)
    assert [call.messages[-1].text for call in other.providers.calls] == ["c", "bad"]  # type: ignore[attr-defined]
    assert frame["text"].tolist() == ["re c", "re b", None, "re a", "re a"]
    assert frame["decision_id"].iloc[[3, 1]].tolist() == before["decision_id"].iloc[:2].tolist()
    kept = frame.iloc[[3, 1]].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before.iloc[:2], check_exact=True)


def test_a_kill_between_the_log_and_the_file_of_the_run_loses_nothing(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": ["no", '{"a": 1}'], "big": '{"b": 2}'})
    how = {"strategy": "cascade", "validate": ["json"], "resume": "r", "cache": False, "concurrency": 1}
    before = orch.map(["a", "b"], **how)
    assert before["model"].tolist() == ["big", "small"]
    asked = calls(orch)
    with closing(sqlite3.connect(file_of(orch))) as connection, connection:  # what the file said while they were in flight
        connection.execute("UPDATE questions SET status = NULL, text = NULL, model = NULL, cost_usd = NULL, spent_usd = 0")
    again = orch.map(["a", "b"], **how)
    assert calls(orch) == asked
    pd.testing.assert_frame_equal(again, before)
    assert orch.runs.to_frame()["cost_usd"].item() == pytest.approx(before["cost_usd"].sum())
    pd.testing.assert_frame_equal(orch.map(["a", "b"], **how), before)


def test_what_was_in_flight_and_is_not_in_the_log_is_asked_again(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": echo})
    orch.map(["a", "b"], model="small", resume="r", cache=False, log=False)
    with closing(sqlite3.connect(file_of(orch))) as connection, connection:
        connection.execute("UPDATE questions SET status = NULL WHERE text = 're a'")
    frame = orch.map(["a", "b"], model="small", resume="r", cache=False, log=False)
    assert (calls(orch), frame["text"].tolist()) == (3, ["re a", "re b"])
    assert orch.runs.to_frame()["cost_usd"].item() == pytest.approx(3 * 0.0002)  # what was lost was paid for all the same


def test_other_options_under_the_same_name_are_refused_by_their_name(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": echo, "big": echo})
    orch.map(["a"], model="small", resume="r", temperature=0)
    for options, said in (
        ({"model": "big", "temperature": 0}, "begun with model='small', not 'big'"),
        ({"model": "small", "temperature": 0, "quality": 0.5}, "quality=0.85, not 0.5"),
        ({"model": "small"}, "param temperature=0, not None"),
        ({"strategy": "rule", "temperature": 0}, "and strategy differ"),
    ):
        with pytest.raises(errors.InputError, match=said):
            orch.map(["a"], resume="r", **options)
    assert calls(orch) == 1
    orch.map(["b"], model="small", resume="r", temperature=0, max_cost=1.0, concurrency=2, cache=False, deadline=9.0)
    orch.runs.forget("r")
    orch.map(["c"], model="big", resume="r")


def test_a_run_that_another_process_has_is_left_to_it_until_that_dies(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": echo})
    orch.map(["a"], model="small", resume="r")
    command = [sys.executable, "-c", HOLD, str(file_of(orch))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        for use in (lambda: orch.map(["b"], model="small", resume="r"), lambda: orch.runs.forget("r")):
            with pytest.raises(errors.StoreError, match="under way already"):
                use()
        assert orch.runs.to_frame()["answered"].tolist() == [1]  # it may be looked at
        other.kill()
    assert orch.map(["b"], model="small", resume="r")["text"].tolist() == ["re b"]
    assert next(size.said for size in sizes(orch) if size.name == "runs").startswith("1 run, ")


def test_runs_are_for_the_user_only_and_none_is_kept_where_prompts_are_not(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": echo})
    orch.map(["a"], model="small", resume="r")
    if os.name == "posix":
        assert {path.stat().st_mode & 0o777 for path in file_of(orch).parent.iterdir()} == {0o600}
        assert file_of(orch).parent.stat().st_mode & 0o777 == 0o700
    orch.configure({"log.prompts": False})
    with pytest.raises(errors.InputError, match=r"log\.prompts is off"):
        orch.map(["a"], model="small", resume="s")
    assert list(orch.runs) == ["r"]
    with pytest.raises(errors.UnknownName, match="Known: r"):
        orch.runs.forget("R")


def test_a_file_that_cannot_be_written_ends_the_run_with_what_there_is(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": echo})
    orch.map(["a"], model="small", resume="r")
    with closing(sqlite3.connect(file_of(orch))) as connection, connection:
        connection.execute("CREATE TRIGGER full BEFORE UPDATE ON questions BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    with pytest.raises(errors.StoreError, match="disk is full") as ended:
        orch.map(["a", *(f"q{n}" for n in range(500))], model="small", resume="r", concurrency=2)
    frame = ended.value.frame  # type: ignore[attr-defined]
    assert (len(frame), frame["text"].iloc[0]) == (501, "re a")
    assert frame["status"].eq("not asked").any()
