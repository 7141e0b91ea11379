"""The story of one decision as static HTML: who was considered, what was tried when, what it cost, what was asked and said.

Everything in it is escaped; it has neither script, nor ids, nor anything a browser would load.
"""

from __future__ import annotations

from molt_magic.result import usd
from molt_magic.types import Decision
from molt_magic.views import listings
from molt_magic.views.decisions import timeline
from molt_magic.views.decisions.fragments import short
from molt_magic.views.formulas import CLOSED
from molt_magic.views.markdown import PRE
from molt_magic.views.tables import BORDER, Table
from molt_magic.views.text import for_html

_TEXT_LIMIT = 20_000  # characters of a prompt or an answer; the log has it all
_LIMIT = 240  # characters of a reason
_BOX = (
    f"{PRE}; border: {BORDER}; padding: 6px 8px; margin: 2px 0 8px; max-height: 22em; overflow: auto; unicode-bidi: plaintext"
)
_HEADING = "margin: 12px 0 2px; font-weight: bold"


# fmt: off
_FACTS = (
    "decision_id", "session", "cell_id", "prompt_hash", "task", "task_score", "served_model", "provider", "deployment",
    "predicted_quality", "quality_threshold", "escalations", "fallbacks", "fallback_reason", "cache_distance", "input_tokens",
    "output_tokens", "cached_tokens", "reasoning_tokens", "overhead_cost_usd", "baseline_cost_usd", "ttft_s", "overhead_ms",
)
# fmt: on


def html(decision: Decision) -> str:
    """The whole story."""
    parts = [
        _summary(decision),
        timeline.html(decision),
        listings.candidates(decision).to_html() if decision.candidates else "",
        _context(decision),
        _texts(decision),
        _facts(decision),
    ]
    return f'<div class="molt-story {CLOSED}">{"".join(parts)}</div>'


def title(decision: Decision) -> str:
    """One line of plain text."""
    when = decision.time[:19].replace("T", " ")
    return f"{short(decision.model or 'no model', 80)}, {decision.strategy}, {when} UTC"


def _summary(decision: Decision) -> str:
    d = decision
    facts = [listings.cell("status", d.status), f"cost {usd(d.cost_usd)}"]
    if d.baseline_model and d.saved_usd is not None:
        model = short(d.baseline_model, 80)
        more = f"{usd(-d.saved_usd)} more than {model}"
        facts.append(more if d.saved_usd < 0 else f"saved {usd(d.saved_usd)} against {model}")
    facts += [listings.seconds(d.latency_s), f"cache {d.cache}"]
    if d.predicted_quality is not None:
        needed = "" if d.quality_threshold is None else f" ({d.quality_threshold:.2f} wanted)"
        facts.append(f"predicted quality {d.predicted_quality:.2f}{needed}")
    if d.quality is not None:
        facts.append(f"quality {d.quality:.2f} by {d.quality_source or 'an unknown source'}")
    lines = [f"<div>{for_html(' · '.join(facts))}</div>", f"<div>Why: {for_html(short(d.reason, _LIMIT))}</div>"]
    if d.promise:
        lines.append(f"<div>Promised: {for_html(short(d.promise, _LIMIT))}</div>")
    if d.error:
        lines.append(f"<div><strong>Error:</strong> {for_html(short(d.error, 4 * _LIMIT))}</div>")
    return "".join(lines)


def _context(decision: Decision) -> str:
    """What was sent of the conversation, in two bars where it was made to fit."""
    d = decision
    if d.context_action == "none":
        size = f", {d.context_tokens_after:,} tokens" if d.context_tokens_after else ""
        return f'<p style="{_HEADING}">Context</p><div>Sent as it was{size}.</div>'
    reason = next((a["context_reason"] for a in reversed(d.attempts) if a.get("context_reason")), "")
    most = max(d.context_tokens_before, d.context_tokens_after, 1)
    bars = _bar("Before", d.context_tokens_before, most, "#888") + _bar("After", d.context_tokens_after, most, "#0072B2")
    why = f" ({for_html(short(reason, _LIMIT))})" if reason else ""
    return f'<p style="{_HEADING}">Context: {for_html(short(d.context_action))}{why}</p>{bars}'


def _bar(name: str, tokens: int, most: int, colour: str) -> str:
    bar = f'<span style="display: block; height: 0.8em; background: {colour}; width: {100 * tokens / most:.1f}%"></span>'
    return (
        '<div style="display: flex; align-items: center; gap: 8px">'
        f'<span style="min-width: 11em">{name}: {tokens:,} tokens</span>'
        f'<span aria-hidden="true" style="flex: 0 1 20em">{bar}</span></div>'
    )


def _texts(decision: Decision) -> str:
    """The prompt, and what each call wrote; the answer that counted stands open."""
    if decision.prompt is None:
        parts = [f'<p style="{_HEADING}">Prompt</p><div>It was not logged (log.prompts is off).</div>']
    else:
        parts = [_box("Prompt", decision.prompt)]
    written = [a for a in decision.attempts if a.get("text")]
    answer = next((a for a in reversed(written) if a["purpose"] == "answer" and a["model"] == decision.model), None)
    if answer is not None:
        parts.append(_box(f"Answer of call {answer['index'] + 1}, {short(answer['model'], 80)}", answer["text"]))
    for a in written:
        if a is not answer:
            name = f"What call {a['index'] + 1} wrote ({short(a['model'], 80)}, {a['purpose']})"
            parts.append(f"<details><summary>{for_html(name)}</summary>{_pre(name, a['text'])}</details>")
    return "".join(parts)


def _box(name: str, text: str) -> str:
    return f'<p style="{_HEADING}">{for_html(name)}</p>{_pre(name, text)}'


def _pre(name: str, text: str) -> str:
    """Untrusted text as it is. What scrolls can be reached by keyboard, so it has a name."""
    shown = text
    if len(text) > _TEXT_LIMIT:
        shown = f"{text[:_TEXT_LIMIT]}\n… (the first {_TEXT_LIMIT:,} of {len(text):,} characters)"
    return f'<pre dir="auto" tabindex="0" role="region" aria-label="{for_html(name)}" style="{_BOX}">{for_html(shown)}</pre>'


def _facts(decision: Decision) -> str:
    """The remaining columns, folded away."""
    values = {listings.label(name): getattr(decision, name) for name in _FACTS if getattr(decision, name) is not None}
    rows = [(name, f"{value:.4g}" if isinstance(value, float) else short(value, _LIMIT)) for name, value in values.items()]
    table = Table("The other columns", ("Column", "Value"), rows)
    return f"<details><summary>The other columns</summary>{table.to_html()}</details>"
