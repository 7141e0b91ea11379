"""A hostile answer, prompt, model or server comes to life in no view and breaks no layout."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from playwright.sync_api import expect

from tests.browser import hostile
from tests.browser.conftest import LOAD, OpenNotebook
from tests.browser.models import Models, Says, configuration
from tests.browser.watch import Browser

READ = """import pandas as pd
hostile = open("hostile.txt", encoding="utf-8").read()
rows = pd.DataFrame({"text": [hostile, "plain"]}, index=[hostile, "b"])"""
VIEWS = {
    "answer": "%%route -m small -o answer\n{{hostile}}",
    "value": "answer",
    "as text": "%%route -m small -f text\nHello?",
    "as code": "%%route -m small -f code\nHello?",
    "as json": "%%route -m small -f json\nHello?",
    "thread": "%%route -m small --thread t\n{{hostile}}",
    "thread shown": "%route thread show t",
    "checked": "%%route -s cascade -v 'regex:^never$'\n{{hostile}}",
    "hostile model": f"%%route -m {hostile.NAME}\n{{{{hostile}}}}",
    "each": "%%route -m small --each rows.text\n{{text}}",
    "each planned": f"%%route -m {hostile.NAME} --each rows.text --dry-run\n{{{{text}}}}",
    "compare": "%%route --compare rule,cascade\n{{hostile}}",
    "interact": "%%route -m small --interact\n{{hostile}}",
    "dry run": "%%route -s cascade --dry-run\n{{hostile}}",
    "explain": "%route explain",
    "log": "%route log -n 20",
    "cost": "%route cost",
    "models": "%route models",
    "status": "%route status",
    "cache": "%route cache",
}
FAILURES = {
    "server's error": "%%route -m broken\n{{hostile}}",
    "unknown name": f"%%route -m {hostile.WORD}\nHello?",
    "undefined name": "%%route -m small\n{{nothing}} <img src=x onerror=alert(1)>",
}


def test_hostile_answer_is_dead_in_every_view(notebook: OpenNotebook, models: Models) -> None:
    says = Says(hostile.TEXT, pause_s=0.001, served=hostile.WORD)
    models.answers |= {"small": says, "medium": says, "large": says, hostile.NAME: says}
    models.answers["broken"] = Says(error=(500, hostile.TEXT))
    cells = [LOAD, READ, *VIEWS.values(), *FAILURES.values(), '"the last cell"']
    page = notebook(cells, {hostile.NAME: {}, "broken": {}})
    (page.folder / "hostile.txt").write_text(hostile.TEXT, encoding="utf-8")
    hostile.keep_looking(page.page)
    assert page.run(0)
    assert page.run(1)
    for index, (view, _) in enumerate(VIEWS.items(), start=2):
        assert page.run(index), f"{view}: {page.output(index).inner_text()[-500:]}"
        assert hostile.alive(page.page) == [], view
        assert hostile.displaced(page) == [], view
        if view in ("answer", "thread shown", "each", "compare", "log"):
            page.screenshot(f"hostile-{view.replace(' ', '-')}")
    for index, view in enumerate(FAILURES, start=2 + len(VIEWS)):
        assert not page.run(index), view
        assert len(page.error(index).inner_text()) < 1500
    assert page.run(len(cells) - 1)
    expect(page.output(len(cells) - 1)).to_be_visible()
    assert hostile.alive(page.page) == []
    assert hostile.was_alive(page.page) == []
    assert hostile.displaced(page) == []


def test_hostile_answer_is_dead_in_every_widget(notebook: OpenNotebook, models: Models) -> None:
    says = Says(hostile.TEXT, pause_s=0.001, served=hostile.WORD)
    models.answers |= {"small": says, "large": says, hostile.NAME: says, "broken": Says(error=(500, hostile.TEXT))}
    ask = "%%route -s cascade -v 'regex:^never$'\n{{hostile}}"
    shows = [
        "%route log --interact",
        "%route compare small,broken",
        "%route dashboard",
        "%%route -m small --interact\n{{hostile}}",
    ]
    page = notebook(
        [LOAD, READ, ask, f"%%route -m {hostile.NAME}\n{{{{hostile}}}}", *shows, '"the last cell"'],
        {hostile.NAME: {}, "broken": {}},
    )
    (page.folder / "molt.toml").write_text((page.folder / "molt.toml").read_text().replace('"medium", "large"', '"large"'))
    (page.folder / "hostile.txt").write_text(hostile.TEXT, encoding="utf-8")
    hostile.keep_looking(page.page)
    for index in range(9):
        assert page.run(index), page.output(index).inner_text()[-500:]
        if index in (4, 5, 6, 7):
            page.settle(index)
    decisions, compare, dashboard, form = (page.output(index) for index in (4, 5, 6, 7))

    for row in (0, 1):
        decisions.locator("tbody th button").nth(row).click()
        expect(decisions.get_by_role("region", name="The open decision")).to_contain_text("Hostile answer begins")
        assert hostile.displaced(page) == []
    page.screenshot("hostile-decisions", of=page.cell(4))

    compare.get_by_label("Prompt").fill(hostile.TEXT)
    compare.get_by_role("button", name="Run", exact=True).click()
    expect(compare).to_contain_text("Done: 1 answered, 1 failed")
    page.screenshot("hostile-compare-form")

    expect(dashboard).to_contain_text(hostile.NAME)
    page.screenshot("hostile-dashboard", of=page.cell(6))

    form.get_by_role("button", name="Run", exact=True).click()
    expect(form).to_contain_text("Done: 1 answered")
    page.screenshot("hostile-form")

    assert hostile.alive(page.page) == []
    assert hostile.was_alive(page.page) == []
    assert hostile.displaced(page) == []
    expect(page.output(8)).to_be_visible()


def test_hostile_answer_is_dead_in_an_export_opened_from_disk(
    chromium: Browser, watched: Browser, models: Models, artefacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = Says(hostile.TEXT, pause_s=0, served=hostile.WORD)
    models.answers |= {"small": says, "medium": says, "large": says, hostile.NAME: says}
    models.answers["broken"] = Says(error=(500, hostile.TEXT))
    (tmp_path / "molt.toml").write_text(configuration(models.url, {hostile.NAME: {}, "broken": {}}))
    (tmp_path / "hostile.txt").write_text(hostile.TEXT, encoding="utf-8")
    monkeypatch.setenv("MOLT_HOME", str(tmp_path / "home"))
    sources = [LOAD, READ, *VIEWS.values(), "%route compare", "%route log --interact", "%route dashboard", *FAILURES.values()]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    run = NotebookClient(made, timeout=120, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}})
    run.execute()
    run.set_widgets_metadata()
    exporter = HTMLExporter()
    file = tmp_path / "export.html"
    file.write_text(exporter.from_notebook_node(made)[0], encoding="utf-8")

    watched.file = file.as_uri()
    page = watched.page()
    page.goto(file.as_uri())
    expect(page.get_by_text("Hostile answer ends.").last).to_be_visible()
    page.screenshot(path=artefacts / "hostile-export.png")
    # what nbconvert itself writes where a widget was
    widgets = (
        '<script> <script type="text/javascript">\nvar element = ',
        '<script> <script type="application/vnd.jupyter.widget',
    )
    assert [found for found in hostile.alive(page) if not found.startswith(widgets)] == []
    over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert over <= 0, f"the page is {over} px too wide"
    assert page.url == file.as_uri()
    # nbconvert's own page asks for these, whatever is in the notebook
    own = (exporter.mathjax_url, exporter.require_js_url, exporter.jupyter_widgets_base_url)
    assert [url for url in watched.seen.outside if not url.startswith(own)] == []
    watched.seen.outside.clear()
    watched.seen.complaints[:] = [
        c
        for c in watched.seen.complaints
        if not any(url in c for url in own) and "requirejs" not in c and "require is not" not in c
    ]


def test_line_without_end_stays_within_the_notebook(notebook: OpenNotebook, models: Models) -> None:
    piece = "x" * 190_000  # ten of them: nearly the longest answer that is taken
    models.answers["small"] = Says(piece * 10, pieces=[piece] * 10)
    cells = [LOAD, "%%route -m small -o answer\nHello?", "answer", "%route log", "%route explain", '"the last cell"']
    page = notebook(cells)
    for index in range(len(cells)):
        assert page.run(index)
        assert hostile.displaced(page) == []
    expect(page.output(len(cells) - 1)).to_be_visible()
    cells_px = [cell["bottom"] - cell["top"] for cell in page.places()["cells"]]
    assert max(cells_px) < 30_000
    page.screenshot("hostile-long-line")
