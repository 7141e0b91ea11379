"""A column of a comparison, the same while its answer arrives and afterwards. Static HTML that wraps in a narrow window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from molt_magic.result import Result, usd
from molt_magic.views import answer, words
from molt_magic.views.arriving import Arriving
from molt_magic.views.formulas import CLOSED
from molt_magic.views.listings import seconds
from molt_magic.views.tables import BORDER
from molt_magic.views.text import for_html, for_markdown, one_line

GAP = "12px"
PADDING = "8px 12px"
LEAST = "15em"  # a narrower column does not read well: the next one goes below it
# the page's own text, inside a widget too, whose lines are as high as its buttons
TEXT = "font-size: var(--jp-content-font-size1, 14px); line-height: var(--jp-content-line-height, 1.6)"
_ROW = f"display: flex; flex-wrap: wrap; gap: {GAP}; align-items: stretch; margin: 4px 0"
_CARD = f"box-sizing: border-box; min-width: min({LEAST}, 100%); border: {BORDER}; border-radius: 4px; padding: {PADDING}"
_INSIDE = f"display: flex; flex-direction: column; height: 100%; min-width: 0; {TEXT}"
_LINE = f"border-top: {BORDER}; padding-top: 4px; margin-top: 8px; font-size: 90%"

Row = Mapping[str, Any]  # a row of a comparison's frame


def side_by_side(cards: Sequence[str]) -> str:
    """Cards in a row, as many as there is room for; the others below."""
    style = f"{_CARD}; flex: {flex(len(cards))}"
    inside = "".join(f'<div style="{style}">{card}</div>' for card in cards)
    return f'<div class="molt-compare" style="{_ROW}">{inside}</div>'


def flex(count: int) -> str:
    """The CSS flex of each of so many columns: all in a row where they fit, and no lone one below three others."""
    if count in (4, 7, 8):  # four in a row in a wide page, else two: the middle value is huge or negative
        return "1 1 clamp(25% - 9px, (60em - 100%) * 999, 50% - 6px)"
    return f"1 1 calc({100 / min(max(count, 1), 3):.2f}% - {GAP})"


def arriving(name: str, column: Arriving) -> str:
    """The inside of a card whose answer is on its way."""
    doing = column.show_doing()["text/html"] or "<em>waiting …</em>"
    return _card(name, "", column.show_text()["text/html"], doing)


def ended(row: Row, result: Result | None, form: str) -> str:
    """The inside of a card whose question has ended: the answer, or why there is none, or what would be called."""
    said = status(row, result)
    body = f'<p class="{CLOSED}" style="margin: 0 0 6px"><strong>{for_html(said)}</strong></p>' if said else ""
    if row["text"]:
        body += answer.show(str(row["text"]), form)["text/html"]
    if steps := plan(result):
        body += f'<ol class="{CLOSED}" style="padding-left: 1.5em">{"".join(f"<li>{for_html(s)}</li>" for s in steps)}</ol>'
    return _card(str(row["strategy"]), heading(row), body, for_html(facts(row)))


def ended_in_markdown(row: Row, result: Result | None, form: str) -> str:
    """The same for a reader of Markdown."""
    said = status(row, result)
    parts = [f"**{for_markdown(title(row))}**", f"*{for_markdown(said)}*" if said else ""]
    parts.append(answer.show(str(row["text"]), form)["text/markdown"] if row["text"] else "")
    parts.append("\n".join(f"{i}. {for_markdown(step)}" for i, step in enumerate(plan(result), 1)))
    return "\n\n".join(part for part in (*parts, for_markdown(facts(row))) if part)


def ended_in_text(row: Row, result: Result | None, form: str) -> str:
    """The same for a terminal."""
    text = answer.show(str(row["text"] or ""), form)["text/plain"]
    steps = [f"{i}. {one_line(step)}" for i, step in enumerate(plan(result), 1)]
    parts = [one_line(title(row)), one_line(status(row, result)), text, *steps, f"[{one_line(facts(row))}]"]
    return "\n".join(part for part in parts if part)


def heading(row: Row) -> str:
    """The model that answered, where the name does not say it."""
    model = row["model"]
    return "" if model == row["strategy"] else str(model or "no model")


def title(row: Row) -> str:
    """Name and model on a line."""
    return f"{row['strategy']}: {row['model'] or 'no model'}"


def status(row: Row, result: Result | None) -> str:
    """What a reader must know before the answer; empty when all is well."""
    if row["status"] == "planned":
        return "Would ask:"
    if row["status"] == "interrupted" and not row["text"]:
        return "Interrupted before anything had arrived."
    if result is not None:
        return words.status(result) or ""
    return f"Failed: {row['error']}" if row["error"] else ""


def facts(row: Row) -> str:
    """The figures below an answer."""
    if row["status"] == "planned":
        return f"would cost about {usd(row['cost_usd'])}"
    return f"cost {usd(row['cost_usd'])} · {seconds(row['latency_s'])} · cache: {row['cache'] or 'off'}"


def plan(result: Result | None) -> list[str]:
    """The calls that a dry run would make, each in words."""
    if result is None or result.decision.status != "planned":
        return []
    return [
        f"{a['model']}: about {a['input_tokens']} tokens in, {a['output_tokens']} out, {usd(a['cost_usd'])}"
        + (f"; {a['verdict']['reason']}" if a["verdict"] else "")
        for a in result.decision.attempts
    ]


def _card(name: str, model: str, body: str, line: str) -> str:
    beside = f' <span style="opacity: 0.75">{for_html(model)}</span>' if model else ""
    return (
        f'<div style="{_INSIDE}"><div class="{CLOSED}"><strong>{for_html(name)}</strong>{beside}</div>'
        f'<div style="flex: 1 1 auto; min-width: 0">{body}</div><div class="{CLOSED}" style="{_LINE}">{line}</div></div>'
    )
