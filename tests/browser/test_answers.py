"""A `%%route` cell in JupyterLab: it streams, ends whole, can be interrupted, fails in few lines, reads well in both themes."""

from __future__ import annotations

import json

from playwright.sync_api import expect

from tests.browser.conftest import LOAD, OpenNotebook
from tests.browser.models import Models, Says

TEXT = """The **median** is the middle value: half of the incomes lie below it, and no millionaire moves it far.

| measure | moved by outliers |
|---|---|
| mean | yes |
| median | no |

```python
statistics.median([1, 2, 1000])  # 2
```

Its standard error is about $1.25\\,\\sigma/\\sqrt{n}$, a little over that of the mean; a coffee is still $3."""


def test_answer_streams_and_ends_whole(notebook: OpenNotebook, models: Models) -> None:
    models.answers["small"] = Says(TEXT)
    page = notebook([LOAD, "%%route -m small --no-cache\nWhat is a median?"])
    page.run(0)
    with page.frames(1) as frames:
        assert page.run(1)
        growing = [frame for frame in frames() if "median" in frame and "a coffee" not in frame]
    assert len(growing) >= 3, f"not streamed: {frames()}"
    output = page.output(1)
    expect(output.locator("strong").first).to_have_text("median")
    expect(output).to_contain_text("cost $")
    expect(output).not_to_contain_text("is answering")
    expect(output.locator("mjx-container")).to_have_count(1)  # the formula, and not the coffee
    for theme in ("Light", "Dark"):
        page.theme(theme)
        page.screenshot(f"answer-{theme.lower()}", of=output)


def test_details_of_an_answer_open(notebook: OpenNotebook, models: Models) -> None:
    models.answers["small"] = Says("Because most people earn less than the mean.")
    models.answers["medium"] = Says(
        "A few very high incomes pull the **mean** up, while the **median** only counts how many people earn more or less: "
        "the long tail on the right does not move it."
    )
    ask = "%%route -s cascade -v regex:tail|outlier\nIn one sentence: why is the median of incomes lower than their mean?"
    page = notebook([LOAD, ask])
    assert page.run_all()
    output = page.output(1)
    table = output.get_by_role("table", name="Attempts")
    expect(table).to_be_hidden()
    output.get_by_text("Candidates and attempts").click()
    expect(table).to_be_visible()
    expect(table.locator("tbody tr")).to_have_count(2)
    expect(table.locator("tbody tr").first).to_contain_text("refused by regex")
    page.screenshot("answer-details", of=page.cell(1))
    page.theme("Dark")
    page.screenshot("answer-details-dark", of=page.cell(1))


def test_interrupt_from_the_toolbar_keeps_the_partial_text(notebook: OpenNotebook, models: Models) -> None:
    models.answers["small"] = Says("Half of an answer, and then", pause_s=0.15, hold=True)
    page = notebook([LOAD, "%%route -m small\nTell me all.", "1 + 1"])
    page.run(0)
    page.start(1)
    expect(page.output(1)).to_contain_text("and then")
    page.interrupt()
    assert not page.wait()
    expect(page.output(1)).to_contain_text("Half of an answer, and then")
    expect(page.output(1)).to_contain_text("Interrupted: this is what had arrived.")
    expect(page.output(1)).not_to_contain_text("is answering")
    page.screenshot("answer-interrupted")
    assert page.run(2)
    expect(page.output(2)).to_contain_text("2")


def test_error_is_a_few_lines_with_the_fix(notebook: OpenNotebook, models: Models) -> None:
    models.answers["small"] = Says(error=(500, "the disk is full"))
    page = notebook([LOAD, "%%route -s rull\nHello?", "%%route -m small\nHello?"])
    page.run(0)
    assert not page.run(1)
    expect(page.error(1)).to_have_text("UnknownName: Unknown strategy 'rull'.\nDid you mean 'rule'?")
    assert not page.run(2)
    expect(page.error(2)).to_contain_text("the disk is full")
    assert len(page.error(2).inner_text().strip().splitlines()) <= 4
    page.screenshot("answer-error")


def test_answers_are_still_there_when_the_notebook_is_opened_again(notebook: OpenNotebook, models: Models) -> None:
    models.answers["small"] = Says("The answer that stays.")
    page = notebook([LOAD, "%%route -m small\nHello?"])
    assert page.run_all()
    saved = json.loads(page.save().read_text())
    page.page.reload()
    page.wait_for_kernel()
    expect(page.output(1)).to_contain_text("The answer that stays.")
    assert {output["output_type"] for output in saved["cells"][1]["outputs"]} == {"display_data"}
