"""The three dialects, as their servers write them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from molt_magic.types import Call, Deployment, Message, ModelSpec


def sse(data: Any, event: str = "") -> str:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return (f"event: {event}\n" if event else "") + f"data: {text}\n\n"


@dataclass(frozen=True)
class Wire:
    """One answer, `Hello wörld`, whole and streamed; and the dialect's error body."""

    provider: str
    vendor: str
    key_var: str
    whole: Any
    pieces: tuple[str, ...]  # events before the end of the text: one with text each
    ending: tuple[str, ...]
    opening: tuple[str, ...] = ()

    @property
    def events(self) -> list[str]:
        return [*self.opening, *self.pieces, *self.ending]

    def error(self, status: int, message: str, code: str = "") -> Any:
        if self.provider == "anthropic":
            return {"type": "error", "error": {"type": code or "api_error", "message": message}}
        if self.provider == "gemini":
            return {"error": {"code": status, "message": message, "status": code or "INTERNAL"}}
        return {"error": {"message": message, "type": code or None, "param": None, "code": code or None}}

    def spec(self, url: str, **changes: Any) -> ModelSpec:
        deployment = Deployment("only", base_url=url, api_key_env="THE_KEY")
        return ModelSpec(**{"name": "m", "provider": self.provider, "model": "gpt-4o", "deployments": (deployment,), **changes})


def _chat(delta: Any, finish: str | None = None, **more: Any) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
    return sse({"id": "c", "object": "chat.completion.chunk", "model": "gpt-4o-served", "choices": [choice]})


_CHAT_USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 10,
    "total_tokens": 30,
    "prompt_tokens_details": {"cached_tokens": 8},
    "completion_tokens_details": {"reasoning_tokens": 4},
}
OPENAI = Wire(
    "openai",
    "openai",
    "OPENAI_API_KEY",
    whole={
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-served",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello wörld"}, "finish_reason": "stop"}],
        "usage": _CHAT_USAGE,
    },
    opening=(_chat({"role": "assistant", "content": ""}),),
    pieces=(_chat({"content": "Hello "}), _chat({"content": "wörld"})),
    ending=(
        _chat({}, "stop"),
        sse({"id": "c", "object": "chat.completion.chunk", "model": "gpt-4o-served", "choices": [], "usage": _CHAT_USAGE}),
        sse("[DONE]"),
    ),
)


def _message(kind: str, **fields: Any) -> str:
    return sse({"type": kind, **fields}, kind)


ANTHROPIC = Wire(
    "anthropic",
    "anthropic",
    "ANTHROPIC_API_KEY",
    whole={
        "id": "msg",
        "type": "message",
        "role": "assistant",
        "model": "gpt-4o-served",
        "content": [{"type": "text", "text": "Hello wörld"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 12,
            "cache_read_input_tokens": 8,
            "cache_creation_input_tokens": 0,
            "output_tokens": 10,
            "output_tokens_details": {"thinking_tokens": 4},
        },
    },
    opening=(
        _message(
            "message_start",
            message={
                "id": "msg",
                "type": "message",
                "role": "assistant",
                "content": [],
                "model": "gpt-4o-served",
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 12,
                    "cache_read_input_tokens": 8,
                    "cache_creation_input_tokens": 0,
                    "output_tokens": 1,
                },
            },
        ),
        _message("content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""}),
        _message("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "not for the user"}),
        _message("content_block_stop", index=0),
        _message("ping"),
        _message("content_block_start", index=1, content_block={"type": "text", "text": ""}),
    ),
    pieces=(
        _message("content_block_delta", index=1, delta={"type": "text_delta", "text": "Hello "}),
        _message("content_block_delta", index=1, delta={"type": "text_delta", "text": "wörld"}),
    ),
    ending=(
        _message("content_block_stop", index=1),
        _message("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 7}),
        _message(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={"output_tokens": 10, "output_tokens_details": {"thinking_tokens": 4}},  # cumulative
        ),
        _message("message_stop"),
    ),
)


def _content(*parts: Any, **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **more}
    return {"candidates": [candidate], "modelVersion": "gpt-4o-served"}


_COUNTS = {
    "promptTokenCount": 20,
    "candidatesTokenCount": 6,
    "thoughtsTokenCount": 4,
    "cachedContentTokenCount": 8,
    "totalTokenCount": 30,
}
GEMINI = Wire(
    "gemini",
    "google",
    "GOOGLE_API_KEY",
    whole={
        **_content({"text": "not for the user", "thought": True}, {"text": "Hello wörld"}, finishReason="STOP"),
        "usageMetadata": _COUNTS,
    },
    opening=(sse(_content({"text": "not for the user", "thought": True})),),
    pieces=(
        sse({**_content({"text": "Hello "}), "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 2}}),
        sse(_content({"text": "wörld"})),
    ),
    ending=(sse({**_content(finishReason="STOP"), "usageMetadata": _COUNTS}),),
)

WIRES = (OPENAI, ANTHROPIC, GEMINI)


@dataclass
class Heard:
    """Collects what is streamed."""

    pieces: list[str] = field(default_factory=list)

    def __call__(self, text: str) -> None:
        self.pieces.append(text)


def call(text: str = "Hi", **params: Any) -> Call:
    return Call("m", (Message("user", text),), params=params)
