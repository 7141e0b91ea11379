"""What a call is called in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from molt_magic.serial import plain, plain_json, plain_message
from molt_magic.types import Call, Message, ModelSpec

_NAME, _SIMPLE = {str}, {str, int, float, bool, type(None)}


def call_key(call: Call, spec: ModelSpec) -> str:
    """The cache key of a call: everything that shapes its answer.

    SHA-256 (hex) over the canonical JSON of `["call", model, messages, params, schema, sample]`, which is put together here:
    what it says of the model stays the same, and a message is most often text and nothing else.
    """
    model = _model(spec.name, spec.provider, spec.model, *[d.base_url or "" for d in spec.deployments])
    messages = ",".join([_message(message) for message in call.messages])
    params = _usual(**call.params) if are_simple(call.params) else plain_json(plain(call.params))
    schema = "null" if call.schema is None else plain_json(plain(call.schema))
    text = f'["call",{model},[{messages}],{params},{schema},{call.sample}]'
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def are_simple(params: Mapping[str, Any]) -> bool:
    """Whether those are equal that are of equal types and values."""
    return not params or (_NAME.issuperset(map(type, params)) and _SIMPLE.issuperset(map(type, params.values())))


@lru_cache(maxsize=64, typed=True)
def _usual(**params: Any) -> str:
    """From question to question they are one of a few."""
    return plain_json(plain(params))


@lru_cache(maxsize=256)
def _model(name: str, provider: str, model: str, *addresses: str) -> str:
    return plain_json([name, provider, model, sorted(addresses)])


def _message(message: Message) -> str:
    if not isinstance(message.content, str) or message.tool_calls or message.tool_call_id is not None:
        return plain_json(plain_message(message))
    return f"[{plain_json(message.role)},{plain_json(message.content)},[],null]"
