"""The words of `%route`."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from molt_magic.errors import ConfigError, InputError, UnknownName
from molt_magic.magics import commands
from molt_magic.views.tables import Page
from tests.magics.conftest import MakeNotebook, Notebook

WORDS = (
    "status", "models", "strategies", "use", "compare", "explain", "log", "export", "dashboard", "cost", "budget", "cache",
    "cassette", "thread", "feedback", "evaluate", "calibrate", "whatif", "config", "doctor", "version",
)  # fmt: skip


def say(book: Notebook, line: str) -> str:
    """What a line shows, as plain text."""
    ran = book.run(f"%route {line}".strip())
    assert ran.error is None, ran.stdout
    assert isinstance(ran.value, Page)
    return ran.value.to_plain(width=200)


def test_alone_says_the_state_and_every_word(notebook: MakeNotebook) -> None:
    text = say(notebook(), "")
    assert "Strategy arbitrage. Ready: small, big." in text
    assert all(f"%route {word}" in text for word in WORDS)


@pytest.mark.parametrize("word", commands.COMMANDS)
def test_every_word_explains_itself(notebook: MakeNotebook, word: str) -> None:
    assert f"%route {word}" in say(notebook(), f"{word} --help")


@pytest.mark.parametrize(
    ("line", "error", "says"),
    [
        ("statsu", UnknownName, "Did you mean 'status'"),
        ("dashbord", UnknownName, "Unknown %route word"),
        ("status now", InputError, "does not take 'now'"),
        ("use cascad", UnknownName, "Did you mean 'cascade'"),
        ("use -m bgi", UnknownName, "Did you mean 'big'"),
        ("use rule -m big", InputError, "chooses the model itself"),
        ("use -t simple_q", UnknownName, "Did you mean 'simple_qa'"),
        ("use -q 3", InputError, "between 0 and 1"),
        ("compare rule,bgi", UnknownName, "Did you mean 'big'"),
        ("compare --stratgy rule", UnknownName, "Unknown flag"),
        ("explain", InputError, "Nothing was routed"),
        ("explain nothing", UnknownName, "Unknown result or decision"),
        ("log -n 0", InputError, "1 or more"),
        ("log -o 1x", InputError, "cannot be a variable's name"),
        ("log --frm x", UnknownName, "Unknown flag"),
        ("export", InputError, "needs a file"),
        ("export log.xlsx", InputError, ".csv"),
        ("cost --by modle", InputError, "model"),
        ("cassette replay", InputError, "needs a file"),
        ("cassette status x.jsonl", InputError, "takes no file"),
        ("cassette recrod x.jsonl", UnknownName, "Did you mean 'record'"),
        ("budget plenty", InputError, "must be a number"),
        ("budget day", InputError, "needs an amount"),
        ("budget dya 5", UnknownName, "day"),
        ("cache burn", UnknownName, "clear"),
        ("thread show", InputError, "needs a thread's name"),
        ("thread show t", UnknownName, "Unknown thread"),
        ("feedback", InputError, "needs a score"),
        ("feedback good", InputError, "must be a number"),
        ("config cache.tll_seconds 5", UnknownName, "cache.ttl_seconds"),
        ("config cache.tll_seconds", UnknownName, "cache.ttl_seconds"),
        ("config cache.ttl_seconds soon", ConfigError, "must be a number"),
        ("config cache.ttl_seconds 1 2", InputError, "does not take '2'"),
    ],
)
def test_wrong_word_is_a_short_error(notebook: MakeNotebook, line: str, error: type, says: str) -> None:
    book = notebook()
    ran = book.run(f"%route {line}")
    assert isinstance(ran.error, error)
    assert says in ran.stdout
    assert "Traceback" not in ran.stdout
    assert book.session.overrides == {}


def test_status_says_what_is_ready_and_how_to_get_the_rest(notebook: MakeNotebook) -> None:
    text = say(notebook({"small": "x"}), "status")
    assert "Ready: small." in text
    assert re.search(r"big +openai +not ready +no key +set a key for big", text)


def test_models_lists_prices_windows_and_states(notebook: MakeNotebook) -> None:
    text = say(notebook({"small": "x"}), "models")
    assert re.search(r"small +openai: s +8,000 +\$1\.00 +\$2\.00 +0\.50 +ready", text)
    assert re.search(r"not ready +set a key for big", text)


def test_strategies_marks_the_one_in_force(notebook: MakeNotebook) -> None:
    book = notebook()
    assert re.search(r"arbitrage +in force", say(book, "strategies"))
    say(book, "use cascade")
    assert re.search(r"cascade +in force", say(book, "strategies"))


def test_use_sets_defaults_that_a_flag_in_the_cell_overrides(notebook: MakeNotebook) -> None:
    book = notebook()
    assert "strategy cascade" in say(book, "use cascade -q 0.4")
    book.run("%%route -o a\nHello?")
    book.run("%%route -s rule -t simple_qa -o b\nHello?")
    assert (book["a"].decision.strategy, book["b"].decision.strategy) == ("cascade", "rule")


def test_use_of_a_model_and_of_a_strategy_take_each_other_s_place(notebook: MakeNotebook) -> None:
    book = notebook()
    say(book, "use -m big")
    assert book.run("%%route -o a\nHello?").error is None
    assert (book["a"].model, book["a"].decision.strategy) == ("big", "direct")
    assert book.run("%%route -s rule -t simple_qa -o b\nHello?").error is None
    assert book["b"].decision.strategy == "rule"
    say(book, "use rule")
    assert book.session.model is None


def test_use_reset_takes_everything_back(notebook: MakeNotebook) -> None:
    book = notebook()
    say(book, "use cascade -q 0.4 -f text --max-cost 2")
    assert "Nothing is set" in say(book, "use --reset")
    assert (book.session.overrides, book.session.form) == ({}, "markdown")


def test_config_of_ipython_sets_the_same_defaults(notebook: MakeNotebook) -> None:
    book = notebook()
    book.run("%config RouteMagics.strategy = 'cascade'")
    book.run("%%route -o a\nHello?")
    assert book["a"].decision.strategy == "cascade"
    assert book.run("%config RouteMagics.strategy").value == "cascade"


def test_config_of_ipython_refuses_what_does_not_exist(notebook: MakeNotebook) -> None:
    book = notebook()
    book.run("%config RouteMagics.strategy = 'cascad'")
    book.run("%config RouteMagics.quality = 7")
    assert book.session.overrides == {}


def test_explain_tells_the_last_a_named_and_a_logged_decision(notebook: MakeNotebook) -> None:
    book = notebook()
    book.run("%%route -m big -o first\nHello?")
    book.run("%%route -m small\nHello?")
    assert "answer by small" in say(book, "explain")
    assert "answer by big" in say(book, "explain first")
    assert "answer by big" in say(book, f"explain {book['first'].decision.decision_id}")


def test_log_shows_the_last_and_binds_all(notebook: MakeNotebook) -> None:
    book = notebook()
    for i in range(4):
        book.run(f"%%route -m small\nQuestion {i}?")
    text = say(book, "log -n 2")
    assert "Question 1?" not in text
    assert "Question 3?" in text
    say(book, "log -o frame")
    assert isinstance(book["frame"], pd.DataFrame)
    assert len(book["frame"]) == 4
    assert "2 are in few" in say(book, "log -n 2 -o few")
    assert "2 are in few" in say(book, "log -n2 -o few")
    assert "4 are in many" in say(book, f"log -n {10**20} -o many")


def test_export_writes_the_file(notebook: MakeNotebook, tmp_path: Path) -> None:
    book = notebook()
    book.run("%%route -m small\nHello?")
    say(book, f"export {tmp_path / 'out.csv'}")
    assert len(pd.read_csv(tmp_path / "out.csv")) == 1


def test_cost_counts_this_session_by_model(notebook: MakeNotebook) -> None:
    book = notebook()
    book.run("%%route -m small\nHello?")
    text = say(book, "cost")
    assert re.search(r"small +1 +0 +0 +100 +50 +\$0\.0002", text)
    assert "direct" in say(book, "cost --by strategy --all")


def test_budget_is_set_shown_and_kept(notebook: MakeNotebook) -> None:
    book = notebook()
    assert "No budget is set." in say(book, "budget")
    assert "$0 of $0" in say(book, "budget 0")
    assert "budget" in book.run("%%route -m small\nHello?").stdout
    assert "No budget is set." in say(book, "budget off")
    assert book.run("%%route -m small\nHello?").error is None


def test_budgets_of_a_call_and_a_day_are_set_and_shown_with_what_is_spent_and_left(notebook: MakeNotebook) -> None:
    book = notebook()
    say(book, "budget day 5")
    say(book, "budget call 0.05")
    book.run("%%route -m small\nHello?")
    text = say(book, "budget 2")
    assert re.search(r"one call +\$0.050", text)
    assert re.search(r"this session +\$2.00 +\$0.00020 +\$0 +\$2.00", text)
    assert re.search(r"today +\$5.00 +\$0.00020 +\$0 +\$5.00", text)
    assert "Spent this session: $0.00020 of $2.00; today: $0.00020 of $5.00; one call may cost $0.050." in say(book, "status")
    assert re.search(r"today +none", say(book, "budget day off"))
    assert re.search(r"one call +none", say(book, "budget off"))


@pytest.mark.parametrize("line", ["use --help", "log --help", "cost --help"])
def test_help_of_flags_is_in_a_type_of_fixed_width(notebook: MakeNotebook, line: str) -> None:
    page = notebook().run(f"%route {line}").value
    assert "show this text" in page.to_plain()
    assert "<pre" in page.to_html()
    assert page.to_markdown().startswith("```")


def test_cache_figures_are_written_for_people(notebook: MakeNotebook) -> None:
    text = say(notebook(), "cache")
    assert re.search(r"max bytes +1,000 MB", text)
    assert re.search(r"trouble +none", text)
    assert re.search(r"semantic +on", text)


def test_cache_shows_and_clears(notebook: MakeNotebook) -> None:
    book = notebook()
    book.run("%%route -m small\nWhat is the capital of France?")
    assert "Cache" in say(book, "cache")
    assert re.search(r"Cleared: [1-9]\d* answers", say(book, "cache clear"))


def test_cache_forgets_the_last_answer(notebook: MakeNotebook) -> None:
    book = notebook()
    cell = "%%route -m small\nWhat is the capital of France?"
    book.run(cell)
    assert "cache: exact" in book.run(cell).outputs[0]["text/plain"]
    assert "Forgotten: 2" in say(book, "cache forget")
    assert "cache: miss" in book.run(cell).outputs[0]["text/plain"]


def test_threads_are_listed_shown_and_forgotten(notebook: MakeNotebook) -> None:
    book = notebook()
    assert "no threads yet" in say(book, "thread")
    book.run("%%route -m small --thread t\nHello?")
    assert re.search(r"t +2", say(book, "thread list"))
    assert "Small says so." in say(book, "thread show t")
    assert "Forgotten: t" in say(book, "thread reset t")
    assert "no threads yet" in say(book, "thread")


def test_feedback_is_written_to_the_decision(notebook: MakeNotebook) -> None:
    book = notebook()
    book.run("%%route -m small -o answer\nHello?")
    assert "Noted: 0.25 for small" in say(book, "feedback 0.25")
    logged = book.orchestrator.log.get(book["answer"].decision.decision_id)
    assert logged is not None
    assert (logged.quality, logged.quality_source) == (0.25, "user")


def test_feedback_corrects_the_task_of_a_prompt(notebook: MakeNotebook) -> None:
    book = notebook({"small": "hello", "big": "hello"})
    book.run("%%route -m small -o answer\nWhere does my parcel tarry?")
    assert "Noted: such a prompt is simple_qa." in say(book, "feedback task=simple_qa")
    assert book.orchestrator.classifier.guess("Where does my parcel tarry?").task == "simple_qa"
    assert "no route yet: add [routes.parcels]" in say(book, "feedback task=parcels answer")
    assert "parcels" in book.orchestrator.classifier.tasks


def test_feedback_takes_a_frame_or_a_column_of_one(notebook: MakeNotebook) -> None:
    book = notebook()
    for name in ("a", "b"):
        book.run(f"%%route -m small -o {name}\nHello {name}?")
    frame = pd.DataFrame({"decision_id": [book[name].decision.decision_id for name in "ab"], "score": 1.0, "mine": [0.0, 0.5]})
    book["marks"], book["indexed"], book["word"] = frame, frame.set_index("decision_id"), "x"
    assert "Noted: 2 scores of marks." in say(book, "feedback marks")
    assert book.orchestrator.log.to_frame()["quality"].tolist() == [1.0, 1.0]
    assert "Noted: 2 scores of indexed.mine." in say(book, "feedback indexed.mine")
    assert book.orchestrator.log.to_frame()["quality"].tolist() == [0.0, 0.5]
    for line, says in (
        ("marks.mien", "no column mien"),
        ("marks.decision_id", "holds no scores"),
        ("word", "must be a number, not 'word'"),
    ):
        assert says in book.run(f"%route feedback {line}").stdout


def test_config_shows_where_a_value_comes_from_and_changes_it(notebook: MakeNotebook) -> None:
    book = notebook()
    assert re.search(r"cache\.ttl_seconds +600\.0 +default", say(book, "config"))
    assert re.search(r"cache\.ttl_seconds +5\.0", say(book, "config cache.ttl_seconds=5"))
    assert book.orchestrator.settings.cache.ttl_seconds == 5.0
    assert re.search(r"defaults\.quality +0\.3", say(book, "config quality 0.3"))


def test_doctor_names_the_variable_of_a_key_and_never_its_value(
    notebook: MakeNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NONE", "sk-verysecretvalue")
    text = say(notebook(), "doctor")
    assert re.search(r"key NONE +ok +set", text)
    assert "verysecret" not in text


def test_the_stores_are_shown_with_their_sizes_and_what_bounds_them(notebook: MakeNotebook) -> None:
    book = notebook({"small": "x"})
    assert "log" in say(book, "doctor")
    book.run("%%route -m small\nHello?")
    for word in ("doctor", "status"):
        text = " ".join(say(book, word).split())
        assert re.search(r"1 decision, \S+ [kM]B; it grows until you say %route log --prune DAYS", text)
        assert re.search(r"2 entries, \S+ [kM]B of at most [\d,]+ MB; the oldest go first", text)


def test_the_log_is_pruned_when_it_is_said_and_never_else(notebook: MakeNotebook) -> None:
    book = notebook({"small": "x"})
    for n in range(3):
        book.run(f"%%route -m small\nHello {n}?")
    spent = book.orchestrator.spent_usd()
    assert say(book, "log --prune 1e308").startswith("Nothing in the log is older than")
    assert say(book, "log --prune 30").startswith("Nothing in the log is older than 30 days: 3 decisions")
    assert re.match(r"Pruned: 3 decisions, \d.*Left: 0 decisions", " ".join(say(book, "log --prune 0").split()))
    assert book.orchestrator.spent_usd() == spent
    assert "0 or more" in str(book.run("%route log --prune=-1").error)


def test_version_is_the_package_s(notebook: MakeNotebook) -> None:
    from molt_magic import __version__

    assert say(notebook(), "version") == f"molt-magic {__version__}"


def test_line_is_shown_as_a_page_in_three_media(notebook: MakeNotebook) -> None:
    book = notebook()
    page = book.run("%route status").value
    assert set(page.bundle()) == {"text/html", "text/markdown", "text/plain"}


def test_cassette_is_put_in_told_and_taken_out(notebook: MakeNotebook, tmp_path: Path) -> None:
    book = notebook()
    assert "No cassette" in say(book, "cassette")
    assert "It holds nothing yet" in say(book, f"cassette record {tmp_path / 'answers.jsonl'}")
    book.run("%%route -m small\nHello?")
    assert "It holds 1 answer of small, big; 1 was used" in say(book, "cassette status")
    say(book, "cassette replay")
    assert book.run("%%route -m small -o again\nHello?").error is None
    assert book["again"].decision.deployment == "cassette"
    assert say(book, "cassette off").startswith("Off")


def test_compare_s_form_has_its_names_chosen_and_binds_every_comparison(notebook: MakeNotebook) -> None:
    book = notebook()
    form = book.run("%route compare small,big -v nonempty -o mine").value
    assert form.choices.chosen == ["small", "big"]
    form.widget.children[0].value = "Hello?"
    form.runner.run.click()
    assert form.runner.idle.wait(10)
    assert list(book["mine"]["text"]) == ["Small says so.", "Big says so."]
    assert book["mine"].equals(form.frame)
