"""Evaluation from a notebook and from a shell."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from molt_magic import evaluation
from molt_magic.cli import main
from molt_magic.errors import InputError, UnknownName
from tests.evaluation.synthetic import table
from tests.magics.conftest import MakeNotebook, notebook, shell

__all__ = ["notebook", "shell"]  # fixtures


def test_a_dataframe_of_the_notebook_is_evaluated_and_the_report_bound(notebook: MakeNotebook) -> None:
    book = notebook()
    book["outcomes"] = table(120)
    ran = book.run("%route evaluate outcomes -s rule,cascade -o report")
    assert ran.error is None
    assert "the best single model is dear" in ran.value.to_plain(width=200)
    assert isinstance(book["report"], evaluation.Report)
    assert {"rule", "cascade"} <= set(book["report"].summary["strategy"])


def test_a_promise_is_told_and_bound(notebook: MakeNotebook) -> None:
    book = notebook()
    book["outcomes"] = table(60)
    ran = book.run("%route calibrate outcomes --target 0.9 -o policy")
    assert ran.value.to_plain().startswith("Cannot promise this with 60 outcomes: needs about")
    assert book["policy"].target == 0.9


def of_two(n: int) -> pd.DataFrame:
    """Outcomes of the notebook's own models."""
    found = table(n, responses=False, models=("cheap", "dear"))
    return found.assign(model=found["model"].map({"cheap": "small", "dear": "big"}))


def test_a_promise_is_kept_watched_and_ended_in_words(notebook: MakeNotebook) -> None:
    book = notebook()
    book["outcomes"] = of_two(900)
    assert book.run("%route calibrate").value.to_plain().startswith("No promise is kept.")
    kept = book.run("%route calibrate outcomes --target 0.9 --keep -o policy").value.to_plain()
    promise = book["policy"].promise
    assert kept.startswith(f"{promise.statement}\n")
    assert "promise.npz'" in kept
    assert promise.said in book.run("%route status").value.to_plain(width=500)
    assert promise.said in book.run("%route strategies").value.to_plain(width=500)
    book.run("%%route -o answer\nWhat is the capital city of the country number 3 on the map of the world?")
    assert book["answer"].decision.promise == promise.said
    assert f"Promised: {promise.said}." in book.run("%route explain").value.to_plain()
    alone = book.run("%route calibrate -o watched").value.to_plain()
    assert promise.statement in alone
    assert f"Promise {promise.id}, calibrated " in alone
    assert "In use: too few marked answers yet." in alone
    assert book["watched"].decisions == 1
    book.run("%route use cascade")
    again = book.run("%route calibrate outcomes --target 0.9 --keep").value.to_plain()
    assert "The strategy in force is cascade" in again
    assert book.run("%route calibrate off").value.to_plain() == "Arbitrage goes by no promise in this session."
    assert book.orchestrator.promise is None
    assert "promise" not in book.run("%route status").value.to_plain(width=500)


def test_status_says_when_a_promise_has_drifted_and_when_its_file_is_gone(notebook: MakeNotebook) -> None:
    book = notebook()
    file = book.orchestrator.keep(evaluation.calibrate(of_two(900), target=0.9))
    assert file is not None
    for i in range(60):
        book.orchestrator.route(f"Write a Python function that returns the list element at index {i}.", cache=False)
    assert "It has drifted: more prompts go to big than calibrated" in book.run("%route status").value.to_plain(width=500)
    file.unlink()
    assert "No such file or directory" in book.run("%route status").value.to_plain(width=500)


def test_what_cannot_be_promised_is_not_kept(notebook: MakeNotebook) -> None:
    book = notebook()
    book["outcomes"] = of_two(40)
    ran = book.run("%route calibrate outcomes --keep -o policy")
    assert isinstance(ran.error, InputError)
    assert "needs about" in str(ran.error)
    assert not book["policy"].promised
    assert book.orchestrator.promise is None
    assert isinstance(book.run("%route calibrate --keep").error, InputError)
    assert isinstance(book.run("%route calibrate off --keep").error, InputError)


def test_a_log_without_marks_and_an_unknown_table_are_told(notebook: MakeNotebook) -> None:
    book = notebook()
    assert isinstance(book.run("%route evaluate log").error, InputError)
    book["outcomes"] = pd.DataFrame()
    unknown = book.run("%route evaluate outcome").error
    assert isinstance(unknown, UnknownName)
    assert "Did you mean 'outcomes'" in unknown.fix


def test_the_shell_prints_the_summary_and_writes_curve_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, curve, plot = tmp_path / "outcomes.csv", tmp_path / "curve.csv", tmp_path / "plot.png"
    table(90).to_csv(file, index=False)
    words = ["evaluate", str(file), "--strategies", "rule", "--curve", str(curve), "--plot", str(plot), "--promise", "0.9"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "best single" in out
    assert "Cannot promise this with" in out
    assert set(pd.read_csv(curve)["strategy"]) > {"rule", "oracle"}
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_the_shell_tells_a_wrong_table_with_the_fix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "outcomes.csv"
    table(5).drop(columns="score").to_csv(file, index=False)
    assert main(["evaluate", str(file)]) == 1
    assert "no column score" in capsys.readouterr().err
