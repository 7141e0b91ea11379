"""`%route dashboard` in JupyterLab: it shows what was spent and redraws when something new was decided."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.accessible import faults
from tests.browser.conftest import LOAD, OpenNotebook
from tests.browser.log import fill
from tests.browser.models import Models, Says


def test_dashboard_redraws_after_a_new_decision(notebook: OpenNotebook, models: Models) -> None:
    models.answers |= {name: Says("2", pause_s=0) for name in ("small", "medium", "large")}
    ask = "%%route -m large --no-cache\nOne and one?"
    page = notebook([LOAD, "%%route -s cascade -v regex:2\nOne and one?", "%route dashboard", ask, "%route feedback 0.5"])
    for index in range(3):
        assert page.run(index)
    view = page.output(2)
    page.settle(2)
    expect(view).to_contain_text("Decisions and money by model")
    expect(view.get_by_role("table").first).to_contain_text("small")
    assert page.run(3)
    expect(view.get_by_role("table").last).to_contain_text("large")  # by itself: it looks at the log
    assert page.run(4)
    expect(view).to_contain_text("Quality, users")
    assert faults(view) == []


def test_dashboard_groups_by_what_is_chosen(notebook: OpenNotebook) -> None:
    page = notebook([LOAD, "%route dashboard --last all"])
    fill(page.folder / "home", 240)
    assert page.run_all()
    view = page.output(1)
    page.settle(1)
    view.get_by_label("Group by").select_option(label="Strategy")
    expect(view).to_contain_text("Decisions and money by strategy")
    expect(view.get_by_role("rowheader", name="cascade").first).to_be_visible()
    view.get_by_label("Group by").select_option(label="Model")
    expect(view.get_by_role("rowheader", name="cascade")).to_have_count(0)
    for theme in ("Light", "Dark"):
        page.theme(theme)
        page.screenshot(f"dashboard-{theme.lower()}", of=view)
