"""When a deployment is left alone for a while, and for how long.

A refusal that says something of this key or endpoint (429, 401, 402, 403, 404, 408, or a Retry-After) cools it down at once.
Any other failure may be an accident: it counts, and cools the deployment down where over half of the last minute's requests
failed, and there were at least five.
"""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass, field

from molt_magic.errors import (
    ConnectionFailed,
    MalformedAnswer,
    ModelNotFound,
    OutOfTime,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    ServerError,
    StreamInterrupted,
    TimedOut,
    Unauthorized,
)

PASSING = (RateLimited, ServerError, ConnectionFailed, TimedOut)
LASTING = (Unauthorized, QuotaExceeded, ModelNotFound)  # another key or endpoint may still do
_FAILURES = (*PASSING, *LASTING, MalformedAnswer, StreamInterrupted)  # of the deployment; the others are the request's
_AT_ONCE = (RateLimited, *LASTING)

FIRST_S = 5.0  # after a failure that may pass; doubled with every further cooldown in a row
LONG_S = 300.0  # after one that does not pass by itself, and the longest of the others
LONGEST_S = 600.0  # however long a server asks to be left alone
MINUTE_S = 60.0
FEWEST = 5  # requests of the last minute, before their share of failures says anything


@dataclass(frozen=True, slots=True)
class Cooldown:
    """A deployment is left alone for others. Times are monotonic seconds, which all processes of a machine share."""

    began: float
    length: float  # others are preferred until `began + length`
    not_before: float  # the server asked to be left alone until then
    reason: str  # the kind of error
    in_a_row: int = 1  # how many cooldowns there were without a success between them
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def until(self) -> float:
        return self.began + self.length


class Recent:
    """How the requests of the last minute ended, by the second."""

    def __init__(self) -> None:
        self._seconds: deque[list[float]] = deque()  # [second, requests, failures]

    def add(self, now: float, *, failed: bool) -> None:
        second = now // 1
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0, 0])
        self._seconds[-1][1] += 1
        self._seconds[-1][2] += failed
        while self._seconds[0][0] <= now - MINUTE_S:
            self._seconds.popleft()

    def mostly_failed(self) -> bool:
        """Whether over half failed, of enough; as of the last one added."""
        requests = sum(second[1] for second in self._seconds)
        return requests >= FEWEST and sum(second[2] for second in self._seconds) > requests / 2


@dataclass(slots=True)
class Health:
    """What is known of one deployment."""

    in_flight: int = 0
    recent: Recent = field(default_factory=Recent)
    cooldown: Cooldown | None = None
    in_a_row: int = 0  # cooldowns without a success between them

    def cooling(self, now: float) -> Cooldown | None:
        """The cooldown in force."""
        return self.cooldown if self.cooldown is not None and now < self.cooldown.until else None

    def failed(self, error: ProviderError, *, begun: float, now: float) -> Cooldown | None:
        """Note a failure of a request that began at `begun`; the new cooldown where there is one now."""
        failure = isinstance(error, _FAILURES) and not isinstance(error, OutOfTime)  # our own haste is nobody's failure
        self.recent.add(now, failed=failure)
        if not failure:
            return None
        at_once = isinstance(error, _AT_ONCE) or error.status == 408 or error.retry_after_s is not None
        if not (at_once or self.recent.mostly_failed()):
            return None
        known = self.cooling(now)
        if known is None or begun > known.began:
            self.in_a_row += 1
        length = _length_s(error, self.in_a_row)
        if known is not None and known.until >= now + length:  # one of many that were under way when it was cooled down
            return None
        not_before = now + (error.retry_after_s or 0.0)
        self.cooldown = Cooldown(now, length, not_before, error.kind, self.in_a_row)
        return self.cooldown

    def answered(self, *, begun: float, now: float) -> Cooldown | None:
        """Note a success; the cooldown that it ended: one that began while it was under way goes on."""
        self.recent.add(now, failed=False)
        if self.cooldown is not None and begun < self.cooldown.began:
            return None
        ended, self.cooldown, self.in_a_row = self.cooldown, None, 0
        return ended

    def heard(self, said: Cooldown | None) -> None:
        """Take over what another kernel knows: its cooldown, or that there is none any more."""
        if said is None:
            self.cooldown, self.in_a_row = None, 0
        elif self.cooldown is None or said.until > self.cooldown.until:
            self.cooldown, self.in_a_row = said, max(self.in_a_row, said.in_a_row)


def _length_s(error: ProviderError, in_a_row: int) -> float:
    if error.retry_after_s is not None:
        return min(max(error.retry_after_s, 1.0), LONGEST_S)
    return LONG_S if isinstance(error, LASTING) else min(FIRST_S * 2 ** min(in_a_row - 1, 10), LONG_S)
