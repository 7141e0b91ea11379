"""`%route log --interact` in JupyterLab: sort, search, filter, open a decision, judge it, all of it by keyboard too."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.accessible import faults
from tests.browser.conftest import LOAD, OpenNotebook
from tests.browser.log import fill
from tests.browser.models import Models, Says
from tests.browser.notebook import Notebook

SHOW = "%route log --interact"
COUNT = 240
JUDGED = """import molt_magic
frame = molt_magic.current().log.to_frame()
frame[frame.quality_source == "user"][["model", "strategy", "quality"]].values.tolist()"""


@pytest.fixture
def shown(notebook: OpenNotebook) -> Notebook:
    """A notebook with the table of a log in its second cell."""
    page = notebook([LOAD, SHOW, "%route log -n 3", JUDGED])
    fill(page.folder / "home", COUNT)
    assert page.run(0)
    assert page.run(1)
    table(page).locator("tbody tr[data-id]").first.wait_for()
    return page


def view(page: Notebook) -> Locator:
    return page.output(1).locator(".molt-decisions")


def table(page: Notebook) -> Locator:
    return view(page).get_by_role("table", name="Decisions", exact=True)


def column(page: Notebook, name: str) -> list[str]:
    """The cells of a column, as they are shown."""
    at = [text.strip(" ▲▼") for text in table(page).locator("thead th").all_inner_texts()].index(name)
    return [row[at] for row in table(page).evaluate("t => [...t.tBodies[0].rows].map(r => [...r.cells].map(c => c.innerText))")]


def test_decisions_are_sorted_searched_and_filtered(shown: Notebook) -> None:
    head = table(shown).get_by_role("columnheader", name=re.compile("Latency"))
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(table(shown)).to_have_attribute("aria-busy", "false")
    slowest = column(shown, "Latency")
    assert slowest == sorted(slowest, key=lambda text: -float(text.split()[0]) / (1000 if text.endswith("ms") else 1))

    view(shown).get_by_label("Search").fill("harbour")
    status = view(shown).get_by_role("status")
    expect(status).to_contain_text(f"({COUNT} in all)")
    assert all("harbour" in prompt for prompt in column(shown, "Prompt"))

    view(shown).get_by_label("Model").select_option("large")
    expect(table(shown).locator("tbody tr", has_text="small")).to_have_count(0)
    assert set(column(shown, "Model")) == {"large"}
    shown.screenshot("decisions-filtered", of=view(shown))

    view(shown).get_by_role("button", name="Clear filters").click()
    expect(status).to_contain_text(f"of {COUNT}")
    expect(view(shown).get_by_label("Search")).to_have_value("")


def test_decision_is_opened_and_judged(shown: Notebook) -> None:
    view(shown).get_by_label("Strategy").select_option("cascade")
    view(shown).get_by_label("Model").select_option("large")
    expect(view(shown).get_by_role("status")).to_contain_text(f"({COUNT} in all)")
    expect(table(shown)).to_have_attribute("aria-busy", "false")
    table(shown).locator("tbody th button").first.click()
    story = view(shown).get_by_role("region", name="The open decision")
    for told in ("Candidates", "refused by arithmetic", "the figures do not add up", "accepted by arithmetic"):
        expect(story).to_contain_text(told)
    assert faults(view(shown)) == []
    for theme in ("Light", "Dark"):
        shown.theme(theme)
        shown.screenshot(f"decisions-{theme.lower()}", of=view(shown))
    story.get_by_role("button", name="Bad").click()
    expect(view(shown)).to_contain_text("Marked bad: the answer of large.")
    assert shown.run(3)
    expect(shown.output(3)).to_contain_text("[['large', 'cascade', 0.0]]")
    story.get_by_role("button", name="Copy as code").click()
    expect(story.get_by_role("region", name="Code that asks the same again")).to_contain_text(
        "What do the figures say", ignore_case=True
    )
    story.get_by_role("button", name="Close").click()
    expect(story).to_be_hidden()


def test_table_is_worked_by_keyboard_alone(shown: Notebook) -> None:
    keys = shown.page.keyboard
    first = table(shown).locator("tbody th button").first
    view(shown).get_by_label("Search").focus()
    for _ in range(40):  # what comes before the rows: filters and headers
        keys.press("Tab")
        if first.evaluate("button => button === document.activeElement"):
            break
    expect(first).to_be_focused()
    keys.press("ArrowDown")
    expect(table(shown).locator("tbody th button").nth(1)).to_be_focused()
    keys.press("Enter")
    story = view(shown).get_by_role("region", name="The open decision")
    expect(story).to_be_visible()
    keys.press("Escape")
    expect(story).to_be_hidden()
    expect(table(shown).locator("tbody th button").nth(1)).to_be_focused()
    keys.press("PageDown")
    expect(view(shown).get_by_role("status")).to_contain_text("Rows 21")
    keys.press("Shift+Tab")
    keys.press("Enter")  # the last header
    expect(table(shown).locator('th[aria-sort]:not([aria-sort="none"])')).to_have_count(1)
    expect(shown.cell(1).locator(".jp-InputArea")).to_contain_text(SHOW)  # no key went to the notebook


def test_what_was_decided_since_is_shown_on_request(notebook: OpenNotebook, models: Models) -> None:
    models.answers["small"] = Says("2", pause_s=0)
    page = notebook([LOAD, "%%route -m small\nOne and one?", SHOW, "%%route -m small --no-cache\nTwo and two?"])
    for index in range(4):
        assert page.run(index)
    found = page.output(2).locator(".molt-decisions")
    expect(found.locator("tbody tr[data-id]")).to_have_count(1)
    found.get_by_role("button", name="Refresh").click()
    expect(found.locator("tbody tr[data-id]")).to_have_count(2)
    expect(found).to_contain_text("Two and two?")


def test_cached_answer_is_forgotten_and_what_is_filtered_exported(notebook: OpenNotebook, models: Models) -> None:
    models.answers["small"] = Says("2", pause_s=0)
    ask = "%%route -m small\nOne and one?"
    page = notebook([LOAD, ask, ask, SHOW, ask])
    for index in range(4):
        assert page.run(index)
    found = page.output(3).locator(".molt-decisions")
    found.get_by_label("Cache").select_option("exact")
    expect(found.locator("tbody tr[data-id]")).to_have_count(1)
    found.locator("tbody th button").click()
    found.get_by_role("button", name="Forget cached answer").click()
    expect(found).to_contain_text("The question is asked anew")
    found.get_by_label("File to export to").fill("hits.csv")
    found.get_by_role("button", name="Export", exact=True).click()
    expect(found).to_contain_text("hits.csv")
    expect(found).to_contain_text("Wrote")
    assert (page.folder / "hits.csv").read_text().count("One and one?") >= 1
    assert page.run(4)
    expect(page.output(4)).to_contain_text("cache: miss")
    assert len(models.asked) == 2
