"""Formulas in an answer, told from money: `$x$` is typeset, `$5 and $6` stays as it is.

Notebooks typeset everything between two dollars, across sentences. So an answer is closed to the typesetter, and only what is
a formula is opened: `\\(...\\)`, `\\[...\\]`, `$$...$$`, and `$...$` by the rule of Pandoc's extension `tex_math_dollars`
(pandoc.org/MANUAL.html): no space after the first dollar, none before the last, no digit after the last. An amount with a word
after it (`$30 with`) opens none.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token
    from markdown_it.utils import OptionsDict

CLOSED = "mathjax_ignore tex2jax_ignore"  # MathJax 3 and 2: what is inside is no formula
OPEN = "mathjax_process tex2jax_process"  # but this is

# bounded, so that an answer full of opening brackets does not take quadratic time
_FORMULA = re.compile(
    r"\\\(.{1,1000}?\\\)|\\\[.{1,1000}?\\\]|\$\$[^$]+?\$\$"
    r"|\$(?![\s$]|[\d.,]+[\s-]+[A-Za-z]{2})[^$`]*?(?<![\s\\])\$(?!\d)",
    re.DOTALL,
)
# TeX commands with which a formula makes links, styles or loads more TeX in a MathJax that is not in its safe mode
REACHES_OUT = re.compile(r"\\(?:href|url|require|style|class|cssId|data|unicode|def|newcommand|let)(?![a-zA-Z])")


def enable(parser: MarkdownIt) -> None:
    """Teach a parser formulas: what is inside one is no Markdown. One that could reach outside stays closed."""
    parser.inline.ruler.before("escape", "formula", _parse)
    parser.add_render_rule("formula", _render)


def _parse(state: StateInline, silent: bool) -> bool:
    found = _FORMULA.match(state.src, state.pos, state.posMax) if state.src[state.pos] in "$\\" else None
    if found is None:
        return False
    if not silent:
        state.push("formula", "", 0).content = found.group()
    state.pos = found.end()
    return True


def _render(
    _renderer: RendererHTML, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: Mapping[str, Any]
) -> str:
    shown = html.escape(tokens[index].content)
    return shown if REACHES_OUT.search(tokens[index].content) else f'<span class="{OPEN}">{shown}</span>'
