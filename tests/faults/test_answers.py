"""Answers that are odd, but answers: what is made of them, and what their row says."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from molt_magic import errors
from molt_magic.result import Result
from tests.faults.conftest import PATIENCE, Stand, model
from tests.faults.test_junk import TOOLS
from tests.providers.dialects import WIRES, Wire, sse
from tests.servers import Answer, Server, as_json, head, running, stream, whole

every = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.provider)


_NUMBERS = itertools.count()  # no question is asked twice: the cache would answer


class Asks:
    """Asks the one model of an orchestrator, which is on a server that is told what to say."""

    def __init__(self, stands: list[Stand], server: Server) -> None:
        self.stands = {stand.provider: stand for stand in stands if stand.kind == "alone"}
        self.server = server

    def __call__(self, wire: Wire, *answers: Answer, **options: Any) -> Result:
        self.server.answer(*answers)
        orch = self.stands[wire.provider].orch
        network = {f"network.{name}": value for name, value in {**PATIENCE, **options.pop("network", {})}.items()}
        table = {**model("first", wire.provider, self.server.url), **options.pop("changes", {})}
        orch.configure({"models.first": table, "routes.simple_qa": {"primary": "first"}, **network})
        prompt = options.pop("prompt", f"What is the capital of France? ({next(_NUMBERS)})")
        return orch.route(prompt, **{"strategy": "rule", "task": "simple_qa", **options})


@pytest.fixture
def ask(stands: list[Stand]) -> Iterator[Asks]:
    with running() as server:
        yield Asks(stands, server)


@every
def test_lines_that_are_no_fields_are_passed_over(wire: Wire, ask: Asks) -> None:
    garbage = ": a comment\nid: 7\nretry: 10\nnonsense\n\x00\x07: \xff\n\n"
    events = [piece for event in wire.events for piece in (garbage, event)]
    assert ask(wire, stream(events)).text == "Hello wörld"


@every
def test_bytes_that_are_no_text_are_marked_and_lose_no_other(wire: Wire, ask: Asks) -> None:
    raw = "".join(wire.events).encode().replace("ö".encode(), b"\xff\xfe")
    result = ask(wire, stream([raw]))
    assert result.text == "Hello w\ufffd\ufffdrld"
    assert result.ok


@every
@pytest.mark.parametrize("kind", ["text/plain", "application/json", "text/html", ""])
def test_a_stream_is_known_by_how_it_begins_whatever_its_type_says(wire: Wire, kind: str, ask: Asks) -> None:
    assert ask(wire, stream(wire.events, content_type=kind)).text == "Hello wörld"


@every
@pytest.mark.parametrize("kind", ["text/plain", "text/event-stream", ""])
def test_json_is_known_by_how_it_begins_whatever_its_type_says(wire: Wire, kind: str, ask: Asks) -> None:
    body = f"\ufeff\n  {json.dumps(wire.whole)}"
    assert ask(wire, whole(200, body, {"content-type": kind})).text == "Hello wörld"


@every
def test_an_answer_of_another_model_says_so_in_its_row(wire: Wire, ask: Asks) -> None:
    result = ask(wire, stream(wire.events))
    assert (result.decision.model, result.decision.served_model) == ("first", "gpt-4o-served")


USAGES: dict[str, tuple[str, str, str]] = {  # where each dialect says input and output
    "openai": ("prompt_tokens", "completion_tokens", "usage"),
    "anthropic": ("input_tokens", "output_tokens", "usage"),
    "gemini": ("promptTokenCount", "candidatesTokenCount", "usageMetadata"),
}


@every
@pytest.mark.parametrize(
    ("into", "out"),
    [
        (None, None),
        (-20, 10),
        (20, -10),
        (10**12, 10),
        (20, 1e12),
        (20, float("nan")),
        ("20", "10"),
        (20.5, 10),
        (0, 10),
        (20, 0),
    ],
)
def test_token_counts_that_cannot_be_are_counted_here_and_marked(wire: Wire, into: Any, out: Any, ask: Asks) -> None:
    name_in, name_out, place = USAGES[wire.provider]
    said = {key: value for key, value in ((name_in, into), (name_out, out)) if value is not None}
    result = ask(wire, as_json(200, {**wire.whole, place: said}))
    assert result.ok
    assert result.usage.estimated
    assert 10 < result.usage.input_tokens < 40
    assert 0 < result.usage.output_tokens < 10
    assert result.cost_usd == pytest.approx((result.usage.input_tokens + 2 * result.usage.output_tokens) / 1e6)
    assert result.decision.attempts[0]["tokens_estimated"]


@every
def test_large_token_counts_that_can_be_are_believed(wire: Wire, ask: Asks) -> None:
    """A server's own tools make several turns of one: what they read together may be more than a window."""
    name_in, name_out, place = USAGES[wire.provider]
    result = ask(wire, as_json(200, {**wire.whole, place: {name_in: 30_000, name_out: 2_000}}))
    assert not result.usage.estimated
    assert (result.usage.input_tokens, result.usage.output_tokens) == (30_000, 2_000)


def _calling(wire: Wire) -> Any:
    """A whole answer that is a tool call and nothing else."""
    if wire.provider == "openai":
        message = {"role": "assistant", "content": None, **TOOLS["openai"]}
        return {**wire.whole, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    if wire.provider == "anthropic":
        return {**wire.whole, "content": [TOOLS["anthropic"]], "stop_reason": "tool_use"}
    candidate = {"content": {"role": "model", "parts": [TOOLS["gemini"]]}, "finishReason": "STOP"}
    return {**wire.whole, "candidates": [candidate]}


@every
@pytest.mark.parametrize("strategy", ["rule", "cascade"])
def test_an_answer_that_only_calls_a_tool_is_an_answer(wire: Wire, strategy: str, ask: Asks) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    result = ask(wire, as_json(200, _calling(wire)), strategy=strategy, tools=tools, changes={"can": ["tools"]})
    assert (result.decision.status, result.text) == ("ok", "")
    assert result.completion is not None
    (wanted,) = result.completion.tool_calls
    assert wanted["function"]["name"] == "f"
    assert result.completion.finish_reason == "tool_calls"


@every
def test_a_tool_call_of_unknown_length_is_counted(wire: Wire, ask: Asks) -> None:
    place = USAGES[wire.provider][2]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    result = ask(wire, as_json(200, {**_calling(wire), place: {}}), tools=tools, changes={"can": ["tools"]})
    assert result.usage.estimated
    assert result.usage.output_tokens > 0


@every
def test_an_unknown_finish_reason_is_an_answer_that_is_not_cached(wire: Wire, ask: Asks) -> None:
    before = {"openai": '"stop"', "anthropic": '"end_turn"', "gemini": '"STOP"'}[wire.provider]
    events = [event.replace(before, '"something_new"') for event in wire.events]
    prompt = f"What is the capital of Peru? ({wire.provider})"
    for _ in range(2):
        result = ask(wire, stream(events), prompt=prompt)
        assert (result.text, result.decision.status) == ("Hello wörld", "ok")
        assert result.decision.attempts[0]["finish_reason"] == "other"
    assert len(ask.server.asked) == 2


@every
def test_what_broke_off_is_asked_anew_the_next_time(wire: Wire, ask: Asks) -> None:
    prompt = f"What is the capital of Chile? ({wire.provider})"
    with pytest.raises(errors.StreamInterrupted):
        ask(wire, stream([*wire.opening, wire.pieces[0]], cut=True), prompt=prompt)
    result = ask(wire, stream(wire.events), prompt=prompt)
    assert (result.text, result.cached) == ("Hello wörld", False)


@every
def test_a_whole_answer_is_not_lost_to_a_server_that_does_not_hang_up(wire: Wire, ask: Asks) -> None:
    began = time.monotonic()
    result = ask(wire, stream(wire.events, hold=True))
    assert result.ok
    assert time.monotonic() - began < PATIENCE["first_token_s"] / 2


@every
def test_a_whole_answer_is_not_lost_to_the_time_limit(wire: Wire, ask: Asks) -> None:
    result = ask(wire, stream(wire.events, hold=True), network={"total_s": 1.0})
    assert result.text == "Hello wörld"


@every
def test_an_error_inside_a_stream_that_is_whole_does_not_undo_it(wire: Wire, ask: Asks) -> None:
    """What comes after the end mark is not the answer's."""
    result = ask(wire, stream([*wire.events, sse({"error": {"message": "late", "code": 500}})]))
    assert result.text == "Hello wörld"


def test_a_body_of_endless_blanks_is_no_answer(ask: Asks) -> None:
    with pytest.raises(errors.TimedOut):
        ask(
            WIRES[0],
            Answer([head(200, {"content-type": "text/event-stream"}), b"\n" * 1000], hold=True),
            network={"first_token_s": 0.3, "retries": 0},
        )


@every
def test_an_error_of_a_server_moves_no_cursor_and_paints_nothing(wire: Wire, ask: Asks) -> None:
    said = "bad\x1b[2J\x1b[31m request\u202e\x00\x9b0m" + "\U0001f600"
    with pytest.raises(errors.BadRequest) as caught:
        ask(wire, as_json(400, wire.error(400, said)))
    assert str(caught.value).isprintable()
    assert "\U0001f600" in caught.value.message
