"""`--each DF.col`: a prompt for every row."""

from __future__ import annotations

import signal
import threading

import pandas as pd
import pytest

from molt_magic.errors import InputError, ServerError, UnknownName
from molt_magic.types import Call
from tests.magics.conftest import MakeNotebook


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
    assert "3 rows, 1 failed" in ran.outputs[0]["text/plain"]


def test_empty_row_asks_nothing(notebook: MakeNotebook) -> None:
    book = notebook({"small": echo})
    book["df"] = FRAME
    book.run("%%route -m small --each df.text -o out\n{{text}}")
    assert book["out"]["error"][30] == "input: the row is empty"
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


@pytest.mark.parametrize(
    ("line", "body", "error", "says"),
    [
        ("--each df.txet", "{{txet}}", UnknownName, "Did you mean 'text'"),
        ("--each fd.text", "{{text}}", UnknownName, "Did you mean 'df'"),
        ("--each df", "{{text}}", InputError, "does not name a column"),
        ("--each df.text", "the same", InputError, "same for every row"),
        ("--each df.text -s rull", "{{text}}", UnknownName, "Did you mean 'rule'"),
        ("--each df.text", "{{text}} {{row.lagn}}", UnknownName, "Did you mean 'lang'"),
        ("--each number.real", "{{real}}", InputError, "not a DataFrame"),
        ("--each df.text --raw", "{{text}}", InputError, "--raw"),
    ],
)
def test_what_is_wrong_for_every_row_fails_the_cell(
    notebook: MakeNotebook, line: str, body: str, error: type, says: str
) -> None:
    book = notebook()
    book["df"], book["number"] = FRAME, 3
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


def test_interrupt_binds_the_rows_that_were_done(notebook: MakeNotebook) -> None:
    def interrupting(call: Call) -> str:
        if "b" in call.messages[-1].text:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # a person presses the stop button
            return "word " * 1000
        return "done"

    book = notebook({"small": interrupting}, delay_s=0.01)
    book["df"] = pd.DataFrame({"text": ["a", "b", "c"]}, index=["x", "y", "z"])
    ran = book.run("%%route -m small --each df.text -o out\n{{text}}")
    assert isinstance(ran.error, KeyboardInterrupt)
    assert list(book["out"].index) == ["x"]
    assert "1 rows" in ran.outputs[-1]["text/plain"]


def test_progress_counts_rows_and_what_was_spent(notebook: MakeNotebook) -> None:
    book = notebook({"small": echo}, delay_s=0.1, usage=(1000, 0))
    book["df"] = pd.DataFrame({"text": ["a", "b", "c"]})
    book.shell.kernel = object()  # what a kernel's shell has and a terminal's has not
    try:
        ran = book.run("%%route -m small --each df.text --no-cache\n{{text}}", cell_id="c1")
    finally:
        del book.shell.kernel
    said = " ".join(output["text/html"] for output in ran.outputs)
    assert "1 of 3 rows, $0.0010 so far" in said
    assert "<progress" in said
