"""What a provider's rate-limit headers say about when to come back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from molt_magic.errors import RateLimited, ServerError
from molt_magic.providers.faults import Fault, to_error
from molt_magic.providers.resets import reset_s

NOW = "Sat, 28 Nov 2026 12:00:00 GMT"
EPOCH = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1s", 1.0),
        ("250ms", 0.25),
        ("6m0s", 360.0),
        ("1m2.5s", 62.5),
        ("2h3m", 7380.0),
        ("1d", 86400.0),
        ("7.66s", 7.66),
        ("17", 17.0),
        (str(EPOCH + 30), 30.0),
        (str(int(EPOCH + 30) * 1000), 30.0),
        ("2026-11-28T12:00:45Z", 45.0),
        ("2026-11-28T13:00:45+01:00", 45.0),
        ("2026-11-28T11:00:00Z", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
    ],
)
def test_durations_and_times_are_read_as_seconds_from_now(value: str, seconds: float | None) -> None:
    found = reset_s({"date": NOW, "x-ratelimit-reset-requests": value})
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"remaining-requests": "0", "reset-requests": "2s", "remaining-tokens": "900", "reset-tokens": "6m0s"}, 2.0),
        ({"remaining-requests": "9", "reset-requests": "6m0s", "remaining-tokens": "0", "reset-tokens": "3s"}, 3.0),
        ({"remaining-requests": "0", "reset-requests": "2s", "remaining-tokens": "0", "reset-tokens": "3s"}, 3.0),
        # larger than what remains of the tokens: requests are not what is missing
        ({"remaining-requests": "9", "reset-requests": "6m0s", "remaining-tokens": "9", "reset-tokens": "3s"}, 3.0),
        ({"remaining-requests": "9", "reset-requests": "6m0s"}, None),
        ({"reset-requests": "2s", "reset-tokens": "3s"}, 3.0),
    ],
)
def test_the_limit_that_is_used_up_counts(headers: Mapping[str, str], seconds: float | None) -> None:
    assert reset_s({f"x-ratelimit-{name}": value for name, value in headers.items()}) == seconds


def test_anthropics_and_openrouters_headers_are_understood() -> None:
    limits = {
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2026-11-28T12:00:01Z",
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": "2026-11-28T12:00:20Z",
    }
    assert reset_s({"date": NOW, **limits}) == 20.0
    assert reset_s({"date": NOW, "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(EPOCH + 7) * 1000)}) == 7.0


def test_the_servers_own_clock_counts_where_it_tells_it() -> None:
    assert reset_s({"x-ratelimit-reset": str(time.time() + 50)}) == pytest.approx(50, abs=1)
    assert reset_s({"date": NOW, "x-ratelimit-reset": str(EPOCH + 50)}) == 50.0


def error(headers: Mapping[str, str], fault: Fault) -> tuple[type, float | None]:
    found = to_error(fault, provider="openai", model="m", headers=headers, key=None)
    return type(found), found.retry_after_s


def test_retry_after_and_the_body_are_stronger_than_the_headers_of_limits() -> None:
    reset = {"x-ratelimit-reset-requests": "9s"}
    assert error({**reset, "retry-after": "2"}, Fault(429, "slow")) == (RateLimited, 2.0)
    assert error(reset, Fault(429, "slow", retry_after_s=3.0)) == (RateLimited, 3.0)
    assert error(reset, Fault(429, "slow")) == (RateLimited, 9.0)
    assert error(reset, Fault(500, "broken")) == (ServerError, None)  # they are sent with every answer


def test_a_retry_after_date_is_by_the_servers_clock() -> None:
    later = "Sat, 28 Nov 2026 12:00:09 GMT"
    assert error({"date": NOW, "retry-after": later}, Fault(429, "slow")) == (RateLimited, 9.0)
