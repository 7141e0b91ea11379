"""`--each DF.col`: a prompt for every row."""

from __future__ import annotations

import signal
import threading

import pandas as pd
import pytest

from molt_magic.errors import InputError, ServerError, UnknownName
from molt_magic.result import usd
from molt_magic.types import Call
from tests.magics.conftest import MakeNotebook
from tests.magics.test_completion import complete


def echo(call: Call) -> str:
    return f"<{call.messages[-1].text}>"


FRAME = pd.DataFrame({"text": ["good", "bad", None], "lang": ["en", "de", "fr"]}, index=[10, 20, 30])


def test_each_row_has_its_answer_under_the_frame_s_index(notebook: MakeNotebook) -> None:
    book = notebook({"small": echo})
    book["df"] = FRAME
    ran = book.run("%%route -m small --each df.text -o out\nRate {{text}} in {{row.lang}}.")
    out = book["out"]
    assert ran.value is out
    assert list(out.index) == [10, 20, 30]
    assert list(out["text"][:2]) == ["<Rate good in en.>", "<Rate bad in de.>"]
    assert len(ran.outputs) == 1


def test_row_that_fails_says_why_and_the_others_go_on(notebook: MakeNotebook) -> None:
    book = notebook({"small": [echo, ServerError("It fell over."), echo]})  # type: ignore[list-item]
    book["df"] = pd.DataFrame({"text": ["a", "b", "c"]})
    ran = book.run('%%route -m small --each df["text"] --no-cache -o out\n{{text}}')
    assert ran.error is None
    assert list(book["out"]["status"]) == ["ok", "error", "ok"]
    assert "It fell over" in book["out"]["error"][1]
    assert "3 rows: 2 answered, 1 failed." in ran.outputs[0]["text/plain"]


def test_empty_row_asks_nothing(notebook: MakeNotebook) -> None:
    book = notebook({"small": echo})
    book["df"] = FRAME
    ran = book.run("%%route -m small --each df.text -o out\n{{text}}")
    assert book["out"]["error"][30] == "input: the row is empty"
    assert "unknown" not in ran.outputs[0]["text/plain"]
    assert len(book.orchestrator.providers.calls) == 2  # type: ignore[attr-defined]


def test_empty_frame_gives_an_empty_frame(notebook: MakeNotebook) -> None:
    book = notebook()
    book["df"] = FRAME[:0]
    book.run("%%route -m small --each df.text -o out\n{{text}}")
    assert len(book["out"]) == 0
    assert "text" in book["out"].columns


def test_value_of_a_row_is_not_interpolated_again(notebook: MakeNotebook) -> None:
    book = notebook({"small": echo})
    book["df"], book["secret"] = pd.DataFrame({"text": ["{{secret}}"]}), "s3cret"
    book.run("%%route -m small --each df.text -o out\n{{text}}")
    assert book["out"]["text"][0] == "<{{secret}}>"


def test_column_may_be_called_row_or_by_a_number(notebook: MakeNotebook) -> None:
    book = notebook({"small": echo})
    book["df"] = pd.DataFrame({"row": ["a", "b"], 0: ["c", "d"]})
    book.run("%%route -m small --each df.row -o named\n{{row}}")
    book.run('%%route -m small --each df[0] -o numbered\n{{row["0"]}}')
    assert (list(book["named"]["text"]), list(book["numbered"]["text"])) == (["<a>", "<b>"], ["<c>", "<d>"])


@pytest.mark.parametrize(
    ("line", "body", "error", "says"),
    [
        ("--each df.txet", "{{txet}}", UnknownName, "Did you mean 'text'"),
        ("--each fd.text", "{{text}}", UnknownName, "Did you mean 'df'"),
        ("--each df", "{{text}}", InputError, "does not name a column"),
        ("--each df.text", "the same", InputError, "same for every row"),
        ("--each df.text", "{{text}} of {{ row }}", InputError, "{{row}} is a whole row"),
        ("--each twice.text", "{{text}}", InputError, "several columns 'text'"),
        ("--each levels.text", "{{text}}", InputError, "columns of several levels"),
        ("--each df.text -s rull", "{{text}}", UnknownName, "Did you mean 'rule'"),
        ("--each df.text", "{{text}} {{row.lagn}}", UnknownName, "Did you mean 'lang'"),
        ("--each number.real", "{{real}}", InputError, "not a DataFrame"),
        ("--each df.text --raw", "{{text}}", InputError, "--raw"),
        ("--each df.text --thread t", "{{text}}", InputError, "--thread"),
        ("--each df.text --concurrency 0", "{{text}}", InputError, "1 or more"),
        ("--each df.text --resume ../x", "{{text}}", InputError, "cannot be called"),
        ("--resume run", "Hello?", InputError, "--resume goes with --each"),
        ("--concurrency 2", "Hello?", InputError, "--concurrency goes with --each"),
    ],
)
def test_what_is_wrong_for_every_row_fails_the_cell(
    notebook: MakeNotebook, line: str, body: str, error: type, says: str
) -> None:
    book = notebook()
    book["df"], book["number"] = FRAME, 3
    book["twice"] = pd.DataFrame([["a", "b"]], columns=["text", "text"])
    book["levels"] = pd.DataFrame([["a"]], columns=pd.MultiIndex.from_tuples([("text", "en")]))
    ran = book.run(f"%%route {line}\n{body}")
    assert isinstance(ran.error, error)
    assert says in ran.stdout
    assert book.orchestrator.providers.calls == []  # type: ignore[attr-defined]


def test_hostile_answers_are_dead_in_the_table(notebook: MakeNotebook) -> None:
    book = notebook({"small": "<script>x</script>\x1b[2J"})
    book["df"] = FRAME
    shown = book.run("%%route -m small --each df.text\n{{text}}").outputs[0]
    assert "<script" not in shown["text/html"]
    assert "\x1b" not in shown["text/plain"]


def pressing_stop(call: Call) -> str:
    """At the row `b` a person presses the stop button, and the model goes on for long."""
    if "b" in call.messages[-1].text:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return "word " * 1000
    return "done"


def test_interrupt_binds_the_rows_that_were_done(notebook: MakeNotebook) -> None:
    book = notebook({"small": pressing_stop}, delay_s=0.01)
    book["df"] = pd.DataFrame({"text": ["a", "b", "c"]}, index=["x", "y", "z"])
    ran = book.run("%%route -m small --each df.text -o out --concurrency 1\n{{text}}")
    assert isinstance(ran.error, KeyboardInterrupt)
    assert list(book["out"].index) == ["x", "y", "z"]
    assert list(book["out"]["status"]) == ["ok", "interrupted", "not asked"]
    assert "3 rows: 1 answered, 0 failed, 1 interrupted, 1 not asked." in ran.outputs[-1]["text/plain"]


def test_run_that_has_a_name_goes_on_where_it_was_interrupted(notebook: MakeNotebook) -> None:
    book = notebook({"small": pressing_stop}, delay_s=0.01)
    book["df"] = pd.DataFrame({"text": ["a", "b", "c"]})
    cell = "%%route -m small --each df.text -o out --concurrency 1 --no-cache --resume letters\n{{text}}"
    ran = book.run(cell)
    assert "kept as 'letters'" in ran.outputs[-1]["text/plain"]
    assert complete(book, "%%route --each df.text --resume le") == ["letters"]
    book.orchestrator.providers.script["small"] = ["done"]  # type: ignore[attr-defined]
    assert book.run(cell).error is None
    assert list(book["out"]["text"]) == ["done"] * 3
    asked = [call.messages[-1].text for call in book.orchestrator.providers.calls]  # type: ignore[attr-defined]
    assert asked == ["a", "b", "b", "c"]


def test_dry_run_shows_the_forecast_and_asks_nothing(notebook: MakeNotebook) -> None:
    book = notebook()
    book["df"] = pd.DataFrame({"text": ["a", "b", "a", None]})
    ran = book.run("%%route -m small --each df.text --dry-run -o plan\n{{text}}")
    assert (ran.value, ran.value.rows, ran.value.questions) == (book["plan"], 4, 2)
    assert book.orchestrator.providers.calls == []  # type: ignore[attr-defined]
    for said in ("nothing was called", "small 100%", f"{usd(ran.value.low_usd)} to {usd(ran.value.high_usd)}"):
        assert said in ran.outputs[0]["text/plain"]
    assert len(ran.outputs) == 1
    assert "4 rows, 2 questions to ask; about $" in book.run("plan").stdout


def test_most_that_all_rows_may_cost_ends_the_run(notebook: MakeNotebook) -> None:
    book = notebook({"small": echo}, usage=(1000, 0))  # $0.001 a row
    book["df"] = pd.DataFrame({"text": list("abcdef")})
    cell = "%%route -m small --each df.text --no-cache --param max_tokens 5 -o out --resume all --concurrency 1 --max-cost "
    ran = book.run(cell + "0.0025\n{{text}}")
    assert ran.error is None
    waiting = book["out"]["status"] != "ok"
    assert 0 < waiting.sum() < 6
    assert book["out"]["error"][waiting].str.startswith("budget").all()
    assert "not asked" in ran.outputs[0]["text/plain"]
    book.run(cell + "1\n{{text}}")
    assert list(book["out"]["status"]) == ["ok"] * 6


def test_limit_that_the_session_sets_a_prompt_is_taken_for_every_row(notebook: MakeNotebook) -> None:
    book = notebook({"small": echo}, usage=(1000, 0))
    book["df"] = pd.DataFrame({"text": list("abcdef")})
    book.session.max_cost = 0.002
    book.run("%%route -m small --each df.text --no-cache --param max_tokens 5 -o out\n{{text}}")
    assert list(book["out"]["status"]) == ["ok"] * 6


def test_expectation_and_progress_are_shown_while_it_goes(notebook: MakeNotebook) -> None:
    book = notebook({"small": echo}, delay_s=0.3, usage=(1000, 0))
    book["df"] = pd.DataFrame({"text": ["a", "b", "c"]})
    book.shell.kernel = object()  # what a kernel's shell has and a terminal's has not
    try:
        ran = book.run("%%route -m small --each df.text --no-cache --concurrency 1\n{{text}}", cell_id="c1")
    finally:
        del book.shell.kernel
    said = " ".join(output["text/html"] for output in ran.outputs)
    assert "Expected: 3 rows, 3 questions to ask; about $" in said
    assert "1 of 3 rows, $0.0010 spent" in said
    assert "<progress" in said
    assert "<progress" not in ran.outputs[-1]["text/html"]
    assert "Cost $0.0030 (about $" in ran.outputs[-1]["text/plain"]
