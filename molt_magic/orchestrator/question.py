"""Reads what a caller asked into a Request, and refuses what cannot be asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from molt_magic.catalog import Catalog
from molt_magic.errors import InputError, UnknownName
from molt_magic.strategies import NAMES
from molt_magic.types import Message, Request

ROLES = ("system", "user", "assistant", "tool")

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
    messages = (*history, *_messages(prompt))
    if system is not None:
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
    _in_range("quality", quality, 0.0, 1.0)
    if max_cost is not None and not max_cost >= 0:
        raise InputError(f"max_cost must be 0 or more USD, not {max_cost!r}.")
    return Request(
        messages=messages,
        task=task,
        strategy="direct" if model is not None else strategy,
        model=model,
        quality=quality,
        max_cost_usd=max_cost,
        params=dict(params),
        schema=_schema(schema),
        thread=thread,
    )


def _messages(prompt: Prompt) -> tuple[Message, ...]:
    if isinstance(prompt, str):
        messages: tuple[Message, ...] = (Message("user", prompt),)
    else:
        messages = tuple(_message(m) for m in prompt)
    users = [m for m in messages if m.role == "user"]
    if not users:
        raise InputError("There is no user message.", fix='Give text, or messages with {"role": "user", "content": ...}.')
    last = users[-1]
    if isinstance(last.content, str) and not last.content.strip():
        raise InputError("The prompt is empty.", fix="Write the question below the %%route line.")
    return messages


def _message(given: Message | Mapping[str, Any]) -> Message:
    if isinstance(given, Message):
        return given
    if not isinstance(given, Mapping) or "role" not in given:
        raise InputError(f"A message must be a mapping with role and content, not {type(given).__name__}.")
    role: Any = given["role"]
    content: Any = given.get("content") or ""
    if role not in ROLES:
        raise UnknownName("role", str(role), ROLES)
    if not isinstance(content, str):
        if not isinstance(content, Sequence) or not all(isinstance(part, Mapping) for part in content):
            raise InputError("A message's content must be text or a list of content parts.")
        content = tuple(dict(part) for part in content)
    return Message(role, content, tuple(given.get("tool_calls") or ()), given.get("tool_call_id"))


def _in_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise InputError(f"{name} must be between {low:g} and {high:g}, not {value!r}.")


def _schema(schema: object) -> Mapping[str, Any] | None:
    if schema is None or isinstance(schema, Mapping):
        return schema
    make = getattr(schema, "model_json_schema", None)
    if callable(make):
        made: Mapping[str, Any] = make()
        return made
    raise InputError("A schema must be a JSON schema (a dict) or a pydantic model.", fix=f"It is a {type(schema).__name__}.")
