"""A clock that jumps: what is kept expires all the same, and the log keeps the order in which things were done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from molt_magic.cache import Cache
from molt_magic.drafts import ABANDONED_S, replacing
from molt_magic.log import DecisionLog
from molt_magic.log.ledger import Ledger
from tests.test_log import a_decision

Jump = Callable[[float], None]


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Jump:
    """Sets the clock on, or back, by seconds from what it truly is."""
    true = time.time

    def by(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: true() + seconds)

    return by


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    limits = {"ttl_seconds": 600.0, "max_bytes": 10**6, "semantic": False, "semantic_distance": 0.05}
    with closing(Cache(tmp_path, embedder=None, verifier=None, **limits)) as cache:  # type: ignore[arg-type]
        yield cache


@pytest.mark.parametrize(("written", "read", "hit"), [
    (0, 590, True), (0, 610, False), (0, 10**9, False), (0, -30, True), (0, -120, False), (10**9, 0, False), (-1e8, 0, False),
])  # fmt: skip
def test_an_answer_is_used_for_its_time_by_whatever_the_clock_says(
    cache: Cache, jump: Jump, written: float, read: float, hit: bool
) -> None:
    jump(written)
    cache.put("k", {"text": "kept"})
    jump(read)
    assert (cache.get("k") is not None) is hit
    cache.put("k", {"text": "new"})
    assert cache.get("k") is not None, "and it is written anew"


def test_the_log_keeps_the_order_in_which_decisions_were_made(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with closing(DecisionLog(tmp_path / "log.sqlite")) as log:
        ledger = Ledger(log)
        for n, hours in enumerate((0, 1, -5000, 5000, 2)):
            log.append(a_decision(f"d{n}", time=(now + timedelta(hours=hours)).isoformat()))
            assert ledger.refresh()
        newest = log.last()
        assert newest is not None
        assert newest.decision_id == "d4"
        order = ["d0", "d1", "d2", "d3", "d4"]
        assert list(log.to_frame()["decision_id"]) == list(ledger.frame["decision_id"]) == order
        assert list(log.to_frame(limit=2)["decision_id"]) == ["d3", "d4"]


def test_a_draft_is_removed_once_its_writer_must_be_dead(tmp_path: Path, jump: Jump) -> None:
    target = tmp_path / "file"
    left = tmp_path / ".file.killed.part"
    left.write_text("half")
    with replacing(target) as draft:
        draft.write_text("whole")
    assert left.exists(), "another kernel may be writing it"
    jump(ABANDONED_S + 60)
    with pytest.raises(RuntimeError), replacing(target) as draft:  # noqa: PT012  # a writer that fails half-way
        draft.write_text("half")
        raise RuntimeError
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert target.read_text() == "whole"
    assert target.stat().st_mode & 0o077 == 0
