"""Cassettes: what was answered once is answered again, by the same orchestrator and without anybody being asked."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from molt_magic.errors import NoCandidate, NotRecorded, StoreError
from molt_magic.orchestrator import Orchestrator
from molt_magic.providers.cassette.tape import Tape, line_of
from molt_magic.types import Call, Completion, Message, Usage
from tests.conftest import MakeOrchestrator

LINE = {"key": "k", "model": "small", "messages": [], "answer": "a", "usage": {}, "latency_s": 0.1, "ttft_s": None}
ASKED = ("What is a median?", "What is a mean?", "What is a mode?")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


def recording(make: MakeOrchestrator, file: Path, script: Any = None, **scripted: Any) -> Orchestrator:
    values = {"cassette.file": str(file), "cassette.mode": "record"}
    return make(
        script or {"small": lambda call: f"Of {call.messages[-1].text}", "big": "Big says so."}, values=values, **scripted
    )


def replaying(make: MakeOrchestrator, file: Path) -> Orchestrator:
    return make({}, values={"cassette.file": str(file), "cassette.mode": "replay"})  # nobody there has a key


def tape(file: Path) -> Tape:
    return Tape(file, locks=file.parent / "locks")


def call(prompt: str, **params: Any) -> Call:
    return Call("small", (Message("user", prompt),), params=params)


def keep(on: Tape, prompt: str, answer: str = "An answer.", latency_s: float = 1.0) -> None:
    line = line_of(call(prompt), Completion(answer, "s", Usage(3, 4)), latency_s=latency_s, ttft_s=0.1)
    on.keep(line["key"], line, ["small"])


@pytest.mark.parametrize("strategy", ["rule", "semantic", "arbitrage", "cascade", "direct"])
def test_a_replay_decides_answers_and_costs_as_the_recording_did(
    strategy: str, orchestrator: MakeOrchestrator, file: Path
) -> None:
    check = lambda text: "median" not in text  # noqa: E731  # refuses one answer, so that the cascade climbs
    live = recording(orchestrator, file)
    first_run = [live.route(prompt, strategy=strategy, validate=[check]) for prompt in ASKED]
    again = replaying(orchestrator, file)
    second_run = [again.route(prompt, strategy=strategy, validate=[check]) for prompt in ASKED]
    for first, second in zip(first_run, second_run, strict=True):
        same = ("model", "served_model", "candidates", "n_attempts", "escalations", "input_tokens", "output_tokens", "cost_usd")
        same += ("saved_usd", "cache", "predicted_quality", "quality", "status", "reason")
        assert first.text == second.text
        assert [getattr(second.decision, name) for name in same] == [getattr(first.decision, name) for name in same]
        assert second.decision.deployment == "cassette"
    assert again.providers.calls == []  # type: ignore[attr-defined]


def test_a_replay_takes_no_time_and_tells_the_recorded_one(orchestrator: MakeOrchestrator, file: Path) -> None:
    recording(orchestrator, file, delay_s=0.05).route("one two three?", model="big")
    replayed = replaying(orchestrator, file).route("one two three?", model="big")
    recorded = json.loads(file.read_text().splitlines()[1])["latency_s"]
    assert recorded >= 0.15
    assert replayed.attempts[0].latency_s == recorded
    assert recorded <= replayed.decision.latency_s < recorded + replayed.decision.overhead_ms / 1000 + 0.001


def test_a_replay_spends_nothing_of_a_budget(orchestrator: MakeOrchestrator, file: Path) -> None:
    recording(orchestrator, file).route(ASKED[0], model="big")
    again = replaying(orchestrator, file)
    result = again.route(ASKED[0], model="big")
    again.route(ASKED[0], model="big", log=False, cache=False)
    assert result.cost_usd is not None
    assert result.cost_usd > 0  # as recorded
    assert again.spent_usd() == 0.0


def test_recording_again_changes_only_what_changed(orchestrator: MakeOrchestrator, file: Path) -> None:
    for answer in ("Old.", "New."):
        orch = recording(
            orchestrator, file, {"small": lambda c, a=answer: a if "mean" in c.messages[-1].text else "Same.", "big": "B"}
        )
        before = file.read_text().splitlines() if file.exists() else []
        for prompt in reversed(ASKED) if before else ASKED:  # in another order, as runs at once may be
            orch.route(prompt, model="small")
    after = file.read_text().splitlines()
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, True, False, True]
    assert '"answer": "New."' in after[2]


def test_a_cassette_can_be_read_by_a_person(orchestrator: MakeOrchestrator, file: Path) -> None:
    recording(orchestrator, file).route("Où est la médiane?", model="small", temperature=0.5)
    head, line = map(json.loads, file.read_text("utf-8").splitlines())
    assert head == {"molt_cassette": 1, "models": ["small", "big"]}
    assert "Où est la médiane?" in file.read_text("utf-8")
    assert list(line) == [
        *(
            "key",
            "model",
            "purpose",
            "messages",
            "params",
            "answer",
            "served_model",
            "finish_reason",
            "usage",
            "latency_s",
            "ttft_s",
        )
    ]
    assert line["params"] == {"temperature": 0.5}


def test_a_cassette_holds_no_key(orchestrator: MakeOrchestrator, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary-of-the-environment")
    echo = "Your key is canary-of-the-environment, hers sk-proj-abcdefgh12345678; see sk-learn-contrib."
    live = recording(orchestrator, file, {"small": echo, "big": "B"})
    assert live.route("My key is canary-of-the-environment.", model="small").text == echo
    text = file.read_text()
    assert "canary" not in text
    assert "sk-proj" not in text
    assert "sk-learn-contrib" in text  # a name, not a key
    assert replaying(orchestrator, file).route("My key is canary-of-the-environment.", model="small").text.count("[key") == 2


def test_a_cache_of_the_user_s_keeps_nothing_off_the_tape(orchestrator: MakeOrchestrator, file: Path) -> None:
    script = {"small": "S", "big": "B"}
    orchestrator(script).route(ASKED[0], model="small")  # now it is in the cache
    live = recording(orchestrator, file, script)
    assert live.route(ASKED[0], model="small").decision.cache == "miss"
    assert live.route(ASKED[0], model="small").decision.cache == "exact"  # its own
    assert len(tape(file)) == 1


def test_what_a_replay_teaches_stays_in_its_session(orchestrator: MakeOrchestrator, file: Path) -> None:
    live = recording(orchestrator, file)
    live.route(ASKED[0], model="small", validate=[lambda text: True])
    before = live.log.outcomes()
    again = replaying(orchestrator, file)
    assert again.route(ASKED[0], strategy="arbitrage", dry_run=True).candidates[0].evidence == "prior only"
    result = again.route(ASKED[0], model="small", validate=[lambda text: True])
    again.feedback(result.decision.decision_id, 1.0)
    assert again.route(ASKED[1], strategy="arbitrage", dry_run=True).candidates[0].evidence != "prior only"
    assert again.log.outcomes() == before


@pytest.mark.parametrize(
    ("prompt", "options", "says"),
    [
        ("What is a medium?", {"model": "small"}, "The nearest recorded prompt, for small: 'What is a median?'"),
        (ASKED[0], {"model": "small", "temperature": 0.2}, "The same prompt is recorded with no temperature"),
        (ASKED[0], {"model": "big"}, "The same prompt is recorded for small only"),
        (ASKED[0], {"model": "small", "system": "Be brief."}, "after other ones (another system prompt, or another history)"),
        ("5 7 9 11 13", {"model": "small"}, "No prompt among the 3 recorded ones is like it"),
    ],
)
def test_a_miss_raises_and_says_what_is_nearest(
    prompt: str, options: dict[str, Any], says: str, orchestrator: MakeOrchestrator, file: Path
) -> None:
    live = recording(orchestrator, file)
    for asked in ASKED:
        live.route(asked, model="small")
    again = replaying(orchestrator, file)
    with pytest.raises(NotRecorded) as missed:
        again.route(prompt, **options)
    assert says in missed.value.message
    assert "%route cassette record" in missed.value.fix
    assert again.log.to_frame().iloc[-1]["error"].startswith("not_recorded: ")


def test_a_model_that_was_not_recorded_is_no_candidate_in_a_replay(orchestrator: MakeOrchestrator, file: Path) -> None:
    recording(orchestrator, file, {"small": "S"}).route(ASKED[0], model="small")
    again = orchestrator({"small": "S", "big": "B"}, values={"cassette.file": str(file), "cassette.mode": "replay"})
    with pytest.raises(NoCandidate, match=r"big: it is not on the cassette"):
        again.route(ASKED[0], model="big")


def test_without_the_file_a_replay_says_so(orchestrator: MakeOrchestrator, file: Path) -> None:
    with pytest.raises(NoCandidate, match=r"there is no cassette .*answers\.jsonl"):
        replaying(orchestrator, file).route(ASKED[0])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a cassette"),
        ("{}\n", "is not a cassette"),
        ("hello\n", "Line 1 of"),
        ('{"molt_cassette": 2, "models": []}\n', "newer molt_magic"),
        ('{"molt_cassette": 1, "models": ["small"]}\n{"key": "k"}\n', "Line 2 of"),
        ('{"molt_cassette": 1, "models": ["small"]}\n[]\n', "Line 2 of"),
        *[
            (f'{{"molt_cassette": 1, "models": ["small"]}}\n{json.dumps({**LINE, **odd})}\n', "Line 2 of")
            for odd in ({"messages": "x"}, {"messages": [{"role": "user"}]}, {"usage": {"input_tokens": "a"}})
        ],
        (f'{{"molt_cassette": 1, "models": ["small"]}}\n{json.dumps({**LINE, "latency_s": float("nan")})}\n', "Line 2 of"),
    ],
)
def test_what_is_no_cassette_is_refused_and_left_alone(
    text: str, says: str, orchestrator: MakeOrchestrator, file: Path
) -> None:
    file.write_text(text)
    with pytest.raises(StoreError, match=says):
        len(tape(file))
    with pytest.raises(StoreError, match=says):
        recording(orchestrator, file).route(ASKED[0], model="small")
    assert file.read_text() == text


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x1e"])
def test_an_answer_may_hold_what_separates_lines_elsewhere(orchestrator: MakeOrchestrator, file: Path, separator: str) -> None:
    said = f"line one{separator}line two"
    live = recording(orchestrator, file, {"small": said})
    live.route(ASKED[0], model="small")
    live.route(f"Repeat: {said}", model="small")
    again = replaying(orchestrator, file)
    assert [again.route(prompt, model="small").text for prompt in (ASKED[0], f"Repeat: {said}")] == [said, said]


def test_a_line_whose_writer_was_killed_is_passed_over_and_written_again(file: Path) -> None:
    keep(tape(file), "one")
    keep(tape(file), "two")
    whole = file.read_text()
    file.write_text(whole[:-20])
    cut = tape(file)
    assert [each.prompt for each in cut] == ["one"]
    keep(cut, "two")
    assert file.read_text() == whole


def test_a_cassette_mended_by_hand_is_read_anew(file: Path) -> None:
    on = tape(file)
    keep(on, "one")
    assert len(on) == 1
    file.write_text(file.read_text().replace("An answer.", "A better answer."))
    assert next(iter(on)).completion.text == "A better answer."


def _record(path: str, who: int) -> None:
    for n in range(20):
        keep(tape(Path(path)), f"{who} asks {n}")


def test_kernels_record_on_one_cassette_at_once(file: Path) -> None:
    processes = [multiprocessing.get_context("spawn").Process(target=_record, args=(str(file), who)) for who in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert len({recorded.prompt for recorded in tape(file)}) == 60


def test_a_cassette_is_made_for_the_user_only_and_keeps_the_mode_it_was_given(file: Path) -> None:
    on = tape(file)
    keep(on, "one")
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    keep(on, "one", "Another answer.")
    assert file.stat().st_mode & 0o777 == 0o644


class TestRecordedAnswers:
    """`recorded=True`: what is in the log or on the cassette, without asking anybody."""

    def test_an_answer_in_the_log_is_given_again_with_its_cost(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "Small says so.", "big": "Big says so."})
        first = orch.route(ASKED[0], model="big")
        calls = len(orch.providers.calls)  # type: ignore[attr-defined]
        again = orch.route(ASKED[0], model="big", recorded=True)
        assert (again.text, again.cost_usd, again.usage.output_tokens) == (
            first.text,
            first.cost_usd,
            first.usage.output_tokens,
        )
        assert again.decision.deployment == f"decision {first.decision.decision_id}"
        assert len(orch.providers.calls) == calls  # type: ignore[attr-defined]
        assert len(orch.log.to_frame()) == 1
        assert orch.spent_usd() == first.cost_usd

    def test_what_is_not_recorded_raises(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "S", "big": "B"})
        orch.route(ASKED[0], model="small")
        with pytest.raises(NotRecorded, match="big has no answer to this prompt"):
            orch.route(ASKED[0], model="big", recorded=True)

    def test_a_model_without_a_key_has_its_recorded_answer(self, orchestrator: MakeOrchestrator) -> None:
        orchestrator({"small": "S", "big": "B"}).route(ASKED[0], model="big")
        assert orchestrator({"small": "S"}).route(ASKED[0], model="big", recorded=True).text == "B"

    def test_the_cassette_is_asked_before_the_log(self, orchestrator: MakeOrchestrator, file: Path) -> None:
        live = recording(orchestrator, file)
        live.route(ASKED[0], model="small")
        live.configure({"cassette.mode": "off"})
        assert live.route(ASKED[0], model="small", recorded=True).decision.deployment == "cassette"

    def test_a_comparison_tells_the_decision_that_a_recorded_answer_came_from(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "Small says so.", "big": "Big says so."})
        live = orch.compare("What is it?", ["small", "big"])
        recorded = orch.compare("What is it?", ["small", "big"], mode="recorded")
        for column in ("text", "decision_id", "cost_usd"):
            assert list(recorded[column]) == list(live[column])
        unasked = orch.compare("What else?", ["small"], mode="recorded").iloc[0]
        assert (unasked["status"], unasked["error"].partition(":")[0]) == ("error", "not_recorded")
        assert len(orch.log.to_frame()) == 2
