"""A kept promise decides while answering: scripted models, outcomes made up."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from molt_magic import evaluation
from molt_magic.errors import ConfigError, InputError, StoreError
from molt_magic.evaluation import Policy
from molt_magic.result import explain
from molt_magic.views.decisions import story
from tests.conftest import MakeOrchestrator
from tests.evaluation.synthetic import table

ANSWERS = {"small": "Small says so.", "big": "Big says so."}
EASY = "What is the capital city of the country number 3 on the map of the world?"
HARD = "Write a Python function that returns the list element at index 3."


def of_two(n: int, seed: int = 0) -> pd.DataFrame:
    """Outcomes of `small`, which knows capitals, and `big`, which can program as well."""
    found = table(n, seed=seed, responses=False, models=("cheap", "dear"))
    return found.assign(model=found["model"].map({"cheap": "small", "dear": "big"}))


@pytest.fixture(scope="module")
def policy() -> Policy:
    found = evaluation.calibrate(of_two(900), target=0.9)
    assert found.promised
    return found


def test_a_kept_promise_decides_and_is_in_the_log_and_in_the_explanation(
    orchestrator: MakeOrchestrator, policy: Policy
) -> None:
    orch = orchestrator(ANSWERS)
    assert orch.route(EASY).decision.promise is None
    file = orch.keep(policy)
    assert file == orch.settings.data_dir / "promise.npz"
    asked = {prompt: orch.route(prompt, cache=False) for prompt in (EASY, HARD)}
    assert {prompt: result.model for prompt, result in asked.items()} == {EASY: "small", HARD: "big"}
    assert [result.model for result in asked.values()] == policy.route([EASY, HARD])
    said = policy.promise.said
    assert list(orch.log.to_frame()["promise"]) == [None, said, said]
    assert f"Promised: {said}." in explain(asked[EASY].decision)
    assert f"(promise {policy.promise.id})</div>" in story.html(asked[EASY].decision)


def test_it_is_used_by_another_orchestrator_that_names_the_file_with_the_same_id(
    orchestrator: MakeOrchestrator, policy: Policy, tmp_path: Path
) -> None:
    file = orchestrator(ANSWERS).keep(policy, tmp_path / "mine.npz")
    other = orchestrator(ANSWERS, values={"arbitrage.promise": str(file)})
    assert other.promise == policy.promise
    assert other.route(EASY).decision.promise == policy.promise.said


def test_what_is_learned_later_does_not_move_it(orchestrator: MakeOrchestrator, policy: Policy) -> None:
    orch = orchestrator(ANSWERS)
    orch.keep(policy)
    for _ in range(30):
        orch.feedback(orch.route(EASY, cache=False).decision.decision_id, 0.0)
    result = orch.route(EASY, cache=False)
    assert result.model == "small"
    assert result.decision.predicted_quality is not None
    assert result.decision.predicted_quality < 0.3


def test_a_model_that_came_later_is_never_picked_and_stands_in_after_a_refusal_only(
    orchestrator: MakeOrchestrator, policy: Policy
) -> None:
    new = {"provider": "openai", "model": "n", "context_window": 8000, "api_key_env": "NONE", "prior_quality": 0.99}
    orch = orchestrator({**ANSWERS, "new": "New says so."}, values={"models.new": new})
    orch.keep(policy)
    assert orch.route(HARD).model == "big"
    assert orch.route(HARD, validate="regex:New", cache=False).model == "new"


def test_a_plan_says_the_promise_and_an_answer_from_before_it_does_not(orchestrator: MakeOrchestrator, policy: Policy) -> None:
    orch = orchestrator(ANSWERS)
    before = orch.route(EASY)
    orch.keep(policy)
    assert orch.route(EASY, dry_run=True).decision.promise == policy.promise.said
    now = orch.route(EASY)  # the cache has an answer that was chosen in another way
    assert (before.model, now.model) == ("big", "small")
    assert not now.cached


def test_ended_it_decides_no_more(orchestrator: MakeOrchestrator, policy: Policy) -> None:
    orch = orchestrator(ANSWERS)
    orch.keep(policy)
    assert orch.keep(None) is None
    assert orch.promise is None
    assert orch.route(EASY).decision.promise is None


def test_a_file_that_was_calibrated_anew_is_read_again(orchestrator: MakeOrchestrator, policy: Policy) -> None:
    orch = orchestrator(ANSWERS)
    file = orch.keep(policy)
    assert file is not None
    orch.route(EASY)
    evaluation.calibrate(of_two(900, seed=1), target=0.8).promise.save(file)
    assert orch.route(EASY, cache=False).decision.promise != policy.promise.said


def test_what_is_not_promised_is_not_kept_and_says_how_many_outcomes_it_needs(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator(ANSWERS)
    found = evaluation.calibrate(of_two(40))
    with pytest.raises(InputError, match=rf"needs about {found.needs:,}"):
        orch.keep(found)
    assert orch.promise is None
    assert not list(orch.settings.data_dir.glob("promise*"))


def test_what_arbitrage_could_not_go_by_is_not_kept(orchestrator: MakeOrchestrator, policy: Policy) -> None:
    with pytest.raises(InputError, match=r"within = 0.05 .*config arbitrage.within none"):
        orchestrator(ANSWERS, values={"arbitrage.within": 0.05}).keep(policy)
    with pytest.raises(InputError, match=r"catalog does not have: cheap, middle"):
        orchestrator(ANSWERS).keep(evaluation.calibrate(table(900, responses=False), target=0.9))
    with pytest.raises(InputError, match="not int"):
        orchestrator(ANSWERS).keep(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="embedder"):
        orchestrator(ANSWERS).keep(evaluation.calibrate(of_two(900), target=0.9, embedder=Letters()))


class Letters:
    """An embedder of its own: how often each letter is there."""

    id = "letters-26"
    dim = 26

    def embed(self, texts: object) -> np.ndarray:
        assert isinstance(texts, list | tuple)
        rows = np.array([[text.lower().count(chr(97 + i)) + 0.01 for i in range(26)] for text in texts], dtype=np.float32)
        found: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return found


def test_a_promise_that_cannot_be_read_stops_the_question_before_anything_is_paid(
    orchestrator: MakeOrchestrator, policy: Policy, tmp_path: Path
) -> None:
    orch = orchestrator(ANSWERS, values={"arbitrage.promise": str(tmp_path / "gone.npz")})
    with pytest.raises(ConfigError, match=r"gone.npz.*calibrate off"):
        orch.route(EASY)
    file = orch.keep(policy, tmp_path / "gone.npz")
    assert file is not None
    assert orch.route(EASY).ok
    os.truncate(file, 2000)
    with pytest.raises(StoreError, match=r"damaged.*calibrate off"):
        orch.route(HARD)
    assert [call.model for call in orch.providers.calls] == ["small"]  # type: ignore[attr-defined]


def test_a_cassette_is_replayed_with_it(
    orchestrator: MakeOrchestrator, policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = {"cassette.file": str(tmp_path / "answers.jsonl"), "arbitrage.promise": str(tmp_path / "promise.npz")}
    policy.promise.save(tmp_path / "promise.npz")
    recorded = orchestrator(ANSWERS, values={**tape, "cassette.mode": "record"})
    first = [recorded.route(prompt) for prompt in (EASY, HARD)]
    replaying = orchestrator({}, values={**tape, "cassette.mode": "replay"})
    again = [replaying.route(prompt) for prompt in (EASY, HARD)]
    for then, now in zip(first, again, strict=True):
        assert (now.text, now.model, now.decision.promise) == (then.text, then.model, policy.promise.said)
        assert now.decision.reason == then.decision.reason
    assert evaluation.drift(replaying).decisions == 2  # of this session: a run depends on nothing but the tape
    live = orchestrator(ANSWERS, values={"arbitrage.promise": tape["arbitrage.promise"]})
    assert evaluation.drift(live).decisions == 2  # what is replayed is no new evidence
