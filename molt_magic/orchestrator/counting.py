"""What an answer used, and what that costs."""

from __future__ import annotations

import logging
from dataclasses import replace

from molt_magic import catalog as pricing
from molt_magic import tokens
from molt_magic.types import Call, Completion, ModelSpec, Usage

logger = logging.getLogger("molt_magic")


def counted(spec: ModelSpec, call: Call, said: Completion) -> Completion:
    """An answer with what it used and what that costs."""
    usage = priced(spec, _used(spec, call, said))
    return Completion(said.text, said.model, usage, said.finish_reason, said.logprobs, said.tool_calls)


def interrupted(spec: ModelSpec, call: Call, text: str) -> Completion | None:
    """As much of an answer as had arrived; None where nothing had."""
    if not text:
        return None
    return counted(spec, call, Completion(text=text, model=spec.model, finish_reason="interrupted"))


def priced(spec: ModelSpec, usage: Usage) -> Usage:
    """The usage with its cost. An unknown price is None, and pricing never fails a run."""
    try:
        return usage.at(pricing.cost_usd(spec, usage))
    except Exception:
        logger.exception("no price for %s", spec.name)
        return usage.at(None)


def free(completion: Completion) -> Completion:
    """The same completion, its cost 0: it came from the cache."""
    return replace(completion, usage=completion.usage.at(0.0))


def _used(spec: ModelSpec, call: Call, completion: Completion) -> Usage:
    """The provider's usage, or our own count marked as an estimate where it gave none."""
    usage = completion.usage
    if usage.input_tokens or usage.output_tokens:
        return usage
    return Usage(
        input_tokens=tokens.count_messages(call.messages, spec.family),
        output_tokens=tokens.count_text(_written(completion), spec.family),
        estimated=True,
    )


def _written(completion: Completion) -> str:
    """All that a model wrote: the text, and the calls of tools."""
    functions = (call.get("function") or {} for call in completion.tool_calls)
    calls = (f"{function.get('name', '')} {function.get('arguments', '')}" for function in functions)
    return "\n".join([completion.text, *calls])
