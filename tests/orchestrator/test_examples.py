"""The user's own examples: kept, shared by kernels, corrected in a cell, and routed by."""

from __future__ import annotations

import logging
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from molt_magic.errors import InputError
from molt_magic.orchestrator import Orchestrator
from molt_magic.orchestrator.examples import KeptExamples
from tests.conftest import MakeOrchestrator

REFUNDS = [(f"I want my money back for order {n}", "refunds") for n in range(20)]
ASKED = "I want my money back for order 99"


def file_of(orch: Orchestrator) -> Path:
    return orch.settings.data_dir / "examples.jsonl"


def test_added_examples_are_there_after_a_restart_for_the_user_only(orchestrator: MakeOrchestrator) -> None:
    first = orchestrator({})
    first.classifier.add(REFUNDS)
    assert stat.S_IMODE(file_of(first).stat().st_mode) == 0o600
    assert orchestrator({}).classifier.guess(ASKED).task == "refunds"


def test_another_kernel_that_is_running_takes_them_in(orchestrator: MakeOrchestrator) -> None:
    running, other = orchestrator({}), orchestrator({})
    assert running.classifier.guess(ASKED).task != "refunds"
    other.classifier.add(REFUNDS)
    assert running.classifier.guess(ASKED).task == "refunds"


def test_a_task_without_a_route_is_named_in_the_reason_until_it_is_configured(
    orchestrator: MakeOrchestrator,
) -> None:
    orch = orchestrator({"small": "done", "big": "done"})
    orch.classifier.add(REFUNDS)
    result = orch.route(ASKED, strategy="semantic")
    assert result.decision.reason.startswith("looks like refunds (")
    assert "), which has no route: big by default" in result.decision.reason
    assert ", which has no route: " in orch.route(ASKED, strategy="rule", cache=False).decision.reason
    orch.configure({"routes.refunds": {"primary": "small"}})
    routed = orch.route(ASKED, strategy="semantic", cache=False)
    assert routed.model == "small"
    assert "no route" not in routed.decision.reason


def test_without_logged_prompts_they_last_for_the_session_and_it_says_so(
    orchestrator: MakeOrchestrator, caplog: pytest.LogCaptureFixture
) -> None:
    orch = orchestrator({}, values={"log.prompts": False})
    with caplog.at_level(logging.WARNING, "molt_magic"):
        orch.classifier.add(REFUNDS)
    assert "20 examples are kept for this session only: log.prompts is off" in caplog.text
    assert orch.classifier.guess(ASKED).task == "refunds"
    assert not file_of(orch).exists()


def test_over_a_cassette_nothing_of_the_users_is_read_or_written(orchestrator: MakeOrchestrator, tmp_path: Path) -> None:
    orchestrator({}).classifier.add(REFUNDS)
    orch = orchestrator({}, values={"cassette.file": str(tmp_path / "tape.jsonl"), "cassette.mode": "record"})
    before = file_of(orch).read_bytes()
    assert "refunds" not in orch.classifier.tasks
    orch.classifier.add([("the parcel is late", "delivery")])
    assert "delivery" in orch.classifier.tasks
    assert file_of(orch).read_bytes() == before


def test_a_damaged_line_is_skipped_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "examples.jsonl"
    KeptExamples(path).keep([("first", "a")])
    with path.open("a") as file:
        file.write('{"text": 3}\nno json\n{"text": "cut o')  # whoever wrote the last line was killed
    KeptExamples(path).keep([("last", None)])
    with caplog.at_level(logging.WARNING, "molt_magic"):
        assert KeptExamples(path).news() == [("first", "a"), ("last", None)]
    assert [f"line {n} of {path} is no example and is skipped" in caplog.text for n in (2, 3, 4, 5)] == [
        True,
        True,
        True,
        False,
    ]


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: KeptExamples(path).keep([(f"text {n} " + "x" * 5000, "a")]), range(40)))
    assert sorted(int(text.split()[1]) for text, _ in KeptExamples(path).news()) == list(range(40))


def test_an_example_with_half_a_character_is_refused_and_one_that_is_kept_already_skipped(
    orchestrator: MakeOrchestrator, caplog: pytest.LogCaptureFixture
) -> None:
    orch = orchestrator({})
    orch.classifier.add(REFUNDS)
    with pytest.raises(InputError, match="half of a character"):
        orch.classifier.add([("half of an emoji \ud83d", "refunds")])
    with file_of(orch).open("a") as file:
        file.write('{"text": "half of an emoji \\ud83d", "task": "refunds"}\n')  # as an earlier version kept it
    with caplog.at_level(logging.WARNING, "molt_magic"):
        assert orchestrator({}).classifier.guess(ASKED).task == "refunds"
    assert "line 21 of" in caplog.text
