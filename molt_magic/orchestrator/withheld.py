"""What a decision says where prompts are kept off the disk: nothing that quotes the question or an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from molt_magic.types import Attempt, Decision, Request

WITHHELD = "[withheld: it may quote the prompt]"
_RUN = 16  # characters in a row, without spaces and in small letters, that are a quotation
_SHORTEST = 4  # of a prompt; a shorter one is in every text
_SAFE = frozenset({"model", "purpose", "served_model", "provider", "deployment", "cache", "cache_keys", "finish_reason"})


def withheld(decision: Decision, request: Request, attempts: Sequence[Attempt]) -> Decision:
    """The decision without quotations: servers repeat prompts in errors, checks repeat answers in reasons, judges write prose.

    Args:
        attempts: every call, whose messages and answers count as well: a summary, a judge's question.
    """
    said = [message.text for message in request.messages]
    said += [message.text for attempt in attempts for message in attempt.call.messages]
    said += [attempt.completion.text for attempt in attempts if attempt.completion is not None]
    texts = tuple({flat for text in said if len(flat := _flat(text)) >= _SHORTEST})

    def clean(text: str) -> str:
        return WITHHELD if _quotes(text, texts) else text

    def part(value: Any, name: str = "") -> Any:
        if isinstance(value, str):
            return value if name in _SAFE else _after_kind(value, clean) if name == "error" else clean(value)
        if isinstance(value, Mapping):
            own = value.get("source") == "judge"
            return {key: WITHHELD if own and key == "reason" else part(each, key) for key, each in value.items()}
        return [part(each, name) for each in value] if isinstance(value, list | tuple) else value

    changed = {
        "reason": clean(decision.reason),
        "fallback_reason": None if decision.fallback_reason is None else _after_kind(decision.fallback_reason, clean),
        "error": None if decision.error is None else _after_kind(decision.error, clean),
        "attempts": tuple(part(attempt) for attempt in decision.attempts),
        "attempts_json": None,
    }
    return Decision.of(vars(decision) | changed)


def _after_kind(text: str, clean: Any) -> str:
    """An error's text, its kind kept."""
    kind, colon, message = text.partition(": ")
    return f"{kind}{colon}{clean(message)}" if colon and kind.isidentifier() else clean(text)


def _quotes(text: str, texts: Sequence[str]) -> bool:
    flat = _flat(text)
    for whole in texts:
        run = min(_RUN, len(whole))
        if any(flat[at : at + run] in whole for at in range(len(flat) - run + 1)):
            return True
    return False


def _flat(text: str) -> str:
    return "".join(text.split()).lower()
