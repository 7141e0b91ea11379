"""One contract for all remote providers, over a server that says every answer and every failure on a real socket."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from molt_magic import errors
from molt_magic.errors import ProviderError, StreamInterrupted
from molt_magic.providers import Providers, Served
from molt_magic.types import Call, Message, Usage
from tests.providers.conftest import KEY, settings
from tests.providers.dialects import ANTHROPIC, GEMINI, OPENAI, WIRES, Heard, Wire, call, sse
from tests.servers import Answer, Server, as_json, stream, whole

pytestmark = pytest.mark.anyio

every = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.provider)
both = pytest.mark.parametrize("streaming", [True, False], ids=["stream", "whole"])


async def ask(wire: Wire, server: Server, request: Call | None = None, *, heard: Any = None, **network: Any) -> Served:
    providers = Providers(settings({"THE_KEY": KEY}, **network))
    try:
        return await providers.perform(wire.spec(server.url), request or call(), on_delta=heard or Heard())
    finally:
        await providers.aclose()


def failed(served: Served) -> ProviderError:
    assert served.completion is None
    assert served.error is not None
    return served.error


@every
@both
async def test_an_answer_is_read_with_its_usage_and_reason(wire: Wire, server: Server, streaming: bool) -> None:
    server.answer(stream(wire.events) if streaming else as_json(200, wire.whole))
    heard = Heard()
    served = await ask(wire, server, call() if streaming else call(stream=False), heard=heard)
    assert served.error is None
    assert served.completion is not None
    assert served.completion.text == "Hello wörld"
    assert served.completion.model == "gpt-4o-served"
    assert served.completion.finish_reason == "stop"
    assert served.completion.usage == Usage(input_tokens=20, output_tokens=10, cached_tokens=8, reasoning_tokens=4)
    assert heard.pieces == (["Hello ", "wörld"] if streaming else [])
    assert (served.ttft_s is not None) == streaming
    assert (served.deployment, served.retries) == ("only", ())


@every
async def test_text_is_handed_over_before_the_answer_ends(wire: Wire, server: Server) -> None:
    server.answer(stream([*wire.opening, wire.pieces[0]], hold=True))
    first = asyncio.Event()
    task = asyncio.create_task(ask(wire, server, heard=lambda text: first.set()))
    await asyncio.wait_for(first.wait(), 5)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@every
async def test_cancelling_ends_the_request_at_the_server(wire: Wire, server: Server) -> None:
    server.answer(stream([*wire.opening, wire.pieces[0]], hold=True))
    first = asyncio.Event()
    providers = Providers(settings({"THE_KEY": KEY}))
    task = asyncio.create_task(providers.perform(wire.spec(server.url), call(), on_delta=lambda text: first.set()))
    await asyncio.wait_for(first.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.left.wait, 5)  # before anything is closed
    await providers.aclose()


@every
@pytest.mark.parametrize("cut", [True, False], ids=["connection dropped", "ended in good form"])
async def test_a_truncated_stream_is_an_error_that_keeps_the_text(wire: Wire, server: Server, cut: bool) -> None:
    server.answer(stream([*wire.opening, wire.pieces[0]], cut=cut))
    error = failed(await ask(wire, server))
    assert isinstance(error, StreamInterrupted)
    assert error.partial is not None
    assert (error.partial.text, error.partial.finish_reason) == ("Hello ", "interrupted")


@every
async def test_every_truncation_in_good_form_is_noticed(wire: Wire, server: Server) -> None:
    """Cut after each event but the last: none of them is a success."""
    for length in range(len(wire.events)):
        server.answer(stream(wire.events[:length]))
        error = failed(await ask(wire, server))
        assert isinstance(error, StreamInterrupted), length
        assert (error.partial is None) == (length <= len(wire.opening)), length


@every
async def test_a_stream_cut_within_a_character_loses_no_other_text(wire: Wire, server: Server) -> None:
    raw = "".join(wire.events).encode()
    server.answer(stream([raw[i : i + 7] for i in range(0, len(raw), 7)]))
    served = await ask(wire, server)
    assert served.completion is not None
    assert served.completion.text == "Hello wörld"


@every
async def test_silence_is_a_timeout_before_text_and_an_interruption_after(wire: Wire, server: Server) -> None:
    server.answer(stream(wire.opening, hold=True))
    error = failed(await ask(wire, server, first_token_s=0.2))
    assert isinstance(error, errors.TimedOut)
    assert "network.first_token_s" in error.fix
    server.answer(stream([*wire.opening, wire.pieces[0]], hold=True))
    error = failed(await ask(wire, server, first_token_s=0.2))
    assert isinstance(error, StreamInterrupted)
    assert error.partial is not None


@every
@both
async def test_the_total_time_is_bounded(wire: Wire, server: Server, streaming: bool) -> None:
    server.answer(Answer([b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{"], hold=True))
    error = failed(await ask(wire, server, call(stream=streaming), total_s=0.2))
    assert isinstance(error, errors.TimedOut)
    assert "network.total_s" in error.fix or "silent" in error.message


@every
async def test_an_error_inside_a_stream_is_mapped(wire: Wire, server: Server) -> None:
    code = {"anthropic": "rate_limit_error", "gemini": "RESOURCE_EXHAUSTED", "openai": "rate_limit_exceeded"}[wire.provider]
    said = sse(wire.error(429, "slow down", code), "error" if wire.provider == "anthropic" else "")
    server.answer(stream([*wire.opening, said]))
    error = failed(await ask(wire, server))
    assert isinstance(error, errors.RateLimited)
    assert "slow down" in error.message
    server.answer(stream([*wire.opening, wire.pieces[0], said]))
    error = failed(await ask(wire, server))
    assert isinstance(error, StreamInterrupted)
    assert error.partial is not None
    assert error.partial.text == "Hello "
    assert "slow down" in error.message


@every
@both
async def test_an_error_inside_a_200_is_mapped(wire: Wire, server: Server, streaming: bool) -> None:
    server.answer(as_json(200, wire.error(503, "upstream is down", "overloaded_error")))
    error = failed(await ask(wire, server, call(stream=streaming)))
    assert isinstance(error, errors.ServerError)
    assert "upstream is down" in error.message


@every
@both
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequest),
        (401, errors.Unauthorized),
        (402, errors.QuotaExceeded),
        (403, errors.Unauthorized),
        (404, errors.ModelNotFound),
        (408, errors.TimedOut),
        (409, errors.BadRequest),
        (413, errors.BadRequest),
        (422, errors.BadRequest),
        (429, errors.RateLimited),
        (500, errors.ServerError),
        (503, errors.ServerError),
        (504, errors.ServerError),
        (529, errors.ServerError),
    ],
)
async def test_every_status_has_its_error_with_a_fix(
    wire: Wire, server: Server, streaming: bool, status: int, kind: type[ProviderError]
) -> None:
    server.answer(as_json(status, wire.error(status, "what the server says")))
    error = failed(await ask(wire, server, call(stream=streaming)))
    assert type(error) is kind
    assert error.status == status
    assert error.provider == wire.provider
    assert "what the server says" in error.message
    assert error.fix
    assert error.retryable == (status in (408, 409, 429) or status >= 500)


@every
@pytest.mark.parametrize(
    "body",
    ["<html><h1>502 Bad Gateway</h1></html>", "", "upstream connect error", "[]", "null", '"text"', '{"error": 7}', "{}"],
)
async def test_an_error_body_of_any_form_is_mapped(wire: Wire, server: Server, body: str) -> None:
    server.answer(whole(502, body))
    error = failed(await ask(wire, server))
    assert isinstance(error, errors.ServerError)
    assert "<" not in error.message


@every
@both
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("<html>Sign in</html>", "text/html"),
        ("", "application/json"),
        ("{", "application/json"),
        ("{}", "application/json"),
        ("[]", "application/json"),
        ("null", "application/json"),
        ('{"choices": 3, "content": 3, "candidates": 3}', "application/json"),
        ('{"choices": [{"message": {"content": 3}}], "content": [3], "candidates": [3]}', "application/json"),
    ],
)
async def test_what_is_not_the_dialect_is_malformed(
    wire: Wire, server: Server, streaming: bool, body: str, content_type: str
) -> None:
    server.answer(whole(200, body, {"content-type": content_type}))
    error = failed(await ask(wire, server, call(stream=streaming)))
    assert isinstance(error, errors.MalformedAnswer)
    assert "base_url" in error.fix


@every
@pytest.mark.parametrize(
    "event", ["data: {\n\n", "data: 3\n\n", 'data: {"choices": 3, "candidates": 3, "type": "message_start"}\n\n']
)
async def test_an_event_that_is_not_the_dialect_is_malformed(wire: Wire, server: Server, event: str) -> None:
    server.answer(stream([event]))
    assert isinstance(failed(await ask(wire, server)), errors.MalformedAnswer)
    server.answer(stream([*wire.opening, wire.pieces[0], event]))
    error = failed(await ask(wire, server))
    assert isinstance(error, StreamInterrupted)
    assert error.partial is not None


@every
async def test_a_server_that_ignores_stream_is_read_all_the_same(wire: Wire, server: Server) -> None:
    server.answer(as_json(200, wire.whole))
    served = await ask(wire, server)
    assert served.completion is not None
    assert served.completion.text == "Hello wörld"


@every
async def test_a_redirect_is_not_followed(wire: Wire, server: Server) -> None:
    server.answer(whole(307, "", {"location": "https://elsewhere.example/"}))
    error = failed(await ask(wire, server))
    assert isinstance(error, errors.ConnectionFailed)
    assert not error.retryable
    assert "base_url" in error.fix
    assert len(server.asked) == 1


@every
async def test_a_refused_connection_says_where(wire: Wire) -> None:
    providers = Providers(settings({"THE_KEY": KEY}))
    served = await providers.perform(wire.spec("http://127.0.0.1:9"), call(), on_delta=Heard())
    error = failed(served)
    assert isinstance(error, errors.ConnectionFailed)
    assert "127.0.0.1:9" in error.message
    await providers.aclose()


@every
async def test_no_error_holds_the_key_even_where_the_server_sends_it_back(wire: Wire, server: Server) -> None:
    server.answer(as_json(401, wire.error(401, f"Incorrect key {KEY}, or AIzaSyA1234567890 or sk-ab*****cdef"), {"x": KEY}))
    error = failed(await ask(wire, server))
    seen = f"{error!r} {error} {vars(error)} {error.__context__!r} {error.__cause__!r} {error.__traceback__!r}"
    assert KEY not in seen
    assert "AIza" not in seen
    assert "cdef" not in seen
    assert "***" in error.message


@every
async def test_a_key_goes_where_the_dialect_wants_it_and_nowhere_else(wire: Wire, server: Server) -> None:
    server.answer(stream(wire.events))
    await ask(wire, server)
    (asked,) = server.asked
    header = {"openai": "authorization", "anthropic": "x-api-key", "gemini": "x-goog-api-key"}[wire.provider]
    assert asked.headers[header].endswith(KEY)
    assert KEY not in asked.path
    assert KEY.encode() not in asked.body
    assert sum(KEY in value for value in asked.headers.values()) == 1


@every
async def test_a_key_with_a_line_break_is_refused_before_it_is_sent(wire: Wire, server: Server) -> None:
    server.answer(stream(wire.events))
    providers = Providers(settings({"THE_KEY": "sk-one\nsk-two"}))
    served = await providers.perform(wire.spec(server.url), call(), on_delta=Heard())
    assert isinstance(failed(served), errors.Unauthorized)
    assert "sk-" not in str(served.error)
    assert not server.asked
    await providers.aclose()


@every
async def test_an_answer_over_the_size_limit_is_refused(wire: Wire, server: Server) -> None:
    server.answer(stream([*wire.opening, *[wire.pieces[0]] * 200]))
    providers = Providers(settings({"THE_KEY": KEY}))
    providers.transport.max_bytes = 5000
    served = await providers.perform(wire.spec(server.url), call(), on_delta=Heard())
    assert isinstance(failed(served), StreamInterrupted)
    assert "larger than" in served.error.message  # type: ignore[union-attr]
    await providers.aclose()


@every
async def test_a_parameter_that_is_no_json_is_a_bad_request(wire: Wire, server: Server) -> None:
    server.answer(stream(wire.events))
    assert isinstance(failed(await ask(wire, server, call(tools=[], metadata=object()))), errors.BadRequest)
    assert isinstance(failed(await ask(wire, server, call(n=2))), errors.BadRequest)
    assert not server.asked


@every
async def test_what_on_delta_raises_ends_the_call_and_is_not_taken_for_the_servers(wire: Wire, server: Server) -> None:
    server.answer(stream(wire.events))

    def broken(text: str) -> None:
        raise OSError("the listener failed")

    with pytest.raises(OSError, match="the listener failed"):
        await ask(wire, server, heard=broken)


@every
async def test_fifty_calls_at_once_are_answered(wire: Wire, server: Server) -> None:
    server.answer(stream(wire.events))
    providers = Providers(settings({"THE_KEY": KEY}))
    spec = wire.spec(server.url)
    served = await asyncio.gather(*(providers.perform(spec, call(), on_delta=Heard()) for _ in range(50)))
    assert {s.completion.text for s in served if s.completion} == {"Hello wörld"}
    assert all(s.error is None for s in served)
    await providers.aclose()


@pytest.mark.parametrize(
    ("wire", "status", "body", "kind"),
    [
        (OPENAI, 400, OPENAI.error(400, "too long", "context_length_exceeded"), errors.ContextTooLong),
        (OPENAI, 400, OPENAI.error(400, "This model's maximum context length is 8 tokens."), errors.ContextTooLong),
        (
            OPENAI,
            400,
            OPENAI.error(400, "Invalid request: Your request exceeded model token limit: 8192"),
            errors.ContextTooLong,
        ),
        (
            OPENAI,
            400,
            {"error": {"code": 400, "type": "exceed_context_size_error", "message": "too large", "n_ctx": 4096}},
            errors.ContextTooLong,
        ),
        (OPENAI, 429, OPENAI.error(429, "You exceeded your current quota", "insufficient_quota"), errors.QuotaExceeded),
        (OPENAI, 429, OPENAI.error(429, "Your account is suspended", "exceeded_current_quota_error"), errors.QuotaExceeded),
        (OPENAI, 429, OPENAI.error(429, "Request too large: context window", "rate_limit_exceeded"), errors.RateLimited),
        (OPENAI, 400, OPENAI.error(400, "filtered", "content_filter"), errors.ContentFiltered),
        (OPENAI, 400, OPENAI.error(400, "Content Exists Risk"), errors.ContentFiltered),
        (OPENAI, 403, OPENAI.error(403, "Your input was flagged"), errors.ContentFiltered),
        (OPENAI, 400, OPENAI.error(400, "no-such is not a valid model ID"), errors.ModelNotFound),
        (OPENAI, 400, OPENAI.error(400, "Model Not Exist"), errors.ModelNotFound),
        (
            OPENAI,
            400,
            OPENAI.error(400, "Unsupported parameter: 'max_tokens' is not supported with this model.", "unsupported_parameter"),
            errors.BadRequest,
        ),
        (OPENAI, 402, OPENAI.error(402, "Insufficient Balance"), errors.QuotaExceeded),
        (OPENAI, 404, {"error": "model 'x' not found"}, errors.ModelNotFound),
        (
            OPENAI,
            400,
            [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}],
            errors.BadRequest,
        ),
        (OPENAI, 200, {"error": {"code": 502, "message": "Provider returned error"}}, errors.ServerError),
        (OPENAI, 200, {"error": {"code": 402, "message": "out of credits"}}, errors.QuotaExceeded),
        (OPENAI, 200, {"error": {"message": "?", "type": "invalid_request_error"}}, errors.BadRequest),
        (ANTHROPIC, 400, ANTHROPIC.error(400, "prompt is too long: 9 > 8", "invalid_request_error"), errors.ContextTooLong),
        (ANTHROPIC, 400, ANTHROPIC.error(400, "Your credit balance is too low"), errors.QuotaExceeded),
        (ANTHROPIC, 413, ANTHROPIC.error(413, "Request exceeds the maximum size", "request_too_large"), errors.BadRequest),
        (ANTHROPIC, 404, ANTHROPIC.error(404, "model: claude-0", "not_found_error"), errors.ModelNotFound),
        (ANTHROPIC, 200, ANTHROPIC.error(200, "Overloaded", "overloaded_error"), errors.ServerError),
        (GEMINI, 400, GEMINI.error(400, "The input token count (9) exceeds the maximum number"), errors.ContextTooLong),
        (
            GEMINI,
            400,
            {
                "error": {
                    "code": 400,
                    "message": "API key not valid.",
                    "status": "INVALID_ARGUMENT",
                    "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
                }
            },
            errors.Unauthorized,
        ),
        (GEMINI, 429, GEMINI.error(429, "You exceeded your current quota", "RESOURCE_EXHAUSTED"), errors.RateLimited),
        (
            GEMINI,
            429,
            {
                "error": {
                    "code": 429,
                    "message": "You exceeded your current quota",
                    "status": "RESOURCE_EXHAUSTED",
                    "details": [{"violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]}],
                }
            },
            errors.QuotaExceeded,
        ),
        (GEMINI, 200, {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {}}, errors.ContentFiltered),
    ],
)
async def test_what_a_vendor_says_decides_over_the_status(
    wire: Wire, server: Server, status: int, body: Any, kind: type[ProviderError]
) -> None:
    server.answer(as_json(status, body))
    assert type(failed(await ask(wire, server))) is kind


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "7"}, None, 7.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, None, 1.5),
        ({"retry-after": "soon"}, None, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, None, 0.0),
        ({}, {"details": [{"retryDelay": "34s"}]}, 34.0),
    ],
)
async def test_the_wait_a_server_asks_for_is_read(
    server: Server, headers: dict[str, str], body: Any, seconds: float | None
) -> None:
    error = {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", **(body or {})}}
    server.answer(as_json(429, error, headers))
    assert failed(await ask(GEMINI, server)).retry_after_s == seconds


@pytest.mark.parametrize(
    ("status", "headers", "retryable"),
    [
        (500, {"x-should-retry": "false"}, False),
        (400, {"x-should-retry": "true"}, True),
        (429, {"retry-after": "121"}, False),
        (429, {"retry-after": "121", "x-should-retry": "true"}, False),
    ],
)
async def test_a_server_may_say_whether_to_come_back(
    server: Server, status: int, headers: dict[str, str], retryable: bool
) -> None:
    server.answer(as_json(status, OPENAI.error(status, "?"), headers))
    assert failed(await ask(OPENAI, server)).retryable is retryable


@pytest.mark.parametrize(
    ("wire", "said", "reason"),
    [
        *[
            (OPENAI, said, reason)
            for said, reason in [("length", "length"), ("content_filter", "content_filter"), ("new", "other")]
        ],
        *[
            (ANTHROPIC, said, reason)
            for said, reason in [
                ("stop_sequence", "stop"),
                ("max_tokens", "length"),
                ("model_context_window_exceeded", "length"),
                ("refusal", "content_filter"),
                ("pause_turn", "other"),
            ]
        ],
        *[
            (GEMINI, said, reason)
            for said, reason in [
                ("MAX_TOKENS", "length"),
                ("SAFETY", "content_filter"),
                ("OTHER", "other"),
                ("SPII", "content_filter"),
            ]
        ],
    ],
)
async def test_finish_reasons_have_one_vocabulary(wire: Wire, server: Server, said: str, reason: str) -> None:
    before = {"openai": '"stop"', "anthropic": '"end_turn"', "gemini": '"STOP"'}[wire.provider]
    server.answer(stream([event.replace(before, f'"{said}"') for event in wire.events]))
    streamed = (await ask(wire, server)).completion
    server.answer(whole(200, json.dumps(wire.whole).replace(before, f'"{said}"'), {"content-type": "application/json"}))
    at_once = (await ask(wire, server, call(stream=False))).completion
    assert streamed is not None
    assert at_once is not None
    assert streamed.finish_reason == at_once.finish_reason == reason


async def test_an_answer_that_was_withheld_whole_is_an_error(server: Server) -> None:
    server.answer(as_json(200, {**OPENAI.whole, "choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}))
    assert isinstance(failed(await ask(OPENAI, server)), errors.ContentFiltered)
    refusal = {"message": {"content": None, "refusal": "I cannot."}, "finish_reason": "stop"}
    server.answer(as_json(200, {**OPENAI.whole, "choices": [refusal]}))
    assert isinstance(failed(await ask(OPENAI, server)), errors.ContentFiltered)


@every
@both
async def test_an_answer_that_was_withheld_whole_says_what_it_used(wire: Wire, server: Server, streaming: bool) -> None:
    reasons = {
        "openai": ('"stop"', '"content_filter"'),
        "anthropic": ('"end_turn"', '"refusal"'),
        "gemini": ('"STOP"', '"SAFETY"'),
    }
    before, after = reasons[wire.provider]

    def withheld(text: str) -> str:
        return text.replace(before, after).replace("Hello ", "").replace("w\\u00f6rld", "").replace("wörld", "")

    at_once = whole(200, withheld(json.dumps(wire.whole)), {"content-type": "application/json"})
    server.answer(stream([withheld(event) for event in wire.events]) if streaming else at_once)
    error = failed(await ask(wire, server, call() if streaming else call(stream=False)))
    assert isinstance(error, errors.ContentFiltered)
    assert error.withheld is not None
    assert error.withheld.usage == Usage(input_tokens=20, output_tokens=10, cached_tokens=8, reasoning_tokens=4)


@pytest.mark.parametrize(
    "beside",
    [
        sse({}, "ping"),
        sse({"type": "ping"}),
        sse({"usage": {"prompt_tokens": 20, "completion_tokens": 10}}),
        sse({"choices": None, "usage": {"prompt_tokens": 20, "completion_tokens": 10}}),
    ],
)
async def test_chunks_beside_the_answer_do_not_break_it(server: Server, beside: str) -> None:
    opening, first, second, *rest = OPENAI.events
    unnumbered = second.replace('"index": 0', '"index": null')
    assert unnumbered != second
    server.answer(stream([beside, opening, first, beside, unnumbered, *rest[:-1], beside, rest[-1]]))
    completion = (await ask(OPENAI, server)).completion
    assert completion is not None
    assert (completion.text, completion.finish_reason, completion.usage.output_tokens) == ("Hello wörld", "stop", 10)


async def test_events_may_be_separated_by_any_line_ending_and_hold_line_separators(server: Server) -> None:
    text = "a\u2028b\u0085c\x0cd"
    events = [event.replace("Hello ", text.replace("\x0c", "\\f")) for event in OPENAI.events]
    for ending in ("\r\n", "\r", "\n"):
        server.answer(stream([": a comment\n\n".replace("\n", ending), *(event.replace("\n", ending) for event in events)]))
        served = await ask(OPENAI, server)
        assert served.completion is not None
        assert served.completion.text == text + "wörld"


async def test_messages_reach_the_server_as_they_were(server: Server) -> None:
    server.answer(stream(OPENAI.events))
    text = 'quotes " and \\ and \u2028 and 𝄞'
    await ask(OPENAI, server, Call("m", (Message("user", text),)))
    assert server.asked[0].json["messages"] == [{"role": "user", "content": text}]


async def test_an_end_mark_without_a_finish_reason_is_no_end(server: Server) -> None:
    """A gateway whose upstream broke ends its own stream in good form."""
    server.answer(stream([*OPENAI.opening, *OPENAI.pieces, sse("[DONE]")]))
    error = failed(await ask(OPENAI, server))
    assert isinstance(error, StreamInterrupted)
    assert error.partial is not None
    assert error.partial.text == "Hello wörld"
