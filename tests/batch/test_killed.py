"""A small version of `tests.stress.batch`: a run whose process is killed comes back whole."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.stress import batch


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9")
def test_a_run_that_is_killed_comes_back_whole_and_pays_for_nothing_acknowledged_again(tmp_path: Path) -> None:
    outcome = batch.run(200, 1, tmp_path)
    assert outcome["wrong"] == []
    assert outcome["errors"] >= outcome["failed_prompts"] > 0
    assert outcome["paid_twice"] <= outcome["lost_in_flight"] <= 16
