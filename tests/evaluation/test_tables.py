"""Outcome tables: what is read, and what is refused with the fix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from molt_magic import evaluation
from molt_magic.errors import InputError
from molt_magic.evaluation.matrix import to_outcomes
from tests.conftest import MakeOrchestrator
from tests.evaluation.synthetic import table


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_file_of_every_kind_says_the_same(ending: str, tmp_path: Path) -> None:
    given, path = table(6), tmp_path / f"outcomes.{ending}"
    if ending == "csv":
        given.to_csv(path, index=False)
    elif ending == "jsonl":
        given.to_json(path, orient="records", lines=True)
    else:
        given.to_parquet(path)
    pd.testing.assert_frame_equal(evaluation.read_outcomes(path), evaluation.read_outcomes(given))


def test_category_is_the_task_and_other_columns_are_left_out() -> None:
    found = evaluation.read_outcomes(table(2).rename(columns={"task": "category"}).assign(mood="fine"))
    assert set(found["task"]) == {"capitals", "sums"}
    assert "mood" not in found.columns


@pytest.mark.parametrize(
    ("spoil", "says", "fix"),
    [
        (lambda t: t.rename(columns={"score": "grade"}), "no column score", "'your_name': 'score'"),
        (lambda t: t.assign(score=t["score"] * 10), "between 0 and 1, not 10", "/ 10"),
        (lambda t: t.assign(score="good"), "no number in rows 0, 1, 2 and 3 more: 'good'", "Write a number"),
        (lambda t: t.assign(cost_usd=-1.0), "0 or more", "none is negative"),
        (lambda t: t.assign(model=None), "model is missing in rows 0", "dropna"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "answers prompt 'p0' more than once", "drop_duplicates"),
        (lambda t: t.assign(prompt_id="same", model=[f"m{i}" for i in range(6)]), "several prompts", "id of its own"),
    ],
    ids=["column", "scale", "words", "negative", "no model", "twice", "one id"],
)
def test_a_table_that_cannot_be_used_is_refused_with_the_fix(
    spoil: Callable[[pd.DataFrame], pd.DataFrame], says: str, fix: str
) -> None:
    with pytest.raises(InputError) as refused:
        evaluation.read_outcomes(spoil(table(2)))
    assert says in refused.value.message
    assert fix in refused.value.fix


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        evaluation.read_outcomes(tmp_path / "none.csv")


def test_models_are_cheap_to_dear_and_gaps_stay_gaps() -> None:
    given = table(6)
    given = given[~((given["model"] == "middle") & (given["prompt_id"] == "p3"))]
    found = to_outcomes(evaluation.read_outcomes(given.sample(frac=1, random_state=0)))
    assert found.models == ("cheap", "middle", "dear")
    assert [i for i, whole in zip(found.prompt_ids, found.complete, strict=True) if not whole] == ["p3"]
    cell = given[(given["prompt_id"] == "p4") & (given["model"] == "dear")].iloc[0]
    row = found.prompt_ids.index("p4")
    assert found.scores[row, 2] == cell["score"]
    assert found.responses is not None
    assert found.responses[row, 2] == cell["response"]


def test_a_split_keeps_every_prompt_on_one_side() -> None:
    train, test = evaluation.split(evaluation.read_outcomes(table(30)), share=0.7)
    assert not set(train["prompt_id"]) & set(test["prompt_id"])
    assert train["prompt_id"].nunique() == 21
    said = evaluation.read_outcomes(table(4)).assign(split=["train"] * 6 + ["test"] * 6)
    assert set(evaluation.split(said)[1]["prompt_id"]) == {"p2", "p3"}


def test_the_log_gives_marked_answers_and_refused_ones(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "not json", "big": '{"a": 1}'})
    asked = orch.route("Give me JSON", strategy="cascade", validate=["json"])
    orch.route("Nobody marks this", strategy="direct", model="big")
    thumbed = orch.route("What is a median?", strategy="direct", model="small")
    orch.feedback(thumbed.decision.decision_id, 1.0)
    found = evaluation.from_log(orch)
    said = {(row.prompt, row.model): row.score for row in found.itertuples()}
    assert said == {("Give me JSON", "small"): 0.0, ("Give me JSON", "big"): 1.0, ("What is a median?", "small"): 1.0}
    assert found["cost_usd"].sum() == pytest.approx(asked.cost_usd + thumbed.cost_usd)
    assert evaluation.from_log(orch, session=orch.session).equals(found)
    assert evaluation.from_log(orch, session="another").empty
