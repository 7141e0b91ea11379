"""A whole evaluation on made-up outcomes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from molt_magic import evaluation
from molt_magic.errors import InputError, UnknownName
from molt_magic.result import usd
from tests.evaluation.synthetic import repeated, table

TEST = table(150, seed=1)
FIGURES_OF_A_CURVE = ["strategy", "threshold", "setting", "quality", "cost_usd", "strong"]


@pytest.fixture(scope="module")
def report() -> evaluation.Report:
    return evaluation.evaluate(train=table(300), test=TEST, settings=30, resamples=100)


@pytest.fixture(scope="module")
def rows(report: evaluation.Report) -> pd.DataFrame:
    return report.summary.set_index("strategy")


def test_every_strategy_stands_beside_the_baselines(rows: pd.DataFrame) -> None:
    baselines = {"kNN", "best single", "cheapest adequate single", "random", "oracle"}
    assert set(rows.index) >= {"rule", "semantic", "arbitrage", "cascade"} | baselines


@pytest.mark.parametrize("figure", ["quality", "cost_usd", "saved_at_best", "saved_at_99", "saved_at_95", "aiq", "apgr"])
def test_every_figure_lies_in_its_interval(rows: pd.DataFrame, figure: str) -> None:
    curves = rows.loc[["rule", "arbitrage", "cascade", "kNN", "oracle"]]
    assert (curves[f"{figure}_lo"] <= curves[figure] + 1e-9).all()
    assert (curves[figure] <= curves[f"{figure}_hi"] + 1e-9).all()


def test_random_is_the_zero_router(rows: pd.DataFrame) -> None:
    """With two models a mix at random recovers half of the gap; with three it is the hull of the single models."""
    given = [table(n, seed=n, models=("cheap", "dear")) for n in (300, 150)]
    two = evaluation.evaluate(train=given[0], test=given[1], strategies=["rule"], settings=10, resamples=20)
    assert two.summary.set_index("strategy").loc["random", "apgr"] == pytest.approx(0.5)
    assert rows.loc["random", "aiq"] < rows.loc["rule", "aiq"]


def test_nothing_beats_the_oracle(report: evaluation.Report, rows: pd.DataFrame) -> None:
    others = rows.drop(index=["oracle", "best single", "cheapest adequate single"])
    assert (others["aiq"] < rows.loc["oracle", "aiq"]).all()
    best = report.curve[report.curve["strategy"] == "oracle"].sort_values("cost_usd")
    for point in report.curve.itertuples():
        reached = best[best["cost_usd"] <= point.cost_usd + 1e-12]["quality"]
        if len(reached):
            spare = best["quality"].diff().max()  # between two settings of the oracle
            assert point.quality <= reached.max() + spare + 1e-9


def test_settings_are_chosen_without_a_look_at_the_test_scores(report: evaluation.Report) -> None:
    spoiled = TEST.assign(score=1.0 - TEST["score"])
    other = evaluation.evaluate(train=table(300), test=spoiled, settings=30, resamples=20)
    for name in ("rule", "semantic", "arbitrage", "cascade"):
        first, second = (r.curve[r.curve["strategy"] == name] for r in (report, other))
        assert list(first["threshold"]) == list(second["threshold"])
    for name in ("rule", "semantic", "arbitrage", "kNN"):
        first, second = (r.summary.set_index("strategy").loc[name, "saved_at_99"] for r in (report, other))
        assert first == pytest.approx(second)


def test_who_knows_the_task_beats_who_does_not(report: evaluation.Report) -> None:
    found = report.compare("rule", "random")
    assert found.value > 0
    assert found.lo > 0
    assert "ahead in 100.0%" in str(found)


def test_a_cascade_without_answers_is_labelled() -> None:
    bare = [table(n, seed=n, responses=False) for n in (120, 60)]
    found = evaluation.evaluate(train=bare[0], test=bare[1], strategies=["cascade"], settings=10, resamples=20)
    assert any("nothing could be checked" in note for note in found.notes)
    simulated = evaluation.evaluate(
        train=bare[0], test=bare[1], strategies=["cascade"], settings=10, resamples=20, simulated_check=0.9
    )
    assert "cascade (simulated check, 90% right)" in set(simulated.summary["strategy"])
    assert "cascade" not in set(simulated.summary["strategy"])


def test_prompts_with_gaps_are_told_and_not_scored() -> None:
    holes = TEST[~((TEST["model"] == "dear") & (TEST["prompt_id"].isin(["p1", "p2"])))]
    found = evaluation.evaluate(train=table(120), test=holes, strategies=["rule"], settings=10, resamples=20)
    assert found.n_test == 148
    assert found.notes[0].startswith("2 of 150 test prompts")


def test_what_cannot_be_evaluated_is_refused() -> None:
    with pytest.raises(UnknownName, match="arbitrage"):
        evaluation.evaluate(train=table(30), test=TEST, strategies=["arbitrag"])
    with pytest.raises(InputError, match="too few"):
        evaluation.evaluate(train=table(30), test=table(5))
    with pytest.raises(InputError, match="No model is in both"):
        evaluation.evaluate(train=table(30), test=TEST.assign(model=TEST["model"] + "-2"))


def test_a_report_tells_and_draws_itself(report: evaluation.Report) -> None:
    assert "the best single model is dear" in str(report)
    assert usd(report.summary["cost_usd"].iloc[0]) in str(report)  # however small a cost is
    picture = report.plot()
    assert picture.png.startswith(b"\x89PNG")
    assert "On the Pareto line" in picture.alt
    assert report.reliability["n"].sum() == 3 * report.n_test


def test_shares_of_the_models_add_up(report: evaluation.Report) -> None:
    assert np.allclose(report.curve[["cheap", "middle", "dear"]].sum(axis=1), 1.0)


@pytest.mark.parametrize("names", [("weak", "strong"), ("quality", "cost_usd"), ("threshold", "strategy")])
def test_a_model_named_as_a_figure_of_the_curve_destroys_none(names: tuple[str, str]) -> None:
    given = [table(n, seed=n, models=("cheap", "dear")) for n in (60, 40)]
    called = [frame.assign(model=frame["model"].map({"cheap": names[0], "dear": names[1]})) for frame in given]
    plain, odd = (
        evaluation.evaluate(train=train, test=test, strategies=["rule"], settings=5, resamples=5).curve
        for train, test in (given, called)
    )
    pd.testing.assert_frame_equal(odd[FIGURES_OF_A_CURVE], plain[FIGURES_OF_A_CURVE])
    for model, name in zip(("cheap", "dear"), names, strict=True):
        column = f"share of {name}" if name in FIGURES_OF_A_CURVE else name
        assert odd[column].tolist() == plain[model].tolist()


def test_repetitions_are_told_and_make_no_interval_narrower() -> None:
    given = [table(n, seed=n, responses=False) for n in (60, 60)]
    given[1]["prompt"] += " Thanks."
    once, often = (
        evaluation.evaluate(train=repeated(given[0], k), test=repeated(given[1], k), strategies=["rule"], settings=5)
        for k in (1, 4)
    )
    figures = [f"{name}_{end}" for name in ("quality", "cost_usd") for end in ("lo", "hi")]
    best = [r.summary.set_index("strategy").loc["best single", figures].tolist() for r in (once, often)]
    assert best[1] == pytest.approx(best[0])
    assert "180 of 240 training prompts and 180 of 240 test prompts repeat another one's text" in often.notes[0]
    assert not any("repeat" in note for note in once.notes)


def test_prompts_that_are_learned_from_and_scored_are_told() -> None:
    found = evaluation.evaluate(train=table(30), test=table(20), strategies=["rule"], settings=5, resamples=5)
    same = len({*table(20)["prompt"]} & {*table(30)["prompt"]})
    assert any(note.startswith(f"{same} of 20 test prompts have the text of a training prompt") for note in found.notes)


def test_repetitions_do_not_make_prompts_enough() -> None:
    with pytest.raises(InputError, match="6 training and 6 test prompts"):
        evaluation.evaluate(train=repeated(table(6), 5), test=repeated(table(6, seed=1), 5))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"folds": 0}, "folds must be 2 or more, not 0"),
        ({"folds": 1}, "folds must be 2 or more"),
        ({"adequate": 5}, "adequate must be over 0 and at most 1, not 5"),
        ({"adequate": float("nan")}, "adequate must be over 0 and at most 1"),
    ],
)
def test_a_number_out_of_range_is_refused_with_the_range(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        evaluation.evaluate(train=table(30), test=TEST, **given)
