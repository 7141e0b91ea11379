"""One question: its messages and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from molt_magic.frozen import fast_init

Role = Literal["system", "user", "assistant", "tool"]
NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


@fast_init
@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `content` is text, or the provider-neutral list of OpenAI content parts (images pass through)."""

    role: Role
    content: str | tuple[Mapping[str, Any], ...]
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The text of the message, its non-text parts left out."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(str(part["text"]) for part in self.content if part.get("type") == "text")


@fast_init
@dataclass(frozen=True, slots=True)
class Request:
    """One question and its limits."""

    messages: tuple[Message, ...]
    task: str | None = None
    strategy: str | None = None
    model: str | None = None
    quality: float | None = None  # threshold in [0, 1]; None: the configured one
    max_cost_usd: float | None = None
    deadline_s: float | None = None  # seconds that all of it may take; None: as configured
    params: Mapping[str, Any] = field(
        default_factory=lambda: NO_PARAMS
    )  # temperature, max_tokens, tools, response_format, ... in OpenAI's names
    schema: Mapping[str, Any] | None = None  # JSON schema that models are told to follow
    thread: str | None = None

    @property
    def prompt(self) -> str:
        """The text of the last user message: what is embedded, classified and logged."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.text
        return ""

    @property
    def needs(self) -> frozenset[str]:
        """Capabilities a model must have: any of `images`, `tools`, `structured`."""
        found = set()
        for message in self.messages:
            if not isinstance(message.content, str) and any(p.get("type") not in (None, "text") for p in message.content):
                found.add("images")
        if self.params.get("tools"):
            found.add("tools")
        if self.schema is not None:
            found.add("structured")
        return frozenset(found)


@fast_init
@dataclass(frozen=True, slots=True)
class Deadline:
    """When a question has ended, whatever is still wanted."""

    at: float  # monotonic seconds
    seconds: float  # since the question began
    setting: str  # what to raise where it is too short
