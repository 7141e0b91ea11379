"""What a person who sees or points differently has of a view: names of controls, captions and headers of tables."""

from __future__ import annotations

from playwright.sync_api import Locator

# fmt: off
CONTROLS = frozenset((
    "button", "checkbox", "combobox", "listbox", "radio", "radiogroup", "searchbox", "slider", "spinbutton",
    "textbox", "DateTime",
))
# fmt: on
_TABLES = """output => [...output.querySelectorAll('table')].filter(table => !table.closest('.molt-text')).flatMap(table => {
  const found = [], name = table.caption?.textContent.trim();
  if (!name) found.push('a table without a caption: ' + table.textContent.slice(0, 60));
  if (!table.querySelector('thead th')) found.push('no header: ' + name);
  for (const th of table.querySelectorAll('th')) if (!th.scope) found.push('no scope: ' + name + ': ' + th.textContent);
  return found; })"""
# JupyterLab drops the words that come with an image/png; ours stand in its text/plain
_PICTURES = """output => [...output.querySelectorAll('img:not(.jp-RenderedImage img)')].filter(img => !img.alt)
  .map(img => 'a picture without words: ' + img.outerHTML.slice(0, 60))"""


def controls(view: Locator) -> list[tuple[str, str]]:
    """The role and the accessible name of every control, as Chromium computes them."""
    page = view.page
    session = page.context.new_cdp_session(page)
    try:
        session.send("Accessibility.enable")
        mark = "element => { element.setAttribute('data-looked-at', ''); }"
        view.evaluate(mark)
        found = session.send("Runtime.evaluate", {"expression": "document.querySelector('[data-looked-at]')"})
        nodes = session.send("Accessibility.queryAXTree", {"objectId": found["result"]["objectId"]})["nodes"]
        view.evaluate("element => element.removeAttribute('data-looked-at')")
    finally:
        session.detach()
    told = [node for node in nodes if not node.get("ignored") and node.get("role", {}).get("value") in CONTROLS]
    return [(node["role"]["value"], node.get("name", {}).get("value", "").strip()) for node in told]


def faults(view: Locator) -> list[str]:
    """Controls without a name, tables without a caption or with headers without a scope, pictures without words."""
    nameless = [f"a {role} without a name" for role, name in controls(view) if not name]
    return [*nameless, *view.evaluate(_TABLES), *view.evaluate(_PICTURES)]
