"""The attempts of a decision as the log keeps them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from molt_magic.log.written import WRITER, number, word
from molt_magic.orchestrator.trace import attempt_cost
from molt_magic.types import Attempt, Retry, Usage, Verdict

_UNUSED = Usage()
_ANYTHING = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str)  # a verdict may be a user's own


def attempted(attempts: Sequence[Attempt], keep_text: bool) -> str:
    """JSON: each attempt; what was answered where it may be kept."""
    return f"[{','.join([_attempt(each, keep_text) for each in attempts])}]"


def _attempt(attempt: Attempt, keep_text: bool) -> str:
    call, completion, verdict, error = attempt.call, attempt.completion, attempt.verdict, attempt.error
    usage = attempt.usage or _UNUSED
    return (
        f'{{"index":{attempt.index},"model":{word(call.model)},"purpose":{word(call.purpose)},'
        f'"served_model":{word(None if completion is None else completion.model)},"provider":{word(attempt.provider)},'
        f'"deployment":{word(attempt.deployment)},"cache":{word(attempt.cache)},'
        f'"cache_distance":{number(attempt.cache_distance)},'
        f'"cache_keys":[{",".join([WRITER.encode(key) for key in attempt.cache_keys])}],'
        f'"latency_s":{number(attempt.latency_s)},"ttft_s":{number(attempt.ttft_s)},'
        f'"input_tokens":{usage.input_tokens},"output_tokens":{usage.output_tokens},"cached_tokens":{usage.cached_tokens},'
        f'"reasoning_tokens":{usage.reasoning_tokens},"tokens_estimated":{"true" if usage.estimated else "false"},'
        f'"cost_usd":{number(attempt_cost(attempt))},'
        f'"finish_reason":{word(None if completion is None else completion.finish_reason)},'
        f'"error":{"null" if error is None else WRITER.encode(f"{error.kind}: {error.message}")},'
        f'"verdict":{"null" if verdict is None else _ANYTHING.encode(_verdict(verdict))},'
        f'"retries":[{",".join([WRITER.encode(_retry(each)) for each in attempt.retries])}],'
        f'"context":{word(attempt.context.action)},"context_reason":{word(attempt.context.reason)},'
        f'"text":{"null" if completion is None or not keep_text else WRITER.encode(completion.text)}}}'
    )


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "accepted": verdict.accepted,
        "score": verdict.score,
        "reason": verdict.reason,
        "validator": verdict.validator,
        "source": verdict.source,
    }


def _retry(retry: Retry) -> dict[str, Any]:
    return {"deployment": retry.deployment, "error": retry.error, "waited_s": retry.waited_s, "step": retry.step}
