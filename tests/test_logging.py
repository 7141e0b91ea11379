"""The package's own logging: under `molt_magic`, silent until it is asked for, and without prompts."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from molt_magic import MoltError
from molt_magic.errors import ServerError
from tests.conftest import MakeOrchestrator

PROMPT = "A distinctive prompt about zebras?"


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "molt_magic" and record.levelno == level]


def test_decision_is_one_line_at_info(orchestrator: MakeOrchestrator, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "molt_magic"):
        result = orchestrator({"small": "No.", "big": "42"}).route(PROMPT, strategy="cascade", validate=["regex:42"])
    (line,) = lines(caplog, logging.INFO)
    assert line.startswith(f"{result.decision.decision_id}: ok by cascade: big, cache miss, 2 attempts, cost 0.0")


def test_failure_is_one_line_that_names_its_kind(orchestrator: MakeOrchestrator, caplog: pytest.LogCaptureFixture) -> None:
    orch = orchestrator({"small": ServerError(f"it broke at {PROMPT}", provider="openai")})
    with caplog.at_level(logging.INFO, "molt_magic"), pytest.raises(MoltError):
        orch.route(PROMPT, model="small")
    (line,) = lines(caplog, logging.INFO)
    assert ": error by direct, server_error: small" in line
    assert "zebras" not in line


def test_every_call_is_a_line_at_debug(orchestrator: MakeOrchestrator, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "molt_magic"):
        orchestrator({"small": "No.", "big": "42"}).route(PROMPT, strategy="cascade", validate=["regex:42"])
    assert [line.split(": ")[1].split(" ")[0] for line in lines(caplog, logging.DEBUG)] == ["small", "big"]
    assert "zebras" not in caplog.text


def test_warnings_are_silent_until_logging_is_configured() -> None:
    program = (
        "import logging, molt_magic; logging.getLogger('molt_magic.cache').warning('not for now')\n"
        "logging.basicConfig(); logging.getLogger('molt_magic.cache').warning('but now')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == "WARNING:molt_magic.cache:but now\n"
