"""A hostile answer, prompt, model or server comes to life in no view and breaks no layout."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser import hostile
from tests.browser.conftest import LOAD, OpenNotebook
from tests.browser.models import Models, Says

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
        page.screenshot(f"hostile-{view}".replace(" ", "-"))
    for index, view in enumerate(FAILURES, start=2 + len(VIEWS)):
        assert not page.run(index), view
        assert len(page.error(index).inner_text()) < 1500
    assert page.run(len(cells) - 1)
    expect(page.output(len(cells) - 1)).to_be_visible()
    assert hostile.alive(page.page) == []
    assert hostile.was_alive(page.page) == []
    assert hostile.displaced(page) == []


def test_line_without_end_stays_within_the_notebook(notebook: OpenNotebook, models: Models) -> None:
    piece = "x" * 500_000
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
