"""The way of one question, with scripted models in place of the providers."""

from __future__ import annotations

import json
import pickle
import threading
import time
from typing import Any

import pandas as pd
import pytest

from molt_magic.errors import (
    BudgetExceeded,
    ConfigError,
    InputError,
    NoAnswer,
    NoCandidate,
    RateLimited,
    ServerError,
    StreamInterrupted,
    UnknownName,
)
from molt_magic.quality import QualityModel
from molt_magic.result import explain, usd
from molt_magic.types import Call, Completion, Event
from tests.conftest import MODELS, MakeOrchestrator

STRATEGIES = ("rule", "semantic", "arbitrage", "cascade", "direct")


@pytest.mark.parametrize("strategy", STRATEGIES)
class TestEveryStrategy:
    def test_answers_and_logs_one_row(self, strategy: str, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "four", "big": "4"})
        result = orch.route("what is two and two?", strategy=strategy)
        assert result.text in ("four", "4")
        frame = orch.log.to_frame()
        assert list(frame["decision_id"]) == [result.decision.decision_id]
        assert frame.loc[0, "strategy"] == strategy
        assert frame.loc[0, "status"] == "ok"
        assert frame.loc[0, "reason"]

    @pytest.mark.anyio
    async def test_awaited_it_does_the_same(self, strategy: str, orchestrator: MakeOrchestrator) -> None:
        result = await orchestrator({"small": "four", "big": "4"}).aroute("what is two and two?", strategy=strategy)
        assert result.text in ("four", "4")

    def test_a_dry_run_calls_nothing_and_estimates_the_cost(self, strategy: str, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "four", "big": "4"})
        result = orch.route("what is two and two?", strategy=strategy, dry_run=True)
        assert orch.providers.calls == []  # type: ignore[attr-defined]
        assert result.decision.status == "planned"
        assert result.decision.cost_usd is not None
        assert result.decision.cost_usd > 0
        assert len(orch.log.to_frame()) == 0

    def test_a_failure_raises_and_is_logged(self, strategy: str, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": RateLimited("slow down"), "big": RateLimited("slow down")})
        with pytest.raises((RateLimited, NoAnswer)) as raised:
            orch.route("what is two and two?", strategy=strategy)
        row = orch.log.to_frame().iloc[0]
        assert row["status"] == "error"
        assert row["decision_id"] == raised.value.decision_id
        assert raised.value.result.decision.status == "error"

    def test_the_second_time_the_answer_costs_nothing(self, strategy: str, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "four", "big": "4"})
        first = orch.route("what is two and two?", strategy=strategy)
        calls = len(orch.providers.calls)  # type: ignore[attr-defined]
        again = orch.route("what is two and two?", strategy=strategy)
        assert len(orch.providers.calls) == calls  # type: ignore[attr-defined]
        assert again.text == first.text
        assert again.cached
        assert again.cost_usd == 0
        assert again.saved_usd is not None
        assert again.saved_usd > 0


def test_cost_counts_refused_answers_and_overhead_is_told_apart(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "not json", "big": '{"a": 1}'}, usage=(1_000_000, 0))
    result = orch.route("give json", strategy="cascade", validate=["json"])
    assert result.model == "big"
    assert result.decision.escalations == 1
    assert result.cost_usd == pytest.approx(11.0)
    assert result.decision.overhead_cost_usd == pytest.approx(1.0)
    assert result.saved_usd == pytest.approx(-1.0)
    assert result.decision.attempts[0]["verdict"]["accepted"] is False


def test_a_refused_answer_is_not_cached(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "not json", "big": '{"a": 1}'})
    orch.route("give json", strategy="cascade", validate=["json"])
    orch.route("give json", strategy="direct", model="small")
    assert [c.model for c in orch.providers.calls] == ["small", "big", "small"]  # type: ignore[attr-defined]


def test_an_answer_that_was_cut_off_is_not_cached(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "four"}, finish_reason="length")
    orch.route("hello there", model="small")
    assert not orch.route("hello there", model="small").cached


def test_cache_false_neither_reads_nor_stores_and_refresh_only_stores(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": ["one", "two", "three"]})
    assert orch.route("hello", model="small", cache=False).text == "one"
    assert orch.route("hello", model="small", cache="refresh").text == "two"
    assert orch.route("hello", model="small").text == "two"
    assert orch.route("hello", model="small", cache="refresh").text == "three"
    assert orch.route("hello", model="small").text == "three"


def test_a_remembered_answer_faces_the_same_checks_again(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": ["bad", "good"]})
    accepted: set[str] = {"bad"}

    def check(text: str) -> bool:
        return text in accepted

    assert orch.route("hello", model="small", validate=[check]).text == "bad"
    accepted = {"good"}
    assert orch.route("hello", model="small", validate=[check], cache=True).text in ("bad", "good")
    assert orch.route("hello", model="small", validate=[check], cache="refresh").text == "good"


def test_identical_requests_in_flight_make_one_call(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "a b c"}, delay_s=0.05)
    frame = orch.compare("hello", ["direct", "cascade", "rule"], task="simple_qa")
    assert len(orch.providers.calls) < 3  # type: ignore[attr-defined]
    assert list(frame["strategy"]) == ["direct", "cascade", "rule"]
    assert set(frame["text"]) == {"a b c"}


def test_text_streams_to_the_callback_in_order(orchestrator: MakeOrchestrator) -> None:
    events: list[Event] = []
    orchestrator({"small": "one two three"}).route("hello", model="small", on_event=events.append)
    assert "".join(e.text for e in events if e.kind == "delta").split() == ["one", "two", "three"]
    assert [e.kind for e in events if e.kind != "delta"] == ["attempt", "attempt_end"]


def test_a_callback_that_raises_does_not_stop_the_request(orchestrator: MakeOrchestrator) -> None:
    def broken(event: Event) -> None:
        raise ValueError("mine")

    assert orchestrator({"small": "fine"}).route("hello", model="small", on_event=broken).text == "fine"


def test_an_interrupt_cancels_the_request_and_keeps_the_partial_text(orchestrator: MakeOrchestrator) -> None:
    import _thread

    orch = orchestrator({"small": "one two three four five six seven"}, delay_s=0.1)
    seen = threading.Event()

    def on_event(event: Event) -> None:
        if event.kind == "delta" and not seen.is_set():
            seen.set()
            _thread.interrupt_main()

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt) as interrupt:
        orch.route("hello", model="small", on_event=on_event)
    assert time.monotonic() - started < 2.0
    partial = interrupt.value.result  # type: ignore[attr-defined]
    assert partial.text.startswith("one")
    assert "seven" not in partial.text
    row = orch.log.to_frame().iloc[0]
    assert row["status"] == "interrupted"
    assert not orch.route("hello", model="small", cache=True).cached


def test_a_broken_stream_raises_with_the_partial_text_marked_and_uncached(orchestrator: MakeOrchestrator) -> None:
    broken = StreamInterrupted("the connection dropped", partial=Completion("half an ans", "s"))
    orch = orchestrator({"small": [broken, "whole"]})
    with pytest.raises(StreamInterrupted) as raised:
        orch.route("hello", model="small")
    assert raised.value.result.text == "half an ans"
    assert raised.value.result.decision.status == "interrupted"
    assert raised.value.result.decision.output_tokens > 0
    assert orch.route("hello", model="small").text == "whole"


def test_a_failure_falls_back_and_the_decision_tells_the_story(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": ServerError("down", status=500), "big": "ok"})
    result = orch.route("what is it?", strategy="rule", task="simple_qa")
    assert result.model == "big"
    assert result.decision.fallback_reason == "small: server_error"
    assert "small failed (server_error)" in result.explain()


def test_an_answer_from_the_cache_saves_what_it_cost(orchestrator: MakeOrchestrator) -> None:
    priced = {**MODELS["small"], "context_window": 8000, "api_key_env": "NONE", "cached_usd_per_mtok": 0.1}
    orch = orchestrator({"small": "x"}, values={"models.small": priced}, usage=(1000, 50, 900))
    paid, cached = orch.route("hello"), orch.route("hello")
    assert (paid.decision.cache, cached.decision.cache) == ("miss", "exact")
    assert cached.saved_usd == pytest.approx(paid.cost_usd) == pytest.approx((100 + 90 + 100) / 1e6)


def test_no_key_at_all_names_each_reason_and_the_fix(orchestrator: MakeOrchestrator) -> None:
    with pytest.raises(NoCandidate, match=r"small: no key; big: no key.*set a key for small") as raised:
        orchestrator({}).route("hello", strategy="arbitrage")
    assert raised.value.decision_id is not None
    assert raised.value.fix.startswith("set a key for small, or set a key for big")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"strategy": "arbitrag"}, "Did you mean 'arbitrage'"),
        ({"model": "smal"}, "Did you mean 'small'"),
        ({"task": "simple_q"}, "Did you mean 'simple_qa'"),
        ({"validate": ["jsn"]}, "Did you mean 'json'"),
        ({"quality": 2.0}, "between 0 and 1"),
        ({"max_cost": -1.0}, "0 or more"),
        ({"model": "small", "strategy": "rule"}, "chooses the model itself"),
        ({"schema": 3}, "JSON schema"),
    ],
)
def test_wrong_arguments_name_the_fix_and_log_nothing(
    arguments: dict[str, Any], says: str, orchestrator: MakeOrchestrator
) -> None:
    orch = orchestrator({"small": "x"})
    with pytest.raises((InputError, ConfigError), match=says):
        orch.route("hello", **arguments)
    assert len(orch.log.to_frame()) == 0


@pytest.mark.parametrize("prompt", ["", "   \n", [], [{"role": "system", "content": "x"}], [{"content": "x"}]])
def test_a_prompt_without_a_question_is_refused(prompt: Any, orchestrator: MakeOrchestrator) -> None:
    with pytest.raises(InputError):
        orchestrator({"small": "x"}).route(prompt)


def test_an_unknown_role_is_refused(orchestrator: MakeOrchestrator) -> None:
    with pytest.raises(UnknownName, match="user"):
        orchestrator({"small": "x"}).route([{"role": "usr", "content": "x"}])


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "no key"),  # its script is missing below
        (
            {"models.big": {**MODELS["big"], "api_key_env": "NONE", "context_window": 256}, "context.mode": "off"},
            "do not fit its 256 (less 128 for the answer)",
        ),
    ],
)
def test_a_model_that_cannot_answer_is_told_with_why_and_not_assessed(
    values: dict[str, Any], why: str, orchestrator: MakeOrchestrator
) -> None:
    orch = orchestrator({"small": "4", **({"big": "4"} if values else {})}, values=values)
    result = orch.route("two and " * 100 + "two?", strategy="cascade")
    small, big = result.candidates
    assert big.skipped is not None
    assert big.skipped.endswith(why)
    assert (big.reachable, big.evidence, big.expected_cost_usd) == (False, "not assessed", None)
    assert small.expected_cost_usd is not None
    assert small.evidence != big.evidence
    told = {
        "model": "big", "expected_cost_usd": None, "predicted_quality": None, "quality_low": None, "evidence": "not assessed",
        "n_evidence": 0.0, "skipped": big.skipped, "eligible": False,
    }  # fmt: skip
    logged = orch.log.get(result.decision.decision_id)
    assert logged is not None
    for candidates in (result.decision.candidates, logged.candidates, orch.log.to_frame()["candidates"][0]):
        assert [c["model"] for c in candidates] == ["small", "big"]
        assert candidates[1] == told
        assert candidates[0].keys() == told.keys()
    assert f"  big: passed over: {big.skipped}" in explain(logged)
    kept = json.loads(orch.log.rows_since(0, ["candidates"], 1)[0][1])
    assert kept[1] == {"model": "big", "skipped": big.skipped}, "a dozen of them would be most of a row"


@pytest.mark.parametrize(
    ("strategy", "weighs"), [("direct", False), ("rule", False), ("semantic", False), ("cascade", False), ("arbitrage", True)]
)
def test_quality_is_predicted_before_the_call_by_who_weighs_it_and_else_while_the_answer_is_awaited(
    strategy: str, weighs: bool, orchestrator: MakeOrchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    predict_each = QualityModel.predict_each
    monkeypatch.setattr(QualityModel, "predict_each", lambda *a, **k: told.append("predicted") or predict_each(*a, **k))  # type: ignore[func-returns-value]

    def answer(_call: Call) -> str:
        told.append("asked")
        return "4"

    model = "small" if strategy == "direct" else None
    result = orchestrator({"small": answer, "big": answer}, delay_s=0.05).route(
        "what is two and two?", strategy=strategy, model=model, task="simple_qa" if strategy == "rule" else None
    )
    assert told == (["predicted", "asked"] if weighs else ["asked", "predicted"])
    assert result.decision.predicted_quality == result.candidates[0 if result.model == "small" else 1].predicted_quality
    assert {c.n_evidence for c in result.candidates} == {0.0}
    again = pickle.loads(pickle.dumps(result.candidates))
    assert [repr(c) for c in again] == [repr(c) for c in result.candidates]
    assert again[0].passed_over("so").predicted_quality == result.candidates[0].predicted_quality


def test_an_answer_is_kept_where_quality_cannot_be_predicted(
    orchestrator: MakeOrchestrator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def damaged(*_: object, **__: object) -> None:
        raise OSError("prior.npz is damaged")

    monkeypatch.setattr(QualityModel, "predict_each", damaged)
    orch = orchestrator({"small": "4", "big": "4"})
    for strategy in ("direct", "arbitrage"):
        result = orch.route("what is two and two?", strategy=strategy, model="small" if strategy == "direct" else None)
        assert result.text == "4"
        assert [c["predicted_quality"] for c in result.decision.candidates] == [0.5, 0.9]
    assert len(orch.log.to_frame()) == 2
    assert "prior.npz is damaged" in caplog.text


def test_max_cost_passes_over_dear_models_and_stops_before_the_limit(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "no", "big": "{}"}, usage=(1_000_000, 0))
    result = orch.route("give json", strategy="cascade", max_cost=0.005, validate=["json"])
    assert [c.model for c in orch.providers.calls] == ["small"]  # type: ignore[attr-defined]
    assert result.decision.status == "best_effort"
    assert "over the $0.005 allowed" in next(c.skipped or "" for c in result.candidates if c.name == "big")


def test_a_spent_session_budget_refuses_the_next_call(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x"}, values={"budget.session_usd": 0.5}, usage=(1_000_000, 0))
    orch.route("hello", model="small")
    with pytest.raises(BudgetExceeded, match="budget"):
        orch.route("hello again", model="small")


def test_a_judge_is_a_call_whose_cost_is_counted(orchestrator: MakeOrchestrator) -> None:
    def big(call: Call) -> str:
        return json.dumps({"score": 9, "reason": "clear"}) if call.purpose == "judge" else "answer"

    orch = orchestrator({"small": "answer", "big": big}, usage=(1_000_000, 0))
    result = orch.route("hello", model="small", validate=["judge:big"])
    assert result.cost_usd == pytest.approx(11.0)
    assert result.decision.overhead_cost_usd == pytest.approx(10.0)
    assert result.decision.quality_source == "judge"
    assert result.decision.quality == pytest.approx(0.9)


def test_arbitrage_learns_from_thumbs_that_the_cheap_model_is_good_enough(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "four", "big": "4"})
    before = orch.route("what is the capital of France?", strategy="arbitrage", quality=0.7, cache=False)
    assert before.model == "big"
    for country in ("Spain", "Italy", "Peru", "Chad", "Cuba", "Fiji", "Iran", "Iraq", "Laos", "Mali", "Oman", "Togo") * 3:
        asked = orch.route(f"what is the capital of {country}?", model="small", cache=False)
        orch.feedback(asked.decision.decision_id, 1.0)
    after = orch.route("what is the capital of France?", strategy="arbitrage", quality=0.7, cache=False)
    assert after.model == "small"
    assert "outcomes" in next(c.evidence for c in after.candidates if c.name == "small")


def test_what_one_orchestrator_learned_the_next_one_knows(orchestrator: MakeOrchestrator) -> None:
    first = orchestrator({"small": "four", "big": "4"})
    for _ in range(5):
        asked = first.route("what is the capital of Peru?", model="small", cache=False)
        first.feedback(asked.decision.decision_id, 1.0)
    result = orchestrator({"small": "four", "big": "4"}).route(
        "what is the capital of Peru?", dry_run=True, strategy="arbitrage"
    )
    assert "5 near of 5 outcomes" in next(c.evidence for c in result.candidates if c.name == "small")


def test_feedback_for_a_decision_that_does_not_exist_is_refused(orchestrator: MakeOrchestrator) -> None:
    with pytest.raises(UnknownName):
        orchestrator({"small": "x"}).feedback("nope", 1.0)


def test_a_thread_remembers_and_asking_again_from_the_same_cell_replaces_the_turn(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": ["hi Ann", "hi Bob", "your name is Bob"]})
    orch.route("I am Ann", model="small", thread="t", cell_id="c1")
    orch.route("I am Bob", model="small", thread="t", cell_id="c1")
    orch.route("who am I?", model="small", thread="t", cell_id="c2")
    sent = orch.providers.calls[-1].messages  # type: ignore[attr-defined]
    assert [m.text for m in sent] == ["I am Bob", "hi Bob", "who am I?"]
    assert orch.threads.names() == ["t"]
    orch.threads.reset("t")
    with pytest.raises(UnknownName):
        orch.threads.messages("t")


def test_the_same_words_said_twice_in_a_thread_are_two_turns(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "ok"})
    for _ in range(2):
        orch.route("Continue.", model="small", thread="t")
    assert len(orch.threads.messages("t")) == 4


def test_a_thread_that_overflows_is_summarised_by_a_counted_call(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator(
        {"small": lambda call: "short summary" if call.purpose == "summary" else "ok"},
        values={"context.max_tokens": 700, "context.keep_turns": 2},
    )
    for n in range(8):
        orch.route(
            f"Fact number {n}: " + "the sky over the harbour was grey and the boats were late. " * 4,
            model="small",
            thread="t",
            cell_id=str(n),
            max_tokens=100,
        )
    row = orch.log.to_frame().iloc[-1]
    assert row["context_action"] == "summary"
    assert row["context_tokens_after"] < row["context_tokens_before"]
    assert {a["purpose"] for a in orch.log.last().attempts} == {"summary", "answer"}  # type: ignore[union-attr]
    assert row["overhead_cost_usd"] > 0
    assert "older turns summarised" in "\n".join(explain(orch.log.last()))  # type: ignore[arg-type]


def test_log_false_keeps_the_question_out_of_the_log(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x"})
    orch.route("hello", model="small", log=False)
    assert len(orch.log.to_frame()) == 0


def test_prompts_off_keeps_prompt_and_answer_out_of_the_log(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "my secret answer"}, values={"log.prompts": False})
    orch.route("my secret question", model="small")
    assert "secret" not in orch.log.to_frame().to_json()


def test_a_changed_setting_is_in_force_at_once_and_a_wrong_one_changes_nothing(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x", "big": "y"})
    orch.configure({"cache.enabled": False, "strategy": "direct", "model": "small"})
    assert orch.route("hello").decision.cache == "off"
    with pytest.raises(UnknownName):
        orch.configure({"cache.enbled": True})
    assert orch.settings.cache.enabled is False


def test_a_semantic_hit_never_crosses_strategies_or_threads(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x", "big": "y"})
    orch.route("How do I reverse a list in Python?", model="small")
    assert not orch.route("How do I reverse a list in Python?", model="big").cached
    assert not orch.route("How do I reverse a list in Python?", model="small", system="Be brief.").cached


def test_a_semantic_hit_is_logged_with_its_distance(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x"})
    orch.route("How do I reverse a list in Python?", model="small")
    decision = orch.route("how do i reverse a list in Python", model="small").decision
    assert decision.cache == "semantic"
    assert decision.cache_distance is not None


def test_a_forgotten_hit_is_asked_again(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": ["wrong", "right"]})
    orch.route("hello", model="small")
    hit = orch.route("hello", model="small")
    assert (hit.cached, hit.text) == (True, "wrong")
    assert orch.forget(hit.decision.decision_id) == 2
    assert orch.route("hello", model="small").text == "right"


@pytest.mark.parametrize("how", [{"model": "small"}, {"strategy": "cascade"}, {"model": "small", "cache": "refresh"}])
def test_an_answer_is_forgotten_by_the_decision_that_paid_for_it(orchestrator: MakeOrchestrator, how: dict[str, Any]) -> None:
    orch = orchestrator({"small": ["wrong", "right"]})
    paid = orch.route("How do I reverse a list in Python?", **how)
    assert (paid.decision.cache, orch.forget(paid.decision.decision_id)) == ("miss", 2)
    for prompt in ("how do i reverse a list in Python", "How do I reverse a list in Python?"):
        assert orch.route(prompt, **{**how, "cache": True}).text == "right"


@pytest.mark.parametrize(
    ("strategy", "changed"),
    [
        *[("rule", {"models.small": {name: value}}) for name, value in (("model", "another"), ("system", "Be brief."))],
        ("cascade", {"models.small": {"base_url": "http://127.0.0.1:9/v1"}}),
        ("cascade", {"cascade.ladder": ("big",)}),
        ("rule", {"routes.simple_qa": {"primary": "big"}}),
    ],
    ids=str,
)
def test_another_configuration_has_other_answers(
    orchestrator: MakeOrchestrator, strategy: str, changed: dict[str, Any]
) -> None:
    own = {"context_window": 8000, "api_key_env": "NONE", **MODELS["small"]}
    values = {key: {**own, **to} if key == "models.small" else to for key, to in changed.items()}

    def asked(said: str, values: dict[str, Any] | None = None) -> str:
        with orchestrator({"small": said, "big": said}, values=values) as orch:
            return orch.route("hello", strategy=strategy, task="simple_qa").text

    assert [asked("first"), asked("second"), asked("third", values)] == ["first", "first", "third"]


def test_the_frames_of_results_together_are_the_log_s(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x", "big": InputError("broken")})
    results = [orch.route("hello", strategy="rule", task="simple_qa"), orch.route("what is two and two?", strategy="semantic")]
    with pytest.raises(InputError) as failed:
        orch.route("hello", model="big")
    frames = [result.to_frame() for result in (*results, failed.value.result)]
    pd.testing.assert_frame_equal(pd.concat(frames, ignore_index=True), orch.log.to_frame())


def test_the_result_shows_itself_as_a_row_and_in_words(orchestrator: MakeOrchestrator) -> None:
    result = orchestrator({"small": "x", "big": "y"}).route("hello", strategy="rule", task="simple_qa")
    assert len(result.to_frame()) == 1
    assert "rule: task simple_qa" in result.explain()
    assert "small" in repr(result)


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (None, "unknown"),
        (0.0, "$0"),
        (1.256, "$1.26"),
        (-2.0, "-$2.00"),
        (0.25, "$0.25"),
        (0.00012, "$0.00012"),
        (3.9e-5, "$0.000039"),
    ],
)
def test_an_amount_is_told_in_plain_figures(amount: float | None, said: str) -> None:
    assert usd(amount) == said


def test_an_answer_to_a_whole_conversation_is_none_to_one_that_is_cut(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": ["First.", "Second."], "big": "B"})
    told = [{"role": role, "content": f"{n} " * 20} for n in range(6) for role in ("user", "assistant")]
    conversation = [*told, {"role": "user", "content": "What is my name?"}]
    assert orch.route(conversation, model="small").text == "First."
    assert orch.route(conversation, model="small").cached
    orch.configure({"context.mode": "window", "context.keep_turns": 1, "context.max_tokens": 128})
    again = orch.route(conversation, model="small", max_tokens=16)
    assert (again.text, again.decision.context_action) == ("Second.", "window")
    orch.configure({"context.max_tokens": None})
    assert orch.route(conversation, model="small").text == "First."  # the same messages were sent once before
