"""Small versions of the two scripts here: kernels that are killed, and kernels that run at once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.stress import kill, many


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
