"""What a server says beside the text, made sound: whatever it was, what is stored, priced and shown has the type it should.

Token counts that cannot be true are not believed, and the caller counts for itself: a slip of a server must neither throw an
answer away nor empty a budget.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any

from molt_magic.types import Completion, ModelSpec, Usage

logger = logging.getLogger("molt_magic")

# what reading a wrong shape raises
ODD = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)

# Most tokens of one answer that are believed: several times the model's window, since a server's own tools (a web search)
# make several turns of one; without a window, several times the largest there is.
_WINDOWS = 8
_MOST_TOKENS = 10_000_000

ReadsUsage = Callable[[Mapping[str, Any]], Usage]


def count(value: Any) -> int:
    """A number of tokens; 0 where there is none. Raises ValueError where it is no such number."""
    if type(value) is int and value >= 0:  # nearly always
        return value
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0 or value % 1:
        raise ValueError("not a number of tokens")
    return int(value)


def or_unknown(read: ReadsUsage) -> Callable[[Any], Usage]:
    """Reads usage; of what is none it says Usage(), which stands for "not said"."""

    @wraps(read)
    def reading(said: Any) -> Usage:
        try:
            return read(said) if said else Usage()
        except ODD:
            return Usage()

    return reading


def sound(completion: Completion, spec: ModelSpec) -> Completion:
    """The completion, fit to be priced, stored and shown. Raises TypeError and the like for tool calls that are none."""
    probabilities = completion.logprobs
    text = with_whole_characters(completion.text)
    model = with_whole_characters(completion.model) if isinstance(completion.model, str) else spec.model
    usage = _believed(completion, spec)
    as_it_is = usage is completion.usage and text == completion.text and model == completion.model
    if as_it_is and probabilities is None and not completion.tool_calls:
        return completion
    return replace(
        completion,
        text=text,
        model=model,
        usage=usage,
        logprobs=probabilities if probabilities and all(map(math.isfinite, probabilities)) else None,
        tool_calls=tuple(_tool_call(call, index) for index, call in enumerate(completion.tool_calls)),
    )


def with_whole_characters(text: str) -> str:
    """`text` with the halves of surrogate pairs joined, and those without a partner replaced.

    JSON's escapes can say half a character, and servers that cut between the halves of an emoji do; nothing that writes
    UTF-8 (a notebook, a file) could hold it.
    """
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _believed(completion: Completion, spec: ModelSpec) -> Usage:
    """The usage, or Usage() where it cannot be true: nothing read, nothing written where there is text, or far too much."""
    usage = completion.usage
    total = usage.input_tokens + usage.output_tokens
    if total == 0:
        return Usage()
    most = _WINDOWS * spec.context_window if spec.context_window else _MOST_TOKENS
    if total > most:
        logger.warning("%s says %d tokens, which cannot be: they are counted here instead", spec.name, total)
        return Usage()
    if usage.input_tokens == 0 or (usage.output_tokens == 0 and completion.text):
        return Usage()
    if usage.cached_tokens + usage.cache_write_tokens <= usage.input_tokens and usage.reasoning_tokens <= usage.output_tokens:
        return usage
    cached = min(usage.cached_tokens, usage.input_tokens)
    return replace(
        usage,
        cached_tokens=cached,
        cache_write_tokens=min(usage.cache_write_tokens, usage.input_tokens - cached),
        reasoning_tokens=min(usage.reasoning_tokens, usage.output_tokens),
    )


def _tool_call(call: Mapping[str, Any], index: int) -> Mapping[str, Any]:
    """A call as OpenAI writes it: some servers leave its id out, or give the arguments unwritten."""
    if not isinstance(call, Mapping):
        raise TypeError("a tool call is an object")
    named, function = call.get("id"), call.get("function")
    found: dict[str, Any] = {
        **call,
        "id": with_whole_characters(named) if named and isinstance(named, str) else f"call_{index}",
    }
    if function is None and isinstance(call.get("type"), str) and call["type"] != "function":
        return found  # of another kind (OpenAI's custom tools): handed on as it is
    if not isinstance(function, Mapping) or not isinstance(function["name"], str) or not function["name"]:
        raise TypeError("a tool call names its function")
    said = function.get("arguments")
    arguments = said if isinstance(said, str) else json.dumps(said or {}, ensure_ascii=False, allow_nan=False)
    found["type"] = "function"
    found["function"] = {
        **function,
        "name": with_whole_characters(function["name"]),
        "arguments": with_whole_characters(arguments),
    }
    json.dumps(found, allow_nan=False)
    return found
