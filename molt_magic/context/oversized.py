"""A single message larger than the window: its text is read piece by piece, and notes for the question take its place."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from molt_magic.context.summary import Summariser
from molt_magic.tokens import count_text, truncate
from molt_magic.types import Attempt, Call, Message

EDGE_TOKENS = 200  # of the message's beginning and end, kept word for word: the question stands there
NOTE = "[The text between is too long for this model's window. Notes on it, taken part by part:]"


def digest(
    message: Message, *, question: str, budget: int, summariser: Summariser, max_calls: int
) -> Generator[Call, Attempt, Message]:
    """The message with the middle of its text replaced by notes, its text within `budget` tokens, its other parts kept.

    Args:
        message: the one that is too large.
        question: what the notes are for; empty: the message's own beginning and end.
        budget: tokens the text may have afterwards.
        summariser: who reads the pieces.
        max_calls: the most calls this may take; SummaryFailed beyond.
    """
    family = summariser.family
    text = message.text
    edge = min(EDGE_TOKENS, budget // 6)
    first = truncate(text, edge, family)
    last = tail(text, edge, family)
    middle = text[len(first) : len(text) - len(last)]
    space = budget - count_text(f"{first}\n\n{NOTE}\n\n{last}", family) - 8  # 8: tokens may split anew where texts meet
    notes = yield from summariser.material(middle, question or f"{first}\n...\n{last}", max(1, space), max_calls)
    short = truncate(f"{first}\n\n{NOTE}\n{notes}\n\n{last}", budget, family)
    if isinstance(message.content, str):
        return replace(message, content=short)
    others = tuple(part for part in message.content if part.get("type") != "text")
    return replace(message, content=({"type": "text", "text": short}, *others))


def tail(text: str, max_tokens: int, family: str) -> str:
    """The end of a text within `max_tokens`, begun at a word where there is one."""
    end = text[-8 * max_tokens :] if max_tokens > 0 else ""
    while end and (used := count_text(end, family)) > max_tokens:
        end = end[max(1, len(end) - len(end) * max_tokens // used) :]
    if len(end) < len(text) and not text[len(text) - len(end) - 1 : len(text) - len(end)].isspace():
        _, space, rest = end.partition(" ")
        end = rest if space else end
    return end
