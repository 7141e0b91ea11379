"""A column asked by `--each` in JupyterLab: what is expected, how far it is, stopped from the toolbar, gone on with."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.accessible import faults
from tests.browser.conftest import LOAD, OpenNotebook
from tests.browser.models import Models, Says

FRAME = """import pandas as pd
reviews = pd.DataFrame({"text": [f"The lens of number {n} is {'sharp' if n % 3 else 'soft'}." for n in range(80)]})"""
ASK = "%%route -m small --each reviews.text --no-cache --concurrency 4 --resume lenses -o rated\nHappy or not? {{text}}"


def test_column_tells_how_far_it_is_and_goes_on_after_a_stop(notebook: OpenNotebook, models: Models) -> None:
    models.answers["small"] = lambda prompt: Says("No, not quite." if "soft" in prompt else "Yes, happy.", pause_s=0.1)
    page = notebook([LOAD, FRAME, ASK.replace("--resume", "--dry-run --resume"), ASK, "rated.status.value_counts()"])
    assert all(page.run(index) for index in range(3))
    expect(page.output(2).get_by_role("table", name="Expected of the run")).to_contain_text("small 100%")
    page.screenshot("each-forecast", of=page.cell(2))
    page.theme("Dark")
    page.start(3)
    output = page.output(3)
    bar = output.get_by_role("progressbar")
    expect(bar).to_be_visible()
    expect(output).to_contain_text("Expected: 80 rows, 80 questions to ask; about $")
    expect(output).to_contain_text(re.compile(r"[1-9]\d? of 80 rows, \$[\d.]+ spent .* to go"))
    page.screenshot("each-running-dark", of=page.cell(3))
    page.theme("Light")
    page.screenshot("each-running-light", of=page.cell(3))
    page.interrupt()
    assert not page.wait()
    expect(bar).to_have_count(0)
    expect(output).to_contain_text("not asked")
    expect(output).to_contain_text("kept as 'lenses'")
    page.screenshot("each-interrupted")
    models.answers["small"] = lambda prompt: Says("No." if "soft" in prompt else "Yes.", pause_s=0)
    before = len(models.asked)
    assert page.run(3)
    expect(output).to_contain_text("80 rows: 80 answered, 0 failed.")
    assert len(models.asked) - before < 80
    assert page.run(4)
    expect(page.output(4)).to_contain_text(re.compile(r"ok\s+80"))
    assert faults(output) == []
    for theme in ("Dark", "Light"):
        page.theme(theme)
        page.screenshot(f"each-{theme.lower()}", of=output)
