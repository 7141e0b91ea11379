"""The ledger: the log's light columns in memory, always what the log itself would say."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molt_magic.errors import StoreError
from molt_magic.log import DecisionLog
from molt_magic.log import ledger as ledgers
from molt_magic.log.ledger import LIGHT, Ledger
from molt_magic.types import Decision
from tests.test_log import a_decision

ROOT = Path(__file__).parent.parent


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DecisionLog]:
    log = DecisionLog(tmp_path / "decisions.sqlite")
    yield log
    log.close()


def assert_is_the_log(ledger: Ledger, log: DecisionLog) -> None:
    pd.testing.assert_frame_equal(ledger.frame, log.to_frame()[list(LIGHT)])


def test_light_columns_are_all_but_the_nested_ones() -> None:
    assert tuple(name for name in Decision.__dataclass_fields__ if name not in ("candidates", "attempts")) == LIGHT


def test_empty_log_is_an_empty_frame_with_its_columns(log: DecisionLog) -> None:
    ledger = Ledger(log)
    assert_is_the_log(ledger, log)
    assert ledger.refresh() is False
    log.append(a_decision())
    assert ledger.refresh() is True
    assert_is_the_log(ledger, log)


def test_new_rows_are_taken_in_by_refresh_and_not_before(log: DecisionLog) -> None:
    log.append(a_decision("d0", cost_usd=None, quality=0.5, quality_source="judge"))
    ledger = Ledger(log)
    before = ledger.frame
    log.append(a_decision("d1", prompt=None, model=None))
    assert len(ledger.frame) == 1
    assert ledger.refresh() is True
    assert_is_the_log(ledger, log)
    assert ledger.refresh() is False
    assert len(before) == 1, "a frame that was handed out stays as it was"


def test_more_rows_than_are_read_at_a_time_all_arrive(log: DecisionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "_CHUNK", 3)
    for n in range(7):
        log.append(a_decision(f"d{n}"))
    assert_is_the_log(Ledger(log), log)


def test_feedback_changes_a_row_and_leaves_the_frame_that_was_handed_out(log: DecisionLog) -> None:
    log.append(a_decision("d0"))
    ledger = Ledger(log)
    before = ledger.frame
    log.feedback("d0", 1.0)
    assert ledger.refresh() is True
    assert ledger.frame["quality_source"].tolist() == ["user"]
    assert before["quality_source"].tolist() == [None]


said = st.tuples(st.integers(0, 3), st.sampled_from([0.0, 0.25, 1.0]), st.sampled_from(["user", "judge", "validator"]))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.one_of(st.just("refresh"), st.just("append"), said), max_size=12))
def test_whatever_is_said_and_whenever_it_is_read_the_ledger_is_the_log(
    tmp_path_factory: pytest.TempPathFactory, steps: list[object]
) -> None:
    log = DecisionLog(tmp_path_factory.mktemp("log") / "decisions.sqlite")
    for n, source in enumerate((None, "validator", "judge", "user")):
        log.append(a_decision(f"d{n}", quality=None if source is None else 0.5, quality_source=source))
    ledger = Ledger(log)
    for n, step in enumerate(steps):
        if step == "refresh":
            ledger.refresh()
        elif step == "append":
            log.append(a_decision(f"new{n}"))
        else:
            which, score, source = step  # type: ignore[misc]
            log.feedback(f"d{which}", score, source)
    ledger.refresh()
    assert_is_the_log(ledger, log)
    log.close()


def test_what_another_process_appends_is_seen(log: DecisionLog) -> None:
    log.append(a_decision("mine"))
    ledger = log.ledger
    assert len(ledger.frame) == 1
    script = (
        "import sys; from pathlib import Path; from molt_magic.log import DecisionLog; from tests.test_log import a_decision\n"
        "log = DecisionLog(Path(sys.argv[1])); log.append(a_decision('theirs')); log.feedback('mine', 0.0)"
    )
    subprocess.run([sys.executable, "-c", script, str(log.path)], cwd=ROOT, check=True, timeout=60)
    assert ledger.refresh() is True
    assert ledger.frame["decision_id"].tolist() == ["mine", "theirs"]
    assert_is_the_log(ledger, log)


def test_a_log_that_cannot_be_read_leaves_what_was_read_before(log: DecisionLog) -> None:
    log.append(a_decision("d0"))
    ledger = Ledger(log)
    assert len(ledger.frame) == 1
    log.append(a_decision("d1"))
    with closing(sqlite3.connect(log.path)) as connection:
        connection.execute("ALTER TABLE decisions RENAME TO hidden")
    with pytest.raises(StoreError):
        ledger.refresh()
    assert len(ledger.frame) == 1
    with closing(sqlite3.connect(log.path)) as connection:
        connection.execute("ALTER TABLE hidden RENAME TO decisions")
    ledger.refresh()
    assert_is_the_log(ledger, log)


def test_everyone_who_looks_at_a_log_shares_one_ledger(log: DecisionLog) -> None:
    assert log.ledger is log.ledger


def test_decisions_are_read_by_their_ids_in_the_order_given(log: DecisionLog) -> None:
    for n in range(4):
        log.append(a_decision(f"d{n}"))
    log.feedback("d1", 1.0)
    found = log.to_frame(ids=["d3", "gone", "d1"])
    assert found["decision_id"].tolist() == ["d3", "d1"]
    assert found["quality"].tolist()[1] == 1.0
    assert log.to_frame(ids=[]).empty
