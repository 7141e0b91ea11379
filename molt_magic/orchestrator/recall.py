"""Whole questions in the cache: what makes two of them the same, reading one back, and keeping one."""

from __future__ import annotations

from typing import Any, Literal

from molt_magic.orchestrator.engine import Engine, QuestionKeys, Trace, free
from molt_magic.serial import canonical_key, completion_from_json, message_to_json
from molt_magic.strategies.explore import EXPLORED
from molt_magic.strategies.walk import judged
from molt_magic.types import Attempt, Call, Choice, Request, Situation


def question_keys(strategy: str, situation: Situation, engine: Engine) -> QuestionKeys:
    """What a whole question is called in the cache."""
    request = situation.request
    messages = [dict(message_to_json(m)) for m in request.messages]
    last = max(i for i, m in enumerate(messages) if m["role"] == "user")
    asked = messages[last].pop("content")
    scope = canonical_key({**_shape(strategy, situation, engine), "messages": messages})
    whole = canonical_key({"scope": scope, "asked": asked})
    return QuestionKeys(whole, scope if request.prompt and not request.needs else None)


async def recall(strategy: str, situation: Situation, *, engine: Engine, trace: Trace) -> Choice | None:
    """The choice that answers from the cache, or None. A remembered answer faces the same checks as a new one."""
    cache = engine.cache
    if cache is None or not trace.reads_cache:
        return None
    request = situation.request
    kind: Literal["exact", "semantic"] = "exact"
    keys = trace.question = question_keys(strategy, situation, engine)
    entry = cache.get(keys.whole)
    if entry is None and keys.scope is not None:
        entry, kind = cache.nearest(keys.scope, request.prompt), "semantic"
    completion = None if entry is None else completion_from_json(entry.value)
    if entry is None or completion is None:
        return None
    spec = engine.catalog.models.get(entry.value.get("asked", ""))
    if spec is None:
        return None
    call = Call(spec.name, request.messages, params=request.params, schema=request.schema)
    attempt = engine.record(
        trace,
        Attempt(
            index=0,
            call=call,
            completion=free(completion),
            cache=kind,
            cache_distance=entry.distance,
            cache_keys=(entry.key, engine.key_of(call)),  # the call that gave an exact hit is an entry of its own
            deployment="cache",
            provider=spec.provider,
        ),
    )
    verdict = await engine.drive(judged(situation.checks, request, attempt), trace, off_loop=bool(situation.checks))
    if not verdict.accepted:
        return None
    near = "" if entry.distance is None else f" at distance {entry.distance:.3f}: {_short(entry.prompt or '')!r}"
    return Choice(
        attempt=attempt,
        reason=f"{spec.name} answered {'this' if kind == 'exact' else 'the same question'} before{near}",
        candidates=situation.candidates,
        verdicts={attempt.index: verdict} if situation.checks else {},
    )


def keep(strategy: str, situation: Situation, choice: Choice, *, engine: Engine, trace: Trace) -> None:
    """Store an accepted answer, for the call that gave it and for the whole question."""
    answer = choice.attempt
    if answer is None or not trace.writes_cache or choice.best_effort or answer.planned:
        return
    call = [key] if (key := trace.keys.get(answer.index)) is not None else []
    if answer.cache in ("miss", "off") and not choice.reason.startswith(EXPLORED):  # the next time the strategy decides
        keys = trace.question or question_keys(strategy, situation, engine)
        prompt = situation.request.prompt if keys.scope else None
        engine.store(keys.whole, answer, scope=keys.scope, prompt=prompt, also=call)
    elif call:
        engine.store(call[0], answer)


def _shape(strategy: str, situation: Situation, engine: Engine) -> dict[str, Any]:
    request: Request = situation.request
    return {
        "kind": "question",
        "strategy": strategy,
        "model": request.model,
        "task": request.task,
        "quality": situation.quality,
        "max_cost_usd": request.max_cost_usd,
        "params": dict(request.params),
        "schema": None if request.schema is None else dict(request.schema),
        "checks": [check.name for check in situation.checks],
        "arbitrage": engine.settings.arbitrage if strategy == "arbitrage" else None,
        "context": engine.settings.context,  # what a model is shown of a long conversation
        "reachable": sorted(c.name for c in situation.candidates if c.reachable),
    }


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
