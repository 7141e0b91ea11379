"""A notebook that was run shows its answers, tables and figures without a kernel: exported by nbconvert, and as Markdown."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import Exporter, HTMLExporter, MarkdownExporter

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
NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
EXPORTERS = (HTMLExporter, MarkdownExporter)
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


def shown(notebook: nbformat.NotebookNode, exporter: type[Exporter]) -> str:
    """What a reader of an export sees, on one line; nbconvert puts HTML into Markdown too."""
    parser = Shown()
    parser.feed(exporter().from_notebook_node(notebook)[0])
    return " ".join("".join(parser.text).split())


def test_every_cell_has_a_static_output_before_any_widget(executed: nbformat.NotebookNode) -> None:
    for cell in executed.cells[1:]:
        first = cell.outputs[0]
        assert {"text/html", "text/markdown", "text/plain"} <= set(first["data"]), cell.source
        assert "application/vnd.jupyter.widget-view+json" not in first["data"], cell.source


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_export_shows_answers_and_tables(executed: nbformat.NotebookNode, exporter: type[Exporter]) -> None:
    text = shown(executed, exporter)
    assert not NOTHING.search(text)
    assert text.count("The median is 2.") >= 4
    for words in ("Candidates and attempts", "accepted by regex", "Compared: cost", "The last", "Cost by model"):
        assert words in text


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_that_ships_shows_its_outputs_without_a_kernel(path: Path, exporter: type[Exporter]) -> None:
    notebook = nbformat.read(path, as_version=4)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert len(outputs) > 3
    exported = exporter().from_notebook_node(notebook)
    assert not NOTHING.search(shown(notebook, exporter))
    pictures = sum("image/png" in output.get("data", {}) for output in outputs)
    files = exported[1].get("outputs") or {}  # beside a Markdown file
    assert exported[0].count("data:image/png;base64,") + len(files) >= pictures
