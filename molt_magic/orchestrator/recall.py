"""Whole questions in the cache: what makes two of them the same, reading one back, and keeping one."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Literal

from molt_magic.orchestrator.engine import Engine, Trace, free
from molt_magic.serial import canonical_key, completion_from_json, message_to_json
from molt_magic.strategies.explore import EXPLORED
from molt_magic.strategies.walk import judged
from molt_magic.types import Attempt, Call, Choice, Request, Situation


def whole_key(strategy: str, situation: Situation, engine: Engine) -> str:
    """The cache key of a whole question: all that shapes which answer it gets."""
    return canonical_key(
        {**_shape(strategy, situation, engine), "messages": [message_to_json(m) for m in situation.request.messages]}
    )


def semantic_scope(strategy: str, situation: Situation, engine: Engine) -> str | None:
    """All that shapes the answer but the words of the last user message: a semantic hit must share it.

    None where a similar question's answer may not stand in: there is more than text, or a form to follow to the letter.
    """
    if not situation.request.prompt or situation.request.needs:
        return None
    messages = list(situation.request.messages)
    last = max(i for i, m in enumerate(messages) if m.role == "user")
    messages[last] = replace(messages[last], content="")
    return canonical_key({**_shape(strategy, situation, engine), "messages": [message_to_json(m) for m in messages]})


async def recall(strategy: str, situation: Situation, *, engine: Engine, trace: Trace) -> Choice | None:
    """The choice that answers from the cache, or None. A remembered answer faces the same checks as a new one."""
    cache = engine.cache
    if cache is None or not trace.reads_cache:
        return None
    request = situation.request
    kind: Literal["exact", "semantic"] = "exact"
    entry = cache.get(whole_key(strategy, situation, engine))
    if entry is None and (scope := semantic_scope(strategy, situation, engine)) is not None:
        entry, kind = cache.nearest(scope, request.prompt), "semantic"
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
    if (key := trace.keys.get(answer.index)) is not None:
        engine.store(key, answer)
    if answer.cache in ("miss", "off") and not choice.reason.startswith(EXPLORED):  # the next time the strategy decides
        scope = semantic_scope(strategy, situation, engine)
        prompt = situation.request.prompt if scope else None
        engine.store(whole_key(strategy, situation, engine), answer, scope=scope, prompt=prompt)


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
        "arbitrage": asdict(engine.settings.arbitrage) if strategy == "arbitrage" else None,
        "context": asdict(engine.settings.context),  # what a model is shown of a long conversation
        "reachable": sorted(c.name for c in situation.candidates if c.reachable),
    }


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
