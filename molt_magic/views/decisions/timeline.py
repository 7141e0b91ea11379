"""Every call of a decision on a line of time, with what it cost and what came of it. Static HTML: no script, no ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from molt_magic.result import step, usd
from molt_magic.types import Decision
from molt_magic.views.decisions.fragments import short
from molt_magic.views.formulas import CLOSED
from molt_magic.views.listings import seconds
from molt_magic.views.tables import BORDER
from molt_magic.views.text import for_html

Attempt = Mapping[str, Any]

# Okabe and Ito's blue, vermilion and green: 3:1 against white and against near-black. The words beside a bar say the same.
_COLOURS = {"good": "#0072B2", "bad": "#D55E00", "cached": "#009E73"}
_WAIT = "repeating-linear-gradient(45deg, #888 0 3px, transparent 3px 6px)"
_TRACK = "background: var(--jp-layout-color2, rgba(128, 128, 128, 0.15))"
_CELL = f"text-align: left; vertical-align: top; padding: 3px 8px; border-bottom: {BORDER}"
# column -> how its cells are laid out
_COLUMNS = {
    "#": "",
    "Call": "min-width: 9em; overflow-wrap: anywhere",
    "When": "min-width: 9em; width: 28%",
    "Time": "white-space: nowrap",
    "Cost": "white-space: nowrap",
    "What came of it": "min-width: 16em; overflow-wrap: anywhere",
}


def html(decision: Decision) -> str:
    """A table of the calls; an empty text where there was none."""
    if not decision.attempts:
        return ""
    total = max(decision.latency_s, sum(a["latency_s"] for a in decision.attempts)) or 1.0
    rows, start, answered = list[str](), 0.0, None
    for attempt in decision.attempts:
        if attempt["purpose"] == "answer":
            rows += map(_note, _move(answered, attempt))
            answered = attempt
        rows += [_row(attempt, start / total, total, decision), *map(_note, _retries(attempt))]
        start += attempt["latency_s"]
    count = len(decision.attempts)
    caption = f"Time line: {count} {'call' if count == 1 else 'calls'} in {seconds(decision.latency_s)}"
    head = "".join(
        f'<th scope="col" style="{_CELL}; font-weight: bold; white-space: nowrap; {layout}">{name}</th>'
        for name, layout in _COLUMNS.items()
    )
    style = "border-collapse: collapse; width: 100%; margin: 8px 0 4px"
    return (
        f'<div style="overflow-x: auto"><table class="{CLOSED}" style="{style}">'
        f'<caption style="text-align: left; font-weight: bold; caption-side: top">{for_html(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _row(attempt: Attempt, start: float, total: float, decision: Decision) -> str:
    kind, came = _came(attempt)
    cells = (
        for_html(f"{short(attempt['model'])}: {attempt['purpose']}"),
        _bar(start, attempt["latency_s"] / total, _waiting(attempt), _COLOURS[kind]),
        for_html(seconds(attempt["latency_s"])),
        for_html(_cost(attempt, decision)),
        for_html(came),
    )
    head, *layouts = _COLUMNS.values()
    inside = "".join(f'<td style="{_CELL}; {layout}">{cell}</td>' for cell, layout in zip(cells, layouts, strict=True))
    return f'<tr><th scope="row" style="{_CELL}; {head}">{attempt["index"] + 1}</th>{inside}</tr>'


def _note(text: str) -> str:
    """A line under a call."""
    rest = f'<td colspan="{len(_COLUMNS) - 1}" style="{_CELL}; overflow-wrap: anywhere">↳ {for_html(text)}</td>'
    return f'<tr><td style="{_CELL}"></td>{rest}</tr>'


def _bar(start: float, share: float, waiting: float, colour: str) -> str:
    """Where on the line a call stands, its share that was spent waiting hatched; the figures beside it say it in words."""
    left = min(start, 0.99)
    wait = f'<div style="width: {waiting:.1%}; background: {_WAIT}"></div>' if waiting else ""
    place = f"display: flex; margin-left: {left:.2%}; width: {min(share, 1 - left):.2%}; min-width: 3px; height: 0.9em"
    bar = f'<div style="{place}">{wait}<div style="flex: 1; background: {colour}"></div></div>'
    return f'<div aria-hidden="true" style="{_TRACK}; margin-top: 0.2em">{bar}</div>'


def _waiting(attempt: Attempt) -> float:
    """The share of a call's time that passed between a failed try and the next."""
    waited = sum(retry["waited_s"] for retry in attempt["retries"])
    return float(min(1.0, waited / attempt["latency_s"])) if attempt["latency_s"] else 0.0


def _cost(attempt: Attempt, decision: Decision) -> str:
    """What a call cost, and its share of the whole."""
    cost, whole = attempt["cost_usd"], decision.cost_usd
    shared = cost is not None and whole and len(decision.attempts) > 1
    return f"{usd(cost)} ({cost / whole:.0%})" if shared else usd(cost)


def _came(attempt: Attempt) -> tuple[str, str]:
    """The kind of a call, which gives its colour, and what came of it in words."""
    kind, words = "good", []
    if attempt["error"]:
        kind = "bad"
        words.append(f"✗ failed: {short(attempt['error'])}")
    elif attempt["cache"] in ("exact", "semantic"):
        distance = attempt.get("cache_distance")
        kind = "cached"
        words.append(f"from the {attempt['cache']} cache" + ("" if distance is None else f", distance {distance:.3f}"))
    elif attempt["finish_reason"] not in ("stop", None):
        words.append(f"ended: {short(attempt['finish_reason'])}")
    if (verdict := attempt["verdict"]) is not None:
        kind = kind if verdict["accepted"] else "bad"
        words.append(_verdict(verdict))
    if (first := attempt.get("ttft_s")) is not None and kind != "cached":
        words.append(f"first word after {seconds(first)}")
    about = ", estimated" if attempt["tokens_estimated"] else ""
    return kind, "; ".join([*words, f"{attempt['input_tokens']:,} tokens in, {attempt['output_tokens']:,} out{about}"])


def _verdict(verdict: Mapping[str, Any]) -> str:
    word = "✓ accepted" if verdict["accepted"] else "✗ refused"
    score = verdict.get("score")
    told = "" if score is None else f", score {score:.2f}"
    return f"{word} by {short(verdict['validator']) or 'the check'}{told}: {short(verdict['reason'])}"


def _retries(attempt: Attempt) -> list[str]:
    """The steps inside a call."""
    return [step(retry, short, seconds) for retry in attempt["retries"]]


def _move(before: Attempt | None, attempt: Attempt) -> list[str]:
    """Why an answer was asked for again, of another model."""
    if before is None or before["model"] == attempt["model"]:
        return []
    return [f"{'failed, so it fell back' if before['error'] else 'refused, so it escalated'} to {short(attempt['model'])}"]
