"""What a hostile or hurried user may do: each gets one short error and the fix, and nothing is half done."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from molt_magic import strategies
from molt_magic.config import load_settings
from molt_magic.config.schema import STRATEGIES
from molt_magic.errors import BadRequest, ConfigError, InputError, MoltError, NoCandidate, StoreError, UnknownName
from molt_magic.orchestrator import Orchestrator
from tests.conftest import MakeOrchestrator
from tests.servers import running, stream


class Callback(BaseModel):
    then: Callable[[], int]


ANSWERS = {"small": "Small says so.", "big": "Big says so."}


class TestArguments:
    """What cannot be asked is refused before anything is called or logged."""

    @pytest.mark.parametrize(
        "prompt",
        [
            None,
            3,
            b"bytes",
            {"role": "user", "content": "a mapping, not a list"},
            ["text, not a mapping"],
            [{"role": "user", "content": 3}],
            [{"role": "user", "content": [{"type": "text"}]}],
            [{"role": "user", "content": [{"type": "text", "text": " \n"}]}],
            " \t\n",
            "half of an emoji: \ud83d",
            [{"role": "user", "content": "a", "tool_calls": "[]"}],
            [{"role": "user", "content": "a", "tool_calls": ["a text"]}],
            [{"role": "user", "content": "a", "tool_calls": [{"id": "1", "function": "f"}]}],
            [{"role": "user", "content": "a", "tool_call_id": 3}],
        ],
    )
    def test_a_prompt_that_is_none_is_refused(self, prompt: Any, orchestrator: MakeOrchestrator) -> None:
        _is_refused(orchestrator(ANSWERS), prompt, {})

    @pytest.mark.parametrize(
        "options",
        [
            {"quality": "high"},
            {"quality": float("nan")},
            {"quality": 1.1},
            {"max_cost": "1"},
            {"max_cost": float("nan")},
            {"max_cost": -1},
            {"strategy": 3},
            {"model": ["small"]},
            {"task": []},
            {"thread": 3},
            {"thread": [1]},
            {"thread": " "},
            {"system": 3},
            {"schema": "{}"},
            {"schema": {"type": object()}},
            {"schema": {"title": "half \ud83d"}},
            {"schema": Callback},
            {"schema": BaseModel},
            {"system": "half \ud83d"},
            {"stop": "half \ud83d"},
            {"tools": [{"type": "function", "function": {"name": "half \ud83d"}}]},
            {"namespace": 5},
            {"cache": None},
            {"on_event": 3},
            {"max_tokens": 0},
            {"max_tokens": -5},
            {"max_tokens": "many"},
            {"max_completion_tokens": 1.5},
            {"temperature": float("nan")},
            {"stop": object()},
            {"tools": "search"},
            {"tools": ["search"]},
            {"response_format": "json"},
            {"messages": [{"role": "user", "content": "in place of the prompt"}]},
        ],
        ids=str,
    )
    def test_an_argument_of_the_wrong_kind_is_refused(self, options: dict[str, Any], orchestrator: MakeOrchestrator) -> None:
        _is_refused(orchestrator(ANSWERS), "Hello?", options)

    def test_a_check_that_is_no_check_is_refused(self, orchestrator: MakeOrchestrator) -> None:
        with pytest.raises(ConfigError, match="cannot be a int"):
            orchestrator(ANSWERS).route("Hello?", validate=3)

    def test_an_option_with_a_typo_is_not_sent_to_the_model_as_a_parameter(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator(ANSWERS)
        with pytest.raises(UnknownName, match="Did you mean 'strategy'") as raised:
            orch.route("Hello?", stategy="rule")
        assert "stategy" in raised.value.message
        assert orch.route("Hello?", max_tokens=5, top_p=0.5, seed=1, stop=["x"], user="me", n=1).ok

    def test_a_comparison_of_nothing_is_refused_and_one_name_is_one_strategy(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator(ANSWERS)
        with pytest.raises(InputError, match="no strategy to compare"):
            orch.compare("Hello?", [])
        assert orch.compare("Hello?", "rule")["strategy"].tolist() == ["rule"]

    @pytest.mark.parametrize("score", ["good", None, float("nan"), 2, -0.1])
    def test_a_score_that_is_none_is_refused(self, score: Any, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator(ANSWERS)
        made = orch.route("Hello?")
        with pytest.raises(InputError, match="between 0 and 1"):
            orch.feedback(made.decision.decision_id, score)

    def test_feedback_on_no_decision_at_all_is_refused(self, orchestrator: MakeOrchestrator) -> None:
        with pytest.raises(UnknownName):
            orchestrator(ANSWERS).feedback(None, 1.0)  # type: ignore[arg-type]


class TestSettings:
    def test_the_strategies_of_the_configuration_are_those_that_exist(self) -> None:
        assert STRATEGIES == strategies.NAMES

    def test_an_unknown_strategy_in_a_file_is_refused_and_never_another_one(self, tmp_path: Path) -> None:
        (tmp_path / "molt.toml").write_text('[defaults]\nstrategy = "rull"\n')
        with pytest.raises(ConfigError, match="'rull'") as raised:
            load_settings(cwd=tmp_path)
        assert "rule" in raised.value.fix

    @pytest.mark.parametrize("key", ["model", "judge", "context.summary_model"])
    def test_a_model_that_nothing_defines_is_refused_where_it_is_named(self, key: str, orchestrator: MakeOrchestrator) -> None:
        with pytest.raises(ConfigError, match="names an unknown model 'bigg'") as raised:
            orchestrator(ANSWERS, values={key: "bigg"}).route("Hello?")
        assert "Did you mean 'big'" in raised.value.fix

    @pytest.mark.parametrize(
        "values", [{"judge": "bigg"}, {"cascade.ladder": ("small", "bigg")}, {"routes.simple_qa": {"primary": "bigg"}}], ids=str
    )
    def test_a_change_that_names_an_unknown_model_changes_nothing(
        self, values: dict[str, Any], orchestrator: MakeOrchestrator
    ) -> None:
        orch = orchestrator(ANSWERS)
        before = orch.settings
        with pytest.raises(ConfigError):
            orch.configure(values)
        assert orch.settings == before
        assert orch.route("Hello?", strategy="cascade").ok

    def test_every_setting_can_be_set_to_what_is_shown_of_it(self, orchestrator: MakeOrchestrator) -> None:
        from molt_magic.magics.commands.settings import _setting

        orch = orchestrator(ANSWERS)
        orch.configure({"cascade.ladders": {"sums": ["big"], "prose": ["small", "big"]}})
        before = orch.settings.flat()
        for key, value in before.items():
            orch.configure({key: _setting(value)})
        assert orch.settings.flat() == before

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="capabilities are Linux's")
    def test_a_home_that_may_not_be_entered_is_an_error_of_ours(self, tmp_path: Path) -> None:
        home = tmp_path / "home"
        home.mkdir()
        home.chmod(0)
        code = (
            "from molt_magic import Orchestrator, MoltError\n"
            "try:\n    Orchestrator().route('Hello?')\n"
            "except MoltError as error:\n    print(type(error).__name__, error.fix)\n"
        )
        try:
            done = _unprivileged([sys.executable, "-c", code], MOLT_HOME=str(home), cwd=tmp_path)
        finally:
            home.chmod(0o700)
        assert done.stdout.startswith("StoreError Make the folder"), done.stderr
        assert "Traceback" not in done.stderr


class TestStores:
    @pytest.fixture(params=["a folder", "garbage", "a file for a parent"])
    def broken(self, request: pytest.FixtureRequest, orchestrator: MakeOrchestrator) -> Orchestrator:
        """An orchestrator whose log cannot be used."""
        orch = orchestrator(ANSWERS)
        file = orch.settings.data_dir / "decisions.sqlite"
        if request.param == "a file for a parent":
            file.parent.parent.mkdir(parents=True, exist_ok=True)
            file.parent.write_text("")
        elif request.param == "a folder":
            file.mkdir(parents=True)
        else:
            file.parent.mkdir(parents=True)
            file.write_bytes(b"garbage" * 1000)
        return orch

    def test_a_log_that_cannot_be_used_is_told_before_anything_is_spent(self, broken: Orchestrator) -> None:
        with pytest.raises(StoreError) as raised:
            broken.route("Hello?")
        assert raised.value.fix
        assert broken.providers.calls == []  # type: ignore[attr-defined]

    def test_a_decision_that_is_not_in_the_log_is_not_said_to_be(self, broken: Orchestrator) -> None:
        with pytest.raises(StoreError) as raised:
            broken.route("Hello?")
        assert raised.value.decision_id is None
        assert raised.value.result is not None

    def test_a_failure_in_a_dry_run_is_not_said_to_be_logged(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({})
        with pytest.raises(NoCandidate) as raised:
            orch.route("Hello?", dry_run=True)
        assert raised.value.decision_id is None
        assert len(orch.log.to_frame()) == 0

    def test_a_name_with_a_nul_is_no_place_to_export_to(self, orchestrator: MakeOrchestrator, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="cannot be written"):
            orchestrator(ANSWERS).log.export(tmp_path / "a\0b.csv")

    def test_a_full_disk_is_told_with_its_own_fix(self, orchestrator: MakeOrchestrator) -> None:
        import errno

        from molt_magic.cache.store import JsonStore

        store = JsonStore(Path("/nowhere"), max_bytes=10_000_000)
        told = store._unusable(OSError(errno.ENOSPC, "No space left on device"))
        assert told.fix == "Free some space on the disk."
        assert "[Errno" not in told.message


class TestMessages:
    def test_what_a_frame_has_for_a_missing_field_is_none(self, orchestrator: MakeOrchestrator) -> None:
        calls = [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}]
        turns = [
            {"role": "user", "content": "Add."},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "content": "4", "tool_call_id": "c1"},
            {"role": "user", "content": "And?"},
        ]
        frame = pd.DataFrame(turns)
        frame["tool_call_id"] = frame["tool_call_id"].convert_dtypes()
        orch = orchestrator(ANSWERS)
        asked = [message for result in (orch.route(turns), orch.route(frame.to_dict("records"), cache="refresh"))
                 for message in result.attempts[0].call.messages]  # fmt: skip
        assert asked[:4] == asked[4:]
        assert asked[1].tool_calls == tuple(calls)

    def test_a_row_with_odd_messages_does_not_disturb_the_others(self, orchestrator: MakeOrchestrator) -> None:
        odd = [{"role": "user", "content": "a", "tool_calls": 3}]
        frame = orchestrator(ANSWERS).map(["good", odd], model="small")
        assert list(frame["status"]) == ["ok", "error"]
        assert "tool_calls must be a list" in frame["error"][1]


class TestLimits:
    def test_a_limit_without_end_is_none(self, orchestrator: MakeOrchestrator) -> None:
        limits = {"max_cost": float("inf"), "quality": Fraction(1, 2), "deadline": Fraction(30)}
        assert orchestrator(ANSWERS).route("Hello?", **limits).ok

    @pytest.mark.parametrize("number", [np.float32, np.float64, np.int64])
    def test_a_number_out_of_a_frame_is_as_good_as_python_s_own(self, orchestrator: MakeOrchestrator, number: Any) -> None:
        orch = orchestrator(ANSWERS)
        own = {"quality": 1, "max_cost": 1, "deadline": 30, "temperature": 1, "max_tokens": 50}
        limits = {name: number(value) for name, value in own.items()} | {"max_tokens": np.int64(50)}
        assert orch.route("Hello?", **own).decision.cache == "miss"
        assert orch.route("Hello?", **limits).decision.cache == "exact"
        assert list(orch.map(["Hello?"], resume="run", concurrency=np.int64(2), **limits)["status"]) == ["ok"]

    def test_questions_kept_out_of_the_log_count_against_the_budget(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator(ANSWERS, values={"budget.session_usd": 0.005})
        spent = orch.route("Hello?", model="big", log=False, max_tokens=100).cost_usd
        assert spent is not None
        assert spent > 0.002
        assert orch.spent_usd() == pytest.approx(spent)
        with pytest.raises(MoltError, match="budget"):
            orch.route("Hello again?", model="big", log=False, max_tokens=100)

    def test_nobody_who_can_take_it_names_a_fix(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator(ANSWERS, values={"context.mode": "off"})
        with pytest.raises(NoCandidate) as dear:
            orch.route("Hello?", max_cost=0.0)
        assert "--max-cost" in dear.value.fix
        with pytest.raises(NoCandidate) as long:
            orch.route("word " * 20_000)
        assert long.value.fix
        with pytest.raises(NoCandidate, match="cannot take images") as unfit:
            orch.route([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}], model="small")
        assert "Use another model" in unfit.value.fix
        assert orch.log.get(str(long.value.decision_id)) is not None


@contextlib.contextmanager
def _served(settings: Any = None, **model: Any) -> Iterator[tuple[Any, Orchestrator]]:
    with running() as server:
        table = {"provider": "openai", "model": "m", "base_url": f"{server.url}/v1", "context_window": 8000, **model}
        values = {"catalog": "none", "models.m": table, "network.retries": 0, **(settings or {})}
        with Orchestrator(settings=load_settings(cwd=Path("/")).with_values(values)) as orch:
            yield server, orch


class TestAnswers:
    def test_an_emoji_that_a_server_cuts_in_half_comes_out_whole(self) -> None:
        pieces = [
            f'data: {{"choices": [{{"index": 0, "delta": {{"content": "{half}"}}}}]}}\n\n' for half in ("a\\ud83d", "\\ude00b")
        ]
        end = 'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
        heard: list[str] = []
        with _served() as (server, orch):
            server.answer(stream([*pieces, end, "data: [DONE]\n\n"]))
            answer = orch.route("Smile.", on_event=lambda event: heard.append(event.text) if event.kind == "delta" else None)
        assert answer.text == "a\U0001f600b"
        assert "".join(heard) == "a\U0001f600b"

    def test_half_a_character_in_an_answer_keeps_nobody_from_exporting_the_log(self, tmp_path: Path) -> None:
        event = 'data: {"choices": [{"index": 0, "delta": {"content": "a\\ud83d"}, "finish_reason": "stop"}]}\n\n'
        with _served() as (server, orch):
            server.answer(stream([event, "data: [DONE]\n\n"]))
            assert orch.route("Smile.").text == "a\ufffd"
            for ending in ("csv", "jsonl", "parquet"):
                assert orch.log.export(tmp_path / f"log.{ending}").stat().st_size > 0

    def test_a_parameter_that_a_dialect_cannot_write_is_an_error_of_ours(self) -> None:
        with _served(provider="anthropic", api_key_env="SOME_KEY") as (server, orch), pytest.MonkeyPatch.context() as patch:
            patch.setenv("SOME_KEY", "a-key")
            with pytest.raises(BadRequest, match="cannot be written for the anthropic API") as raised:
                orch.route("Hello?", model="m", temperature="hot")
            assert orch.log.get(str(raised.value.decision_id)) is not None
            assert server.asked == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_asks_for_itself_instead_of_waiting_for_ever(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator(ANSWERS)
    orch.route("before the fork", model="small")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # nothing of pytest may run in here
        signal.alarm(20)  # ends the child where it hangs
        try:
            os.write(write, orch.route("in the child", model="small").text.encode())
        finally:
            os._exit(0)
    os.close(write)
    assert os.waitpid(child, 0)[1] == 0, "the child hung"
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"Small says so."
    assert orch.route("after the fork", model="small").ok
    assert orch.log.to_frame()["prompt"].tolist() == ["before the fork", "in the child", "after the fork"]


def test_fifty_questions_at_once_are_fifty_rows(orchestrator: MakeOrchestrator) -> None:
    import asyncio

    orch = orchestrator(ANSWERS, delay_s=0.001)

    async def ask() -> list[Any]:
        return await asyncio.gather(*(orch.aroute(f"question {number}", model="small", cache=False) for number in range(50)))

    assert all(result.ok for result in asyncio.run(ask()))
    assert orch.log.to_frame()["decision_id"].nunique() == 50


def test_inside_a_running_loop_the_blocking_call_answers(orchestrator: MakeOrchestrator) -> None:
    import asyncio

    orch = orchestrator(ANSWERS)

    async def ask() -> str:
        return str(orch.route("Hello?", model="small").text)

    assert asyncio.run(ask()) == "Small says so."


def _is_refused(orch: Orchestrator, prompt: Any, options: dict[str, Any]) -> None:
    with pytest.raises(InputError) as raised:
        orch.route(prompt, **options)
    assert "\n" not in str(raised.value)
    assert raised.value.decision_id is None
    assert orch.providers.calls == []  # type: ignore[attr-defined]
    assert len(orch.log.to_frame()) == 0


def _unprivileged(command: list[str], *, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run as a user whom modes bind: root without its capabilities, anyone else as they are."""
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **environ}, timeout=60, check=False
    )
