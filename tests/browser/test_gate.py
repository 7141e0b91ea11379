"""The tests' own gate: what would leave the machine is refused and told, whoever asks; what runs or opens is told too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright

from tests.browser.conftest import OpenNotebook
from tests.browser.hostile import alive
from tests.browser.lab import Lab
from tests.browser.watch import Browser, browser

ALIVE = """<img src="https://outside.example/image.png" onerror="window.owned = 1; alert('owned')">
<a href="javascript:alert(2)">link</a><iframe srcdoc="hello"></iframe><svg onload="alert(3)"></svg>"""
WORKER = """const code = "fetch('https://outside.example/from-a-worker').catch(() => postMessage('refused'))";
new Promise(done => { const worker = new Worker(URL.createObjectURL(new Blob([code])));
  worker.onmessage = event => done(event.data); })"""
SOCKET = """new Promise(done => { const socket = new WebSocket('wss://outside.example/socket');
  socket.onerror = () => done('refused'); })"""


@pytest.fixture
def chromium(lab: Lab, playwright: Playwright, tmp_path: Path) -> Iterator[Browser]:
    """A browser of its own: what it sees may be told late, and must not be told of another test."""
    with browser(playwright, tmp_path, lab.url) as running:
        yield running


def test_gate_tells_what_is_alive(notebook: OpenNotebook, chromium: Browser) -> None:
    shown = notebook([f"from IPython.display import HTML\nHTML({ALIVE!r})"])
    assert shown.run(0)
    page, seen = shown.page, chromium.seen
    page.wait_for_function("window.owned === 1")
    assert page.evaluate(WORKER) == "refused"
    assert page.evaluate(SOCKET) == "refused"
    assert page.evaluate("fetch('http://127.0.0.1:9/').catch(() => 'refused')") == "refused"
    found = json.dumps(seen.outside)
    for asked in ("image.png", "from-a-worker", "outside.example:443", "127.0.0.1:9"):
        assert asked in found
    assert "owned" in seen.dialogs
    assert any(visit.startswith("frame") for visit in seen.visits)
    assert seen.complaints
    kinds = " ".join(alive(page))
    for kind in ("img", "onerror", "javascript:", "iframe", "svg"):
        assert kind in kinds
    page.close()
    seen.clear()
