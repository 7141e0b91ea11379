"""`%route compare` and `--compare` in JupyterLab: type a prompt, run, watch, cancel, say which is best."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.accessible import faults
from tests.browser.conftest import LOAD, OpenNotebook
from tests.browser.models import Models, Says

SHORT = "The **median** is the value in the middle: half of the values lie below it, half above it."
LONG = """The median is the value in the middle of the sorted data.

1. Sort the values.
2. With an odd count take the one in the middle,
3. with an even count the mean of the two in the middle.

Half of the incomes lie below it, and a millionaire more or less does not move it."""
FRAME = (
    "import molt_magic\nframe = molt_magic.current().log.to_frame()\nprint(list(zip(frame.model, frame.quality, frame.status)))"
)


def test_prompt_is_typed_run_and_judged(notebook: OpenNotebook, models: Models) -> None:
    models.answers |= {"small": Says(SHORT), "medium": Says(LONG), "large": Says(LONG)}
    page = notebook([LOAD, "%route compare small,medium,large -o comparison", FRAME, "comparison"])
    assert page.run(0)
    assert page.run(1)
    view = page.output(1)
    page.settle(1)
    view.get_by_label("Prompt").fill("What is a median?")
    with page.frames(1) as frames:
        view.get_by_role("button", name="Run", exact=True).click()
        expect(view).to_contain_text("is best: medium")
        expect(view.get_by_role("table").last).to_be_visible()
        growing = {frame.count("middle") for frame in frames()}
    assert len(growing) >= 3, "the columns did not stream"
    assert len(models.asked) == 3
    view.get_by_role("button", name="This one is best: medium").click()
    expect(view).to_contain_text("Noted: medium is best")
    expect(view.get_by_role("table").last.locator("tbody tr").nth(1)).to_contain_text("1.00")
    assert faults(view) == []
    for theme in ("Light", "Dark"):
        page.theme(theme)
        page.screenshot(f"compare-{theme.lower()}", of=view.locator(".jupyter-widgets").first)
    assert page.run(2)
    expect(page.output(2)).to_contain_text("('medium', 1.0, 'ok')")
    assert page.run(3)
    expect(page.output(3)).to_contain_text("small")


def test_comparison_is_cancelled(notebook: OpenNotebook, models: Models) -> None:
    models.answers |= {"small": Says(SHORT), "large": Says("It begins, and", pause_s=0.15, hold=True)}
    page = notebook([LOAD, "%route compare small,large", "1 + 1"])
    assert page.run(0)
    assert page.run(1)
    view = page.output(1)
    page.settle(1)
    view.get_by_label("Prompt").fill("What is a median?")
    view.get_by_role("button", name="Run", exact=True).click()
    expect(view).to_contain_text("It begins")
    expect(view).to_contain_text("cache: miss")  # the other one has ended
    assert page.run(2)  # the kernel is free while it runs
    view.get_by_role("button", name="Cancel").click()
    expect(view).to_contain_text("Interrupted")
    expect(view).to_contain_text("Cancelled: 1 answered, 1 interrupted")
    assert models.left.wait(10)
    page.screenshot("compare-cancelled", of=view)


def test_plan_calls_nothing(notebook: OpenNotebook, models: Models) -> None:
    page = notebook([LOAD, "%route compare rule,cascade"])
    assert page.run(0)
    assert page.run(1)
    view = page.output(1)
    page.settle(1)
    view.get_by_label("Prompt").fill("What is a median?")
    view.get_by_label("Dry run").check()
    view.get_by_role("button", name="Run", exact=True).click()
    expect(view).to_contain_text("Plans compared: nothing was called")
    assert models.asked == []
    page.screenshot("compare-plan", of=view)


def test_cell_that_compares_streams_side_by_side(notebook: OpenNotebook, models: Models) -> None:
    models.answers |= {"small": Says(SHORT), "medium": Says(LONG), "large": Says(LONG)}
    page = notebook([LOAD, "%%route --compare small,medium,large\nWhat is a median?"])
    assert page.run(0)
    with page.frames(1) as frames:
        assert page.run(1)
        together = [frame for frame in frames() if "medium is answering" in frame and "large is answering" in frame]
    assert together, "the columns did not stream at once"
    view = page.output(1)
    expect(view.get_by_role("table")).to_contain_text("Predicted quality")
    expect(view.locator("img")).to_be_visible()
    assert faults(view) == []
    page.screenshot("compare-cell", of=view)
