"""The embedded default: a real model in a child process, through the orchestrator."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from molt_magic.config import load_settings
from molt_magic.orchestrator import Orchestrator
from molt_magic.types import Event


@pytest.fixture
def orch(smollm: Path, tmp_path: Path) -> Iterator[Orchestrator]:
    with Orchestrator(settings=load_settings(cwd=tmp_path)) as it:
        yield it


def test_a_real_model_answers_without_a_key_and_costs_nothing(orch: Orchestrator) -> None:
    result = orch.route("What is the capital of France?", model="smollm-local", temperature=0.0, max_tokens=24)
    assert "Paris" in result.text
    assert result.cost_usd == 0
    assert result.decision.provider == "local"
    assert not result.usage.estimated


def test_confidence_is_read_off_the_token_probabilities(orch: Orchestrator) -> None:
    result = orch.route(
        "What is the capital of France?", model="smollm-local", temperature=0.0, max_tokens=8, validate=["confidence:0.01"]
    )
    assert result.decision.quality is not None
    assert 0.01 <= result.decision.quality <= 1.0
    assert "confidence" in result.decision.attempts[0]["verdict"]["reason"]


def test_samples_of_one_model_are_compared(orch: Orchestrator) -> None:
    result = orch.route("What is the capital of France? One word.", model="smollm-local", max_tokens=8, validate=["agree:3"])
    assert [a["purpose"] for a in result.decision.attempts] == ["answer", "judge", "judge"]
    assert "samples agree" in result.decision.attempts[0]["verdict"]["reason"]


def test_an_interrupt_frees_the_engine_at_once(orch: Orchestrator) -> None:
    orch.route("Say hi.", model="smollm-local", max_tokens=4)  # loaded
    seen = threading.Event()

    def interrupt(event: Event) -> None:
        if event.kind == "delta" and not seen.is_set():
            seen.set()
            _thread.interrupt_main()

    with pytest.raises(KeyboardInterrupt) as interrupted:
        orch.route("Tell a very long story.", model="smollm-local", max_tokens=2000, on_event=interrupt)
    assert interrupted.value.result.text  # type: ignore[attr-defined]
    started = time.monotonic()
    assert orch.route("Say hi.", model="smollm-local", max_tokens=4, cache=False).text
    assert time.monotonic() - started < 10.0  # the long story would have taken several times as long


def test_a_conversation_too_long_for_the_engine_is_made_to_fit(orch: Orchestrator) -> None:
    orch.configure({"context.max_tokens": 400, "context.keep_turns": 2, "context.summary_model": "smollm-local"})
    for n in range(5):
        last = orch.route(
            f"Fact {n}: " + "the boats were late and the sky was grey. " * 5, model="smollm-local", thread="t", max_tokens=16
        )
    assert last.decision.context_action == "summary"
    assert last.usage.input_tokens < 400
