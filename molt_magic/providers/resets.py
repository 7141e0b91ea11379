"""When a provider's own limits let the next request through: what its rate-limit headers say.

Sources, read in 2026-11: OpenAI and Groq (`x-ratelimit-reset-requests: 6m0s`, `250ms`), Azure and Cerebras (seconds),
OpenRouter (`x-ratelimit-reset`, epoch milliseconds), Anthropic (`anthropic-ratelimit-input-tokens-reset`, RFC 3339), and
the IETF's draft (`ratelimit-reset`, seconds).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_NAMES = (
    re.compile(r"(?P<family>x-ratelimit|ratelimit)-reset(?P<what>-.+)?"),
    re.compile(r"(?P<family>anthropic-ratelimit)(?P<what>-.+)-reset"),
)
_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?"
)
_UNITS_S = (86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_EPOCH_S, _EPOCH_MS = 1e9, 1e11  # a number from here on is a time: seconds since 1970, from here on milliseconds


def reset_s(headers: Mapping[str, str]) -> float | None:
    """Seconds until the limit that refused a request has room again; None where the headers do not say.

    Several limits are told at once (requests, tokens, input tokens, ...), with what remains of each. The one that is used up
    counts, the latest of several. Where none is used up, the request was larger than what remained: then those of tokens do.

    Args:
        headers: of the refusal, names in lower case.
    """
    resets: dict[str, float] = {}
    remaining: dict[str, float | None] = {}
    for name, value in headers.items():
        found = next((match for pattern in _NAMES if (match := pattern.fullmatch(name))), None)
        if found is None or (seconds := _seconds(value, headers)) is None:
            continue
        what = found["what"] or ""
        family = found["family"]
        left = headers.get(f"{family}{what}-remaining" if family.startswith("anthropic") else f"{family}-remaining{what}")
        resets[name], remaining[name] = seconds, _number(left)
    used_up = [seconds for name, seconds in resets.items() if remaining[name] == 0]
    if used_up:
        return max(used_up)
    untold = [seconds for name, seconds in resets.items() if remaining[name] is None]
    tokens = [seconds for name, seconds in resets.items() if "token" in name]
    return max(untold or tokens, default=None)


def _seconds(value: str, headers: Mapping[str, str]) -> float | None:
    """Seconds from now that a header's value means: a duration, a time, or a bare number of either kind."""
    text = value.strip()
    number = _number(text)
    if number is not None:
        if number < _EPOCH_S:
            return max(0.0, number)
        return max(0.0, number / (1000 if number >= _EPOCH_MS else 1) - server_time(headers))
    found = _DURATION.fullmatch(text)
    if text and found is not None:
        return sum(float(part) * unit for part, unit in zip(found.groups(), _UNITS_S, strict=True) if part)
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        return None
    return max(0.0, (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() - server_time(headers))


def server_time(headers: Mapping[str, str]) -> float:
    """The server's time, seconds since 1970; this machine's where it does not tell."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return time.time()


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(r"\d+(\.\d+)?", text.strip()) else None
