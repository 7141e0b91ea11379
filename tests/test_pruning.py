"""Pruning takes the oldest decisions out for good; what they taught, and what they cost, stays."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from molt_magic.errors import InputError
from molt_magic.log import DecisionLog
from molt_magic.log.ledger import Ledger
from molt_magic.log.schema import MIGRATIONS
from tests.test_log import a_decision, an_outcome

NOW = datetime.now(UTC)


def ago(days: float) -> str:
    return (NOW - timedelta(days=days)).isoformat()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DecisionLog]:
    log = DecisionLog(tmp_path / "decisions.sqlite")
    yield log
    log.close()


def kept(log: DecisionLog) -> list[str]:
    return list(log.to_frame()["decision_id"])


def test_what_is_older_goes_and_the_newest_stay(log: DecisionLog) -> None:
    for n in range(6):
        log.append(a_decision(f"d{n}", time=ago(50 - 10 * n)), [an_outcome(f"d{n}")])
    assert log.prune(before=NOW - timedelta(days=45)).decisions == 1
    assert log.prune(keep=4).decisions == 1
    assert kept(log) == ["d2", "d3", "d4", "d5"]
    assert log.prune(before=NOW, keep=3).decisions == 1, "both must agree"
    assert log.prune(before=NOW, keep=3).decisions == 0
    assert kept(log) == ["d3", "d4", "d5"]
    log.append(a_decision("d6", time=ago(0)))
    assert kept(log)[-1] == "d6"


def test_it_must_be_said_which_may_go(log: DecisionLog) -> None:
    for wrong in ({}, {"keep": -1}, {"before": datetime(2025, 1, 1)}, {"before": "2025-01-01"}):
        with pytest.raises(InputError):
            log.prune(**wrong)  # type: ignore[arg-type]


def test_outcomes_stay_with_the_prompts_they_learned_from_unless_they_are_to_go(log: DecisionLog) -> None:
    for n in range(3):
        log.append(a_decision(f"d{n}", prompt=f"prompt {n}", time=ago(9 - n)), [an_outcome(f"d{n}")])
    log.feedback("d0", 1.0)
    before = log.outcomes_since(0)
    assert log.prune(keep=1).outcomes == 0
    assert log.outcomes_since(0) == before
    assert log.feedback_since(0) == []
    log.append(a_decision("d3", time=ago(0)), [an_outcome("d3")])
    pruned = log.prune(keep=1, outcomes=True)
    assert (pruned.decisions, pruned.outcomes) == (1, 1), "of decisions that went now; the others' were to stay"


def test_a_prompt_given_to_an_outcome_is_all_that_may_change_of_it(log: DecisionLog) -> None:
    log.append(a_decision(), [an_outcome()])
    log.prune(keep=0, before=NOW)
    with closing(sqlite3.connect(log.path)) as connection:
        for change in ("prompt = 'other'", "score = 0", "model = 'other'", "vector = x'00'"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(f"UPDATE outcomes SET {change}")


def test_what_pruned_decisions_cost_is_still_counted(log: DecisionLog) -> None:
    calls = ({"cost_usd": None}, {"cost_usd": 0.25})
    log.append(a_decision("d1", cost_usd=0.5, time="2025-03-04T23:59:59+00:00"))
    log.append(a_decision("d2", cost_usd=1.0, time="2025-03-05T00:00:00+00:00"))
    log.append(a_decision("d3", cost_usd=None, attempts=calls, session="s2", time="2025-03-05T10:00:00.5+00:00"))
    log.append(a_decision("d4", cost_usd=9.0, deployment="cassette", time="2025-03-05T10:00:00.5+00:00"))
    log.append(a_decision("d5", cost_usd=9.0, status="planned", time="2025-03-05T10:00:00.5+00:00"))
    log.append(a_decision("d6", cost_usd=4.0, time="2025-03-05T18:14:59+00:00"))
    spans = [{}, {"since": "2025-03-05T00:00:00+00:00"}, {"until": "2025-03-05T00:00:00+00:00"}]
    spans.append({"since": "2025-03-04T18:15:00+00:00", "until": "2025-03-05T18:15:00+00:00"})  # a day in Kathmandu
    asked = [(session, span) for session in (None, "s1", "s2", "nobody") for span in spans]
    before = [log.spending(session, **span) for session, span in asked]
    for left in (5, 3, 0):
        log.prune(before=NOW, keep=left)
        assert [log.spending(session, **span) for session, span in asked] == before
    assert kept(log) == []


def test_a_clock_that_was_wrong_for_a_while_neither_takes_young_decisions_with_it_nor_keeps_old_ones(log: DecisionLog) -> None:
    times = (ago(90), ago(-900), ago(80), ago(3), ago(5000), ago(1))
    for n, time in enumerate(times):
        log.append(a_decision(f"d{n}", time=time))
    assert log.prune(before=NOW - timedelta(days=30)).decisions == 3
    assert kept(log) == ["d3", "d4", "d5"]


def test_the_file_shrinks_also_one_that_is_older_than_pruning(log: DecisionLog, tmp_path: Path) -> None:
    old = DecisionLog(tmp_path / "old.sqlite")
    with closing(sqlite3.connect(old.path)) as connection:
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 1")
    for each in (log, old):
        for n in range(400):
            each.append(a_decision(f"d{n}", reason="x" * 5000, time=ago(20 - n / 40)))
        each.close()  # its thread, which brings the journal into the file, ends before the two are measured
        size = each.path.stat().st_size
        pruned = each.prune(keep=40)
        assert pruned.decisions == 360
        assert each.stats()["bytes"] == size - pruned.bytes < size / 5
        assert kept(each) == [f"d{n}" for n in range(360, 400)]
    old.close()


def test_a_ledger_forgets_what_another_kernel_pruned(log: DecisionLog) -> None:
    for n in range(4):
        log.append(a_decision(f"d{n}"))
    ledger = Ledger(log)
    log.feedback("d3", 1.0)
    assert len(ledger.frame) == 4
    with closing(DecisionLog(log.path)) as other:
        other.prune(keep=1)
    assert ledger.refresh()
    assert list(ledger.frame["decision_id"]) == ["d3"]
    assert list(ledger.frame["quality"]) == [1.0]
    assert not ledger.refresh()


_PRUNER = """
import sys
from pathlib import Path
from molt_magic.log import DecisionLog
DecisionLog(Path(sys.argv[1])).prune(keep=600)
"""


def test_kernels_go_on_writing_while_one_prunes(log: DecisionLog) -> None:
    for n in range(1200):
        log.append(dataclasses.replace(a_decision(f"d{n}"), reason="x" * 500))
    root = Path(__file__).parent.parent
    pruner = subprocess.Popen([sys.executable, "-c", _PRUNER, str(log.path)], cwd=root, env={**os.environ})
    written = 0
    while pruner.poll() is None:
        log.append(a_decision(f"new{written}"))
        written += 1
    assert pruner.returncode == 0
    assert written > 0
    left, all_written = kept(log), [*(f"d{n}" for n in range(1200)), *(f"new{n}" for n in range(written))]
    assert 600 <= len(left) <= written + 600
    assert left == all_written[-len(left) :], "only the oldest are gone"
