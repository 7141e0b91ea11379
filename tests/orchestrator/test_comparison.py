"""One question asked in several ways at once, and questions asked without waiting."""

from __future__ import annotations

import concurrent.futures
import signal
import threading
from typing import Any

import pytest

from molt_magic.errors import InputError, ServerError, UnknownName
from molt_magic.orchestrator import Comparison
from molt_magic.types import Event
from tests.conftest import MakeOrchestrator

LONG = "word " * 2000


class TestSubmit:
    def test_returns_at_once_and_the_result_comes_later(self, orchestrator: MakeOrchestrator) -> None:
        asking = orchestrator({"small": "one two three"}, delay_s=0.05).submit("hello", model="small")
        assert not asking.done()
        assert asking.result(5).text == "one two three"
        assert asking.so_far is asking.result()

    def test_cancelled_it_is_done_once_what_had_arrived_is_logged(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": LONG}, delay_s=0.01)
        heard = threading.Event()
        asking = orch.submit("hello", model="small", on_event=lambda e: heard.set() if e.kind == "delta" else None)
        assert heard.wait(5)
        assert asking.cancel()
        concurrent.futures.wait([asking], 5)
        assert asking.cancelled()
        assert asking.so_far is not None
        assert asking.so_far.text.startswith("word")
        assert list(orch.log.to_frame()["status"]) == ["interrupted"]
        with pytest.raises(concurrent.futures.CancelledError):
            asking.result()
        assert not asking.cancel()

    def test_cancelled_at_once_it_is_logged_all_the_same(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": LONG}, delay_s=0.01)
        asking = orch.submit("hello", model="small")
        asking.cancel()
        concurrent.futures.wait([asking], 5)
        assert list(orch.log.to_frame()["status"]) == ["interrupted"]

    def test_a_failure_is_raised_by_the_future(self, orchestrator: MakeOrchestrator) -> None:
        asking = orchestrator({"small": ServerError("down", status=500)}).submit("hello", model="small")
        with pytest.raises(ServerError):
            asking.result(5)
        assert asking.so_far is not None
        assert asking.so_far.decision.status == "error"

    def test_a_wrong_argument_is_raised_at_once(self, orchestrator: MakeOrchestrator) -> None:
        with pytest.raises(UnknownName):
            orchestrator({"small": "x"}).submit("hello", model="smal")

    @pytest.mark.anyio
    async def test_an_awaited_question_that_is_cancelled_is_logged(self, orchestrator: MakeOrchestrator) -> None:
        import asyncio

        orch = orchestrator({"small": LONG}, delay_s=0.01)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(orch.aroute("hello", model="small"), 0.2)
        assert list(orch.log.to_frame()["status"]) == ["interrupted"]


class TestComparison:
    def test_strategies_and_models_are_asked_at_once(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "a b c d", "big": "e f g h"}, delay_s=0.05)
        heard: list[str] = []
        frame = orch.compare(
            "hello", ["rule", "big"], task="simple_qa", on_event=lambda name, event: heard.append(f"{name} {event.kind}")
        )
        first_end = min(i for i, each in enumerate(heard) if each.endswith("attempt_end"))
        assert {each for each in heard[:first_end] if each.endswith("delta")} == {"rule delta", "big delta"}
        assert list(frame["strategy"]) == ["rule", "big"]
        assert list(frame["model"]) == ["small", "big"]
        assert list(frame["text"]) == ["a b c d", "e f g h"]

    def test_each_has_its_own_events_and_they_never_mix(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "small " * 20, "big": "big " * 20}, delay_s=0.005)
        said: dict[str, list[str]] = {"small": [], "big": []}
        other: dict[str, list[str]] = {"small": [], "big": []}

        def into(heard: dict[str, list[str]]) -> Any:
            return lambda name, event: heard[name].append(event.text) if event.kind == "delta" else None

        first = Comparison(orch, "one", ["small", "big"], on_event=into(said), cache=False)
        second = Comparison(orch, "two", ["big", "small"], on_event=into(other), cache=False)
        first.start()
        second.start()
        first.wait()
        second.wait()
        for heard in (said, other):
            assert {name: set("".join(texts).split()) for name, texts in heard.items()} == {"small": {"small"}, "big": {"big"}}

    def test_a_failure_is_a_row_that_says_so(self, orchestrator: MakeOrchestrator) -> None:
        frame = orchestrator({"small": "fine", "big": ServerError("down", status=500)}).compare("hello", ["small", "big"])
        assert list(frame["status"]) == ["ok", "error"]
        assert frame["error"][1] == "server_error: down"
        assert frame["decision_id"].notna().all()

    def test_cancelled_it_keeps_every_partial_text(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": LONG, "big": LONG}, delay_s=0.01)
        heard: set[str] = set()
        both = threading.Event()

        def on_event(name: str, event: Event) -> None:
            if event.kind == "delta":
                heard.add(name)
            if len(heard) == 2:
                both.set()

        comparison = Comparison(orch, "hello", ["small", "big"], on_event=on_event)
        comparison.start()
        assert both.wait(5)
        assert list(comparison.frame["status"]) == ["running", "running"]
        comparison.cancel()
        comparison.wait()
        assert comparison.done
        assert list(comparison.frame["status"]) == ["interrupted", "interrupted"]
        assert all(text.startswith("word") for text in comparison.frame["text"])
        assert list(orch.log.to_frame()["status"]) == ["interrupted", "interrupted"]

    def test_one_that_has_ended_keeps_its_answer_when_the_rest_is_cancelled(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "quick", "big": LONG}, delay_s=0.01)
        ended = threading.Event()
        comparison = Comparison(orch, "hello", ["small", "big"], on_end=lambda _name: ended.set())
        comparison.start()
        assert ended.wait(5)
        assert list(comparison.results) == ["small"]
        comparison.cancel()
        comparison.wait()
        assert list(comparison.frame["status"]) == ["ok", "interrupted"]

    def test_an_interrupt_cancels_all_and_carries_the_frame(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": LONG, "big": LONG}, delay_s=0.01)
        threading.Timer(0.3, signal.pthread_kill, (threading.main_thread().ident or 0, signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt) as interrupt:
            orch.compare("hello", ["small", "big"])
        assert list(interrupt.value.frame["status"]) == ["interrupted", "interrupted"]  # type: ignore[attr-defined]

    def test_a_dry_run_plans_and_calls_nothing(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "x", "big": "y"})
        frame = orch.compare("hello", ["cascade", "big"], mode="dry run")
        assert list(frame["status"]) == ["planned", "planned"]
        assert (frame["cost_usd"] > 0).all()
        assert orch.providers.calls == []  # type: ignore[attr-defined]

    def test_recorded_answers_are_free_and_a_missing_one_is_a_row_that_says_so(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "kept", "big": "never asked"})
        made = orch.route("hello", model="small")
        frame = orch.compare("hello", ["small", "big"], mode="recorded")
        assert list(frame["text"]) == ["kept", ""]
        assert frame["decision_id"][0] == made.decision.decision_id
        assert frame["status"][1] == "error"
        assert len(orch.providers.calls) == 1  # type: ignore[attr-defined]
        assert len(orch.log.to_frame()) == 1

    @pytest.mark.parametrize(
        ("names", "options", "says"),
        [
            ([], {}, "no strategy to compare"),
            (["rul"], {}, "Did you mean 'rule'"),
            (["rule"], {"mode": "alive"}, "Did you mean 'live'"),
            (["rule"], {"model": "small"}, "takes no model"),
            (["rule"], {"dry_run": True}, "takes no dry_run"),
            (["small", "big"], {"thread": "t"}, "A thread takes one answer"),
            (["rule", "big"], {"task": "simple_q"}, "Did you mean 'simple_qa'"),
        ],
    )
    def test_wrong_arguments_are_refused_and_nothing_is_asked(
        self, names: list[str], options: dict[str, Any], says: str, orchestrator: MakeOrchestrator
    ) -> None:
        orch = orchestrator({"small": "x", "big": "y"})
        with pytest.raises(InputError, match=says):
            orch.compare("hello", names, **options)
        assert orch.providers.calls == []  # type: ignore[attr-defined]

    def test_a_listener_that_raises_stops_nothing(self, orchestrator: MakeOrchestrator) -> None:
        def broken(*_told: object) -> None:
            raise ValueError("mine")

        comparison = Comparison(orchestrator({"small": "fine"}), "hello", ["small"], on_event=broken, on_end=broken)
        comparison.start()
        comparison.wait()
        assert list(comparison.frame["text"]) == ["fine"]


def test_the_frame_has_the_same_types_whatever_is_in_it(orchestrator: MakeOrchestrator) -> None:
    figures = {"cost_usd", "saved_usd", "latency_s", "predicted_quality", "quality"}
    orch = orchestrator({"small": "x"})
    for names in (["small"], ["big"], ["small", "big"]):
        frame = orch.compare("hello", names)
        assert {name for name in frame.columns if frame[name].dtype == float} == figures
        assert set(frame.dtypes.astype(str)) == {"float64", "object"}
        assert [error is None for error in frame["error"]] == [name == "small" for name in names]
