"""The chat completions dialect of OpenAI, which most other servers speak too.

Source: OpenAI's API reference (chat completions, streaming, error codes), and what DeepSeek, Moonshot, OpenRouter, Ollama,
vLLM, llama.cpp and Gemini's compatible endpoint answer where they differ; read in 2026-11.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from molt_magic.providers.exchange import Wire
from molt_magic.providers.faults import Fault, Said, words
from molt_magic.providers.schemas import instruction, is_strict, name_of
from molt_magic.providers.sound import count, or_unknown
from molt_magic.providers.sse import Event
from molt_magic.providers.vendors import Endpoint
from molt_magic.transport import is_loopback
from molt_magic.types import Call, Completion, Message, ModelSpec, Usage

_FINISH = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
# the HTTP status that an error inside a 200 stands for
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "tokens": 429,
    "requests": 429,
    "exceed_context_size_error": 400,
    "not_found_error": 404,
    "overloaded_error": 503,
    "unavailable_error": 503,
}
_OPENAI_MODEL = re.compile(r"(openai/)?(gpt-\d|o\d|chatgpt-)")


class OpenAIDialect:
    """Chat completions."""

    name = "openai"

    def request(self, spec: ModelSpec, endpoint: Endpoint, call: Call, *, stream: bool) -> Wire:
        params = {key: value for key, value in call.params.items() if value is not None and key != "stream"}
        limits = [params.pop(key) for key in ("max_completion_tokens", "max_tokens") if key in params]
        if limits:
            params[_limit_name(spec, endpoint)] = limits[0]
        messages = [_message(message) for message in call.messages]
        if call.schema is not None and endpoint.vendor.json_schema:
            schema = {"name": name_of(call.schema), "schema": dict(call.schema), "strict": is_strict(call.schema)}
            params["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif call.schema is not None:
            params["response_format"] = {"type": "json_object"}
            messages = _told(messages, instruction(call.schema))
        if stream:
            params |= {"stream": True, "stream_options": {"include_usage": True}}
        headers = {"authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        return Wire(f"{endpoint.base_url}/chat/completions", headers, {"model": spec.model, "messages": messages, **params})

    def reader(self, spec: ModelSpec) -> ChatReader:
        return ChatReader(spec)

    def whole(self, spec: ModelSpec, data: Any) -> Completion:
        _refuse_error(data, "")
        choice = data["choices"][0]
        if choice.get("error"):  # OpenRouter: the upstream failed
            raise Said(self.fault(200, choice))
        message = choice["message"]
        text = _text(message.get("content"))
        calls = tuple(message.get("tool_calls") or ())
        finish = _finish(choice.get("finish_reason"), bool(message.get("refusal")) and not text, bool(calls))
        usage = read_usage(data.get("usage"))
        return Completion(text, data.get("model") or spec.model, usage, finish, _logprobs(choice), calls)

    def fault(self, status: int, data: Any) -> Fault:
        return read_fault(status, data)


class ChatReader:
    """Puts the chunks of a stream together. Its end is a finish reason and `[DONE]`."""

    def __init__(self, spec: ModelSpec) -> None:
        self.done = self.ended = False
        self._model = spec.model
        self._text: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._logprobs: list[float] = []
        self._usage: Usage = Usage()
        self._finish: str | None = None
        self._refused = False

    def feed(self, event: Event) -> str:
        if event.data.strip() == "[DONE]":
            self.ended = True
            self.done = self._finish is not None  # without a reason the server gave up in good form
            return ""
        data = json.loads(event.data)
        _refuse_error(data, event.name)
        self._model = data.get("model") or self._model
        if data.get("usage"):
            self._usage = read_usage(data["usage"])
        text = ""
        choices = data.get("choices")
        if choices is None and not _says_nothing(data, event.name):
            raise KeyError("choices")
        for choice in choices or ():
            if not choice.get("index"):
                text += self._choice(choice)
        return text

    def _choice(self, choice: Mapping[str, Any]) -> str:
        if choice.get("error"):
            raise Said(read_fault(200, choice))
        if choice.get("usage"):  # Moonshot
            self._usage = read_usage(choice["usage"])
        delta = choice.get("delta") or {}
        text = _text(delta.get("content"))
        self._refused = self._refused or bool(delta.get("refusal"))
        self._logprobs += _logprobs(choice) or ()
        for piece in delta.get("tool_calls") or ():
            self._tool_call(piece)
        self._finish = choice.get("finish_reason") or self._finish
        self._text.append(text)  # last: what is odd about the rest has been noticed, and no text is kept that was not told
        return text

    def _tool_call(self, piece: Mapping[str, Any]) -> None:
        index = int(piece.get("index", len(self._calls)))
        call = self._calls.setdefault(index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call["id"] = piece.get("id") or call["id"]
        for key, value in (piece.get("function") or {}).items():
            call["function"][key] = call["function"].get(key, "") + (value or "")
        if piece.get("extra_content"):  # Gemini's compatible endpoint: the thought's signature, wanted back
            call["extra_content"] = piece["extra_content"]

    def completion(self) -> Completion:
        text = "".join(self._text)
        calls = tuple(self._calls[index] for index in sorted(self._calls))
        return Completion(
            text=text,
            model=self._model,
            usage=self._usage,
            finish_reason=_finish(self._finish, self._refused and not text, bool(calls)) if self.done else "interrupted",
            logprobs=tuple(self._logprobs) or None,
            tool_calls=calls,
        )


def _says_nothing(data: Mapping[str, Any], event: str) -> bool:
    """Whether a chunk without choices is one that servers send beside the answer: token counts, or a sign of life."""
    return not data or bool(data.get("usage")) or "ping" in (event, data.get("type"))


@or_unknown
def read_usage(said: Mapping[str, Any]) -> Usage:
    """Usage; its output includes reasoning, also where the server leaves that out of `completion_tokens`."""
    inputs, outputs = count(said.get("prompt_tokens")), count(said.get("completion_tokens"))
    into = said.get("prompt_tokens_details") or {}
    out = said.get("completion_tokens_details") or {}
    reasoning = count(out.get("reasoning_tokens"))
    beside = count(said.get("total_tokens")) - inputs - outputs
    if beside > 0:  # Gemini's compatible endpoint: thoughts are in the total only
        outputs, reasoning = outputs + beside, reasoning or beside
    cached = into.get("cached_tokens") or said.get("prompt_cache_hit_tokens") or said.get("cached_tokens") or 0
    return Usage(inputs, outputs, count(cached), count(into.get("cache_write_tokens")), reasoning)


def read_fault(status: int, data: Any) -> Fault:
    """An error body, in any of the forms this dialect's servers send."""
    if isinstance(data, list) and data:  # Gemini's compatible endpoint
        data = data[0]
    if isinstance(data, str):
        return Fault(status, data)
    error = data.get("error") or data
    if isinstance(error, str):  # Ollama
        return Fault(500 if status < 300 else status, error)
    code, kind = error.get("code"), error.get("type")
    message = error.get("message") or error.get("detail") or json.dumps(error)
    metadata = error.get("metadata")
    if isinstance(metadata, Mapping) and metadata.get("raw"):  # OpenRouter: what the upstream said
        message = f"{message}: {metadata['raw']}"
    codes = words(code, kind, error.get("status"))
    if status < 300:
        numeric = int(code) if str(code).isdigit() and 400 <= int(code) <= 599 else None
        status = numeric or next((_STATUS[word] for word in codes if word in _STATUS), 500)
    passes = True if "resource_exhausted" in codes else None  # Gemini says "quota" of limits per minute too
    return Fault(status, str(message), codes, passes=passes)


def _refuse_error(data: Any, event: str) -> None:
    if isinstance(data, list) or event == "error" or data.get("error") or data.get("object") == "error":
        raise Said(read_fault(200, data))


def _limit_name(spec: ModelSpec, endpoint: Endpoint) -> str:
    if endpoint.vendor.name == "openai" and is_loopback(endpoint.base_url) and not _OPENAI_MODEL.match(spec.model):
        return "max_tokens"  # a server of one's own, and Ollama ignores the new name
    return endpoint.vendor.max_tokens


def _message(message: Message) -> dict[str, Any]:
    content: Any = message.content if isinstance(message.content, str) else [dict(part) for part in message.content]
    written: dict[str, Any] = {"role": message.role, "content": content}
    if message.tool_calls:
        written["tool_calls"] = [dict(call) for call in message.tool_calls]
        written["content"] = content or None
    if message.tool_call_id is not None:
        written["tool_call_id"] = message.tool_call_id
    return written


def _told(messages: list[dict[str, Any]], order: str) -> list[dict[str, Any]]:
    """The messages with an order in their system prompt; one prompt only, since many templates take no second."""
    if messages and messages[0]["role"] == "system" and isinstance(messages[0]["content"], str):
        return [{**messages[0], "content": f"{messages[0]['content']}\n\n{order}"}, *messages[1:]]
    return [{"role": "system", "content": order}, *messages]


def _text(content: Any) -> str:
    if isinstance(content, list):  # parts, as some servers send them
        return "".join(part.get("text") or "" for part in content if part.get("type", "text") == "text")
    if content is not None and not isinstance(content, str):
        raise TypeError("content is neither text nor parts")
    return content or ""


def _finish(reason: str | None, refused: bool, has_calls: bool) -> str:
    if refused:
        return "content_filter"
    if has_calls and reason == "stop":  # Ollama and others
        return "tool_calls"
    return _FINISH.get(reason or "", "other")


def _logprobs(choice: Mapping[str, Any]) -> tuple[float, ...] | None:
    content = (choice.get("logprobs") or {}).get("content")
    return tuple(float(token["logprob"]) for token in content) if content else None
