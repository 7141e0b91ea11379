"""The strategies against servers that were not written here, over HTTP, streaming and not."""

from __future__ import annotations

import pytest

from molt_magic.orchestrator import Orchestrator
from molt_magic.types import Event

QUESTION = "In one short sentence: what is a median?"


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
@pytest.mark.parametrize("strategy", ["rule", "semantic", "arbitrage", "cascade", "direct"])
def test_every_strategy_answers_over_every_dialect(strategy: str, streaming: bool, over_a_real_server: Orchestrator) -> None:
    orch = over_a_real_server
    events: list[Event] = []
    result = orch.route(QUESTION, strategy=strategy, max_tokens=24, temperature=0.0, stream=streaming, on_event=events.append)
    assert result.text.strip()
    assert result.usage.input_tokens > 0
    assert result.usage.output_tokens > 0
    assert not result.usage.estimated
    assert result.cost_usd is not None
    assert result.cost_usd > 0
    row = orch.log.to_frame().iloc[0]
    assert (row["strategy"], row["status"], row["model"]) == (strategy, "ok", result.model)
    heard = "".join(event.text for event in events if event.kind == "delta")
    assert heard == (result.text if streaming else "")
    if streaming:
        assert row["ttft_s"] > 0


def test_a_cascade_climbs_over_http_when_a_check_refuses(over_a_real_server: Orchestrator) -> None:
    refused: list[str] = []

    def accept_the_second(text: str) -> bool:
        refused.append(text)
        return len(refused) > 1

    result = over_a_real_server.route(QUESTION, strategy="cascade", validate=[accept_the_second], max_tokens=16)
    assert result.model == "big"
    assert result.decision.escalations == 1
    assert [a.verdict.accepted for a in result.attempts if a.verdict] == [False, True]


def test_a_thread_continues_over_http(over_a_real_server: Orchestrator) -> None:
    orch = over_a_real_server
    orch.route("My name is Ann.", model="small", thread="t", max_tokens=16)
    orch.route("What is my name?", model="small", thread="t", max_tokens=16)
    assert [m.role for m in orch.threads.messages("t")] == ["user", "assistant", "user", "assistant"]
