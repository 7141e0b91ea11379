"""An answer as a person sees it: the text, one line under it, and the candidates folded away. Static: no script, no ids."""

from __future__ import annotations

import json
import re

from molt_magic.errors import UnknownName
from molt_magic.result import Result
from molt_magic.views import formulas, listings, markdown, words
from molt_magic.views.forms import FORMATS
from molt_magic.views.tables import BORDER, Table
from molt_magic.views.text import fenced, for_html, for_markdown, printable

_PRE = f'style="{markdown.PRE}"'
_INERT = formulas.CLOSED
SHOWN = 100_000  # characters of an answer that are drawn, some thirty pages: more stall a browser and swell the notebook
_BLOCK = re.compile(
    r"^(?P<fence>`{3,}|~{3,})(?P<language>[\w+#.-]*)[^\n]*\n(?P<code>.*?)^(?P=fence)[ \t]*$", re.DOTALL | re.MULTILINE
)


def bundle(result: Result, form: str = "markdown") -> dict[str, str]:
    """A result as text/html, text/markdown and text/plain.

    Args:
        form: how the answer itself is shown, one of `FORMATS`. `code` shows the answer's code blocks only, where it has any;
            `json` indents it where it parses.

    Raises:
        UnknownName: no such format.
    """
    if form not in FORMATS:
        raise UnknownName("format", form, FORMATS)
    answer = result.text
    tables = [t for t in (listings.candidates(result.decision), listings.attempts(result.decision)) if t.rows]
    return {
        "text/html": _html(result, answer, form, tables),
        "text/markdown": _markdown(result, answer, form, tables),
        "text/plain": _plain(result, answer, form),
    }


def show(text: str, form: str = "markdown") -> dict[str, str]:
    """An untrusted text alone, without the line under it: what is shown while it still arrives."""
    return {
        "text/html": _text_html(text, form),
        "text/markdown": _text_markdown(text, form),
        "text/plain": "\n\n".join(filter(None, _cut(text))),
    }


def _html(result: Result, answer: str, form: str, tables: list[Table]) -> str:
    status = words.status(result)
    parts = [f'<p class="{_INERT}"><strong>{for_html(status)}</strong></p>'] if status else []
    if answer:
        parts.append(_text_html(answer, form))
    # each on its own: text that runs from right to left in a reason must not turn the others around
    line = " · ".join(f"<bdi>{for_html(fact)}</bdi>" for fact in words.facts(result))
    style = f"border-top: {BORDER}; padding-top: 4px; margin-top: 8px; font-size: 90%"
    parts.append(f'<div class="molt-line {_INERT}" style="{style}">{line}</div>')
    if tables:
        planned = result.decision.status == "planned"
        opened, inner = (" open", "Candidates and planned calls") if planned else ("", "Candidates and attempts")
        inside = "".join(table.to_html() for table in tables)
        parts.append(f'<details{opened} style="font-size: 90%"><summary>{inner}</summary>{inside}</details>')
    return f'<div class="molt-answer">{"".join(parts)}</div>'


def _markdown(result: Result, answer: str, form: str, tables: list[Table]) -> str:
    status = words.status(result)
    parts = [f"**{for_markdown(status)}**"] if status else []
    if answer:
        parts.append(_text_markdown(answer, form))
    parts += ["---", " · ".join(for_markdown(fact) for fact in words.facts(result))]
    return "\n\n".join([*parts, *(table.to_markdown() for table in tables)])


def _plain(result: Result, answer: str, form: str) -> str:
    status = words.status(result)
    tables = [listings.attempts(result.decision).to_plain()] if result.decision.status == "planned" else []
    line = f"[{' · '.join(printable(fact) for fact in words.facts(result))}]"
    shown, rest = _cut(answer)
    return "\n\n".join(part for part in (status, _chosen(shown, form)[0], rest, *tables, line) if part)


def _cut(text: str) -> tuple[str, str]:
    """As much of an answer as is drawn, made printable, and a word on the rest."""
    rest = len(text) - SHOWN
    return printable(text[:SHOWN]), f"({rest:,} more characters are not drawn: the result's text has all.)" if rest > 0 else ""


def _text_html(text: str, form: str) -> str:
    text, rest = _cut(text)
    after = f'<p class="{_INERT}"><em>{for_html(rest)}</em></p>' if rest else ""
    if form == "markdown":
        return markdown.to_html(text) + after
    shown, language = _chosen(text, form)
    body = for_html(shown) if form == "text" else f"<code>{for_html(shown)}</code>"
    described = f' aria-label="{for_html(language)}"' if language else ""
    return f'<pre class="{_INERT}" dir="auto" {_PRE}{described}>{body}</pre>{after}'


def _text_markdown(text: str, form: str) -> str:
    text, rest = _cut(text)
    after = f"\n\n*{for_markdown(rest)}*" if rest else ""
    return (markdown.to_markdown(text) if form == "markdown" else fenced(*_chosen(text, form))) + after


def _chosen(text: str, form: str) -> tuple[str, str]:
    """What of an answer a format shows, and the language it is in."""
    if form not in ("code", "json"):
        return text, ""
    blocks = list(_BLOCK.finditer(text))
    found = "\n".join(block["code"].rstrip("\n") for block in blocks) if blocks else text
    if form == "code":
        return found, blocks[0]["language"] if blocks else ""
    try:
        return json.dumps(json.loads(found), indent=2, ensure_ascii=False), "json"
    except ValueError:
        return text, ""  # not JSON: shown as it came, never repaired
