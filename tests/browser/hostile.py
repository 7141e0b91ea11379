"""What a hostile model, prompt or server might write, and how a page tells that something of it came alive."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.browser.notebook import Notebook
from tests.views.samples import HOSTILE

_BEACON = "https://evil.example/beacon"
_RUN = "window.owned=1;alert('owned')"
# every kind on its own; what opens something that is never closed comes last
TEXT = "\n\n".join(
    (
        "Hostile answer begins.",
        *(text for text in HOSTILE if "```" not in text),
        f"<script>{_RUN}</script>",
        f'<img src="{_BEACON}.png" onerror="{_RUN}">',
        f"<svg onload={_RUN}><script>{_RUN}</script></svg>",
        f'<iframe src="{_BEACON}" srcdoc="<script>parent.owned=1</script>"></iframe>',
        f"<object data={_BEACON}></object><embed src={_BEACON}><form action={_BEACON}><input autofocus onfocus={_RUN}></form>",
        f'<link rel=stylesheet href={_BEACON}.css><base href={_BEACON}><meta http-equiv=refresh content="0;url={_BEACON}">',
        "<style>* { display: none !important }</style>",
        f"<math><maction actiontype=statusline xlink:href=javascript:{_RUN}>x</maction></math>",
        f"[link](javascript:{_RUN}) [data](data:text/html,<script>{_RUN}</script>) ![image]({_BEACON}.png)",
        f'<a href="java&#115;cript:{_RUN}">link</a> <javascript:{_RUN}>',
        f"$\\href{{javascript:{_RUN}}}{{x}} \\style{{position:fixed;inset:0;background:red}}{{y}} \\unicode{{x}}$",
        f"\\(\\require{{html}}\\class{{jp-Dialog}}{{z}}\\) $$\\def\\x{{\\x\\x}}\\x$$ \\[\\text{{<img src={_BEACON}>}}\\]",
        "$\\rule{9000px}{90px}$ $\\kern{9000px} x$ $\\mathllap{\\hspace{-900px}left}$",
        "$\\smash{\\raise{-500px}{\\rule{900px}{900px}}}$",
        f'<div style="position:fixed;inset:0;z-index:99999;background:red" onclick={_RUN}>over everything</div>',
        f"| a | {'wide ' * 40}|\n|---|---|\n| {'x' * 2000} | `{'y' * 2000}` |",
        f"{'longword' * 300} https://evil.example/{'path/' * 200}",
        f"{'> ' * 60}deep\n\n{'  ' * 40}- list",
        "\u202eevil\u2066 \u202etxt.exe bidirectional \u200f\u061c\u2067 never closed",
        "Z\u0351\u036b\u0343\u036a" + "\u0350\u0351\u0352\u035b\u0363\u0364" * 60 + "algo",
        "```\n</code></pre></details></div></td></tr></table><script>window.owned=1</script>\n```",
        "</div></div></details></table></pre></code></textarea></title></style></script>",
        "Hostile answer ends.",
        "````html <!-- ",
    )
)
NAME = "<img/src=x/onerror=owned=1>"  # of a model
WORD = f"<svg/onload={_RUN}>"  # of what is one word: a served model, a finish reason

_ALIVE = """() => {
  const found = [], outputs = document.querySelectorAll('.jp-Cell .jp-OutputArea-output');
  const kinds = 'script,iframe,frame,object,embed,form[action],base,meta,link,video,audio,svg,math,style,img,[autofocus]';
  const addresses = ['href', 'xlink:href', 'action', 'formaction', 'src', 'srcset', 'background'];
  const look = element => {
    if (element.closest('mjx-container')) return;  // what MathJax itself draws
    // JupyterLab makes links of addresses in errors, and Chromium follows none to data:
    if (element.matches('[data-mime-type="application/vnd.jupyter.stderr"] a[href^="data:"][rel~=noopener]')) return;
    if (element.matches(kinds) && !(element.matches('img') && element.src.startsWith('data:image/png;base64,')))
      found.push('<' + element.localName + '> ' + element.outerHTML.slice(0, 100));
    for (const {name, value} of element.attributes)
      if (name.startsWith('on') || addresses.includes(name) && /^\\s*(javascript|vbscript|data:text|file|blob):?/i.test(value))
        found.push(name + '=' + value.slice(0, 100));
  };
  for (const output of outputs) output.querySelectorAll('*').forEach(look);
  for (const link of document.querySelectorAll('mjx-container a')) found.push('link in a formula ' + link.href);
  if (window.owned) found.push('window.owned');
  return [...new Set(found)]; }"""
# what is at the first line of every cell that is in sight
_COVERED = """() => { const found = [];
  document.querySelectorAll('.jp-Notebook .jp-Cell').forEach((cell, i) => {
    const {left, top} = cell.querySelector('.jp-InputArea').getBoundingClientRect();
    const there = document.elementFromPoint(left + 20, top + 10);
    if (there?.closest('.jp-Notebook') && there.closest('.jp-Cell') !== cell) found.push([i, there.outerHTML.slice(0, 80)]);
  });
  return found; }"""
_KEEP_LOOKING = f"""() => {{ const alive = {_ALIVE}; window.__alive = new Set();
  new MutationObserver(() => alive().forEach(found => window.__alive.add(found)))
    .observe(document.querySelector('.jp-Notebook'), {{childList: true, subtree: true}}); }}"""


def alive(page: Page) -> list[str]:
    """What of the outputs is more than text, tables and links: it would run, load or cover something."""
    return list(page.evaluate(_ALIVE))


def keep_looking(page: Page) -> None:
    """Look at every change of the notebook from now on; `was_alive` tells."""
    page.evaluate(_KEEP_LOOKING)


def was_alive(page: Page) -> list[str]:
    """What was alive at any moment since `keep_looking`."""
    return list(page.evaluate("() => [...window.__alive]"))


def displaced(notebook: Notebook) -> list[str]:
    """What of the layout is broken: cells out of their panel or over each other, a notebook wider than its panel."""
    places = notebook.places()
    cells, found = places["cells"], []
    if places["over"] > 0:
        found.append(f"the notebook is {places['over']} px wider than its panel")
    for i, cell in enumerate(cells):
        if cell["bottom"] - cell["top"] < 10:
            found.append(f"cell {i} is {cell['bottom'] - cell['top']} px high")
        if cell["right"] > places["width"] + 1:
            found.append(f"cell {i} ends {cell['right'] - places['width']} px outside")
        if i and cell["top"] < cells[i - 1]["bottom"] - 1:
            found.append(f"cell {i} lies over the one above")
    covered = notebook.page.evaluate(_COVERED)
    return [*found, *(f"cell {i} is covered by {what}" for i, what in covered)]
