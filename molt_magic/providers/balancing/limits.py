"""How much a deployment may be asked: calls at once, requests and tokens a minute.

A minute is a sliding one. Who finds no room books the earliest time at which there will be some, behind all that booked
before: nobody overtakes, and how long it takes is known at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from molt_magic.types import Deployment

MINUTE_S = 62.0  # and a little: a server counts requests when they arrive, and a first one takes longer than a later one


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


@dataclass(frozen=True, slots=True)
class Load:
    """What a deployment has to do."""

    running: int  # calls under way, those that wait for their time included
    requests: int  # of the last minute, and those to come
    tokens: int  # of these
    last: float  # monotonic seconds of the last of these
    newest: Callable[[], Iterable[tuple[float, int]]]  # (time, tokens) of these, newest first


def full(limits: Deployment, load: Load, *, tokens: int, now: float) -> Full | None:
    """What stands in the way of a request now, and until when.

    Args:
        tokens: what the request takes. One that takes more than a minute's tokens waits for a whole minute of its own.
    """
    if limits.max_concurrent is not None and load.running >= limits.max_concurrent:
        return Full(None, f"{limits.max_concurrent:,} at once")
    requests = math.inf if limits.requests_per_minute is None else limits.requests_per_minute
    most = math.inf if limits.tokens_per_minute is None else limits.tokens_per_minute
    total = min(tokens, most)
    if load.last <= now and load.requests < requests and load.tokens + total <= most:
        return None
    until, why = now, "those that booked before"
    for number, (at, took) in enumerate(load.newest(), 1):
        until = max(until, at)
        if at + MINUTE_S <= until:
            break  # neither this one nor those before it count by then
        total += took
        if number >= requests:
            until, why = at + MINUTE_S, f"{requests:,} {'request' if requests == 1 else 'requests'} a minute"
        elif total > most:
            until, why = at + MINUTE_S, f"{most:,} tokens a minute"
    return Full(until, why) if until > now else None
