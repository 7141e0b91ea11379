"""Outcome tables: what is read, and what is refused with the fix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from molt_magic import evaluation
from molt_magic.errors import InputError
from molt_magic.evaluation.matrix import to_outcomes
from tests.conftest import MakeOrchestrator
from tests.evaluation.synthetic import repeated, table


def written(given: pd.DataFrame, path: Path) -> Path:
    """A table in a file of the kind that its ending says."""
    if path.suffix == ".csv":
        given.to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        given.to_json(path, orient="records", lines=True)
    else:
        given.to_parquet(path)
    return path


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_file_of_every_kind_says_the_same(ending: str, tmp_path: Path) -> None:
    given = table(6)
    path = written(given, tmp_path / f"outcomes.{ending}")
    pd.testing.assert_frame_equal(evaluation.read_outcomes(path), evaluation.read_outcomes(given))


_TEXTS = ["007", "7", "1", "0", "1.0", "1e5", "None", "null", "NA", "nan", "n/a", "True", "2020-01-01", " a\nb ", 'Ünï, "x"']


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("category", ["task", "category"])
def test_text_in_a_file_stays_as_it_is_written(category: str, ending: str, tmp_path: Path) -> None:
    given = pd.DataFrame({"prompt_id": _TEXTS, "prompt": _TEXTS, "prompt_short": _TEXTS, "model": _TEXTS, category: _TEXTS})
    given = given.assign(response=[None, *_TEXTS[1:]], score=[None, *[0.5] * (len(_TEXTS) - 1)], cost_usd=0.1)
    path = written(given, tmp_path / f"outcomes.{ending}")
    found = evaluation.read_outcomes(path)
    for name in ("prompt_id", "prompt", "prompt_short", "model", "task"):
        assert found[name].tolist() == _TEXTS
    assert found["response"].tolist() == [None, *_TEXTS[1:]]
    assert found["score"].isna().tolist() == [True] + [False] * (len(_TEXTS) - 1)


def test_numbers_in_a_csv_are_missing_where_they_are_empty_or_na(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.csv"
    path.write_text("prompt_id,prompt,model,score,cost_usd\n1,a,m,NA,0.1\n2,b,m,,0.2\n3,c,m,1,0.3\n")
    assert evaluation.read_outcomes(path)["score"].isna().tolist() == [True, True, False]


def test_a_text_that_is_missing_in_a_csv_is_told(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.csv"
    path.write_text("prompt_id,prompt,model,score,cost_usd\n1,NA,m,1,0.1\n2,,m,1,0.2\n")
    with pytest.raises(InputError, match="prompt is missing in row 1"):
        evaluation.read_outcomes(path)


@pytest.mark.parametrize("given", [None, [1], {"a": 1}, pd.Series([1.0])], ids=["None", "list", "dict", "series"])
def test_what_is_neither_a_table_nor_a_path_is_refused(given: object) -> None:
    with pytest.raises(InputError, match="a DataFrame or a file's path") as refused:
        evaluation.read_outcomes(given)  # type: ignore[arg-type]  # what is tried
    assert type(given).__name__ in refused.value.message


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
        (lambda t: t.assign(score=1j), "score is no number in rows 0, 1, 2 and 3 more", "Write a number"),
        (lambda t: t.assign(cost_usd=-1.0), "0 or more", "none is negative"),
        (lambda t: t.assign(cost_usd=[0.1] * 4 + [float("inf"), 0.1]), "not inf (row 4)", "in USD"),
        (lambda t: pd.concat([t, t[["score"]]], axis=1), "more than one column score", "columns.duplicated()"),
        (lambda t: pd.concat([t, t[["task"]]], axis=1), "more than one column task", "columns.duplicated()"),
        (lambda t: t.assign(model=None), "model is missing in rows 0", "dropna"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "answers prompt 'p0' more than once", "drop_duplicates"),
        (lambda t: t.assign(prompt_id="same", model=[f"m{i}" for i in range(6)]), "several prompts", "id of its own"),
    ],
    ids=[
        "column",
        "scale",
        "words",
        "complex",
        "negative",
        "endless",
        "two scores",
        "two tasks",
        "no model",
        "twice",
        "one id",
    ],
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


def test_a_split_keeps_repetitions_of_a_prompt_on_one_side() -> None:
    given = evaluation.read_outcomes(repeated(table(30), 4))
    train, test = evaluation.split(given, share=0.7)
    assert not set(train["prompt"]) & set(test["prompt"])
    assert (train["prompt_id"].nunique(), test["prompt_id"].nunique()) == (4 * 21, 4 * 9)
    short = given.assign(prompt_short=given["prompt"], prompt=given["prompt_id"] + ": " + given["prompt"])
    train, test = evaluation.split(short, share=0.7)
    assert not set(train["prompt_short"]) & set(test["prompt_short"])


def test_repetitions_make_no_difference_to_which_prompts_are_learned_from() -> None:
    once = evaluation.split(evaluation.read_outcomes(table(30)))[0]
    often = evaluation.split(evaluation.read_outcomes(repeated(table(30), 3)))[0]
    assert set(often["prompt"]) == set(once["prompt"])


@pytest.mark.parametrize(("share", "side"), [(0.001, "to learn from"), (0.999, "to score")])
def test_a_share_that_leaves_nothing_on_one_side_is_refused(share: float, side: str) -> None:
    with pytest.raises(InputError, match=f"With a share of {share} none of 30 different prompts is left {side}"):
        evaluation.split(evaluation.read_outcomes(table(30)), share=share)


def test_averaged_outcomes_have_every_text_once_with_the_mean_of_its_repetitions() -> None:
    given = repeated(table(6), 2)
    given.loc[given["prompt_id"] == "p2-run1", ["score", "cost_usd"]] = [0.25, 1.0]
    found, whole = to_outcomes(evaluation.read_outcomes(given)).averaged(), to_outcomes(evaluation.read_outcomes(given))
    assert found.prompt_ids == tuple(f"p{i}-run0" for i in range(6))
    np.testing.assert_allclose(found.scores[2], (whole.scores[2] + 0.25) / 2)
    np.testing.assert_allclose(found.costs[2], (whole.costs[2] + 1.0) / 2)
    np.testing.assert_allclose(found.scores[3], whole.scores[3])


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


def test_the_order_of_a_session_s_outcomes_is_its_own_whatever_others_asked(orchestrator: MakeOrchestrator) -> None:
    prompts = ["one?", "two?", "three?"]
    other = orchestrator({"small": "x"})
    other.route(prompts[2], model="small", cache=False)
    own = orchestrator({"small": "x"})
    for prompt in prompts:
        own.feedback(own.route(prompt, model="small", cache=False).decision.decision_id, 1.0)
    assert evaluation.from_log(own, session=own.session)["prompt"].tolist() == prompts


def test_a_mark_on_an_answer_from_the_cache_is_one_on_the_paid_answer(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "50", "big": "42"})
    paid, again = (orch.route("What is a median?", strategy="direct", model="small") for _ in range(2))
    assert again.decision.cache == "exact"
    orch.feedback(again.decision.decision_id, 1.0)
    found = evaluation.from_log(orch)
    assert found["score"].tolist() == [1.0]
    assert found["cost_usd"].tolist() == [pytest.approx(paid.cost_usd)]
    orch.feedback(paid.decision.decision_id, 0.5)
    assert evaluation.from_log(orch)["score"].tolist() == [1.0]  # of two words of a user the one on the newer answer
    orch.feedback(again.decision.decision_id, 0.0)
    assert evaluation.from_log(orch)["score"].tolist() == [0.0]


def test_a_weaker_word_on_an_answer_from_the_cache_changes_nothing(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "50", "big": "42"})
    paid = orch.route("What is a median?", strategy="direct", model="small")
    orch.feedback(paid.decision.decision_id, 0.25)
    orch.route("What is a median?", strategy="direct", model="small", validate=["json"])
    assert evaluation.from_log(orch)["score"].tolist() == [0.25]
