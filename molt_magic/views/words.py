"""The one line under an answer, as words."""

from __future__ import annotations

from molt_magic.result import Result, usd
from molt_magic.views.listings import seconds
from molt_magic.views.text import one_line

_REASON_LIMIT = 240  # characters


def status(result: Result) -> str | None:
    """What a reader must know before the answer, or None when all is well."""
    d = result.decision
    if d.status == "planned":
        return "Plan: nothing was called, all figures are estimates."
    if d.status == "interrupted":
        why = one_line((d.error or "").removeprefix("interrupted: "), _REASON_LIMIT)
        return f"Interrupted: this is what had arrived. {why}".rstrip()
    if d.status == "best_effort":
        return "Best effort: no check accepted an answer; this is the best there was."
    if d.status == "error":
        return f"Failed: {one_line(str(result.error or d.error or ''), _REASON_LIMIT)}"
    return None


def facts(result: Result) -> list[str]:
    """Model, strategy, cost, saving, latency, cache and why: what the line under an answer says."""
    d = result.decision
    planned = d.status == "planned"
    found = [d.model or "no model", d.strategy + (f" ({d.task})" if d.task else "")]
    found.append(f"{'would cost about' if planned else 'cost'} {usd(d.cost_usd)}")
    if d.baseline_model and d.saved_usd is not None:
        found.append(_saving(d.saved_usd, d.baseline_cost_usd, d.baseline_model, "would save" if planned else "saved"))
    elif d.baseline_model and not planned:
        found.append(f"saved unknown against {d.baseline_model}")
    if not planned:
        found.append(seconds(d.latency_s))
        found.append(_cache(result))
    if d.context_action != "none":
        found.append(f"context: {d.context_action}, {d.context_tokens_before} to {d.context_tokens_after} tokens")
    found.append(one_line(d.reason, _REASON_LIMIT))
    return [fact for fact in found if fact]


def _saving(saved: float, baseline: float | None, model: str, verb: str) -> str:
    if saved == 0:
        return f"{verb} $0"
    if saved < 0:
        return f"{usd(-saved)} more than {model}"
    share = f" ({saved / baseline:.0%})" if baseline else ""
    return f"{verb} {usd(saved)}{share} against {model}"


def _cache(result: Result) -> str:
    d = result.decision
    if d.cache == "semantic" and d.cache_distance is not None:
        return f"cache: semantic, distance {d.cache_distance:.3f}"
    return f"cache: {d.cache}"
