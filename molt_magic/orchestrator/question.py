"""Reads what a caller asked into a Request, and refuses what cannot be asked."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from numbers import Real
from typing import Any

from molt_magic.catalog import Catalog
from molt_magic.context import paired
from molt_magic.errors import InputError, UnknownName
from molt_magic.serial import half_at, scalar
from molt_magic.strategies import NAMES
from molt_magic.types import Message, Request

ROLES = ("system", "user", "assistant", "tool")
LIMITS = ("max_tokens", "max_completion_tokens")
# what a caller may have meant by a parameter that is almost one of these: it would travel to the model and change nothing here
OPTIONS = (
    *("strategy", "task", "model", "quality", "validate", "thread", "system", "max_cost", "deadline"),
    *("cache", "dry_run", "recorded", "log", "schema", "on_event", "cell_id", "namespace"),
)
_PLAIN = (bool, int)  # JSON as they are
ALMOST = 0.8  # "stategy" and "strategy" are at 0.93, "max_tokens" and "max_cost" at 0.67

Prompt = str | Sequence[Message | Mapping[str, Any]]


def read(
    prompt: Prompt,
    *,
    history: Sequence[Message],
    system: str | None,
    strategy: str | None,
    task: str | None,
    model: str | None,
    quality: float | None,
    max_cost: float | None,
    deadline: float | None,
    schema: object,
    thread: str | None,
    params: Mapping[str, Any],
    catalog: Catalog,
    tasks: Iterable[str],
) -> Request:
    """A Request out of a caller's arguments.

    Args:
        prompt: text, or messages as `Message` records or `{"role", "content"}` mappings.
        history: earlier turns of the thread.
        schema: JSON schema as a mapping, or a pydantic model class.
        tasks: the tasks that exist.

    Raises:
        InputError: empty prompt, malformed messages, a number out of range, contradicting arguments.
        UnknownName: no such strategy, model or task.
    """
    for name, text in (("strategy", strategy), ("task", task), ("model", model), ("thread", thread), ("system", system)):
        if text is not None and not isinstance(text, str):
            raise InputError(f"{name} must be text, not {type(text).__name__}.")
    if thread is not None and not thread.strip():
        raise InputError("The thread has no name.", fix="Give it one, or leave it out for a question of its own.")
    messages = messages_of(prompt)
    if history:
        messages = paired((*history, *messages))  # a call that the prompt does not answer was not meant to be
    if system is not None:
        _writable(system)
        messages = (Message("system", system), *(m for m in messages if m.role != "system"))
    if strategy is not None and strategy not in NAMES:
        raise UnknownName("strategy", strategy, NAMES)
    if model is not None:
        catalog.get(model)
        if strategy not in (None, "direct"):
            raise InputError(
                f"Strategy {strategy} chooses the model itself.", fix="Leave out the model, or use strategy direct."
            )
    if task is not None and task not in (known := set(tasks)):
        raise UnknownName("task", task, known)
    if quality is not None:
        quality = _in_range("quality", scalar(quality), 0.0, 1.0)
    if max_cost is not None:
        max_cost = _in_range("max_cost", scalar(max_cost), 0.0, None)
        max_cost = None if max_cost == math.inf else max_cost  # no limit
    if deadline is not None:
        deadline = _in_range("deadline", scalar(deadline), 0.01, None)
    if params:
        params = {name: scalar(value) for name, value in params.items()}
        _sendable(params)
    strategy = "direct" if model is not None else strategy
    return Request(messages, task, strategy, model, quality, max_cost, deadline, dict(params), _schema(schema), thread)


def messages_of(prompt: Prompt) -> tuple[Message, ...]:
    """A prompt as messages. Raises InputError, UnknownName."""
    if isinstance(prompt, str):
        messages: tuple[Message, ...] = (Message("user", prompt),)
    elif isinstance(prompt, Sequence) and not isinstance(prompt, (bytes, bytearray)):
        messages = tuple(_message(m) for m in prompt)
    else:
        raise InputError(f"A prompt must be text or a list of messages, not {type(prompt).__name__}.")
    last = next((m for m in reversed(messages) if m.role == "user"), None)
    if last is None:
        raise InputError("There is no user message.", fix='Give text, or messages with {"role": "user", "content": ...}.')
    only_text = isinstance(last.content, str) or all(part.get("type") == "text" for part in last.content)
    if only_text and not last.text.strip():
        raise InputError("The prompt is empty.", fix="Write the question below the %%route line.")
    for message in messages:
        _writable(message.text)
    return messages


def _writable(text: str) -> None:
    """No provider takes half of a surrogate pair: JSON in UTF-8 cannot hold it."""
    if (at := half_at(text)) is not None:
        raise InputError(
            f"The text holds half of a character at position {at} (a lone surrogate).",
            fix='Clean it first: text.encode("utf-8", "replace").decode().',
        )


def _message(given: object) -> Message:
    if isinstance(given, Message):
        return given
    if not isinstance(given, Mapping) or "role" not in given:
        raise InputError(
            f"A message must be a mapping with role and content, not {type(given).__name__}.",
            fix='Like {"role": "user", "content": "Hello"}.',
        )
    role: Any = given["role"]
    content, calls, answers = (_field(given, name) for name in ("content", "tool_calls", "tool_call_id"))
    content = content or ""
    if role not in ROLES:
        raise UnknownName("role", str(role), ROLES)
    if not isinstance(content, str):
        if not isinstance(content, Sequence) or not all(isinstance(part, Mapping) for part in content):
            raise InputError(
                "A message's content must be text or a list of content parts.", fix='A part: {"type": "text", "text": "..."}.'
            )
        if not all(isinstance(part.get("text"), str) for part in content if part.get("type") == "text"):
            raise InputError("A part of type text has no text.", fix='Write {"type": "text", "text": "..."}.')
        content = tuple(dict(part) for part in content)
    calls = () if calls is None else calls
    if not isinstance(calls, Sequence) or not all(map(_is_call, calls)):
        raise InputError(
            "A message's tool_calls must be a list of dicts.",
            fix='A call: {"id": "...", "type": "function", "function": {"name": "...", "arguments": "{}"}}.',
        )
    if answers is not None and not isinstance(answers, str):
        raise InputError(
            f"A message's tool_call_id must be text, not {answers!r}.", fix="Give the id of the call that it answers."
        )
    return Message(role, content, tuple(calls), answers)


def _is_call(call: object) -> bool:
    return isinstance(call, Mapping) and isinstance(call.get("function") or {}, Mapping)


def _field(message: Mapping[str, Any], name: str) -> Any:
    """A field of a message, None where it has none; a frame has NaN there, and arrays of NumPy for lists."""
    value = message.get(name)
    if value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and value != value):
        return None
    return value.tolist() if hasattr(value, "tolist") else value


def _in_range(name: str, value: object, low: float, high: float | None) -> float:
    """The value, as a number that a cache key can hold. Raises InputError."""
    if not isinstance(value, Real) or not low <= float(value) or (high is not None and float(value) > high):
        span = f"{low:g} or more" if high is None else f"between {low:g} and {high:g}"
        raise InputError(f"{name} must be a number, {span}, not {value!r}.")
    return value if isinstance(value, int | float) else float(value)


@lru_cache(maxsize=256)  # the same few names over and over, and comparing takes a tenth of a millisecond
def _almost(name: str) -> str | None:
    """The option that a parameter's name is almost."""
    return next(iter(get_close_matches(name, OPTIONS, n=1, cutoff=ALMOST)), None)


def _sendable(params: Mapping[str, Any]) -> None:
    """Refuse here what every provider would refuse or, worse, misread."""
    if "messages" in params:
        raise InputError("messages is no parameter.", fix="Give the list of messages as the prompt itself.")
    for name, value in params.items():
        if (meant := _almost(name)) is not None:
            raise UnknownName("option", name, [meant])
        if type(value) in _PLAIN:
            continue
        if not _is_json(value):
            raise InputError(
                f"The parameter {name} cannot be sent: it is no plain JSON.", fix="Give numbers, text, lists and dicts."
            )
    for name in LIMITS:
        limit = params.get(name)
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
            raise InputError(f"{name} must be a whole number of 1 or more, not {limit!r}.")
    tools, form = params.get("tools"), params.get("response_format")
    if tools is not None and not (isinstance(tools, (list, tuple)) and all(isinstance(tool, Mapping) for tool in tools)):
        raise InputError("tools must be a list of tools, each a dict.", fix='Like [{"type": "function", "function": {...}}].')
    if form is not None and not isinstance(form, Mapping):
        raise InputError("response_format must be a dict.", fix='Like {"type": "json_object"}.')


def _is_json(value: object) -> bool:
    """Whether it can be sent: JSON, in UTF-8."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _schema(schema: object) -> Mapping[str, Any] | None:
    if schema is None:
        return None
    if isinstance(schema, Mapping):
        if not _is_json(schema):
            raise InputError("The schema is no plain JSON.", fix="Give a JSON schema, or a pydantic model.")
        return schema
    make = getattr(schema, "model_json_schema", None)
    if callable(make):
        try:
            made: Mapping[str, Any] = make()
        except Exception as error:  # pydantic's own, of many kinds
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(f"The model has no JSON schema: {said}", fix="Leave out what JSON cannot hold.") from error
        return made
    raise InputError(f"A schema must be a JSON schema (a dict) or a pydantic model, not {type(schema).__name__}.")
