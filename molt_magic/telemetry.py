"""OpenTelemetry: a span for every question and for every call of a model, tokens, seconds and USD.

Names are those of the semantic conventions for generative AI, version 1.41, the last one before they moved to a repository
of their own; what has no name there begins with `molt.`. Nothing is imported and nothing is done until the program has
configured a provider of traces or metrics. Prompts and answers are on spans only where
`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says so; messages of errors, which may quote them, never.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from molt_magic.errors import MoltError
from molt_magic.types import Attempt, Call, Decision, Message, ModelSpec, Request

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram
    from opentelemetry.trace import Span, Tracer

logger = logging.getLogger("molt_magic")

SCHEMA = "https://opentelemetry.io/schemas/1.41.0"
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_ON_SPANS = frozenset({"span_only", "span_and_event", "true"})  # true: as older instrumentations have it
_SCOPE = "molt_magic"
_LOOK_S = 1.0  # how often the environment is looked at: a look takes 1 us, and each question would take three
# the buckets that the conventions recommend
_SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
_TOKENS = [4**power for power in range(14)]
_PROVIDERS = {"google": "gcp.gemini", "gemini": "gcp.gemini", "xai": "x_ai", "mistral": "mistral_ai"}
# a parameter in OpenAI's name -> its attribute
_PARAMS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
}

Attributes = dict[str, Any]
TellQuestion = Callable[[Decision | None, MoltError | None], None]
TellCall = Callable[[Attempt, bool, Callable[[], str | None]], None]


@dataclass(frozen=True, slots=True)
class _Instruments:
    tokens: Histogram
    seconds: Histogram
    cost: Counter


_tracers: dict[int, tuple[Any, Tracer]] = {}  # id of a provider -> it and ours of it; there is one in a program, two in tests
_set_variables: dict[str, tuple[float, bool]] = {}  # until when it is good, whether it is set
_meters: dict[int, tuple[Any, _Instruments | None]] = {}  # None: it cannot be used


def question(strategy: str, request: Request) -> AbstractContextManager[TellQuestion]:
    """The span of one question, around all of it; what it gives is told how it was decided, and the error if there is one."""
    tracer = _tracer()
    return _UNTOLD if tracer is None else _question(tracer, strategy, request)


@contextmanager
def _question(tracer: Tracer, strategy: str, request: Request) -> Iterator[TellQuestion]:
    about: Attributes = {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": strategy,
        "gen_ai.conversation.id": request.thread,
        "molt.strategy": strategy,
        "molt.task": request.task,
    }
    with _span(tracer, f"invoke_workflow {strategy}", "INTERNAL", about) as span:
        yield lambda decision, error: None if span is None else _decided(span, decision, error)


def call(spec: ModelSpec, asked: Call) -> AbstractContextManager[TellCall]:
    """The span and the metrics of one call, its retries included.

    What it gives is told the attempt, whether it was really asked (not replayed), and how to find the address.
    """
    tracer, instruments = _tracer(), _instruments()
    return _UNTOLD if tracer is None and instruments is None else _call(tracer, instruments, spec, asked)


@contextmanager
def _call(tracer: Tracer | None, instruments: _Instruments | None, spec: ModelSpec, asked: Call) -> Iterator[TellCall]:
    about: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(spec.vendor, spec.vendor) or _PROVIDERS.get(spec.provider, spec.provider),
        "gen_ai.request.model": spec.model,
    }
    began = time.perf_counter()
    ended: list[tuple[Attempt, bool, Callable[[], str | None]]] = []

    def tell(attempt: Attempt, real: bool, address: Callable[[], str | None]) -> None:
        ended.append((attempt, real, address))

    with _span(tracer, f"chat {spec.model}", "CLIENT", {**about, **_requested(asked)}) as span:
        yield tell
        if ended:
            attempt, real, address = ended[0]
            about |= _server(address())
            if span is not None:
                _set(span, {**about, **_responded(attempt)})
                _failed(span, attempt.error)
            if real and instruments is not None:
                _measure(instruments, {**about, **_outcome(attempt)}, attempt, time.perf_counter() - began)


def _nothing(*_told: object) -> None:
    """Where nothing is configured."""


_UNTOLD = nullcontext(_nothing)


# what is configured


def _api(module: str, variable: str) -> Any:
    """`opentelemetry.trace` or `.metrics`, once the program uses it: configuring a provider takes importing it first."""
    found = sys.modules.get(module)
    return import_module(module) if found is None and _is_set(variable) else found


def _is_set(variable: str) -> bool:
    """Whether the environment has a variable, as it was within the last second."""
    now = time.monotonic()
    good_until, found = _set_variables.get(variable, (0.0, False))
    if now >= good_until:
        found = variable in os.environ
        _set_variables[variable] = (now + _LOOK_S, found)
    return found


def _tracer() -> Tracer | None:
    api = _api("opentelemetry.trace", "OTEL_PYTHON_TRACER_PROVIDER")
    if api is None or isinstance(provider := api.get_tracer_provider(), api.ProxyTracerProvider):
        return None
    known = _tracers.get(id(provider))
    if known is None:
        known = _tracers[id(provider)] = (provider, provider.get_tracer(_SCOPE, schema_url=SCHEMA))
    return known[1]


def _instruments() -> _Instruments | None:
    api = _api("opentelemetry.metrics", "OTEL_PYTHON_METER_PROVIDER")
    if api is None or type(provider := api.get_meter_provider()).__name__ == "_ProxyMeterProvider":
        return None
    known = _meters.get(id(provider))
    if known is None:
        try:
            made = _made(provider)
        except Exception:  # an older API, or another one of its name: measuring must not fail a question
            logger.exception("the metrics of this provider cannot be used")
            made = None
        known = _meters[id(provider)] = (provider, made)
    return known[1]


def _made(provider: Any) -> _Instruments:
    meter = provider.get_meter(_SCOPE, schema_url=SCHEMA)
    return _Instruments(
        tokens=meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        ),
        seconds=meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        ),
        cost=meter.create_counter("molt.cost", "{USD}", "What calls cost, where their prices are known."),
    )


@contextmanager
def _span(tracer: Tracer | None, name: str, kind: str, about: Attributes) -> Iterator[Span | None]:
    if tracer is None:
        yield None
        return
    api = sys.modules["opentelemetry.trace"]
    present = {key: value for key, value in about.items() if value is not None}
    with tracer.start_as_current_span(
        name, kind=api.SpanKind[kind], attributes=present, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except BaseException as error:
            _failed(span, error)
            raise


# attributes


def _requested(asked: Call) -> Attributes:
    found = {attribute: asked.params.get(name) for name, attribute in _PARAMS.items() if asked.params.get(name) is not None}
    about = {name: value for name, value in found.items() if isinstance(value, int | float)}
    return {
        **about,
        "gen_ai.output.type": "text" if asked.schema is None else "json",
        "molt.model": asked.model,
        "molt.purpose": asked.purpose,
        **(_content("gen_ai.input.messages", asked.messages) if _captures() else {}),
    }


def _responded(attempt: Attempt) -> Attributes:
    said = attempt.completion
    about: Attributes = {
        "gen_ai.response.time_to_first_chunk": attempt.ttft_s,
        "molt.deployment": attempt.deployment,
        "molt.retries": sum(retry.step == "failed" for retry in attempt.retries),
    }
    if said is None:
        return about
    usage = said.usage
    about |= {
        "gen_ai.response.model": said.model,
        "gen_ai.response.finish_reasons": [said.finish_reason],
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens or None,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens or None,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens or None,
        "molt.tokens_estimated": usage.estimated,
        "molt.cost_usd": usage.cost_usd,
    }
    if _captures():
        answer = (Message("assistant", said.text, tool_calls=said.tool_calls),)
        about |= _content("gen_ai.output.messages", answer, finish_reason=said.finish_reason)
    return about


def _decided(span: Span, decision: Decision | None, error: MoltError | None) -> None:
    if decision is not None:
        about = {
            "molt.decision_id": decision.decision_id,
            "molt.task": decision.task,
            "molt.model": decision.model,
            "molt.status": decision.status,
            "molt.cache": decision.cache,
            "molt.attempts": decision.n_attempts,
            "molt.escalations": decision.escalations,
            "molt.fallbacks": decision.fallbacks,
            "molt.cost_usd": decision.cost_usd,
            "molt.saved_usd": decision.saved_usd,
            "molt.predicted_quality": decision.predicted_quality,
            "molt.quality_threshold": decision.quality_threshold,
            "molt.quality": decision.quality,
            "molt.propensity": decision.propensity,
            "molt.promise": decision.promise,
        }
        _set(span, about)
    _failed(span, error)


def _server(address: str | None) -> Attributes:
    if address is None:
        return {}
    parts = urlsplit(address)
    if not parts.hostname:
        return {}
    return {"server.address": parts.hostname, "server.port": parts.port or (443 if parts.scheme == "https" else 80)}


def _outcome(attempt: Attempt) -> Attributes:
    """What metrics are split by besides what was asked for."""
    about: Attributes = {"molt.purpose": attempt.call.purpose}
    if attempt.completion is not None:
        about["gen_ai.response.model"] = attempt.completion.model
    if attempt.error is not None:
        about["error.type"] = _kind(attempt.error)
    return about


def _measure(instruments: _Instruments, about: Attributes, attempt: Attempt, seconds: float) -> None:
    instruments.seconds.record(seconds, about)
    if (usage := attempt.usage) is None:
        return
    if not usage.estimated:  # the conventions want what the provider bills
        instruments.tokens.record(usage.input_tokens, {**about, "gen_ai.token.type": "input"})
        instruments.tokens.record(usage.output_tokens, {**about, "gen_ai.token.type": "output"})
    if usage.cost_usd is not None:
        instruments.cost.add(usage.cost_usd, about)


def _set(span: Span, about: Attributes) -> None:
    span.set_attributes({name: value for name, value in about.items() if value is not None})


def _failed(span: Span, error: BaseException | None) -> None:
    """The kind of the error; not its message, which may quote the prompt."""
    if error is not None:
        span.set_attribute("error.type", _kind(error))
        span.set_status(sys.modules["opentelemetry.trace"].StatusCode.ERROR)


def _kind(error: BaseException) -> str:
    return error.kind if isinstance(error, MoltError) else type(error).__name__


def _captures() -> bool:
    return os.environ.get(CAPTURE, "").strip().lower() in _ON_SPANS


def _content(name: str, messages: tuple[Message, ...], **more: object) -> Attributes:
    """Messages in the conventions' JSON; system prompts apart from the rest."""
    written = [{"role": m.role, "parts": _parts(m), **more} for m in messages if m.role != "system"]
    told = [part for m in messages if m.role == "system" for part in _parts(m)]
    about: Attributes = {name: json.dumps(written, ensure_ascii=False)}
    return about | ({"gen_ai.system_instructions": json.dumps(told, ensure_ascii=False)} if told else {})


def _parts(message: Message) -> list[Mapping[str, object]]:
    if message.role == "tool":
        return [{"type": "tool_call_response", "id": message.tool_call_id, "result": message.text}]
    parts: list[Mapping[str, object]] = [{"type": "text", "content": message.text}] if message.text else []
    for tool in message.tool_calls:
        function = tool.get("function") or {}
        parts.append(
            {"type": "tool_call", "id": tool.get("id"), "name": function.get("name"), "arguments": function.get("arguments")}
        )
    return parts
