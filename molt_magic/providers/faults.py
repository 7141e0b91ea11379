"""What a provider's error says, mapped into the error tree.

Each dialect reads its error body into a `Fault`; from there on they are alike. Sources: the vendors' error references
and the bodies their servers send, read in 2026-11.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any

from molt_magic.errors import (
    BadRequest,
    ConnectionFailed,
    ContentFiltered,
    ContextTooLong,
    ModelNotFound,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    ServerError,
    TimedOut,
    Unauthorized,
)
from molt_magic.providers.resets import reset_s, server_time
from molt_magic.providers.sound import with_whole_characters
from molt_magic.transport import Answer

LONGEST_WAIT_S = 120.0  # a server that asks for more is not waited for (as in the OpenAI SDK)
_LONGEST_MESSAGE = 400
_LONGEST_READ = 20_000  # characters of a message that are looked at: a page of a megabyte is not searched for what it means

_CONTEXT = re.compile(
    r"maximum context length|context[ _](length|window|size|limit)|prompt is too long|exceeded model token limit"
    r"|input token count|maximum number of tokens allowed|too many (input )?tokens|input is too long|longer than the model",
    re.I,
)
_CONTENT = re.compile(r"content (exists risk|policy|management policy|filter)|considered high risk|flagged|moderation", re.I)
_QUOTA = re.compile(
    r"insufficient (balance|quota|credit)|credit balance|exceeded your current quota|billing|out of credits", re.I
)
_MODEL = re.compile(
    r"model\b.{0,80}(not exist|not found|not a valid model)|(unknown|invalid|no such|not a valid|not found the) model\b",
    re.I,
)
_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error", "model_context_window_exceeded"})
_CONTENT_CODES = frozenset({"content_filter", "content_policy_violation", "responsibleaipolicyviolation"})
_QUOTA_CODES = frozenset(
    {"insufficient_quota", "billing_error", "billing_hard_limit_reached", "exceeded_current_quota_error", "billing_not_active"}
)
_MODEL_CODES = frozenset({"model_not_found", "invalid_model", "model_not_supported", "resource_not_found_error"})
_KEY_CODES = frozenset({"invalid_api_key", "api_key_invalid", "unauthenticated", "invalid_authentication_error"})

# what looks like a key, even one that was masked by the server
_KEY_LIKE = re.compile(r"\b(sk|pk|rk|xai|gsk|hf)[-_][\w*.-]{6,}|\bAIza[\w*-]{6,}|(?<=Bearer )\S+", re.I)


@dataclass(frozen=True, slots=True)
class Fault:
    """An error as a provider said it."""

    status: int  # of HTTP, or the one that an error inside a 200 stands for
    message: str
    codes: frozenset[str] = frozenset()  # its code, type, status, reason: in lower case
    retry_after_s: float | None = None
    passes: bool | None = None  # for a 429: whether the dialect knows that waiting helps


class Said(Exception):
    """A fault found in the middle of a stream; `exchange` turns it into a ProviderError."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def to_error(fault: Fault, *, provider: str, model: str, headers: Mapping[str, str], key: str | None) -> ProviderError:
    """The error of the tree for a fault, with the fix; no key is in it, even where the server sent it back."""
    fault = _sound(fault)
    kind = _kind(fault)
    said = redact(" ".join(fault.message.split()), key)
    if len(said) > _LONGEST_MESSAGE:
        said = said[: _LONGEST_MESSAGE - 1] + "…"
    retry_after = retry_after_s(headers)
    wait = fault.retry_after_s if retry_after is None else retry_after
    if wait is None and kind is RateLimited:
        wait = reset_s(headers)
    return kind(
        f"{provider} answered {fault.status} for {model}: {said or 'no message'}",
        provider=provider,
        status=fault.status,
        retry_after_s=wait,
        fix=_FIXES[kind],
        retryable=_retryable(kind, fault.status, wait, headers.get("x-should-retry", "")),
    )


def _sound(fault: Fault) -> Fault:
    """The fault, its parts of the types they should be, whatever the server sent in their place."""
    status = fault.status if isinstance(fault.status, int) and 300 <= fault.status <= 999 else 500
    message = fault.message if isinstance(fault.message, str) else json.dumps(fault.message, default=str)
    # what a terminal or a notebook would obey (escape sequences, changes of direction) is not passed on
    plain = "".join(c if c.isprintable() else " " for c in with_whole_characters(message[:_LONGEST_READ]))
    return replace(fault, status=status, message=plain)


def _kind(fault: Fault) -> type[ProviderError]:
    status, codes, message = fault.status, fault.codes, fault.message
    if 300 <= status < 400:
        return ConnectionFailed
    if status == 402 or codes & _QUOTA_CODES:
        return QuotaExceeded
    if status == 429:
        if fault.passes is not None:
            return RateLimited if fault.passes else QuotaExceeded
        return QuotaExceeded if _QUOTA.search(message) else RateLimited
    if codes & _CONTENT_CODES:
        return ContentFiltered
    if codes & _CONTEXT_CODES or (status in (400, 413, 422, 500) and _CONTEXT.search(message)):
        return ContextTooLong
    if status == 403 and _CONTENT.search(message):
        return ContentFiltered
    if status in (401, 403) or codes & _KEY_CODES:
        return Unauthorized
    if status == 404 or codes & _MODEL_CODES:
        return ModelNotFound
    if status == 408:
        return TimedOut
    if status >= 500:
        return ServerError
    for pattern, kind in ((_QUOTA, QuotaExceeded), (_CONTENT, ContentFiltered), (_MODEL, ModelNotFound)):
        if pattern.search(message):
            return kind
    return BadRequest


_FIXES: Mapping[type[ProviderError], str] = {
    ConnectionFailed: "Redirects are not followed, so that no key leaves for another host: set base_url to the final address.",
    QuotaExceeded: "Check the account's balance and limits, or use another model.",
    RateLimited: "Wait, slow down, or add a deployment with another key.",
    ContentFiltered: "Rephrase the prompt, or use another model.",
    ContextTooLong: "Shorten the prompt, or use a model with a larger window.",
    Unauthorized: "Check the key and that it may use this model.",
    ModelNotFound: "Check the model's id in the configuration, and base_url.",
    TimedOut: "Try again.",
    ServerError: "Try again later, or use another model.",
    BadRequest: "Check the parameters of the request.",
}


def _retryable(kind: type[ProviderError], status: int, wait: float | None, should_retry: str) -> bool:
    if wait is not None and wait > LONGEST_WAIT_S:
        return False
    if should_retry in ("true", "false"):
        return should_retry == "true"
    if kind is ConnectionFailed:  # a redirect stays one
        return False
    return kind.retryable or status == 409


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that `retry-after-ms` or `retry-after` (seconds or a date) ask for; None where neither does."""
    for name, per_second in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / per_second
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - server_time(headers))
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def redact(text: str, key: str | None) -> str:
    """The text without the key, and without anything else that looks like one."""
    if key and len(key) >= 4:  # a shorter one is a placeholder like `x`, and hides nothing
        text = text.replace(key, "***")
    return _KEY_LIKE.sub("***", text)


def words(*values: Any) -> frozenset[str]:
    """Codes in lower case, those that are there."""
    return frozenset(str(value).lower() for value in values if value not in (None, ""))


def unreadable(answer: Answer) -> str:
    """What to say of an error body that is not the dialect's JSON: its text where it is short, else what it is."""
    text = answer.body.decode("utf-8", "replace").strip()
    return answer.kind if not text or answer.kind == "a web page" else text
