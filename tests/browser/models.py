"""The models of the browser tests: a local server that speaks OpenAI's dialect and says what a test tells it to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.servers import Answer, Asked, Server, as_json, stream

# a word at a time, so that an answer arrives in pieces
PIECE_S = 0.03


@dataclass(frozen=True)
class Says:
    """What a model answers.

    Attributes:
        text: the answer.
        pause_s: seconds between two words while it streams.
        pieces: how the text is cut instead of by words.
        served: what the server calls the model.
        hold: after the text, never end.
        error: instead of an answer, an HTTP status and the body's message.
    """

    text: str = ""
    pause_s: float = PIECE_S
    pieces: Sequence[str] | None = None
    served: str = ""
    hold: bool = False
    error: tuple[int, str] | None = None


def words(text: str) -> list[str]:
    """The text in pieces, a word each."""
    return [f"{word} " for word in text.split(" ")[:-1]] + [text.split(" ")[-1]]


def _chunk(model: str, delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> str:
    choice = {"index": 0, "delta": dict(delta), "finish_reason": finish}
    return _event({"id": "c", "object": "chat.completion.chunk", "model": model, "choices": [choice], **more})


def _event(value: object) -> str:
    return f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n"


@dataclass
class Models(Server):
    """Answers by the model that is asked for; `answers` maps a model's id to what it says, or to a function of the prompt."""

    answers: dict[str, Says | Callable[[str], Says]] = field(default_factory=dict)

    def choose(self, asked: Asked) -> Answer:
        body = asked.json
        said = self.answers[body["model"]]
        if callable(said):
            said = said(body["messages"][-1]["content"])
        if said.error is not None:
            status, message = said.error
            return as_json(status, {"error": {"message": message, "type": "server_error", "param": None, "code": None}})
        model = said.served or body["model"]
        used = {"prompt_tokens": 20, "completion_tokens": min(2000, max(1, len(said.text) // 4))}
        if not body.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": said.text}, "finish_reason": "stop"}
            return as_json(200, {"id": "c", "object": "chat.completion", "model": model, "choices": [choice], "usage": used})
        pieces = said.pieces if said.pieces is not None else words(said.text)
        events = [_chunk(model, {"content": piece}) for piece in pieces]
        if not said.hold:
            events += [_chunk(model, {}, "stop", usage=used), _event("[DONE]")]
        return stream(events, pause_s=said.pause_s, hold=said.hold)


def configuration(url: str, models: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """A `molt.toml` with `small`, `medium` and `large` (cheap to dear) behind the server, and what `models` adds."""
    known: dict[str, Mapping[str, Any]] = {
        "small": {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.4, "prior_quality": 0.55},
        "medium": {"input_usd_per_mtok": 0.5, "output_usd_per_mtok": 2.0, "prior_quality": 0.7},
        "large": {"input_usd_per_mtok": 3.0, "output_usd_per_mtok": 15.0, "prior_quality": 0.92},
        **(models or {}),
    }
    lines = ["[defaults]", 'catalog = "none"', "[network]", "retries = 0", "[cascade]", 'ladder = ["small", "medium", "large"]']
    lines += ["[routes.simple_qa]", 'primary = "small"', 'fallback = "large"']
    for name, table in known.items():
        fields = {"provider": "openai", "model": name, "base_url": f"{url}/v1", "context_window": 32000, **table}
        # a JSON string is a TOML string too
        lines += [f"[models.{json.dumps(name)}]", *(f"{key} = {json.dumps(value)}" for key, value in fields.items())]
    return "\n".join(lines) + "\n"
