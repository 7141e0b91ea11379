"""The promise, and the test that it rests on."""

from __future__ import annotations

import numpy as np
import pytest

from molt_magic import evaluation
from molt_magic.errors import InputError
from molt_magic.evaluation.betting import e_values, rows_needed
from tests.evaluation.synthetic import repeated, table


@pytest.mark.parametrize("spread", [0.5, 0.1, 0.01])
def test_a_mean_at_the_bound_is_hardly_ever_significant(spread: float) -> None:
    """Of 2,000 samples whose mean is the bound itself, at most 5 % may pass at level 0.05."""
    rng = np.random.default_rng(0)
    x = 0.5 + spread * np.where(rng.random((300, 2000)) < 0.5, 1.0, -1.0)
    assert (e_values(x, 0.5) >= 20).mean() <= 0.05


def test_the_less_figures_vary_the_fewer_rows_are_needed() -> None:
    rng = np.random.default_rng(0)
    signs = np.where(rng.random(4000) < 0.5, 1.0, -1.0)
    wide, narrow = 0.55 + 0.45 * signs, 0.55 + 0.1 * signs
    assert rows_needed(narrow, 0.5, 0.05) < rows_needed(wide, 0.5, 0.05) / 3
    assert rows_needed(wide - 0.2, 0.4, 0.05) == np.inf
    few = 2 * int(rows_needed(wide, 0.5, 0.05))
    assert e_values(wide[:few, None], 0.5)[0] >= 20


def test_the_promise_is_kept_on_prompts_not_seen() -> None:
    kept, promised = [], 0
    for seed in range(20):
        policy = evaluation.calibrate(table(900, seed=seed), target=0.95, confidence=0.95, seed=seed)
        promised += policy.promised
        found = policy.score(table(900, seed=1000 + seed))
        kept.append(found.share >= 0.95)
        if policy.promised:
            assert found.saved > 0
    assert promised >= 15
    assert np.mean(kept) >= 0.95


def test_with_few_outcomes_it_says_that_it_cannot_and_about_how_many_it_needs() -> None:
    for seed in range(10):
        policy = evaluation.calibrate(table(50, seed=seed), target=0.95, confidence=0.95)
        assert not policy.promised
        assert policy.needs is not None
        assert policy.needs > 50
        assert str(policy) == f"Cannot promise this with 50 outcomes: needs about {policy.needs:,}."
        assert set(policy.route(["What is a median?"])) == {policy.best_single}  # a promise it cannot give costs no quality
        assert policy.threshold is None
        with pytest.raises(InputError, match=f"needs about {policy.needs:,}"):
            _ = policy.promise


def test_a_promise_holds_whether_the_task_is_said_or_not() -> None:
    policy = evaluation.calibrate(table(900), target=0.95)
    held = table(2000, seed=7, responses=False)
    for given in (held, held.drop(columns="task")):
        assert policy.score(given).share >= 0.95


def test_a_policy_is_what_it_promises() -> None:
    policy = evaluation.calibrate(table(600), target=0.9)
    promise = policy.promise
    assert (policy.promised, policy.needs, policy.threshold) == (True, None, promise.price)
    assert str(policy) == promise.statement
    assert promise.said == f"at least 90% of dear's quality, 95% sure (promise {promise.id})"
    prompts = table(60, seed=5)["prompt"].tolist()
    assert policy.route(prompts) == [promise.pick(prompt) for prompt in prompts]
    assert promise.quality.low < promise.expected.quality < promise.quality.high


def test_repetitions_of_a_prompt_are_no_further_evidence_for_a_promise() -> None:
    once = evaluation.calibrate(table(60), target=0.9)
    often = evaluation.calibrate(repeated(table(60), 20), target=0.9)
    assert not once.promised
    assert (often.promised, often.n, often.needs) == (False, 60, once.needs)
    with pytest.raises(InputError, match="6 different prompts"):
        evaluation.calibrate(repeated(table(6), 20))


def test_a_promise_on_repeated_prompts_is_that_on_each_of_them_once() -> None:
    once, often = (evaluation.calibrate(given, target=0.9) for given in (table(600), repeated(table(600), 3)))
    assert str(often) == str(once)
    assert often.threshold == pytest.approx(once.threshold)


@pytest.mark.parametrize("n", [60, 600], ids=["no promise", "promised"])
def test_a_policy_routes_a_column_or_an_array_as_a_list(n: int) -> None:
    policy = evaluation.calibrate(table(n), target=0.9)
    assert policy.promised == (n == 600)
    column = table(60, seed=5)["prompt"].iloc[3:]
    told = policy.route(column.tolist())
    assert policy.route(column) == told  # type: ignore[arg-type]  # what people have
    assert policy.route(column.to_numpy(dtype=str)) == told  # type: ignore[arg-type]
    assert policy.route(column[:1]) == told[:1]  # type: ignore[arg-type]
    assert policy.route([]) == []
    with pytest.raises(InputError, match="one prompt") as refused:
        policy.route("What is a median?")
    assert "policy.route([prompt])" in refused.value.fix


@pytest.mark.parametrize("n", [60, 600], ids=["no promise", "promised"])
def test_a_table_without_one_whole_prompt_is_not_scored(n: int) -> None:
    with pytest.raises(InputError, match="Not one prompt"):
        evaluation.calibrate(table(n), target=0.9).score(table(60).assign(score=None))


def test_a_promise_that_is_not_one_is_refused() -> None:
    with pytest.raises(InputError, match="target"):
        evaluation.calibrate(table(60), target=95)
    with pytest.raises(InputError, match="too few"):
        evaluation.calibrate(table(6))
