"""How much a deployment may be asked: calls at once, requests and tokens a minute.

A minute is a sliding one. Who finds no room books the earliest time at which there will be some, behind all that booked
before: nobody overtakes, and how long it takes is known at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from molt_magic.types import Deployment

MINUTE_S = 60.25  # and a little: requests do not take equally long to get there, and the server counts when they arrive


@dataclass(frozen=True, slots=True)
class Place:
    """Leave to make one request."""

    id: int
    at: float  # monotonic seconds: not before


@dataclass(frozen=True, slots=True)
class Full:
    """There is no place."""

    until: float | None  # monotonic seconds; None: until one of the calls under way ends
    why: str  # "3 requests a minute"


def full(limits: Deployment, *, running: int, newest: Iterable[tuple[float, int]], tokens: int, now: float) -> Full | None:
    """What stands in the way of a request now, and until when.

    Args:
        running: calls under way.
        newest: (monotonic seconds, tokens) of what was asked in the last minute and of what is booked, newest first.
        tokens: what the request takes. One that takes more than a minute's tokens waits for a whole minute of its own.
    """
    if limits.max_concurrent is not None and running >= limits.max_concurrent:
        return Full(None, f"{limits.max_concurrent} at once")
    if limits.requests_per_minute is None and limits.tokens_per_minute is None:
        return None
    most = limits.tokens_per_minute
    total = 0 if most is None else min(tokens, most)
    until, why = now, "those that booked before"
    for number, (at, took) in enumerate(newest, 1):
        until = max(until, at)
        if at + MINUTE_S <= until:
            break  # neither this one nor those before it count by then
        total += took
        if limits.requests_per_minute is not None and number >= limits.requests_per_minute:
            until, why = at + MINUTE_S, f"{limits.requests_per_minute:,} requests a minute"
        elif most is not None and total > most:
            until, why = at + MINUTE_S, f"{most:,} tokens a minute"
    return Full(until, why) if until > now else None
