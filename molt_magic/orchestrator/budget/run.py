"""What a run of many questions may cost: an account beside those of the session and the day, in the memory of its process."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(slots=True)
class RunAccount:
    """The budget of one run. Its calls all go through one event loop, so that nobody else changes it meanwhile."""

    limit_usd: float | None  # None: there is none, and it only counts
    spent_usd: float = 0.0  # by its calls that have ended, as far as prices are known
    unknown: int = 0  # calls whose price is not known
    under_way: dict[str, float] = field(default_factory=dict)  # of that: by questions that have not ended, by decision_id
    held: list[float] = field(default_factory=list)  # the most that each of its calls in flight can cost

    @property
    def left_usd(self) -> float | None:
        """What may still be spent; None: whatever one likes."""
        return None if self.limit_usd is None else max(0.0, self.limit_usd - self.spent_usd)

    @property
    def reserved_usd(self) -> float:
        """The most that its calls in flight can cost: added up anew, or a trace of rounding would stay in flight for ever."""
        return math.fsum(self.held)

    def hold(self, usd: float) -> None:
        """Set aside what a call can cost at the most."""
        self.held.append(usd)

    def settle(self, decision_id: str, held_usd: float, cost_usd: float | None) -> None:
        """Put what a call of a question cost in place of what was held for it; None: that is not known."""
        if held_usd in self.held:
            self.held.remove(held_usd)
        self.spent_usd += cost_usd or 0.0
        self.unknown += cost_usd is None
        if cost_usd:
            self.under_way[decision_id] = self.under_way.get(decision_id, 0.0) + cost_usd

    def ended(self, decision_id: str) -> float:
        """Take note that a question has ended; what it cost, USD."""
        return self.under_way.pop(decision_id, 0.0)
