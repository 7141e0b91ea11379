"""A question ends at its deadline, whatever it is doing: over real sockets, with every strategy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from molt_magic.config import load_settings
from molt_magic.errors import InputError, MoltError, OutOfTime
from molt_magic.magics.options import read
from molt_magic.orchestrator import Orchestrator
from molt_magic.providers.base import Missing
from molt_magic.types import ModelSpec
from tests.scripted import ScriptedProviders
from tests.servers import Answer, Asked, Server, as_json, running, stream

LATE_S = 0.7  # what a loaded machine may take on top; without a deadline these questions take 5 s and more

HANGS = Answer([], hold=True)


def says(text: str) -> Answer:
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 5, "completion_tokens": 5}
    return as_json(200, {"model": "m", "choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})


class Models(Server):
    """Each model's answer by its id, the first part of the path."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Answer] = {}

    def choose(self, asked: Asked) -> Answer:
        return self.answers[asked.path.split("/")[1]]

    def names(self) -> list[str]:
        return [asked.path.split("/")[1] for asked in self.asked]


@pytest.fixture
def models() -> Iterator[Models]:
    with running(Models()) as server:
        yield server


Make = Callable[..., Orchestrator]


@pytest.fixture
def make(models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setenv("DEADLINE_KEY", "a-key-of-the-tests")
    made: list[Orchestrator] = []

    def make(**values: Any) -> Orchestrator:
        table = {"provider": "openai", "context_window": 8000, "api_key_env": "DEADLINE_KEY", "input_usd_per_mtok": 1.0}
        known = {
            name: {
                **table,
                "model": name,
                "base_url": f"{models.url}/{name}",
                "prior_quality": quality,
                "output_usd_per_mtok": usd,
            }
            for name, quality, usd in (("small", 0.5, 1.0), ("big", 0.9, 9.0))
        }
        settings = load_settings(cwd=tmp_path).with_values(
            {
                "catalog": "none",
                **{f"models.{name}": fields for name, fields in known.items()},
                "cascade.ladder": ("small", "big"),
                "routes.simple_qa": {"primary": "small", "fallback": "big"},
                "network.total_s": 5.0,
                **{key.replace("__", "."): value for key, value in values.items()},
            }
        )
        made.append(Orchestrator(settings=settings))
        return made[-1]

    yield make
    for orch in made:
        orch.close()


STRATEGIES: list[dict[str, Any]] = [
    {"strategy": "rule", "task": "simple_qa"},
    {"strategy": "semantic", "task": "simple_qa"},
    {"strategy": "arbitrage"},
    {"strategy": "cascade"},
    {"model": "small"},
]


@pytest.mark.parametrize("how", STRATEGIES, ids=lambda how: how.get("strategy", "direct"))
def test_with_every_strategy_a_question_ends_at_its_deadline_and_no_other_model_is_asked(
    how: dict[str, Any], models: Models, make: Make
) -> None:
    models.answers = {"small": says("Hello."), "big": says("Hello.")}
    orch = make()
    orch.route("Once before", **how)  # what is read from disk once is not this question's
    models.asked.clear()
    models.answers = {"small": HANGS, "big": HANGS}
    begun = time.monotonic()
    with pytest.raises(OutOfTime, match=r"0\.5 s .* Raise the deadline"):
        orch.route("Hello?", deadline=0.5, **how)
    assert 0.45 < time.monotonic() - begun < 0.5 + LATE_S
    row = orch.log.to_frame().iloc[-1]
    assert (row["status"], row["n_attempts"]) == ("error", 1)
    assert row["error"].startswith("deadline: ")
    assert len(models.asked) == 1


def test_the_configured_deadline_holds_where_the_question_has_none(models: Models, make: Make) -> None:
    models.answers = {"small": HANGS}
    with pytest.raises(OutOfTime, match=r"Raise network\.deadline_s"):
        make(network__deadline_s=0.3).route("Hello?", model="small")


def test_text_that_had_arrived_is_kept(models: Models, make: Make) -> None:
    chunk = 'data: {"model": "m", "choices": [{"delta": {"content": "word "}}]}\n\n'
    models.answers = {"small": stream([chunk] * 400, pause_s=0.02)}
    begun = time.monotonic()
    with pytest.raises(OutOfTime) as raised:
        make().route("Hello?", strategy="cascade", deadline=0.6)
    assert time.monotonic() - begun < 0.6 + LATE_S
    result = raised.value.result
    assert result.text.startswith("word word ")
    assert result.decision.status == "interrupted"
    assert models.names() == ["small"]


def test_a_refused_answer_is_the_best_effort_where_the_next_model_is_cut(models: Models, make: Make) -> None:
    models.answers = {"small": says("A first try."), "big": HANGS}
    result = make().route("Hello?", strategy="cascade", validate=[lambda text: False], deadline=0.8)
    assert (result.text, result.decision.status) == ("A first try.", "best_effort")
    assert [attempt.error and attempt.error.kind for attempt in result.attempts] == [None, "deadline"]


def test_an_answer_whose_check_is_not_done_in_time_is_the_best_effort(models: Models, make: Make) -> None:
    models.answers = {"small": says("An answer.")}
    begun = time.monotonic()
    result = make().route("Hello?", model="small", validate=[lambda text: not time.sleep(3)], deadline=0.5)
    assert time.monotonic() - begun < 0.5 + LATE_S
    assert (result.text, result.decision.status) == ("An answer.", "best_effort")
    assert "checks were not done in time" in result.decision.reason


def test_a_judge_is_cut_and_abstains(models: Models, make: Make) -> None:
    models.answers = {"small": says("An answer."), "big": HANGS}
    begun = time.monotonic()
    result = make().route("Hello?", model="small", validate=["judge:big"], deadline=0.6)
    assert time.monotonic() - begun < 0.6 + LATE_S
    assert result.text == "An answer."
    assert [attempt.call.purpose for attempt in result.attempts] == ["answer", "judge"]


def test_a_wait_that_would_pass_the_deadline_is_not_begun_and_the_fallback_is_asked_at_once(models: Models, make: Make) -> None:
    models.answers = {"small": as_json(429, {"error": {"message": "slow"}}, {"retry-after": "30"}), "big": says("Here.")}
    begun = time.monotonic()
    result = make().route("Hello?", strategy="rule", task="simple_qa", deadline=4.0)
    assert time.monotonic() - begun < 2.0
    assert (result.text, result.decision.fallback_reason) == ("Here.", "small: rate_limit")
    assert models.names() == ["small", "big"]


def test_who_waits_for_the_same_answer_waits_no_longer_than_its_own_deadline(models: Models, make: Make) -> None:
    models.answers = {"small": HANGS}
    orch = make()

    async def both() -> list[float]:
        async def one(deadline: float) -> float:
            begun = time.monotonic()
            with pytest.raises(MoltError):
                await orch.aroute("Hello?", model="small", deadline=deadline)
            return time.monotonic() - begun

        return await asyncio.gather(one(1.5), one(0.4))

    _, waited = asyncio.run(both())
    assert waited < 0.4 + LATE_S
    assert len(models.asked) == 1


class Fetching(ScriptedProviders):
    """A model whose weights take long to fetch."""

    def missing(self, spec: ModelSpec) -> Missing | None:
        return Missing("its weights are not here", "fetch them")

    def can_pull(self, spec: ModelSpec) -> bool:
        return True

    async def apull(self, spec: ModelSpec) -> None:
        await asyncio.sleep(5)


def test_a_deadline_of_the_question_counts_the_fetching_of_weights(tmp_path: Path) -> None:
    model = {"provider": "openai", "model": "s", "context_window": 8000}
    settings = load_settings(cwd=tmp_path).with_values({"catalog": "none", "models.small": model})
    with Orchestrator(settings=settings, providers=Fetching({})) as orch:  # type: ignore[arg-type]
        begun = time.monotonic()
        with pytest.raises(OutOfTime, match="before small was there"):
            orch.route("Hello?", model="small", deadline=0.3)
        assert time.monotonic() - begun < 0.3 + LATE_S


def test_a_deadline_is_a_number_of_seconds(make: Make) -> None:
    for wrong in (0, -1.0, float("nan"), "5"):
        with pytest.raises(InputError, match="deadline must be a number"):
            make().route("Hello?", deadline=wrong)
    options = read("--deadline 5")
    assert options is not None
    assert options.deadline == 5.0
    with pytest.raises(InputError, match="deadline"):
        read("--deadline 0")
