"""OpenTelemetry: spans and metrics by the names of its conventions for generative AI, and nothing where none is wanted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

from molt_magic import MoltError, Orchestrator, load_settings
from molt_magic.errors import ServerError
from tests.conftest import MakeOrchestrator
from tests.providers.dialects import OPENAI
from tests.servers import Server, running, stream

PROMPT = "A distinctive prompt about zebras?"


class Watched:
    """The spans and the metrics of a test."""

    def __init__(self, exporter: InMemorySpanExporter, reader: InMemoryMetricReader) -> None:
        self._exporter, self._reader = exporter, reader
        self._exporter.clear()
        self.measured()

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, start: str) -> ReadableSpan:
        (found,) = [span for span in self.spans if span.name.startswith(start)]
        return found

    def measured(self) -> dict[str, list[Any]]:
        """Metric -> its points since the last look."""
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
        return {metric.name: list(metric.data.data_points) for scope in scopes for metric in scope.metrics}

    @property
    def everything(self) -> str:
        return "".join(span.to_json() for span in self.spans)


@pytest.fixture(scope="session")
def providers() -> Iterator[tuple[InMemorySpanExporter, InMemoryMetricReader]]:
    """A process has one provider of each kind: they stay configured until it ends."""
    delta = dict.fromkeys((Histogram, Counter), AggregationTemporality.DELTA)
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader(preferred_temporality=delta)
    traces, meters = TracerProvider(), MeterProvider([reader])
    traces.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(traces)
    metrics.set_meter_provider(meters)
    yield exporter, reader
    meters.shutdown()
    traces.shutdown()


@pytest.fixture
def watched(providers: tuple[InMemorySpanExporter, InMemoryMetricReader]) -> Watched:
    return Watched(*providers)


def test_question_is_a_span_with_its_decision_and_its_calls_are_children(
    orchestrator: MakeOrchestrator, watched: Watched
) -> None:
    orch = orchestrator({"small": "No.", "big": "Yes, 42."})
    with trace.get_tracer("test").start_as_current_span("notebook"):
        result = orch.route(PROMPT, strategy="cascade", validate=["regex:42"], thread="zoo")
    question = watched.named("invoke_workflow")
    assert question.name == "invoke_workflow cascade"
    assert question.kind is trace.SpanKind.INTERNAL
    about = dict(question.attributes or {})
    assert about["gen_ai.operation.name"] == "invoke_workflow"
    assert about["gen_ai.conversation.id"] == "zoo"
    assert about["molt.decision_id"] == result.decision.decision_id
    assert about["molt.model"] == "big"
    assert about["molt.escalations"] == 1
    assert about["molt.cost_usd"] == pytest.approx(result.cost_usd)
    assert about["molt.cache"] == "miss"
    calls = [span for span in watched.spans if span.name.startswith("chat ")]
    assert [span.name for span in calls] == ["chat s", "chat b"]
    assert {span.parent.span_id for span in calls if span.parent} == {question.context.span_id}
    assert question.parent is not None
    assert question.parent.span_id == watched.named("notebook").context.span_id


@pytest.mark.anyio
async def test_awaited_question_is_a_child_of_the_caller_s_span(orchestrator: MakeOrchestrator, watched: Watched) -> None:
    with trace.get_tracer("test").start_as_current_span("notebook"):
        await orchestrator({"small": "Yes."}).aroute(PROMPT, model="small")
    question = watched.named("invoke_workflow")
    assert question.parent is not None
    assert question.parent.span_id == watched.named("notebook").context.span_id


def test_call_over_http_says_who_was_asked_what_it_used_and_where(
    watched: Watched, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "k")
    with running(Server()) as server:
        server.answer(stream(OPENAI.events))
        model = {"provider": "openai", "model": "gpt-4o", "base_url": server.url, "api_key_env": "A_KEY"}
        prices = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0, "context_window": 8000}
        settings = load_settings(cwd=tmp_path).with_values({"catalog": "none", "models.four": {**model, **prices}})
        with Orchestrator(settings=settings) as orch:
            result = orch.route(PROMPT, model="four", temperature=0.5, max_tokens=100)
    call = watched.named("chat gpt-4o")
    assert call.kind is trace.SpanKind.CLIENT
    about = dict(call.attributes or {})
    port = int(server.url.rsplit(":", 1)[1])
    assert (
        about.items()
        >= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.max_tokens": 100,
            "gen_ai.output.type": "text",
            "gen_ai.response.model": "gpt-4o-served",
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.usage.input_tokens": 20,
            "gen_ai.usage.output_tokens": 10,
            "gen_ai.usage.cache_read.input_tokens": 8,
            "gen_ai.usage.reasoning.output_tokens": 4,
            "server.address": "127.0.0.1",
            "server.port": port,
            "molt.model": "four",
            "molt.purpose": "answer",
            "molt.cost_usd": result.cost_usd,
        }.items()
    )
    assert about["gen_ai.response.time_to_first_chunk"] > 0
    measured = watched.measured()
    tokens = {point.attributes["gen_ai.token.type"]: point.sum for point in measured["gen_ai.client.token.usage"]}
    assert tokens == {"input": 20, "output": 10}
    (duration,) = measured["gen_ai.client.operation.duration"]
    assert duration.count == 1
    assert duration.attributes["server.port"] == port
    assert list(duration.explicit_bounds)[-1] == 81.92
    (cost,) = measured["molt.cost"]
    assert cost.value == pytest.approx(result.cost_usd)


def test_names_are_those_of_the_registry(orchestrator: MakeOrchestrator, watched: Watched) -> None:
    orchestrator({"small": "Yes."}).route(PROMPT, model="small", temperature=0, seed=1, thread="zoo")
    registry = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    used = {name for span in watched.spans for name in span.attributes or {} if name.startswith("gen_ai.")}
    assert used
    assert used <= registry
    metric_names = {value for name, value in vars(gen_ai_metrics).items() if name.startswith("GEN_AI_")}
    assert {name for name in watched.measured() if name.startswith("gen_ai.")} <= metric_names
    assert {span.instrumentation_scope.name for span in watched.spans if span.instrumentation_scope} == {"molt_magic"}


def test_failure_is_an_error_of_its_kind_and_its_words_are_not_told(orchestrator: MakeOrchestrator, watched: Watched) -> None:
    orch = orchestrator({"small": ServerError(f"it broke at {PROMPT!r}", provider="openai", status=500)})
    with pytest.raises(MoltError):
        orch.route(PROMPT, model="small")
    for span in (watched.named("chat"), watched.named("invoke_workflow")):
        assert (span.attributes or {})["error.type"] == "server_error"
        assert span.status.status_code is trace.StatusCode.ERROR
    (duration,) = watched.measured()["gen_ai.client.operation.duration"]
    assert duration.attributes["error.type"] == "server_error"
    assert "zebras" not in watched.everything


def test_answer_from_the_cache_is_no_call(orchestrator: MakeOrchestrator, watched: Watched) -> None:
    orch = orchestrator({"small": "Yes."})
    orch.route(PROMPT, model="small")
    orch.route(PROMPT, model="small")
    assert [span.name for span in watched.spans].count("chat s") == 1
    found = [(span.attributes or {})["molt.cache"] for span in watched.spans if span.name.startswith("invoke")]
    assert found == ["miss", "exact"]


@pytest.mark.parametrize(("said", "told"), [("", False), ("false", False), ("EVENT_ONLY", False), ("SPAN_ONLY", True)])
def test_prompts_and_answers_are_told_only_where_the_variable_says_so(
    orchestrator: MakeOrchestrator, watched: Watched, monkeypatch: pytest.MonkeyPatch, said: str, told: bool
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", said)
    orchestrator({"small": "Stripes."}).route(PROMPT, model="small", system="Be brief, zebra.")
    assert ("zebras" in watched.everything) is told
    assert ("Stripes" in watched.everything) is told


def test_without_a_provider_nothing_of_it_is_imported() -> None:
    program = (
        "import sys; from molt_magic import Orchestrator, load_settings; from tests.scripted import ScriptedProviders\n"
        "model = {'provider': 'openai', 'model': 's', 'context_window': 8000, 'api_key_env': 'NONE'}\n"
        "settings = load_settings().with_values({'catalog': 'none', 'models.small': model})\n"
        "with Orchestrator(settings=settings, providers=ScriptedProviders({'small': 'Yes.'})) as orch:\n"
        "    orch.route('Well?', model='small', cache=False)\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
