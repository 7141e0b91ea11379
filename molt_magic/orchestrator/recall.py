"""Whole questions in the cache: what makes two of them the same, reading one back, and keeping one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from molt_magic.orchestrator.counting import free
from molt_magic.orchestrator.engine import Engine
from molt_magic.orchestrator.keys import are_simple
from molt_magic.orchestrator.trace import QuestionKeys, Trace
from molt_magic.serial import completion_from_json, plain, plain_key, plain_message
from molt_magic.strategies.explore import EXPLORED
from molt_magic.strategies.walk import judged
from molt_magic.types import Attempt, Call, Choice, Situation
from molt_magic.validators import may_take_long

_ONE = [["user", None, (), None]]  # the messages of most questions, but for what is asked


def question_keys(strategy: str, situation: Situation, engine: Engine) -> QuestionKeys:
    """What a whole question is called in the cache."""
    request = situation.request
    messages = [plain_message(message) for message in request.messages]
    last = max([i for i, message in enumerate(request.messages) if message.role == "user"])
    asked, messages[last][1] = messages[last][1], None
    shape = (
        strategy,
        request.model,
        request.task,
        situation.quality,
        request.max_cost_usd,
        tuple([check.name for check in situation.checks]),
        engine.settings.arbitrage if strategy == "arbitrage" else None,
        engine.settings.context,  # what a model is shown of a long conversation
        engine.configured,
        tuple([candidate.spec.name for candidate in situation.candidates if candidate.reachable]),
    )
    usual = messages == _ONE and request.schema is None and are_simple(request.params)
    scope = _usual_scope(*shape, **request.params) if usual else _scope(shape, request.params, request.schema, messages)
    whole = plain_key(f"{scope}{asked}" if isinstance(asked, str) else [scope, asked])
    return QuestionKeys(whole, scope if request.prompt and not request.needs else None)


async def recall(strategy: str, situation: Situation, *, engine: Engine, trace: Trace) -> Choice | None:
    """The choice that answers from the cache, or None. A remembered answer faces the same checks as a new one."""
    cache = engine.cache
    if cache is None or not (trace.reads_cache or trace.writes_cache):
        return None
    keys = trace.question = question_keys(strategy, situation, engine)
    if not trace.reads_cache:
        return None
    request = situation.request
    kind: Literal["exact", "semantic"] = "exact"
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
    checking = judged(situation.checks, request, attempt)
    verdict = await engine.drive(checking, trace, off_loop=may_take_long(situation.checks))
    if not verdict.accepted:
        return None
    near = "" if entry.distance is None else f" at distance {entry.distance:.3f}: {_short(entry.prompt or '')!r}"
    return Choice(
        attempt=attempt,
        reason=f"{spec.name} answered {'this' if kind == 'exact' else 'the same question'} before{near}",
        candidates=situation.candidates,
        verdicts={attempt.index: verdict} if situation.checks else {},
    )


def keep(situation: Situation, choice: Choice, *, engine: Engine, trace: Trace) -> None:
    """Store an accepted answer, for the call that gave it and for the whole question."""
    answer = choice.attempt
    keys = trace.question
    if answer is None or keys is None or not trace.writes_cache or choice.best_effort or answer.planned:
        return
    call = [key] if (key := trace.keys.get(answer.index)) is not None else []
    if answer.cache in ("miss", "off") and not choice.reason.startswith(EXPLORED):  # the next time the strategy decides
        prompt = situation.request.prompt if keys.scope else None
        engine.store(keys.whole, answer, scope=keys.scope, prompt=prompt, also=call)
    elif call:
        engine.store(call[0], answer)


@lru_cache(maxsize=64, typed=True)
def _usual_scope(*shape: Any, **params: Any) -> str:
    """From question to question it is one of a few."""
    return _scope(shape, params, None, _ONE)


def _scope(shape: Sequence[Any], params: Mapping[str, Any], schema: Mapping[str, Any] | None, messages: Sequence[Any]) -> str:
    """The key of all that shapes an answer but what is asked."""
    strategy, model, task, quality, max_cost_usd, checks, arbitrage, context, configured, reachable = shape
    limits = plain([quality, max_cost_usd, params, schema])
    settings = [None if arbitrage is None else plain(arbitrage), plain(context), configured]
    return plain_key(["question", strategy, model, task, limits, checks, *settings, sorted(reachable), messages])


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
