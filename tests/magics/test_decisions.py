"""`%route log --interact`: a static table, and beside it the one to search, sort and open."""

from __future__ import annotations

from molt_magic.views.decisions import Decisions
from tests.magics.conftest import MakeNotebook

WIDGET = "application/vnd.jupyter.widget-view+json"


def test_static_table_is_shown_first_and_the_widget_as_an_output_of_its_own(notebook: MakeNotebook) -> None:
    book = notebook()
    book.run("%%route -m small\nHello?")
    ran = book.run("%route log -n 3 --interact")
    assert ran.error is None
    static, widget = ran.outputs
    assert "The last 1 decision." in static["text/plain"]
    assert "Hello?" in static["text/html"]
    assert WIDGET in widget
    assert "run the cell again" in widget["text/plain"]
    assert isinstance(ran.value, Decisions)
    assert len(book["_"].frame) == 1


def test_interact_binds_the_frame_too(notebook: MakeNotebook) -> None:
    book = notebook()
    book.run("%%route -m small\nHello?")
    static, _widget = book.run("%route log -o frame --interact").outputs
    assert "All 1 are in frame." in static["text/plain"]
    assert len(book["frame"]) == 1


def test_without_interact_there_is_no_widget(notebook: MakeNotebook) -> None:
    assert all(WIDGET not in output for output in notebook().run("%route log").outputs)


def test_displayed_in_python_it_shows_the_last_decisions_first(notebook: MakeNotebook) -> None:
    book = notebook()
    book.run("%%route -m small\nHello?")
    book.run("from molt_magic import current\nfrom molt_magic.views.decisions import Decisions")
    static, widget = book.run("Decisions(current())").outputs
    assert "The last 1 decision." in static["text/plain"]
    assert WIDGET in widget
