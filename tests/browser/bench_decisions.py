"""How fast the table of decisions is with 100,000 of them, in Chromium: `python -m tests.browser.bench_decisions [COUNT]`.

Measured in the page: from running the cell to the first rows painted and to all decisions read, and from a click on a header
to the sorted rows painted. Beside it itables on the same frame, whole and as it comes (which shows a part), where it is
installed. A table is printed; the figures are written to bench_decisions.json among the artefacts.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.browser import lab as jupyterlab
from tests.browser import notebook as notebooks
from tests.browser.log import fill
from tests.browser.models import configuration
from tests.browser.notebook import Notebook
from tests.browser.watch import Browser, browser

LOG = "%route log --interact"
OURS = ".molt-decisions tbody tr[data-id]"
THEIRS = "table.dataTable tbody tr:nth-child(10)"

_WATCH = """() => { window.painted = (test, from) => new Promise((done, refuse) => {
  const told = () => done(performance.now() - from);
  const look = () => test() ? requestAnimationFrame(() => setTimeout(told))
    : performance.now() - from > 120_000 ? refuse(new Error(`not painted: ${test}`)) : setTimeout(look, 5);
  look(); }); }"""
_SHOWN = """async ([index, rows, all]) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const cell = document.querySelectorAll('.jp-Notebook .jp-Cell')[index];
  notebook.activeCellIndex = index;
  await window.jupyterapp.commands.execute('notebook:clear-cell-output');
  const from = performance.now();
  window.jupyterapp.commands.execute('notebook:run-cell');
  const first = await window.painted(() => cell.querySelector(rows), from);
  const whole = all ? await window.painted(() => new RegExp(all).test(cell.innerText), from) : first;
  return [first, whole]; }"""
_SORT_OURS = """async ([index, name]) => {
  const cell = document.querySelectorAll('.jp-Notebook .jp-Cell')[index], table = cell.querySelector('.molt-decisions table');
  const head = table.querySelector(`th[data-name="${name}"]`), before = head.ariaSort, from = performance.now();
  const rows = table.tBodies[0].firstElementChild;
  head.querySelector('button').click();
  return await window.painted(() => head.ariaSort !== before && table.ariaBusy === 'false' && !rows.isConnected, from); }"""
_SORT_THEIRS = """async ([index, name]) => {
  const cell = document.querySelectorAll('.jp-Notebook .jp-Cell')[index], heads = [...cell.querySelectorAll('thead th')];
  const head = heads.find(th => th.innerText.trim() === name), before = head.ariaSort, from = performance.now();
  head.querySelector('.dt-column-order').click();
  return await window.painted(() => head.ariaSort && head.ariaSort !== before, from); }"""


def opened(chromium: Browser, lab: jupyterlab.Lab, cells: list[str]) -> Notebook:
    """A fresh notebook with a kernel of its own."""
    lab.end_sessions()
    for page in chromium.context.pages[1:]:
        page.close()
    notebooks.write(lab.root / "bench.ipynb", cells)
    page = chromium.page()
    page.set_default_timeout(180_000)
    page.goto(f"{lab.url}lab/tree/bench.ipynb?token={lab.token}&reset")
    shown = Notebook(page, lab.root, lab.root)
    shown.wait_for_kernel()
    page.evaluate(_WATCH)
    assert shown.run(0)
    return shown


def ours(chromium: Browser, lab: jupyterlab.Lab, count: int, picture: Path) -> dict[str, Any]:
    """Figures of our table, in seconds."""
    page = opened(chromium, lab, ["%load_ext molt_magic", LOG, LOG]).page
    everything = f"Rows 1.20 of {count:,}(?!;)"
    cold = page.evaluate(_SHOWN, [1, OURS, everything])
    again = [page.evaluate(_SHOWN, [2, OURS, everything]) for _ in range(3)]
    names = ("cost_usd", "latency_s", "prompt", "model", "saved_usd", "time", "task")
    sorts = [page.evaluate(_SORT_OURS, [2, name]) for name in names]
    page.screenshot(path=picture)
    return {
        "first rows, first use": cold[0] / 1000,
        "all read, first use": cold[1] / 1000,
        "first rows": statistics.median(first for first, _ in again) / 1000,
        "all read": statistics.median(whole for _, whole in again) / 1000,
        "sorts": [ms / 1000 for ms in sorts],
    }


def theirs(chromium: Browser, lab: jupyterlab.Lab, options: str) -> dict[str, Any]:
    """Figures of itables with the same columns, in seconds."""
    load = """import molt_magic
from itables.widget import ITable
names = ["time", "prompt", "strategy", "task", "model", "status", "cache", "cost_usd", "saved_usd", "latency_s"]
frame = molt_magic.Orchestrator().log.to_frame()[names]"""
    page = opened(chromium, lab, [load, f"ITable(frame{options})"]).page
    first, _ = page.evaluate(_SHOWN, [1, THEIRS, ""])
    sorts = [page.evaluate(_SORT_THEIRS, [1, name]) for name in ("cost_usd", "latency_s", "prompt", "model", "saved_usd")]
    return {"first rows": first / 1000, "sorts": [ms / 1000 for ms in sorts]}


def main(count: int = 100_000) -> None:
    artefacts = Path(os.environ.get("MOLT_ARTEFACTS") or Path(__file__).parents[1] / "artefacts")
    artefacts.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        root, home = Path(folder, "notebooks"), Path(folder, "lab")
        root.mkdir()
        home.mkdir()
        (root / "molt.toml").write_text(configuration("http://127.0.0.1:9"))
        began = time.monotonic()
        fill(root / "home", count)
        print(f"A log of {count:,} decisions in {time.monotonic() - began:.0f} s.", file=sys.stderr)
        found: dict[str, Any] = {}
        with jupyterlab.running(root, home) as lab, browser(playwright, Path(folder, "profile"), lab.url) as chromium:
            found["%route log --interact"] = ours(chromium, lab, count, artefacts / "bench_decisions.png")
            if importlib.util.find_spec("itables"):
                for label, options in {"itables, as it comes": "", "itables, all rows": ", maxBytes=0"}.items():
                    found[label] = theirs(chromium, lab, options)
    (artefacts / "bench_decisions.json").write_text(json.dumps({"decisions": count, "seconds": found}, indent=2))
    print(f"{'seconds, ' + format(count, ',') + ' decisions':36}{'opens':>8}{'all read':>10}{'sort, median':>14}{'slowest':>9}")
    for name, figures in found.items():
        whole = f"{figures['all read']:10.2f}" if "all read" in figures else f"{'':10}"
        sorts = figures["sorts"]
        print(f"{name:36}{figures['first rows']:8.2f}{whole}{statistics.median(sorts):14.2f}{max(sorts):9.2f}")
    first = found["%route log --interact"]
    print(f"In a new kernel: opens in {first['first rows, first use']:.2f}, all read in {first['all read, first use']:.2f}.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
