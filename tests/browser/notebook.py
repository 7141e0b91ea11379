"""A notebook open in JupyterLab, as a person has it before them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Locator, Page

from tests.browser.watch import SIZE

_AROUND = 250  # pixels of menus and bars above and below a notebook
# the kernel itself: the indicator in the toolbar reads idle before there is one
_IDLE = """() => { const kernel = window.jupyterapp?.shell.currentWidget?.context?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === 'connected' && kernel.status === 'idle'; }"""
_RUN = """index => { const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = index; notebook.deselectAll();
  window.__ran = window.jupyterapp.commands.execute('notebook:run-cell'); return null; }"""
_RECORD = """index => { const area = document.querySelectorAll('.jp-Notebook .jp-Cell')[index]; window.__frames = [];
  const look = () => { const text = area.querySelector('.jp-OutputArea')?.innerText ?? '';
    if (text !== window.__frames.at(-1)) window.__frames.push(text); };
  window.__recorder = new MutationObserver(look);
  window.__recorder.observe(area, {childList: true, subtree: true, characterData: true}); }"""
_PLACES = """() => { const panel = document.querySelector('.jp-Notebook').closest('.jp-WindowedPanel-outer, .jp-Notebook');
  const cells = [...document.querySelectorAll('.jp-Notebook .jp-Cell')].map(cell => cell.getBoundingClientRect());
  return {over: panel.scrollWidth - panel.clientWidth, width: panel.getBoundingClientRect().right,
    cells: cells.map(r => ({top: r.top, bottom: r.bottom, left: r.left, right: r.right}))}; }"""


def write(path: Path, cells: Sequence[str]) -> Path:
    """A notebook of these code cells; one that begins with `# ` and a space is Markdown."""
    kinds = [nbformat.v4.new_markdown_cell if cell.startswith("# ") else nbformat.v4.new_code_cell for cell in cells]
    notebook = nbformat.v4.new_notebook(cells=[kind(cell) for kind, cell in zip(kinds, cells, strict=True)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)
    return path


class Notebook:
    """The notebook that a page shows.

    Args:
        page: JupyterLab with the notebook in front.
        folder: where the notebook lies: its `molt.toml`, its `home` with the log.
        artefacts: where screenshots go.
    """

    def __init__(self, page: Page, folder: Path, artefacts: Path) -> None:
        self.page = page
        self.folder = folder
        self._artefacts = artefacts

    def wait_for_kernel(self) -> None:
        self.page.wait_for_function(_IDLE, timeout=60_000)

    def start(self, index: int) -> None:
        """Set a cell running."""
        self.page.evaluate(_RUN, index)

    def wait(self) -> bool:
        """Wait for the cell that was set running; whether it went well."""
        return self.page.evaluate("() => window.__ran") is not False

    def run(self, index: int) -> bool:
        """Run a cell to its end; whether it went well."""
        self.start(index)
        return self.wait()

    def run_all(self) -> bool:
        """Run every cell; whether all went well."""
        return self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')") is not False

    def interrupt(self) -> None:
        """Press the button in the toolbar."""
        self.page.get_by_role("button", name="Interrupt the kernel").click()

    def cell(self, index: int) -> Locator:
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int) -> Locator:
        """What a cell shows."""
        return self.cell(index).locator(".jp-OutputArea").first

    def settle(self, index: int) -> None:
        """Wait until a cell's widget is drawn: what is typed before is lost."""
        self.output(index).locator(".jupyter-widgets, .molt-decisions").first.wait_for()

    def error(self, index: int) -> Locator:
        """The error that a cell ended with."""
        return self.output(index).locator('[data-mime-type="application/vnd.jupyter.stderr"]')

    @contextmanager
    def frames(self, index: int) -> Iterator[Callable[[], list[str]]]:
        """Everything that a cell's output reads while the block runs, each change a text."""
        self.page.evaluate(_RECORD, index)
        yield lambda: list(self.page.evaluate("window.__frames"))
        self.page.evaluate("window.__recorder.disconnect()")

    def theme(self, name: str) -> None:
        """Show JupyterLab in another theme: `Light` or `Dark`."""
        self.page.evaluate(
            "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", f"JupyterLab {name}"
        )
        light = "true" if name == "Light" else "false"
        self.page.wait_for_function("light => document.body.dataset.jpThemeLight === light", arg=light)

    def save(self) -> Path:
        """Save it, and say where."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        return next(self.folder.glob("*.ipynb"))

    def screenshot(self, name: str, of: Locator | None = None) -> Path:
        """A picture among the artefacts: of the page, or of a part of it, all of which is then in sight."""
        path = self._artefacts / f"{name}.png"
        if of is None:
            self.page.screenshot(path=path)
            return path
        box = of.bounding_box()
        assert box is not None
        self.page.set_viewport_size({**SIZE, "height": max(SIZE["height"], round(box["height"]) + _AROUND)})
        of.screenshot(path=path)
        self.page.set_viewport_size(SIZE)
        return path

    def places(self) -> dict[str, Any]:
        """Where the cells are, in pixels, and by how much the notebook is wider than its panel (`over`)."""
        return dict(self.page.evaluate(_PLACES))
