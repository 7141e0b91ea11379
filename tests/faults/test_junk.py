"""Answers of the right form with anything at all in it: an error of ours or a sound completion, nothing else."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from molt_magic.errors import ProviderError
from molt_magic.providers import Providers
from molt_magic.types import Completion, Usage
from tests.providers.conftest import KEY, settings
from tests.providers.dialects import WIRES, Heard, Wire, call
from tests.servers import Server, as_json, running, stream

JUNK = (None, -1, 1e12, float("nan"), True, "x", ["x"], {"x": []}, 10**400, "\ud83d")
TOOLS: dict[str, Any] = {
    "openai": {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    "anthropic": {"type": "tool_use", "id": "c", "name": "f", "input": {}},
    "gemini": {"functionCall": {"id": "c", "name": "f", "args": {}}},
}

every = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.provider)


def spoilt(value: Any) -> Iterator[Any]:
    """The value with each of its parts, itself included, replaced by each piece of junk, one at a time."""
    for path in list(_paths(value)):
        for junk in JUNK:
            if not path:
                yield junk
                continue
            whole = copy.deepcopy(value)
            part = whole
            for step in path[:-1]:
                part = part[step]
            part[path[-1]] = junk
            yield whole


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield from _paths(part, (*path, key))


def with_a_tool_call(wire: Wire) -> Any:
    whole = copy.deepcopy(wire.whole)
    if wire.provider == "openai":
        whole["choices"][0]["message"] |= TOOLS["openai"]
        whole["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -0.5}]}
    elif wire.provider == "anthropic":
        whole["content"].append(TOOLS["anthropic"])
    else:
        whole["candidates"][0]["content"]["parts"].append(TOOLS["gemini"])
        whole["candidates"][0]["logprobsResult"] = {"chosenCandidates": [{"logProbability": -0.5}]}
    return whole


def events_with_a_tool_call(wire: Wire) -> list[Any]:
    """(event's name, data) of each event of a stream; an end mark that is no JSON stays text."""
    found = []
    for event in wire.events:
        name = event.split("\n")[0].removeprefix("event: ") if event.startswith("event: ") else ""
        text = event[event.index("data: ") + 6 :].strip()
        found.append((name, text if text == "[DONE]" else json.loads(text)))
    if wire.provider == "openai":
        found[1][1]["choices"][0]["delta"] |= TOOLS["openai"]
        found[1][1]["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -0.5}]}
    elif wire.provider == "anthropic":
        stop = next(i for i, (name, _) in enumerate(found) if name == "message_delta")
        call_ = {"type": "content_block_start", "index": 2, "content_block": {**TOOLS["anthropic"], "input": {}}}
        piece = {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{}"}}
        found[stop:stop] = [("content_block_start", call_), ("content_block_delta", piece)]
    else:
        found[1][1]["candidates"][0]["content"]["parts"].append(TOOLS["gemini"])
    return found


def sound(completion: Completion) -> None:
    """Everything in it is what its type says, and can be stored and shown."""
    assert type(completion.text) is str
    completion.text.encode()
    assert type(completion.model) is str
    assert completion.finish_reason in ("stop", "length", "tool_calls", "content_filter", "other")
    usage = completion.usage
    for count in (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    ):
        assert type(count) is int
        assert 0 <= count < 10**7
    assert isinstance(usage, Usage)
    for wanted in completion.tool_calls:
        assert type(wanted["id"]) is type(wanted["function"]["name"]) is type(wanted["function"]["arguments"]) is str
    json.dumps(completion.tool_calls, allow_nan=False)
    assert all(type(each) is float and each == each for each in completion.logprobs or ())


async def ask_all(wire: Wire, server: Server, answers: list[Any], **params: Any) -> int:
    """Ask for each of the answers; returns how many were whole ones."""
    providers = Providers(settings({"THE_KEY": KEY}))
    answered = 0
    try:
        for answer in answers:
            server.answer(answer)
            heard = Heard()
            served = await providers.perform(wire.spec(server.url), call(**params), on_delta=heard)
            assert all(type(piece) is str for piece in heard.pieces)
            if served.completion is not None:
                sound(served.completion)
                answered += 1
            else:
                assert isinstance(served.error, ProviderError)
                if (partial := getattr(served.error, "partial", None)) is not None:
                    assert (partial.text, partial.finish_reason) == ("".join(heard.pieces), "interrupted")
    finally:
        await providers.aclose()
    return answered


@every
def test_a_whole_answer_with_junk_in_it(wire: Wire) -> None:
    answers = [as_json(200, each) for each in spoilt(with_a_tool_call(wire))]
    with running() as server:
        answered = asyncio.run(ask_all(wire, server, answers, stream=False))
    assert 0 < answered < len(answers)


@every
def test_a_stream_with_junk_in_it(wire: Wire) -> None:
    events = events_with_a_tool_call(wire)
    answers = []
    for position, (name, data) in enumerate(events):
        if data == "[DONE]":
            continue
        for junk in spoilt(data):
            spoilt_events = [*events[:position], (name, junk), *events[position + 1 :]]
            answers.append(stream([_sse(*each) for each in spoilt_events]))
    with running() as server:
        answered = asyncio.run(ask_all(wire, server, answers))
    assert 0 < answered < len(answers)


def _sse(name: str, data: Any) -> str:
    text = data if data == "[DONE]" else json.dumps(data)
    return (f"event: {name}\n" if name else "") + f"data: {text}\n\n"


@every
@pytest.mark.parametrize("status", [200, 400])
def test_an_error_with_junk_in_it(wire: Wire, status: int) -> None:
    error = wire.error(429, "slow down", "rate_limit_error")
    error["error"] |= {
        "details": [{"retryDelay": "3s", "reason": "r", "violations": [{"quotaId": "q"}]}],
        "metadata": {"raw": "r"},
    }
    answers = [as_json(status, each) for each in spoilt(error)]
    with running() as server:
        asyncio.run(ask_all(wire, server, answers))
