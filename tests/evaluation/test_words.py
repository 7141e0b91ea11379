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
