"""A notebook that was run shows its answers, tables and figures without a kernel: exported by nbconvert, and as Markdown."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, MarkdownExporter

from tests import servers
from tests.browser.models import Models, Says, configuration

CELLS = {
    "load": "%load_ext molt_magic",
    "answer": "%%route -m small -o answer\nWhat is a median?",
    "value": "answer",
    "cascade": "%%route -s cascade -v regex:[0-9]\nTwo and two?",
    "compare": "%%route --compare rule,cascade\nWhat is a median?",
    "interact": "%%route -m small --interact\nWhat is a median?",
    "explain": "%route explain",
    "log": "%route log",
    "cost": "%route cost",
}
NOTHING = re.compile(r"HBox\(children|VBox\(children|model not found|Error displaying widget|<molt_magic|object at 0x")


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    """The notebook after a run by nbclient, its widgets' state in it, as `jupyter nbconvert --execute` makes it."""
    folder = tmp_path_factory.mktemp("export")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell, id=name) for name, cell in CELLS.items()])
    with servers.running(Models()) as models, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOLT_HOME", str(folder / "home"))
        models.answers |= {name: Says("The **median** is 2.", pause_s=0) for name in ("small", "medium", "large")}
        (folder / "molt.toml").write_text(configuration(models.url))
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


class Shown(HTMLParser):
    """The text of a page that a person sees, without scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text.append(data)


def html_of(notebook: nbformat.NotebookNode) -> str:
    return str(HTMLExporter().from_notebook_node(notebook)[0])


def test_every_cell_has_a_static_output_before_any_widget(executed: nbformat.NotebookNode) -> None:
    for cell in executed.cells[1:]:
        first = cell.outputs[0]
        assert {"text/html", "text/markdown", "text/plain"} <= set(first["data"]), cell.source
        assert "application/vnd.jupyter.widget-view+json" not in first["data"], cell.source


def test_html_export_shows_answers_and_tables(executed: nbformat.NotebookNode) -> None:
    parser = Shown()
    parser.feed(html_of(executed))
    text = " ".join("".join(parser.text).split())
    assert not NOTHING.search(text)
    assert text.count("The median is 2.") >= 4
    for word in (
        "Candidates and attempts",
        "Attempts",
        "Strategies compared",
        "accepted by regex",
        "The last",
        "Cost by model",
    ):
        assert word in text


def test_markdown_export_shows_answers_and_tables(executed: nbformat.NotebookNode) -> None:
    text = MarkdownExporter().from_notebook_node(executed)[0]
    assert not NOTHING.search(text)
    assert text.count("The **median** is 2.") >= 4
    for word in ("**Attempts**", "**Strategies compared**", "**Cost by model"):
        assert word in text
