"""`%route whatif`, from the line to the page."""

from __future__ import annotations

import pandas as pd
import pytest

from molt_magic.errors import InputError, UnknownName
from molt_magic.evaluation import WhatIf
from tests.magics.conftest import MakeNotebook, Notebook
from tests.magics.test_completion import complete


def asked(notebook: MakeNotebook) -> Notebook:
    """A notebook in which `big` was asked three questions and `small` one of them too; the answers to that are marked."""
    book = notebook()
    for i in range(3):
        book.orchestrator.feedback(book.orchestrator.route(f"question {i}", model="big").decision.decision_id, 1.0)
    book.orchestrator.feedback(book.orchestrator.route("question 0", model="small").decision.decision_id, 0.25)
    return book


def test_it_tells_what_is_known_and_binds_it(notebook: MakeNotebook) -> None:
    book = asked(notebook)
    ran = book.run("%route whatif -m small -o w")
    assert ran.error is None
    text = ran.value.to_plain(width=200)
    assert text.startswith(
        "On 2 of your 4 decisions it is known what direct, small would have cost, in 1 of them as it asks whom you asked"
    )
    assert "The other 2 are only predicted" in text
    assert "as it was" in text
    found = book["w"]
    assert isinstance(found, WhatIf)
    assert list(found.frame["score"][found.frame["score_known"]]) == [0.25, 0.25]


def test_every_flag_reaches_the_policy(notebook: MakeNotebook) -> None:
    book = asked(notebook)
    for flags, policy in {
        "--strategy arbitrage --quality 0.4": "arbitrage, quality 0.4",
        "-s rule": "rule",
        "--within 0.1": "arbitrage, within 0.1",
        "--price 3": "arbitrage, price 3",
        "--ladder big,small": "cascade big > small",
        "": "arbitrage",
    }.items():
        book.run(f"%route whatif {flags} -o w")
        assert book["w"].policy == policy


def test_a_table_of_the_notebook_is_known_too(notebook: MakeNotebook) -> None:
    book = asked(notebook)
    rows = [{"prompt_id": str(i), "prompt": f"question {i}", "model": "small", "score": 0.5, "cost_usd": 0.1} for i in range(3)]
    book["outcomes"] = pd.DataFrame(rows)
    book.run("%route whatif -m small --table outcomes -o w")
    assert list(book["w"].frame["source"]) == ["logged", "table", "table", "logged"]


def test_of_this_session_only(notebook: MakeNotebook) -> None:
    book = asked(notebook)
    book.run("%route whatif -m small --session -o w")
    assert len(book["w"].frame) == 4
    assert set(book.orchestrator.log.to_frame()["session"]) == {book.orchestrator.session}


def test_with_nothing_logged_it_says_so(notebook: MakeNotebook) -> None:
    ran = notebook().run("%route whatif -m small")
    assert ran.value.to_plain().startswith("There is nothing to tell of direct, small")


@pytest.mark.parametrize(
    ("line", "error", "says"),
    [
        ("-m bgi", UnknownName, "Did you mean 'big'"),
        ("-s rule --within 0.1", InputError, "takes no within"),
        ("--within near", InputError, "must be a number"),
        ("--witin 0.1", UnknownName, "Did you mean '--within'"),
        ("-m small --table outcoms", UnknownName, "Unknown table"),
        ("-m small -o 1x", InputError, "cannot be a variable's name"),
    ],
)
def test_a_wrong_line_is_a_short_error(notebook: MakeNotebook, line: str, error: type, says: str) -> None:
    raised = notebook().run(f"%route whatif {line}").error
    assert isinstance(raised, error)
    assert says in str(raised)


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("%route wha", ["whatif"]),
        ("%route whatif -s ca", ["cascade"]),
        ("%route whatif -m sm", ["small"]),
        ("%route whatif --ladder small,bi", ["small,big"]),
        ("%route whatif --sess", ["--session"]),
    ],
)
def test_tab_offers_what_may_follow(notebook: MakeNotebook, text: str, offered: list[str]) -> None:
    book = notebook()
    assert book.orchestrator.catalog
    assert complete(book, text) == offered
