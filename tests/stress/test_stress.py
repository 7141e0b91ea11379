"""Small versions of the scripts here: kernels that are killed, kernels that run at once, and stores that grow."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from molt_magic.bench import server
from molt_magic.orchestrator.learning import MOST_OUTCOMES
from tests.stress import growth, kill, many
from tests.stress.long_log import lengthen


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9")
def test_what_a_killed_kernel_was_told_is_done_is_done_and_the_next_one_goes_on(tmp_path: Path) -> None:
    outcome = kill.run(3, tmp_path, most=8)
    assert outcome["wrong"] == []
    assert outcome["complaints"] == []
    assert outcome["rows"] >= outcome["acknowledged"] > 0


def test_kernels_at_once_lose_no_row_raise_nothing_and_ask_nothing_twice_at_a_time(tmp_path: Path) -> None:
    outcome = many.run(4, 25, tmp_path)
    assert outcome["wrong"] == []
    assert (outcome["rows"], outcome["most_at_once"]) == (100, 1)
    assert outcome["by_cache"]["exact"] > 0


def test_a_kernel_reads_of_a_long_log_what_it_needs_and_all_of_it_is_there(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with server.running() as url:
        growth.begin(home, url)
        lengthen(home / "data" / "decisions.sqlite", decisions=3_000, outcomes=MOST_OUTCOMES + 2_000)
        with growth.an_orchestrator(url, home) as orch:
            orch.route("What is it that grows?", strategy="direct", model="small")
            known = sum(len(record.scores) for record in orch._parts.quality._records.values())
            assert MOST_OUTCOMES / 5 < known <= MOST_OUTCOMES, "one answer may have several outcomes"
            assert len(orch.log.outcomes_since(0)[0]) == MOST_OUTCOMES + 2_000 + 20
            assert sum(row["decisions"] for row in orch.log.totals()) == 3_041
            assert len(orch.log.to_frame(1_000)) == 1_000
