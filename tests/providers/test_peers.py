"""Servers and clients that were not written here: llmock answers and fails, the vendors' SDKs read the same answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from llmock.pytest_plugin import LLMock

from molt_magic import errors
from molt_magic.providers import Providers, Served
from molt_magic.types import Call, Deployment, Message, ModelSpec
from tests.providers.conftest import KEY, settings
from tests.providers.dialects import ANTHROPIC, OPENAI, Heard, Wire, call
from tests.servers import Server, as_json, stream

pytestmark = pytest.mark.anyio

PEERS = ("openai", "anthropic", "gemini")
every = pytest.mark.parametrize("provider", PEERS)
both = pytest.mark.parametrize("streaming", [True, False], ids=["stream", "whole"])
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
async def providers(llmock: LLMock) -> AsyncIterator[Providers]:
    it = Providers(settings({**llmock.env(), "K": KEY}, retries=2, first_token_s=0.5))
    yield it
    await it.aclose()


def spec_of(provider: str, llmock: LLMock) -> ModelSpec:
    return ModelSpec("m", provider, "gpt-4o", deployments=(Deployment("peer", base_url=llmock.base_url(provider)),))


async def ask(providers: Providers, spec: ModelSpec, request: Call | None = None) -> tuple[Served, str]:
    heard = Heard()
    served = await providers.perform(spec, request or call("Say it"), on_delta=heard)
    return served, "".join(heard.pieces)


@every
@both
async def test_an_answer_of_llmock_is_read(provider: str, streaming: bool, llmock: LLMock, providers: Providers) -> None:
    llmock.reply("The scripted answer, word for word.")
    served, heard = await ask(providers, spec_of(provider, llmock), call("Say it", stream=streaming))
    assert served.error is None
    assert served.completion is not None
    assert served.completion.text == "The scripted answer, word for word."
    assert heard == (served.completion.text if streaming else "")
    assert served.completion.finish_reason == "stop"
    assert served.completion.usage.input_tokens > 0
    assert served.completion.usage.output_tokens > 0
    assert llmock.last_request.stream is streaming
    llmock.assert_resilient(strict=True)


@every
async def test_the_sdks_base_url_variables_lead_there(provider: str, llmock: LLMock, providers: Providers) -> None:
    vendor = {"gemini": "google"}.get(provider, provider)
    served, heard = await ask(providers, ModelSpec("m", provider, "gpt-4o", vendor=vendor))
    assert served.error is None
    assert heard
    assert llmock.last_request.provider == provider


@every
@both
async def test_a_tool_call_of_llmock_is_read_and_its_result_sent_back(
    provider: str, streaming: bool, llmock: LLMock, providers: Providers
) -> None:
    llmock.call_tool("weather", {"city": "Zürich, and a long name that comes in pieces"})
    spec = spec_of(provider, llmock)
    question = Message("user", "Weather?")
    served, _ = await ask(providers, spec, Call("m", (question,), params={"tools": [WEATHER], "stream": streaming}))
    assert served.completion is not None
    assert served.completion.finish_reason == "tool_calls"
    (wanted,) = served.completion.tool_calls
    assert wanted["type"] == "function"
    assert wanted["function"]["name"] == "weather"
    assert json.loads(wanted["function"]["arguments"]) == {"city": "Zürich, and a long name that comes in pieces"}
    talk = (
        question,
        Message("assistant", served.completion.text, tool_calls=(wanted,)),
        Message("tool", "21 C", tool_call_id=wanted["id"]),
    )
    served, _ = await ask(providers, spec, Call("m", talk, params={"tools": [WEATHER], "stream": streaming}))
    assert served.error is None
    assert served.completion is not None
    assert served.completion.finish_reason == "stop"


@pytest.mark.parametrize("provider", ["openai", "gemini"])
@both
async def test_a_schema_is_followed_by_llmock(provider: str, streaming: bool, llmock: LLMock, providers: Providers) -> None:
    schema = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}
    request = Call("m", (Message("user", "How much?"),), params={"stream": streaming}, schema=schema)
    served, _ = await ask(providers, spec_of(provider, llmock), request)
    assert served.completion is not None
    assert isinstance(json.loads(served.completion.text)["total"], int)


@every
@both
async def test_rate_limits_are_waited_out(provider: str, streaming: bool, llmock: LLMock, providers: Providers) -> None:
    llmock.rate_limit(times=2, retry_after=0.1)
    served, _ = await ask(providers, spec_of(provider, llmock), call("Say it", stream=streaming))
    assert served.error is None
    assert len(served.retries) == 2
    assert all(retry.waited_s >= 0.1 for retry in served.retries)
    llmock.assert_resilient(strict=True)


@every
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_what_cannot_pass_is_not_retried(provider: str, status: int, llmock: LLMock, providers: Providers) -> None:
    llmock.fail(status, times=None)
    served, _ = await ask(providers, spec_of(provider, llmock))
    assert served.error is not None
    assert served.error.status == status
    assert len(llmock.requests) == 1
    llmock.assert_resilient(strict=True)


@every
@pytest.mark.parametrize("status", [500, 503, 529])
async def test_an_outage_is_retried_and_then_reported(provider: str, status: int, llmock: LLMock, providers: Providers) -> None:
    llmock.fail(status, times=None, retry_after=0.0)
    served, _ = await ask(providers, spec_of(provider, llmock))
    assert isinstance(served.error, errors.ServerError)
    assert len(llmock.requests) == 3
    llmock.assert_resilient(strict=True)


@every
async def test_an_overlong_prompt_is_told_as_such(provider: str, llmock: LLMock, providers: Providers) -> None:
    llmock.limits(context_window=5)
    served, _ = await ask(providers, spec_of(provider, llmock), call("many words " * 50))
    assert isinstance(served.error, errors.ContextTooLong)


@every
@pytest.mark.parametrize("fault", ["truncate", "disconnect", "corrupt", "stall"])
async def test_a_stream_that_breaks_after_text_is_an_interruption_with_the_text(
    provider: str, fault: str, llmock: LLMock, providers: Providers
) -> None:
    llmock.reply("one two three four five six seven", times=None)
    getattr(llmock, fault)(after_chunks=6)
    served, heard = await ask(providers, spec_of(provider, llmock))
    assert served.completion is None
    assert isinstance(served.error, errors.StreamInterrupted)
    assert served.error.partial is not None
    assert served.error.partial.text == heard
    assert "one two three four five six seven".startswith(heard)
    assert len(llmock.requests) == 1


@pytest.mark.parametrize("provider", ["openai", "anthropic"])  # Gemini's first chunk has text already
@pytest.mark.parametrize("fault", ["truncate", "disconnect", "corrupt", "stall"])
async def test_a_stream_that_breaks_before_text_is_asked_for_again(
    provider: str, fault: str, llmock: LLMock, providers: Providers
) -> None:
    llmock.reply("whole", times=None)
    getattr(llmock, fault)(after_chunks=1)
    served, heard = await ask(providers, spec_of(provider, llmock))
    assert served.error is None
    assert heard == "whole"
    assert len(served.retries) == 1
    llmock.assert_resilient()  # not strict: a corrupted stream that was sent to its end counts as one that was accepted


@pytest.mark.parametrize("fault", ["truncate", "disconnect"])
@every
async def test_no_cut_of_a_stream_anywhere_is_a_success(
    provider: str, fault: str, llmock: LLMock, providers: Providers
) -> None:
    text = "one two three"
    llmock.reply(text, times=None)
    providers._balancer.retries = 0
    served, _ = await ask(providers, spec_of(provider, llmock))
    assert served.error is None
    last = llmock.last_request.chunks_sent
    for chunks in range(1, last):
        getattr(llmock, fault)(after_chunks=chunks)
        served, heard = await ask(providers, spec_of(provider, llmock))
        assert served.error is not None, chunks
        assert text.startswith(heard)


async def test_a_second_deployment_takes_over_from_one_without_quota(llmock: LLMock, providers: Providers) -> None:
    llmock.fail(402, times=1)
    url = llmock.base_url("openai")
    spec = ModelSpec("m", "openai", "gpt-4o", deployments=(Deployment("a", base_url=url), Deployment("b", base_url=url)))
    served, _ = await ask(providers, spec)
    assert served.error is None
    (retry,) = served.retries
    assert retry.deployment != served.deployment
    assert retry.waited_s == 0


# -- the vendors' SDKs read the same bytes --------------------------------------------------------------------------------


async def _ours(wire: Wire, server: Server, streaming: bool) -> Any:
    providers = Providers(settings({"THE_KEY": KEY}))
    served = await providers.perform(wire.spec(server.url), call(stream=streaming), on_delta=Heard())
    await providers.aclose()
    assert served.completion is not None
    return served.completion


@both
async def test_the_openai_sdk_reads_the_same(server: Server, streaming: bool) -> None:
    import openai

    server.answer(stream(OPENAI.events) if streaming else as_json(200, OPENAI.whole))
    ours = await _ours(OPENAI, server, streaming)
    with openai.OpenAI(base_url=server.url, api_key=KEY, max_retries=0) as client:
        if streaming:
            options: Any = {"include_usage": True}
            chunks = list(
                client.chat.completions.create(
                    model="m", messages=[{"role": "user", "content": "Hi"}], stream=True, stream_options=options
                )
            )
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            reason = next(c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason)
            model, usage = chunks[0].model, chunks[-1].usage
        else:
            answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
            text, reason = answer.choices[0].message.content or "", answer.choices[0].finish_reason
            model, usage = answer.model, answer.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    assert (ours.text, ours.finish_reason, ours.model) == (text, reason, model)
    assert (ours.usage.input_tokens, ours.usage.output_tokens) == (usage.prompt_tokens, usage.completion_tokens)
    assert ours.usage.cached_tokens == usage.prompt_tokens_details.cached_tokens
    assert ours.usage.reasoning_tokens == usage.completion_tokens_details.reasoning_tokens


@both
async def test_the_anthropic_sdk_reads_the_same(server: Server, streaming: bool) -> None:
    import anthropic

    server.answer(stream(ANTHROPIC.events) if streaming else as_json(200, ANTHROPIC.whole))
    ours = await _ours(ANTHROPIC, server, streaming)
    asking: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    with anthropic.Anthropic(base_url=server.url, api_key=KEY, max_retries=0) as client:
        if streaming:
            with client.messages.stream(**asking) as events:
                theirs = events.get_final_message()
        else:
            theirs = client.messages.create(**asking)
    usage = theirs.usage
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    assert ours.text == "".join(block.text for block in theirs.content if block.type == "text")
    assert ours.model == theirs.model
    assert theirs.stop_reason == "end_turn"
    assert ours.usage.input_tokens == usage.input_tokens + read + written
    assert (ours.usage.output_tokens, ours.usage.cached_tokens) == (usage.output_tokens, read)
    assert usage.output_tokens_details is not None
    assert ours.usage.reasoning_tokens == usage.output_tokens_details.thinking_tokens


# -- odd but true servers of the OpenAI dialect ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "cached", "output", "reasoning"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "prompt_cache_hit_tokens": 4}, 4, 2, 0),  # DeepSeek
        ({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "cached_tokens": 4}, 4, 2, 0),  # Moonshot
        ({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 18}, 0, 9, 7),  # Gemini's compatible endpoint
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": None}, 0, 2, 0),  # vLLM
    ],
)
async def test_usage_is_read_as_each_vendor_writes_it(
    server: Server, said: dict[str, Any], cached: int, output: int, reasoning: int
) -> None:
    server.answer(as_json(200, {**OPENAI.whole, "usage": said}))
    usage = (await _ours(OPENAI, server, streaming=False)).usage
    assert (usage.input_tokens, usage.cached_tokens) == (9, cached)
    assert (usage.output_tokens, usage.reasoning_tokens) == (output, reasoning)


async def test_usage_that_was_not_said_is_zero_and_costs_are_left_to_the_engine(server: Server) -> None:
    server.answer(stream([event for event in OPENAI.events if "usage" not in event]))
    usage = (await _ours(OPENAI, server, streaming=True)).usage
    assert (usage.input_tokens, usage.output_tokens, usage.cost_usd) == (0, 0, None)


@both
async def test_log_probabilities_are_those_of_the_answers_tokens(server: Server, streaming: bool) -> None:
    content = [
        {"token": "Hello ", "logprob": -0.25, "top_logprobs": []},
        {"token": "wörld", "logprob": -1.5, "top_logprobs": []},
    ]
    if streaming:
        events = list(OPENAI.events)
        for index, token in enumerate(content, 1):
            events[index] = events[index].replace('"index": 0', f'"index": 0, "logprobs": {json.dumps({"content": [token]})}')
        server.answer(stream(events))
    else:
        choice = {**OPENAI.whole["choices"][0], "logprobs": {"content": content}}
        server.answer(as_json(200, {**OPENAI.whole, "choices": [choice]}))
    assert (await _ours(OPENAI, server, streaming)).logprobs == (-0.25, -1.5)
