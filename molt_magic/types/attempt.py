"""A call, what came of it, and what is told of it meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from molt_magic.errors import ContentFiltered, MoltError
from molt_magic.frozen import fast_init
from molt_magic.types.request import NO_PARAMS, Message

Purpose = Literal["answer", "judge", "summary", "classify"]
CacheState = Literal["exact", "semantic", "miss", "off"]


@fast_init
@dataclass(frozen=True, slots=True)
class Usage:
    """What a call used. `input_tokens` counts all input, cached included; `output_tokens` counts reasoning too."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0  # of input, read from the provider's cache
    cache_write_tokens: int = 0  # of input, written to the provider's cache
    reasoning_tokens: int = 0  # of output
    cost_usd: float | None = None
    estimated: bool = False  # counted by us, not said by the provider

    def at(self, cost_usd: float | None) -> Usage:
        """The same at this price."""
        return Usage(
            self.input_tokens,
            self.output_tokens,
            self.cached_tokens,
            self.cache_write_tokens,
            self.reasoning_tokens,
            cost_usd,
            self.estimated,
        )


@fast_init
@dataclass(frozen=True, slots=True)
class Completion:
    """What a provider answered."""

    text: str
    model: str  # as served
    usage: Usage = Usage()
    finish_reason: str = "stop"  # stop | length | tool_calls | content_filter | interrupted | other
    logprobs: tuple[float, ...] | None = None  # of the answer's tokens, natural log
    tool_calls: tuple[Mapping[str, Any], ...] = ()


@fast_init
@dataclass(frozen=True, slots=True)
class Call:
    """One invocation that a strategy (or a validator, or the context manager) asks for."""

    model: str  # the catalog's name
    messages: tuple[Message, ...]
    purpose: Purpose = "answer"
    params: Mapping[str, Any] = field(default_factory=lambda: NO_PARAMS)
    schema: Mapping[str, Any] | None = None
    sample: int = 0  # which independent sample this is; other than 0 never shares a cache entry with 0


@fast_init
@dataclass(frozen=True, slots=True)
class Verdict:
    """What a validator says of an answer."""

    accepted: bool
    score: float | None  # in [0, 1]; None when the check has nothing to say about quality
    reason: str
    validator: str = ""
    source: Literal["validator", "judge", "learned"] = "validator"  # learned: an estimate, of which nothing may learn


@dataclass(frozen=True, slots=True)
class Retry:
    """A step on a call's way: a try that failed and was followed by another, a deployment that was passed over, a wait."""

    deployment: str
    error: str  # kind and message; of the other steps: why
    waited_s: float
    step: Literal["failed", "passed over", "waited"] = "failed"


@fast_init
@dataclass(frozen=True, slots=True)
class ContextAction:
    """What the context manager did to make a call fit."""

    action: str = "none"  # none | window | summary | memory | chunk
    tokens_before: int = 0
    tokens_after: int = 0
    reason: str = ""


@fast_init
@dataclass(frozen=True, slots=True)
class Attempt:
    """A Call with what came of it: a completion, or an error, or both (a stream that broke)."""

    index: int  # position among the decision's attempts
    call: Call
    completion: Completion | None = None
    error: MoltError | None = None
    latency_s: float = 0.0
    ttft_s: float | None = None  # time to first token
    cache: CacheState = "off"
    cache_distance: float | None = None
    cache_keys: tuple[str, ...] = ()  # the entries it came from or went to, so that they can be forgotten
    deployment: str | None = None
    provider: str = ""
    retries: tuple[Retry, ...] = ()
    context: ContextAction = ContextAction()
    verdict: Verdict | None = None
    planned: bool = False  # a dry run: nothing was called

    @property
    def ok(self) -> bool:
        """Whether there is a whole answer."""
        return self.completion is not None and self.error is None

    @property
    def usage(self) -> Usage | None:
        """What it used, whether its answer is there or was withheld for its content; None: nothing that is known."""
        said = self.completion
        if said is None and isinstance(self.error, ContentFiltered):
            said = self.error.withheld
        return None if said is None else said.usage


@dataclass(frozen=True, slots=True)
class Event:
    """What a streaming caller is told while a request runs."""

    kind: Literal["attempt", "delta", "attempt_end", "progress"]
    model: str = ""
    text: str = ""  # delta: the new piece; progress: what is being done
    fraction: float | None = None  # progress: in [0, 1], None when unknown
    attempt: Attempt | None = None  # attempt_end


OnEvent = Callable[[Event], None]
