"""`%route dashboard` and `%route explain` in a cell: what comes out."""

from __future__ import annotations

import pytest

from molt_magic.errors import InputError
from molt_magic.views.dashboard import Dashboard
from tests.magics.conftest import MakeNotebook


def test_dashboard_is_shown_as_pages_and_pictures(notebook: MakeNotebook) -> None:
    book = notebook()
    book.run("%%route -m small\nHello?")
    ran = book.run("%route dashboard --last session --by strategy")
    assert isinstance(ran.value, Dashboard)
    kinds = ["image/png" if "image/png" in output else "text/html" for output in ran.outputs]
    assert kinds == ["text/html", "image/png"] * 3 + ["text/html"]  # no widget: there is no kernel to answer it
    assert "direct" in ran.outputs[2]["text/plain"]


def test_explanation_is_words_and_a_picture(notebook: MakeNotebook) -> None:
    book = notebook()
    book.run("%%route -m small\nHello?")
    words, picture = book.run("%route explain").outputs
    assert "text/html" in words
    assert "answer by small" in picture["text/plain"]
    assert "image/png" in picture


@pytest.mark.parametrize(("line", "says"), [("--last 8d", "invalid choice: '8d'"), ("--by modle", "invalid choice: 'modle'")])
def test_wrong_choice_is_a_short_error(notebook: MakeNotebook, line: str, says: str) -> None:
    ran = notebook().run(f"%route dashboard {line}")
    assert isinstance(ran.error, InputError)
    assert says in ran.stdout
