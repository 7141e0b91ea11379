"""The Messages dialect of Anthropic.

Source: Anthropic's API reference (messages, streaming, errors, structured outputs) and the types of its SDK 2.12, read in
2026-11. An API key goes with the version of 2023-06-01, which still takes sampling parameters; a bearer token goes with
that of 2026-10-21, which refuses them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from molt_magic.providers.exchange import Wire
from molt_magic.providers.faults import Fault, Said, words
from molt_magic.providers.parts import (
    arguments_of,
    data_url,
    functions_of,
    image_url,
    parts_of,
    response_schema,
    tool_call,
    wants_json,
)
from molt_magic.providers.schemas import can_close, closed, instruction
from molt_magic.providers.sound import count, or_unknown
from molt_magic.providers.sse import Event
from molt_magic.providers.vendors import Endpoint
from molt_magic.types import Call, Completion, Message, ModelSpec, Usage

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_SAMPLING = ("temperature", "top_p", "top_k")
# in OpenAI's names, and without a counterpart here: hints that a model may be asked without
_UNKNOWN = frozenset(
    {"logprobs", "top_logprobs", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "n", "stream_options", "store"}
)
_OWN = frozenset(
    {"stream", "stop", "tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort", "user"}
    | {"max_tokens", "max_completion_tokens", *_SAMPLING}
)
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
_DEFAULT_LIMIT = 4096  # tokens; what every model takes
_LARGEST_DEFAULT = 32_000  # tokens; a limit that no one asked for should not be the model's whole 128,000


class AnthropicDialect:
    """Messages."""

    name = "anthropic"

    def request(self, spec: ModelSpec, endpoint: Endpoint, call: Call, *, stream: bool) -> Wire:
        params = {key: value for key, value in call.params.items() if value is not None}
        bearer = endpoint.key_var == "ANTHROPIC_AUTH_TOKEN"
        limit = params.get("max_completion_tokens") or params.get("max_tokens")
        body: dict[str, Any] = {
            "model": spec.model,
            "max_tokens": limit or min(spec.max_output or _DEFAULT_LIMIT, _LARGEST_DEFAULT),
            "messages": _messages(call.messages),
        }
        if not bearer:
            body |= {key: params[key] for key in _SAMPLING if key in params}
            if "temperature" in body:
                body["temperature"] = min(body["temperature"], 1.0)  # OpenAI's scale ends at 2
        if "stop" in params:
            body["stop_sequences"] = [params["stop"]] if isinstance(params["stop"], str) else list(params["stop"])
        if params.get("tools"):
            body |= _tools(params)
        if "user" in params:
            body["metadata"] = {"user_id": params["user"]}
        system = [message.text for message in call.messages if message.role == "system" and message.text]
        output = {"effort": params["reasoning_effort"]} if "reasoning_effort" in params else {}
        schema = response_schema(params, call.schema)
        if schema is not None and can_close(schema):
            output["format"] = {"type": "json_schema", "schema": closed(schema)}
        elif schema is not None or wants_json(params):
            system.append(instruction(schema or {"type": "object"}))
        if output:
            body["output_config"] = output
        if system:
            body["system"] = "\n\n".join(system)
        body |= {key: value for key, value in params.items() if key not in _OWN | _UNKNOWN}  # thinking, metadata, ...
        if stream:
            body["stream"] = True
        base = endpoint.base_url.removesuffix("/v1")
        return Wire(f"{base}/v1/messages", _headers(endpoint.key, bearer), body)

    def reader(self, spec: ModelSpec) -> MessageReader:
        return MessageReader(spec)

    def whole(self, spec: ModelSpec, data: Any) -> Completion:
        if data.get("type") == "error" or data.get("error"):
            raise Said(self.fault(200, data))
        blocks = data["content"]
        return Completion(
            text="".join(block["text"] for block in blocks if block["type"] == "text"),
            model=data.get("model") or spec.model,
            usage=read_usage(data.get("usage")),
            finish_reason=_FINISH.get(data.get("stop_reason") or "", "other"),
            tool_calls=tuple(
                tool_call(block["id"], block["name"], json.dumps(block["input"], ensure_ascii=False))
                for block in blocks
                if block["type"] == "tool_use"
            ),
        )

    def fault(self, status: int, data: Any) -> Fault:
        if isinstance(data, str):
            return Fault(status, data)
        error = data["error"]
        if isinstance(error, str):
            return Fault(500 if status < 300 else status, error)
        kind = error.get("type")
        if status < 300:
            status = _STATUS.get(kind, 500)
        details = error.get("details") or {}
        codes = words(kind, details.get("error_code") if isinstance(details, Mapping) else None)
        return Fault(status, error.get("message") or str(kind), codes)


class MessageReader:
    """Puts the events of a stream together. Its end is `message_stop`."""

    def __init__(self, spec: ModelSpec) -> None:
        self.done = self.ended = False
        self._model = spec.model
        self._text: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._usage: dict[str, Any] = {}
        self._stop: str | None = None

    def feed(self, event: Event) -> str:
        data = json.loads(event.data)
        kind = data.get("type")
        if kind == "error" or event.name == "error":
            raise Said(AnthropicDialect().fault(200, data))
        if kind == "message_start":
            self._model = data["message"].get("model") or self._model
            self._count(data["message"].get("usage"))
        elif kind == "content_block_start":
            return self._block(data["index"], data["content_block"])
        elif kind == "content_block_delta":
            return self._delta(data["index"], data["delta"])
        elif kind == "message_delta":
            self._stop = data["delta"].get("stop_reason") or self._stop
            self._count(data.get("usage"))
        elif kind == "message_stop":
            self.done = self.ended = True
        return ""  # ping, content_block_stop, and kinds to come

    def _block(self, index: int, block: Mapping[str, Any]) -> str:
        if block["type"] == "tool_use":
            self._calls[int(index)] = tool_call(block["id"], block["name"], "")
        return self._say(block.get("text") or "") if block["type"] == "text" else ""

    def _delta(self, index: int, delta: Mapping[str, Any]) -> str:
        if delta["type"] == "text_delta":
            return self._say(delta["text"])
        if delta["type"] == "input_json_delta" and index in self._calls:
            self._calls[index]["function"]["arguments"] += delta["partial_json"]
        return ""

    def _say(self, text: str) -> str:
        if not isinstance(text, str):
            raise TypeError("text is text")
        self._text.append(text)
        return text

    def _count(self, usage: Mapping[str, Any] | None) -> None:
        self._usage |= {key: value for key, value in (usage or {}).items() if value is not None}  # counts are cumulative

    def completion(self) -> Completion:
        calls = []
        for index in sorted(self._calls):
            call = self._calls[index]
            function = call["function"]
            calls.append({**call, "function": {**function, "arguments": function["arguments"] or "{}"}})
        return Completion(
            text="".join(self._text),
            model=self._model,
            # until message_delta only a placeholder stands for the output: better counted by the caller than said wrong
            usage=read_usage(self._usage) if self._stop is not None else Usage(),
            finish_reason=_FINISH.get(self._stop or "", "other") if self.done else "interrupted",
            tool_calls=tuple(calls),
        )


@or_unknown
def read_usage(said: Mapping[str, Any]) -> Usage:
    """Usage; `input_tokens` of this API leaves out what was read from and written to the cache."""
    read, written = count(said.get("cache_read_input_tokens")), count(said.get("cache_creation_input_tokens"))
    details = said.get("output_tokens_details") or {}
    return Usage(
        input_tokens=count(said.get("input_tokens")) + read + written,
        output_tokens=count(said.get("output_tokens")),
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=count(details.get("thinking_tokens")),
    )


def _headers(key: str | None, bearer: bool) -> dict[str, str]:
    if bearer:
        return {"authorization": f"Bearer {key}", "anthropic-version": "2026-10-21"}
    return ({"x-api-key": key} if key else {}) | {"anthropic-version": "2023-06-01"}


def _messages(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """User and assistant turns; the results of tools are the user's, in one turn where several follow each other."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message)
        if message.role == "tool" and turns and turns[-1]["role"] == "user" and isinstance(turns[-1]["content"], list):
            turns[-1]["content"] += blocks
        elif isinstance(message.content, str) and role == message.role and not message.tool_calls:
            turns.append({"role": role, "content": message.content})
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    written = [_block(part) for part in parts_of(message)]
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": written}]
    return written + [
        {
            "type": "tool_use",
            "id": call["id"],
            "name": call["function"]["name"],
            "input": arguments_of(call, "anthropic"),
        }
        for call in message.tool_calls
    ]


def _block(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") == "text":
        return {"type": "text", "text": part["text"]}
    url = image_url(part, "anthropic")
    inline = data_url(url)
    if inline is None:
        return {"type": "image", "source": {"type": "url", "url": url}}
    return {"type": "image", "source": {"type": "base64", "media_type": inline[0], "data": inline[1]}}


def _tools(params: Mapping[str, Any]) -> dict[str, Any]:
    tools = [
        {
            "name": function["name"],
            "description": function.get("description", ""),
            "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
        }
        for function in functions_of(params["tools"])
    ]
    found: dict[str, Any] = {"tools": tools}
    choice = params.get("tool_choice")
    one_at_a_time = params.get("parallel_tool_calls") is False
    if isinstance(choice, Mapping):
        found["tool_choice"] = {"type": "tool", "name": choice["function"]["name"]}
    elif choice is not None or one_at_a_time:
        found["tool_choice"] = {"type": _CHOICES.get(choice or "auto", "auto")}
    if one_at_a_time and found["tool_choice"]["type"] != "none":
        found["tool_choice"]["disable_parallel_tool_use"] = True
    return found
