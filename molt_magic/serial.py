"""Records as JSON: what cache keys, prompt hashes and cassettes are made of."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence, Set
from json.encoder import encode_basestring_ascii as quoted
from types import MappingProxyType
from typing import Any

from molt_magic.errors import InputError
from molt_magic.types import Completion, Message, Usage

# no look for circles: `plain` parts have none
_WRITER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, check_circular=False)

_ANSWER = (  # `answer_to_json` of most
    '{"text":%s,"model":%s,"usage":{"input_tokens":%d,"output_tokens":%d,"cached_tokens":%d,"cache_write_tokens":%d,'
    '"reasoning_tokens":%d,"cost_usd":%s,"estimated":%s},"finish_reason":%s,"logprobs":null,"tool_calls":[],"asked":%s}'
)
_COUNT, _TEXT = {int}, {str}


def canonical_key(parts: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over the canonical JSON of `parts`: sorted names, no spaces, 1.0 as 1, sets sorted.

    Equal for equal data, whatever its order and kind of container.

    Raises:
        InputError: a part is not data (a function, bytes, NaN).
    """
    return plain_key(plain(parts))


def plain_key(parts: Any) -> str:
    """The `canonical_key` of what is `plain` already, without a look through all of it. Raises InputError for NaN."""
    return hashlib.sha256(plain_json(parts).encode("ascii")).hexdigest()


def plain_json(parts: Any) -> str:
    """The canonical JSON of what is `plain` already. Raises InputError for NaN."""
    try:
        return _WRITER.encode(parts)
    except (ValueError, RecursionError) as error:
        raise _no_part(error) from error


def plain(part: Any) -> Any:
    """`part` in the types of JSON, the same for equal data. Raises InputError: it is not data."""
    try:
        return _plain(part)
    except RecursionError as error:
        raise _no_part(error) from error


def scalar(value: Any) -> Any:
    """A number of NumPy's, which is what a frame gives, as Python's own; anything else as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def half_at(text: str) -> int | None:
    """Where a text holds half of a character (a lone surrogate), which UTF-8 cannot; None: nowhere."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def plain_message(message: Message) -> list[Any]:
    """A message as a `plain` part of a key. Raises InputError."""
    content = message.content if isinstance(message.content, str) else plain(message.content)
    return [message.role, content, plain(message.tool_calls) if message.tool_calls else (), message.tool_call_id]


def _plain(part: Any) -> Any:
    if part is None or isinstance(part, (str, int)):
        return part
    if isinstance(part, float):
        return int(part) if part.is_integer() else part
    if type(part) in (dict, MappingProxyType) or isinstance(part, Mapping):  # the commonest are sooner told
        for name in part:
            if not isinstance(name, str):
                raise InputError("A parameter has a name that is not text.", fix="Use text for the names.")
        return {name: _plain(value) for name, value in part.items()} if part else {}
    if isinstance(part, Set):
        return sorted([_plain(item) for item in part], key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(part, Sequence) and not isinstance(part, (bytes, bytearray)):
        return [_plain(item) for item in part]
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return {field.name: _plain(getattr(part, field.name)) for field in dataclasses.fields(part)}
    raise InputError(f"A parameter of type {type(part).__name__} cannot be part of a cache key.", fix="Pass plain data.")


def _no_part(error: Exception) -> InputError:
    return InputError(f"A parameter cannot be part of a cache key: {error}.", fix="Pass plain data.")


def message_to_json(message: Message) -> Mapping[str, Any]:
    """A message as JSON."""
    content = message.content if isinstance(message.content, str) else [dict(part) for part in message.content]
    return {
        "role": message.role,
        "content": content,
        "tool_calls": [dict(t) for t in message.tool_calls],
        "tool_call_id": message.tool_call_id,
    }


def answer_to_json(completion: Completion, *, asked: str) -> dict[str, Any]:
    """A completion as JSON, with the model that was asked for it."""
    usage = completion.usage
    return {
        "text": completion.text,
        "model": completion.model,
        "usage": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "cost_usd": usage.cost_usd,
            "estimated": usage.estimated,
        },
        "finish_reason": completion.finish_reason,
        "logprobs": completion.logprobs,
        "tool_calls": completion.tool_calls,
        "asked": asked,
    }


def answer_text(completion: Completion, *, asked: str) -> str | None:
    """`answer_to_json` written down without spaces, in a third of the time that an encoder takes; None for an unusual one."""
    usage = completion.usage
    counts = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    )
    cost, texts = usage.cost_usd, (completion.text, completion.model, completion.finish_reason, asked)
    if not (
        _COUNT.issuperset(map(type, counts))
        and (cost is None or (type(cost) is float and math.isfinite(cost)))
        and type(usage.estimated) is bool
        and completion.logprobs is None
        and completion.tool_calls == ()
        and _TEXT.issuperset(map(type, texts))
    ):
        return None
    text, model, finish_reason, name = map(quoted, texts)
    price, estimated = "null" if cost is None else repr(cost), "true" if usage.estimated else "false"
    return _ANSWER % (text, model, *counts, price, estimated, finish_reason, name)


def completion_from_json(value: Mapping[str, Any]) -> Completion | None:
    """A completion out of `answer_to_json`; None when the value does not have its shape."""
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
