"""Records as JSON: what cache keys, prompt hashes and cassettes are made of."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from typing import Any

from molt_magic.errors import InputError
from molt_magic.types import Completion, Message, Usage

_COMPLETION, _USAGE = ([each.name for each in dataclasses.fields(kind)] for kind in (Completion, Usage))

_WRITER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical_key(parts: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over the canonical JSON of `parts`: sorted names, no spaces, 1.0 as 1, sets sorted.

    Equal for equal data, whatever its order and kind of container.

    Raises:
        InputError: a part is not data (a function, bytes, NaN).
    """
    try:
        text = _WRITER.encode(_canonical(parts))
    except (ValueError, RecursionError) as error:
        raise InputError(f"A parameter cannot be part of a cache key: {error}.", fix="Pass plain data.") from error
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _canonical(part: Any) -> Any:
    if part is None or isinstance(part, (str, bool, int)):
        return part
    if type(part) is dict and all(type(name) is str for name in part):  # the commonest, and quicker told than a mapping
        return {name: _canonical(value) for name, value in part.items()}
    if isinstance(part, float):
        return int(part) if part.is_integer() else part
    if isinstance(part, Mapping):
        if not all(isinstance(name, str) for name in part):
            raise InputError("A parameter has a name that is not text.", fix="Use text for the names.")
        return {name: _canonical(value) for name, value in part.items()}
    if isinstance(part, Set):
        return sorted((_canonical(item) for item in part), key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(part, Sequence) and not isinstance(part, (bytes, bytearray)):
        return [_canonical(item) for item in part]
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return {field.name: _canonical(getattr(part, field.name)) for field in dataclasses.fields(part)}
    raise InputError(f"A parameter of type {type(part).__name__} cannot be part of a cache key.", fix="Pass plain data.")


def message_to_json(message: Message) -> Mapping[str, Any]:
    """A message as JSON."""
    content = message.content if isinstance(message.content, str) else [dict(part) for part in message.content]
    return {
        "role": message.role,
        "content": content,
        "tool_calls": [dict(t) for t in message.tool_calls],
        "tool_call_id": message.tool_call_id,
    }


def completion_to_json(completion: Completion) -> dict[str, Any]:
    """A completion as JSON."""
    return {name: getattr(completion, name) for name in _COMPLETION} | {
        "usage": {name: getattr(completion.usage, name) for name in _USAGE}
    }


def completion_from_json(value: Mapping[str, Any]) -> Completion | None:
    """A completion out of `completion_to_json`; None when the value does not have its shape."""
    try:
        return Completion(
            text=value["text"],
            model=value["model"],
            usage=Usage(**value["usage"]),
            finish_reason=value["finish_reason"],
            logprobs=None if value["logprobs"] is None else tuple(value["logprobs"]),
            tool_calls=tuple(value["tool_calls"]),
        )
    except (KeyError, TypeError):
        return None
