"""`Orchestrator.map`: a column of prompts in, a frame out."""

from __future__ import annotations

import _thread
import asyncio
import threading
from collections import Counter
from typing import Any

import pandas as pd
import pytest

from molt_magic import errors
from molt_magic.batch import Progress
from molt_magic.batch.frame import COLUMNS
from molt_magic.types import Call
from tests.conftest import MakeOrchestrator


def echo(call: Call) -> str | errors.MoltError:
    text = call.messages[-1].text
    return errors.BadRequest("it was refused") if "bad" in text else f"re {text}"


def test_the_frame_is_whole_in_order_and_has_the_index_of_the_column(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": echo})
    column = pd.Series(["a", "bad", None, "a", " ", "b", 7, "bad"], index=list("hgfedcba"))
    frame = orch.map(column, model="small")
    assert list(frame.columns) == list(COLUMNS)
    assert list(frame.index) == list(column.index)
    assert frame["text"].tolist() == ["re a", None, None, "re a", None, "re b", None, None]
    assert frame["status"].tolist() == ["ok", "error", "error", "ok", "error", "ok", "error", "error"]
    told = [None, "bad_request: it was refused", *["input: the row is empty"] * 2, "input: A prompt must be text"]
    assert frame["error"].iloc[[0, 1, 2, 4]].tolist() == told[:4]
    assert frame["error"].iloc[6].startswith(told[4])
    numbers = frame.select_dtypes("float64").columns.tolist()
    assert numbers == ["cost_usd", "saved_usd", "latency_s"]
    assert pd.DataFrame({"label": range(8)}, index=column.index).join(frame)["text"].iloc[5] == "re b"


def test_a_row_that_repeats_another_has_its_answer_for_nothing_and_no_decision_of_its_own(
    orchestrator: MakeOrchestrator,
) -> None:
    orch = orchestrator({"small": echo, "big": echo})
    frame = orch.map(["a", "b", "a", [{"role": "user", "content": "a"}], "bad", "bad"], model="small", cache=False)
    assert len(orch.providers.calls) == 3  # type: ignore[attr-defined]
    first, again = frame.iloc[0], frame.iloc[3]
    assert (again["text"], again["decision_id"]) == (first["text"], first["decision_id"])
    assert (first["cost_usd"], again["cost_usd"]) == (pytest.approx(0.0002), 0.0)
    assert (first["cache"], again["cache"]) == ("off", "exact")
    assert again["saved_usd"] == pytest.approx(first["saved_usd"] + first["cost_usd"])
    assert frame["error"].iloc[5] == frame["error"].iloc[4]
    assert len(orch.log.to_frame()) == 3
    assert frame["cost_usd"].sum() == pytest.approx(orch.spent_usd())


def test_what_is_wrong_for_all_rows_raises_before_anything_is_asked(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": echo})
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"model": "smal"}, "Did you mean 'small'"),
        ({"stategy": "rule"}, "Did you mean 'strategy'"),
        ({"validate": "jsn"}, "jsn"),
        ({"thread": "talk"}, "not in a thread"),
        ({"concurrency": 0}, "concurrency"),
        ({"max_cost": -1}, "max_cost"),
        ({"resume": "../x"}, "cannot be called"),
    ]
    for options, said in wrong:
        with pytest.raises(errors.InputError, match=said):
            orch.map(["a", "b"], **options)
    assert orch.providers.calls == []  # type: ignore[attr-defined]


def test_the_options_are_those_of_route(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": ["no", '{"a": 1}'], "big": '{"a": 1}'})
    frame = orch.map(
        ["one"], strategy="cascade", validate=(name for name in ("json",)), system="Be brief.", temperature=0.5, cell_id="c1"
    )
    call = orch.providers.calls[0]  # type: ignore[attr-defined]
    assert (call.messages[0].text, call.params) == ("Be brief.", {"temperature": 0.5})
    assert (frame["text"][0], frame["model"][0], frame["strategy"][0]) == ('{"a": 1}', "big", "cascade")
    assert orch.log.to_frame()["cell_id"].tolist() == ["c1"]
    assert orch.map([], model="small").shape == (0, len(COLUMNS))


def test_recorded_answers_are_given_again_for_nothing(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": echo})
    live = orch.map(["a", "b"], model="small")
    again = orch.map(["b", "a", "new"], model="small", recorded=True)
    assert again["text"].tolist() == ["re b", "re a", None]
    assert again["decision_id"].tolist()[:2] == live["decision_id"].tolist()[::-1]
    assert again["error"][2].startswith("not_recorded: ")
    assert len(orch.providers.calls) == 2  # type: ignore[attr-defined]


def test_no_more_questions_are_in_flight_than_was_said(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "a"}, delay_s=0.01)
    most, now, perform = Counter[str](), Counter[str](), orch.providers.perform

    async def counted(*given: Any, **how: Any) -> Any:
        now["in flight"] += 1
        most["in flight"] = max(most["in flight"], now["in flight"])
        await asyncio.sleep(0.01)
        try:
            return await perform(*given, **how)
        finally:
            now["in flight"] -= 1

    orch.providers.perform = counted  # type: ignore[method-assign]
    orch.map([f"q{n}" for n in range(30)], model="small", concurrency=5)
    assert most["in flight"] == 5


def test_progress_is_told_with_figures_from_the_first_to_the_last_row(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": echo}, delay_s=0.02)
    told: list[Any] = []
    orch.map(
        [f"q{n % 40}" for n in range(50)] + [None, "bad"], model="small", max_cost=1.0, concurrency=4, on_event=told.append
    )
    assert all(isinstance(event, Progress) and event.kind == "progress" for event in told)
    done = [event.done for event in told]
    assert done == sorted(done)
    assert (told[0].done, told[0].rows, told[-1].done, told[-1].failed) == (1, 52, 52, 2)
    assert (told[-1].fraction, told[-1].spent_usd, told[-1].left_usd) == (1.0, pytest.approx(0.008), pytest.approx(0.992))
    assert told[0].forecast.questions == 41
    assert any(event.left_s for event in told)
    assert "of 52 rows" in told[-1].text


def test_a_listener_that_raises_disturbs_nothing(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": echo})
    frame = orch.map(["a"], model="small", on_event=lambda event: 1 / 0)
    assert frame["text"].tolist() == ["re a"]


def test_an_interrupt_logs_what_was_in_flight_and_carries_what_there_is(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x"}, delay_s=0.05)
    orch.map(["warm"], model="small")
    timer = threading.Timer(0.6, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt) as interrupt:
        orch.map([f"q{n}" for n in range(500)], model="small", concurrency=4, resume="broken off")
    frame = interrupt.value.frame  # type: ignore[attr-defined]
    counts = frame["status"].value_counts()
    assert len(frame) == 500
    assert counts["ok"] > 0
    assert 0 < counts["interrupted"] <= 4
    assert frame[frame["status"] == "not asked"]["error"].unique().tolist() == ["interrupted: not asked"]
    logged = set(orch.log.to_frame()["decision_id"])
    assert set(frame["decision_id"].dropna()) <= logged
    asked = len(orch.providers.calls)  # type: ignore[attr-defined]
    again = orch.map([f"q{n}" for n in range(20)], model="small", concurrency=4, resume="broken off", cache=False)
    assert again["text"].eq("x").all()
    kept = frame["status"].iloc[:20].eq("ok")
    assert again["decision_id"][kept].tolist() == frame["decision_id"].iloc[:20][kept].tolist()
    assert len(orch.providers.calls) - asked == 20 - kept.sum()  # type: ignore[attr-defined]


def test_a_key_that_is_refused_ends_the_run_after_the_first_questions(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": errors.Unauthorized("The key was refused.")})
    frame = orch.map([f"q{n}" for n in range(100)], model="small", concurrency=4)
    counts = frame["status"].value_counts()
    assert counts["error"] < 12
    assert counts["not asked"] > 88
    said = frame["error"].iloc[-1]
    assert said.startswith("bad_key: not asked: the first 4 questions failed alike: The key was refused.")


def test_failures_of_rows_never_end_a_run(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": errors.ServerError("It broke.")})
    frame = orch.map([f"q{n}" for n in range(40)], model="small", concurrency=4)
    assert frame["error"].eq("server_error: It broke.").all()
    once: list[errors.MoltError | str] = ["ok", *[errors.Unauthorized("No more.")] * 39]
    orch = orchestrator({"small": once})
    frame = orch.map([f"p{n}" for n in range(40)], model="small", concurrency=1)
    assert frame["status"].value_counts().to_dict() == {"ok": 1, "error": 39}
