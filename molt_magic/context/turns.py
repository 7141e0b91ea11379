"""Turns: a conversation cut where it may be cut, and the text of a turn for a model that has to summarise it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from molt_magic.types import Message

Turn = tuple[Message, ...]

SPEAKERS = {"user": "User", "assistant": "Assistant", "tool": "Tool result", "system": "System"}


def split_turns(messages: Sequence[Message]) -> tuple[tuple[Message, ...], list[Turn]]:
    """The leading system messages, and the turns after them.

    A turn is a user message up to the next one. Where the result of a tool call comes only after a further user message,
    both stay in one turn: a provider refuses a call without its result, and a result without its call.
    """
    start = next((i for i, message in enumerate(messages) if message.role != "system"), len(messages))
    head, body = tuple(messages[:start]), messages[start:]
    answered_at = {call: result for result, call in _pairs(body).items()}  # the last result of each
    turns: list[list[Message]] = []
    joined_until = -1  # no cut up to here: a result is still to come
    for i, message in enumerate(body):
        if not turns or (message.role == "user" and i > joined_until):
            turns.append([])
        turns[-1].append(message)
        joined_until = max(joined_until, answered_at.get(i, -1))
    return head, [tuple(turn) for turn in turns]


def paired(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages without results that have no call, and without calls that have no result: a provider refuses both. Those of
    the last message stay: their results may be yet to come."""
    pairs = _pairs(messages)
    answered = {(call, messages[result].tool_call_id) for result, call in pairs.items()}
    found: list[Message] = []
    for i, message in enumerate(messages):
        if message.tool_call_id is not None and i not in pairs:
            continue
        if message.tool_calls and i < len(messages) - 1:
            calls = tuple(call for call in message.tool_calls if (i, str(call.get("id"))) in answered)
            message = replace(message, tool_calls=calls)
        found.append(message)
    return tuple(found)


def _pairs(messages: Sequence[Message]) -> dict[int, int]:
    """Where each tool result stands -> where its call does: the nearest before it, for the ids that some models give count
    anew in every answer."""
    called_at: dict[str, int] = {}
    pairs: dict[int, int] = {}
    for i, message in enumerate(messages):
        called_at |= {str(call.get("id")): i for call in message.tool_calls}
        if message.tool_call_id in called_at:
            pairs[i] = called_at[message.tool_call_id]
    return pairs


def split_steps(turn: Turn) -> list[Turn]:
    """A turn cut into what may go on its own: everything up to the last user message, then each call with its results."""
    last_user = max((i for i, message in enumerate(turn) if message.role == "user"), default=-1)
    calls_before_user = any(message.tool_calls for message in turn[: last_user + 1])
    if calls_before_user:
        return [turn]
    steps: list[list[Message]] = [list(turn[: last_user + 1])] if last_user >= 0 else []
    for message in turn[last_user + 1 :]:
        if message.role != "tool" or len(steps) < 2:
            steps.append([])
        steps[-1].append(message)
    return [tuple(step) for step in steps]


def transcript(messages: Sequence[Message]) -> str:
    """The messages as text, a paragraph each, tool calls by name and arguments, other parts named in brackets."""
    return "\n\n".join(line for message in messages if (line := _line(message)))


def _line(message: Message) -> str:
    pieces = [message.text.strip()]
    if not isinstance(message.content, str):
        pieces += [f"[{part.get('type', 'part')}]" for part in message.content if part.get("type") != "text"]
    for call in message.tool_calls:
        named = call.get("function")
        function = named if isinstance(named, Mapping) else {}
        pieces.append(f"[calls {function.get('name', 'a tool')} with {function.get('arguments', '')}]")
    said = "\n".join(piece for piece in pieces if piece)
    return f"{SPEAKERS[message.role]}: {said}" if said else ""
