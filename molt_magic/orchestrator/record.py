"""Turns what happened into the row that is logged."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from molt_magic import catalog as pricing
from molt_magic.orchestrator.attempted import attempted
from molt_magic.orchestrator.beforehand import Beforehand
from molt_magic.orchestrator.counting import priced
from molt_magic.orchestrator.trace import attempt_cost
from molt_magic.types import Attempt, CacheState, Candidate, Choice, ContextAction, Decision, Request, Verdict

Status = Literal["ok", "best_effort", "interrupted", "error", "planned"]


def new_id() -> str:
    """A decision's id: 16 hexadecimal digits, random."""
    return secrets.token_hex(8)


def decision(
    *,
    decision_id: str,
    session: str,
    cell_id: str | None,
    strategy: str,
    request: Request,
    choice: Choice,
    attempts: Sequence[Attempt],
    latency_s: float,
    error: str | None,
    keep_text: bool,
    beforehand: Beforehand,
    cache: CacheState | None = None,
) -> Decision:
    """The row of a request.

    Args:
        attempts: every call of the request; each with its verdict where it has one.
        latency_s: seconds from the question to the answer.
        error: kind and message of what ended the request, or None.
        keep_text: whether prompt and answers may be written down.
        beforehand: what was known before the answer.
        cache: what the row says of the cache; None: what the answer's attempt says.
    """
    answer = _answer(attempts, choice.attempt)
    completion = None if answer is None else answer.completion
    answered = answer is not None and completion is not None
    usage = None if answer is None else answer.usage
    total = _total(attempts)
    own = None if answer is None else attempt_cost(answer)
    baseline, baseline_cost = _baseline(choice.candidates, answer)
    spent_waiting = sum([a.latency_s for a in attempts])
    verdict = None if answer is None else answer.verdict
    source = None if verdict is None or verdict.score is None or verdict.source == "learned" else verdict.source
    action = _context(attempts, answer)
    return Decision.of(
        {
            "decision_id": decision_id,
            "time": _now(),
            "session": session,
            "cell_id": cell_id,
            "strategy": strategy,
            "task": choice.task or request.task,
            "task_score": choice.task_score,
            "prompt_hash": beforehand.prompt_hash(),
            "prompt": request.prompt if keep_text else None,
            "model": None if answer is None else answer.call.model,
            "served_model": completion.model if completion else None,
            "provider": None if answer is None else answer.provider,
            "deployment": None if answer is None else answer.deployment,
            "candidates_json": beforehand.considered(choice.candidates),
            "attempts_json": attempted(attempts, keep_text),
            "n_attempts": len([a for a in attempts if a.call.purpose == "answer"]),
            "escalations": choice.escalations,
            "fallbacks": choice.fallbacks,
            "fallback_reason": choice.fallback_reason,
            "cache": cache or (answer.cache if answer is not None else "off"),
            "cache_distance": None if answer is None else answer.cache_distance,
            "input_tokens": usage.input_tokens if usage else 0,
            "output_tokens": usage.output_tokens if usage else 0,
            "cached_tokens": usage.cached_tokens if usage else 0,
            "reasoning_tokens": usage.reasoning_tokens if usage else 0,
            "cost_usd": total,
            "overhead_cost_usd": None if total is None or own is None else total - own,
            "baseline_model": baseline if answered else None,
            "baseline_cost_usd": baseline_cost if answered else None,
            "saved_usd": None if not answered or baseline_cost is None or total is None else baseline_cost - total,
            "latency_s": latency_s,
            "ttft_s": None if answer is None else answer.ttft_s,
            "overhead_ms": max(0.0, (latency_s - spent_waiting) * 1000.0),
            "predicted_quality": choice.predicted_quality,
            "quality_threshold": choice.quality_threshold,
            "quality": None if verdict is None or source is None else verdict.score,
            "quality_source": source,
            "context_action": action.action,
            "context_tokens_before": action.tokens_before,
            "context_tokens_after": action.tokens_after,
            "status": _status(answer, choice, error),
            "error": error,
            "reason": choice.reason,
            "promise": choice.promise,
            "propensity": choice.propensity,
        }
    )


def with_verdicts(attempts: Sequence[Attempt], verdicts: Mapping[int, Verdict]) -> tuple[Attempt, ...]:
    """The attempts, each with the verdict on it."""
    if not verdicts:
        return tuple(attempts)
    return tuple([replace(a, verdict=verdicts[a.index]) if a.index in verdicts else a for a in attempts])


def _now() -> str:
    """ISO 8601, UTC."""
    second, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{_second(second)}.{nanoseconds // 1000:06}+00:00"


@lru_cache(maxsize=1)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:19]


def _answer(attempts: Sequence[Attempt], chosen: Attempt | None) -> Attempt | None:
    """The attempt that was chosen, as it is among all of them; else the last one."""
    if chosen is not None:
        for attempt in attempts:
            if attempt.index == chosen.index:
                return attempt
    return attempts[-1] if attempts else None


def _total(attempts: Sequence[Attempt]) -> float | None:
    """USD of everything; None as soon as one price is unknown."""
    costs = [attempt_cost(a) for a in attempts]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _baseline(candidates: Sequence[Candidate], answer: Attempt | None) -> tuple[str | None, float | None]:
    """The best available model and what it would have cost for the answer's tokens.

    A model passed over for its cost or its prediction was available; one without a key was not.
    """
    if answer is None or answer.completion is None:
        return None, None
    model, usage = answer.call.model, answer.completion.usage
    best: Candidate | None = None
    for candidate in candidates:
        if (candidate.reachable or candidate.spec.name == model) and (
            best is None or candidate.predicted_quality > best.predicted_quality
        ):
            best = candidate
    if best is None:
        return None, None
    if best.spec.name == model:
        return model, usage.cost_usd if answer.cache in ("miss", "off") else priced(best.spec, usage).cost_usd
    return best.spec.name, pricing.estimate_usd(best.spec, usage.input_tokens, usage.output_tokens)


def _context(attempts: Sequence[Attempt], answer: Attempt | None) -> ContextAction:
    """The answering call's context action; of a request that failed, the last one that did something."""
    if answer is not None and answer.context.action != "none":
        return answer.context
    for attempt in reversed(attempts):
        if attempt.context.action != "none":
            return attempt.context
    return ContextAction() if answer is None else answer.context


def _status(answer: Attempt | None, choice: Choice, error: str | None) -> Status:
    if answer is not None and answer.planned:
        return "planned"
    broke_off = answer is not None and answer.completion is not None and answer.error is not None
    if broke_off or (error is not None and error.startswith("interrupted:")):  # the second: before anything had arrived
        return "interrupted"
    if error is not None:
        return "error"
    return "best_effort" if choice.best_effort else "ok"
