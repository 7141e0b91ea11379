"""`%%route`: one answer, in a real IPython."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

from molt_magic.errors import InputError, MoltError, ServerError, StreamInterrupted, UnknownName
from molt_magic.result import Result
from molt_magic.types import Call, Completion, Usage
from tests.magics.conftest import MakeNotebook, Notebook, Ran
from tests.views.samples import HOSTILE
from tests.views.test_untrusted import alive, alive_markdown


def test_cell_shows_one_static_output_and_its_value_is_the_result(notebook: MakeNotebook) -> None:
    ran = notebook().run("%%route -s rule -t simple_qa\nWhat is it?")
    assert ran.error is None
    assert isinstance(ran.value, Result)
    assert [set(bundle) for bundle in ran.outputs] == [{"text/html", "text/markdown", "text/plain"}]
    assert ran.outputs[0]["text/plain"].startswith("Small says so.")
    assert ran.stdout.strip().endswith(": (shown above)")  # not again as the value


def test_result_is_the_last_value_and_in_out(notebook: MakeNotebook) -> None:
    book = notebook()
    number = book.shell.execution_count
    book.run("%%route -m big\nHello?")
    assert book["_"].text == "Big says so."
    assert book["Out"][number] is book["_"]


def test_result_shown_again_in_a_later_cell_is_drawn_again(notebook: MakeNotebook) -> None:
    book = notebook()
    book.run("%%route -m big -o answer\nHello?")
    assert "Big says so." in book.run("answer").stdout


def test_answer_is_bound_to_a_name(notebook: MakeNotebook) -> None:
    book = notebook()
    book.run("%%route -m small -o answer\nHello?")
    assert book["answer"].model == "small"


def test_quiet_shows_nothing_and_still_binds(notebook: MakeNotebook) -> None:
    book = notebook()
    ran = book.run("%%route -m small --quiet -o answer\nHello?")
    assert ran.outputs == []
    assert ran.value is book["answer"]


def test_flags_reach_the_request(notebook: MakeNotebook) -> None:
    book = notebook()
    book["checker"] = lambda text: True
    book["persona"] = "a judge"
    book.run(
        '%%route -s rule -t simple_qa -v nonempty -v checker -q 0.4 --system "Be {{persona}}" --param temperature 0.5'
        " --param stop '[\"x\"]' --max-cost 1 -o answer\nHello?"
    )
    call = book.orchestrator.providers.calls[0]  # type: ignore[attr-defined]
    assert [(m.role, m.text) for m in call.messages] == [("system", "Be a judge"), ("user", "Hello?")]
    assert dict(call.params) == {"temperature": 0.5, "stop": ["x"]}
    assert (book["answer"].decision.strategy, book["answer"].decision.task) == ("rule", "simple_qa")


def test_schema_is_looked_up_by_name(notebook: MakeNotebook) -> None:
    book = notebook({"small": '{"a": 1}', "big": '{"a": 1}'}, values={"models.small": {
        "provider": "openai", "model": "s", "api_key_env": "NONE", "can": ["structured"], "context_window": 8000}})  # fmt: skip
    book["shape"] = {"type": "object"}
    assert book.run("%%route -m small --schema shape -f json\nGive a.").outputs[0]["text/plain"].startswith('{\n  "a": 1')
    assert book.orchestrator.providers.calls[0].schema == {"type": "object"}  # type: ignore[attr-defined]


def test_prompt_keeps_single_braces_dollars_and_shifts(notebook: MakeNotebook) -> None:
    book = notebook()
    book["x"] = "value"
    book.run("%%route -m small\n{x} $x << {{x}} \\n")
    assert book.orchestrator.providers.calls[0].messages[-1].text == "{x} $x << value \\n"  # type: ignore[attr-defined]


def test_raw_sends_braces_as_they_are(notebook: MakeNotebook) -> None:
    book = notebook()
    book.run("%%route -m small --raw\n{{undefined}} {{a + b}}")
    assert book.orchestrator.providers.calls[0].messages[-1].text == "{{undefined}} {{a + b}}"  # type: ignore[attr-defined]


def test_line_is_not_expanded_by_ipython(notebook: MakeNotebook) -> None:
    book = notebook()
    book["x"] = "value"
    book.run('%%route -m small --system "{x} $x"\nHello?')
    assert book.orchestrator.providers.calls[0].messages[0].text == "{x} $x"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%%route", "The cell has no prompt"),
        ("%%route -s rule\n   \n", "The cell has no prompt"),
        ("%%route -s rull\nHi", "Did you mean 'rule'"),
        ("%%route -m bigg\nHi", "Did you mean 'big'"),
        ("%%route -t simple_q\nHi", "Did you mean 'simple_qa'"),
        ("%%route -v nonemty\nHi", "Did you mean 'nonempty'"),
        ("%%route --stratgy rule\nHi", "Did you mean '--strategy'"),
        ("%%route -f markdwn\nHi", "Did you mean 'markdown'"),
        ("%%route -q 2\nHi", "between 0 and 1"),
        ("%%route -q high\nHi", "must be a number"),
        ("%%route --max-cost -1\nHi", "0 or more"),
        ("%%route -s\nHi", "expected one argument"),
        ("%%route what\nHi", "is no flag"),
        ("%%route --system 'open\nHi", "quote"),
        ("%%route -o 1x\nHi", "cannot be a variable's name"),
        ("%%route -o class\nHi", "cannot be a variable's name"),
        ("%%route --param strategy x\nHi", "flag of its own"),
        ("%%route --schema shap\nHi", "Unknown name 'shap'"),
        ("%%route --no-cache --refresh\nHi", "not allowed with"),
        ("%%route --compare rule,cascade --dry-run --recorded\nHi", "cannot be used together"),
        ("%%route --recorded\nHi", "goes with --compare"),
        ("%%route --compare rule,big -m small\nHi", "Put all of them after --compare"),
        ("%%route --compare rule,bigg\nHi", "Did you mean 'big'"),
        ("%%route --compare rule,cascade --thread t\nHi", "Leave out --thread"),
        ("%%route --compare rule\nHi", "at least two"),
        ("%%route -s rule -m big\nHi", "chooses the model itself"),
        ("%%route\nHello {{nmae}}", "Unknown name 'nmae'"),
        ("%%route\nHello {{name.upper()}}", "not a name, attribute or index"),
    ],
)
def test_wrong_input_is_a_short_error_that_calls_no_model(notebook: MakeNotebook, cell: str, says: str) -> None:
    book = notebook()
    ran = book.run(cell)
    assert isinstance(ran.error, InputError)
    assert says in ran.stdout
    assert len(ran.stdout.strip().splitlines()) <= 3
    assert "Traceback" not in ran.stdout
    assert book.orchestrator.providers.calls == []  # type: ignore[attr-defined]
    assert len(book.orchestrator.log.to_frame()) == 0


def test_undefined_name_says_the_nearest(notebook: MakeNotebook) -> None:
    book = notebook()
    book["question"] = "?"
    ran = book.run("%%route\n{{questoin}}")
    assert isinstance(ran.error, UnknownName)
    assert "Did you mean 'question'?" in ran.stdout


def test_empty_body_fails_even_where_ipython_would_only_print(notebook: MakeNotebook) -> None:
    ran = notebook().run("%%route -s rule")
    assert type(ran.error) is InputError


def test_help_needs_no_prompt(notebook: MakeNotebook) -> None:
    ran = notebook().run("%%route --help")
    assert ran.error is None
    assert "--max-cost" in repr(ran.value)


def test_failure_raises_shortly_is_logged_and_binds_a_failed_result(notebook: MakeNotebook) -> None:
    book = notebook({"small": ServerError("It fell over.", fix="Start it again.")})
    ran = book.run("%%route -m small -o answer\nHello?")
    assert isinstance(ran.error, MoltError)
    lines = ran.stdout.strip().splitlines()
    assert "It fell over" in lines[0]
    assert "Traceback" not in ran.stdout
    assert len(lines) <= 3
    assert not book["answer"].ok
    assert book["answer"].decision.decision_id in lines[-1]
    assert book.orchestrator.log.last().status == "error"  # type: ignore[union-attr]


def test_error_has_a_name_and_a_value_for_the_kernel(notebook: MakeNotebook) -> None:
    ran = notebook().run("%%route\n{{x}}")
    assert type(ran.error).__name__ == "UnknownName"
    assert str(ran.error).startswith("Unknown name 'x'.")


def test_broken_stream_shows_the_partial_text_and_fails(notebook: MakeNotebook) -> None:
    broken = StreamInterrupted("The stream broke.", partial=Completion("Half an ans", "s", Usage(10, 3), "interrupted"))
    book = notebook({"small": broken})
    ran = book.run("%%route -m small -o answer\nHello?")
    assert ran.error is not None
    assert "Half an ans" in ran.outputs[0]["text/plain"]
    assert "Interrupted" in ran.outputs[0]["text/plain"]
    assert book["answer"].text == "Half an ans"


def test_interrupt_keeps_the_partial_text_and_shows_no_traceback(notebook: MakeNotebook) -> None:
    def interrupting(_call: Call) -> str:
        stop = (threading.main_thread().ident or 0, signal.SIGINT)  # a person presses the stop button
        threading.Timer(0.3, signal.pthread_kill, stop).start()
        return "word " * 1000

    book = notebook({"small": interrupting}, delay_s=0.01)
    ran = book.run("%%route -m small -o answer\nHello?")
    assert isinstance(ran.error, KeyboardInterrupt)
    assert book["answer"].decision.status == "interrupted"
    assert book["answer"].text.startswith("word")
    assert ran.outputs[-1]["text/plain"].startswith("Interrupted")
    assert "Traceback" not in ran.stdout


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_answer_is_dead_in_the_cell_s_output(notebook: MakeNotebook, text: str) -> None:
    shown = notebook({"small": text}).run("%%route -m small\nHello?").outputs[0]
    assert alive(shown["text/html"]) == []
    assert alive_markdown(shown["text/markdown"]) == []
    assert "\x1b" not in shown["text/plain"]


def test_dry_run_shows_the_plan_and_calls_nothing(notebook: MakeNotebook) -> None:
    book = notebook()
    ran = book.run("%%route -s cascade --dry-run\nHello?")
    assert "Plan: nothing was called" in ran.outputs[0]["text/plain"]
    assert book.orchestrator.providers.calls == []  # type: ignore[attr-defined]


def test_no_log_leaves_no_row(notebook: MakeNotebook) -> None:
    book = notebook()
    book.run("%%route -m small --no-log\nHello?")
    assert len(book.orchestrator.log.to_frame()) == 0


def test_cell_with_an_id_streams_into_one_display(notebook: MakeNotebook) -> None:
    book = notebook({"small": "one two three"}, delay_s=0.06)
    book.shell.kernel = object()  # what a kernel's shell has and a terminal's has not
    try:
        ran = book.run("%%route -m small\nHello?", cell_id="cell-1")
    finally:
        del book.shell.kernel
    assert len(ran.outputs) > 1
    assert "small is answering" in ran.outputs[-2]["text/plain"]
    assert "[small · direct" in ran.outputs[-1]["text/plain"]


def test_no_stream_has_one_output_even_where_a_person_watches(notebook: MakeNotebook) -> None:
    book = notebook({"small": "one two three"}, delay_s=0.06)
    book.shell.kernel = object()
    try:
        ran = book.run("%%route -m small --no-stream\nHello?", cell_id="cell-1")
    finally:
        del book.shell.kernel
    assert len(ran.outputs) == 1


def test_rerunning_a_cell_replaces_its_turn_of_the_thread(notebook: MakeNotebook) -> None:
    book = notebook({"small": ["first", "second", "first again"]})
    book.run("%%route -m small --thread t --no-cache\nOne?", cell_id="a")
    book.run("%%route -m small --thread t --no-cache\nTwo?", cell_id="b")
    book.run("%%route -m small --thread t --no-cache\nOne, better?", cell_id="a")
    texts = [m.text for m in book.orchestrator.threads.messages("t")]
    assert texts == ["One, better?", "first again", "Two?", "second"]


def test_second_run_comes_from_the_cache_and_says_so(notebook: MakeNotebook) -> None:
    book = notebook()
    cell = "%%route -m small\nWhat is the capital of France?"
    book.run(cell)
    assert "cache: exact" in book.run(cell).outputs[0]["text/plain"]


def test_compare_shows_a_column_and_a_row_for_each_and_binds_the_frame(notebook: MakeNotebook) -> None:
    book = notebook()
    ran = book.run("%%route --compare rule,cascade,big -t simple_qa -o frame\nHello?")
    assert list(book["frame"]["strategy"]) == ["rule", "cascade", "big"]
    assert ran.value is book["frame"]
    assert len(ran.outputs) == 1
    assert "rule: small" in ran.outputs[0]["text/plain"]
    assert ran.outputs[0]["text/html"].count("Big says so.") == 1


def in_a_kernel(book: Notebook, source: str, cell_id: str | None = None) -> Ran:
    """Runs a cell as a kernel does, with a front end that can show pictures and widgets."""
    book.shell.kernel = object()
    try:
        return book.run(source, cell_id=cell_id)
    finally:
        del book.shell.kernel


def test_compare_in_a_notebook_ends_with_the_scatter_as_an_image(notebook: MakeNotebook) -> None:
    ran = in_a_kernel(notebook(), "%%route --compare small,big\nHello?")
    assert [sorted(output) for output in ran.outputs] == [
        ["text/html", "text/markdown", "text/plain"],
        ["image/png", "text/plain"],
    ]
    assert "predicted quality" in ran.outputs[1]["text/plain"]


def test_compare_streams_into_one_display_where_a_person_watches(notebook: MakeNotebook) -> None:
    book = notebook({"small": "one two three four", "big": "five six seven eight"}, delay_s=0.06)
    ran = in_a_kernel(book, "%%route --compare small,big --no-cache\nHello?", cell_id="c1")
    arriving = [output["text/html"] for output in ran.outputs if "is answering" in output.get("text/html", "")]
    assert any("one" in html and "five" in html for html in arriving)
    assert "of 2 answered" in arriving[-1]
    assert "is answering" not in ran.outputs[-2]["text/html"]


def test_compare_as_a_dry_run_calls_nothing_and_shows_the_plans(notebook: MakeNotebook) -> None:
    book = notebook()
    ran = book.run("%%route --compare rule,big -t simple_qa --dry-run -o plans\nHello?")
    assert book.orchestrator.providers.calls == []  # type: ignore[attr-defined]
    assert list(book["plans"]["status"]) == ["planned", "planned"]
    assert "would cost about" in ran.outputs[0]["text/plain"]
    assert "nothing was called" in ran.outputs[0]["text/html"]


def test_compare_of_what_is_recorded_asks_nobody(notebook: MakeNotebook) -> None:
    book = notebook()
    book.run("%%route -m small\nHello?")
    asked = len(book.orchestrator.providers.calls)  # type: ignore[attr-defined]
    book.run("%%route --compare small,big --recorded -o known\nHello?")
    assert len(book.orchestrator.providers.calls) == asked  # type: ignore[attr-defined]
    assert list(book["known"]["status"]) == ["ok", "error"]
    assert book["known"]["text"][0] == "Small says so."


def test_compare_interrupted_keeps_every_column_s_partial_text(notebook: MakeNotebook) -> None:
    def interrupting(_call: Call) -> str:
        stop = (threading.main_thread().ident or 0, signal.SIGINT)  # a person presses the stop button
        threading.Timer(0.3, signal.pthread_kill, stop).start()
        return "word " * 1000

    book = notebook({"small": interrupting, "big": "other " * 1000}, delay_s=0.01)
    ran = book.run("%%route --compare small,big -o frame\nHello?")
    assert isinstance(ran.error, KeyboardInterrupt)
    assert list(book["frame"]["status"]) == ["interrupted", "interrupted"]
    assert [text.split()[0] for text in book["frame"]["text"]] == ["word", "other"]
    assert "Interrupted" in ran.outputs[-1]["text/plain"]
    assert list(book.orchestrator.log.to_frame()["status"]) == ["interrupted", "interrupted"]


def test_compare_with_interact_adds_a_form_after_the_static_output(notebook: MakeNotebook) -> None:
    ran = in_a_kernel(notebook(), "%%route --compare small,big --interact\nHello?")
    assert ran.error is None
    assert "Small says so." in ran.outputs[0]["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in ran.outputs[-1]


def test_compare_shows_hostile_answers_dead(notebook: MakeNotebook) -> None:
    shown = notebook({"small": "<script>x</script>"}).run("%%route --compare rule,cascade -t simple_qa\nHello?").outputs[0]
    assert alive(shown["text/html"]) == []
    assert alive_markdown(shown["text/markdown"]) == []


def test_interact_form_starts_with_the_cell_s_model(notebook: MakeNotebook, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr("molt_magic.magics.cells.show_beside", lambda widget, _what: made.append(widget))
    assert notebook().run("%%route -m big --interact --quiet\nHello?").error is None
    assert [part.value for part in made[-1].children[1].children][:2] == ["direct", "big"]


def test_interact_adds_a_widget_beside_the_static_answer(notebook: MakeNotebook) -> None:
    ran = notebook().run("%%route -m small --interact\nHello?")
    assert ran.error is None
    assert "Small says so." in ran.outputs[0]["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in ran.outputs[1]
    assert len(ran.outputs) == 2
