"""What makes two whole questions the same to the cache: exactly, or but for the words of the last message."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from molt_magic.cache import canonical_key
from molt_magic.orchestrator.engine import message_to_json
from molt_magic.types import Request, Situation


def whole_key(strategy: str, situation: Situation) -> str:
    """The cache key of a whole question: all that shapes which answer it gets."""
    return canonical_key({**_shape(strategy, situation), "messages": [message_to_json(m) for m in situation.request.messages]})


def semantic_scope(strategy: str, situation: Situation) -> str:
    """All that shapes the answer but the words of the last user message: a semantic hit must share it."""
    messages = list(situation.request.messages)
    last = max(i for i, m in enumerate(messages) if m.role == "user")
    messages[last] = replace(messages[last], content="")
    return canonical_key({**_shape(strategy, situation), "messages": [message_to_json(m) for m in messages]})


def may_be_semantic(request: Request) -> bool:
    """Whether a similar question's answer may stand in: text only, nothing called, nothing to follow to the letter."""
    return bool(request.prompt) and not request.needs


def _shape(strategy: str, situation: Situation) -> dict[str, Any]:
    request = situation.request
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
        "reachable": sorted(c.name for c in situation.candidates if c.reachable),
    }
