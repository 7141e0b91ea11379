"""The notebooks that ship, run in JupyterLab from their cassettes: no key, no weights, no network."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser import hostile
from tests.browser.accessible import faults
from tests.browser.conftest import OpenFile

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


# pandas' own tables and their styles
_PANDAS = "() => document.querySelectorAll('.jp-Notebook div:has(> table.dataframe)').forEach(part => part.remove())"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_can_be_read_by_everyone(path: Path, notebook_file: OpenFile) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    fails = [cell for cell in cells if "raises-exception" in cell.metadata.get("tags", ())]
    page = notebook_file(path, MOLT_CASSETTE="replay")
    assert page.run_all() or fails
    code = page.page.locator(".jp-Notebook .jp-CodeCell")
    errors = code.locator('[data-mime-type="application/vnd.jupyter.stderr"]')
    expect(errors).to_have_count(len(fails))
    expect(code.last.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]:"))
    page.screenshot(f"notebook-{path.stem}")
    page.page.evaluate(_PANDAS)
    assert [fault for output in code.locator(".jp-OutputArea").all() for fault in faults(output)] == []
    assert hostile.displaced(page) == []
    assert hostile.alive(page.page) == []
