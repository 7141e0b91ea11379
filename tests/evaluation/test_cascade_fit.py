"""The cascade's settings from a table, as what a session routes with."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from molt_magic import evaluation
from molt_magic.embed import StaticEmbedder
from molt_magic.errors import InputError, UnknownName
from molt_magic.evaluation import FittedCascade, fit_cascade
from molt_magic.evaluation.cases import Case
from molt_magic.evaluation.matrix import to_outcomes
from molt_magic.evaluation.replay import replay
from molt_magic.quality.costs import ExpectedCost
from molt_magic.strategies import Cascade
from molt_magic.types import Attempt, Call, Completion, Message, Request, Verdict
from molt_magic.validators.by_task import ByTask
from tests.conftest import MakeOrchestrator
from tests.evaluation.synthetic import MODELS, table

TRAIN, TEST = table(180), table(90, seed=5)


@pytest.fixture(scope="module")
def fitted() -> FittedCascade:
    return fit_cascade(TRAIN, keep=0.97)


def test_it_keeps_the_share_it_was_asked_for_and_says_what_to_expect(fitted: FittedCascade) -> None:
    assert fitted.expected.share >= 0.97
    assert fitted.expected.saved > 0.1
    assert fitted.best_single == "dear"
    assert " > ".join(fitted.ladder) in fitted.statement
    assert "180 training prompts" in str(fitted)


def test_a_budget_is_kept_with_the_best_there_is_for_it(fitted: FittedCascade) -> None:
    budget = 0.5 * fitted.expected.cost_usd
    modest = fit_cascade(TRAIN, spend=budget)
    assert modest.expected.cost_usd <= budget
    assert 0.5 < modest.expected.share < fitted.expected.share


def test_on_new_prompts_the_strategy_with_its_checks_does_what_the_fit_expects(fitted: FittedCascade) -> None:
    outcomes = to_outcomes(evaluation.read_outcomes(TEST))
    predicted = fitted.predictor.predict(outcomes.texts, outcomes.tasks)
    costs = ExpectedCost.fit(outcomes.prompts, outcomes.costs)
    case = Case.of(outcomes, predicted, costs=costs, evidence=np.full(3, 10.0))
    checks = fitted.checks
    cascade = Cascade(ladder=fitted.ladder, ladders=fitted.ladders)
    found = [replay(cascade, case.situation(row, quality=0.0, checks=checks), outcomes, row) for row in range(len(outcomes))]
    assert np.mean([f.score for f in found]) == pytest.approx(fitted.expected.quality, abs=0.08)
    assert np.mean([f.cost_usd for f in found]) == pytest.approx(fitted.expected.cost_usd, rel=0.3)
    assert len({f.model for f in found}) > 1


def test_it_comes_back_from_its_file_as_it_was(fitted: FittedCascade, tmp_path: Path) -> None:
    file = fitted.save(tmp_path / "cascade.npz")
    again = FittedCascade.load(file)
    assert (again.settings, again.price, again.expected) == (fitted.settings, fitted.price, fitted.expected)
    assert again.statement == fitted.statement
    for text in ("The answer is 4.", "The answer is -1."):
        assert judged(again, text) == judged(fitted, text)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"capital city" not in file.read_bytes()


def test_a_file_of_another_embedder_or_none_at_all_is_refused(fitted: FittedCascade, tmp_path: Path) -> None:
    class Other(StaticEmbedder):
        @property
        def id(self) -> str:
            return "other"

    with pytest.raises(InputError, match="no cascade"):
        FittedCascade.load(tmp_path / "nothing.npz")
    with pytest.raises(InputError, match="no cascade"):
        FittedCascade.load(fitted.save(tmp_path / "cascade.npz"), Other())


def test_a_check_that_is_code_is_not_written_down(fitted: FittedCascade, tmp_path: Path) -> None:
    def says_answer(text: str) -> bool:
        return "answer" in text

    with pytest.raises(InputError, match="says_answer"):
        replace(fitted, plain=(says_answer,)).save(tmp_path / "cascade.npz")


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(InputError, match="response"):
        fit_cascade(table(60, responses=False))
    with pytest.raises(InputError, match="too few"):
        fit_cascade(table(12))
    with pytest.raises(InputError, match="keep"):
        fit_cascade(TRAIN, keep=1.5)
    with pytest.raises(UnknownName):
        fit_cascade(TRAIN, checks=["nonemty"])


def test_a_task_that_a_cheap_model_can_do_has_a_ladder_of_its_own() -> None:
    modest = fit_cascade(table(600), spend=0.002)
    assert modest.climbs["capitals"].ladder[0] == "cheap"
    assert modest.ladder[0] == "middle"
    assert modest.statement.startswith("capitals: cheap")
    assert modest.settings["cascade.ladders"]["capitals"] == modest.climbs["capitals"].ladder


def test_an_orchestrator_keeps_what_it_finds_good_and_asks_the_next_model_otherwise(
    orchestrator: MakeOrchestrator, fitted: FittedCascade
) -> None:
    first, best = fitted.ladder
    models = {f"models.{name}": {"provider": "openai", "model": name, "api_key_env": "NONE"} for name in MODELS}
    script = dict.fromkeys(MODELS, "The answer is 7.") | {first: ["The answer is 4.", "The answer is -3."]}
    orch = orchestrator(script, values=models)
    orch.configure(fitted.settings)
    question = "What is the capital city of the country number {} on the map?"
    kept = orch.route(question.format(4), strategy="cascade", validate=fitted.checks)
    assert kept.model == first
    moved = orch.route("Add the two numbers 5 and 17 and tell only their total.", strategy="cascade", validate=fitted.checks)
    assert moved.model == best
    assert f"{best} is expected to gain" in moved.decision.reason


def judged(fitted: FittedCascade, text: str) -> Verdict:
    """What its learned check says of an answer of the first rung, where a second opinion comes to the same."""
    (check,) = (check for check in fitted.checks if isinstance(check, ByTask))
    request = Request((Message("user", "What is the capital city of the country number 4 on the map of the world?"),))
    checking = check.check(request, Attempt(0, Call(fitted.ladder[0], request.messages), Completion(text, "")))
    try:
        call = next(checking)
        while True:
            call = checking.send(Attempt(1, call, Completion(text, "")))
    except StopIteration as stop:
        verdict: Verdict = stop.value
        return verdict


def test_a_cascade_of_free_models_promises_no_share_of_nothing() -> None:
    fitted = fit_cascade(table(60).assign(cost_usd=0.0))
    assert "nan" not in fitted.statement
    assert f"{fitted.best_single} costs nothing" in fitted.statement
