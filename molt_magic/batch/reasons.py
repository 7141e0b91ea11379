"""What a failure says of the other rows: nothing, or that they will fail alike."""

from __future__ import annotations

from molt_magic import errors
from molt_magic.orchestrator.asked import Asked

# of the user's side, and whatever the prompt is
_OURS = (
    errors.Unauthorized,
    errors.QuotaExceeded,
    errors.ModelNotFound,
    errors.ConnectionFailed,
    errors.ConfigError,
    errors.WeightsError,
)


def spent_out(error: errors.MoltError) -> bool:
    """Whether the budget of the run, the session or the day has no room for the question: nor will it have for the next."""
    return isinstance(error, errors.BudgetExceeded) and error.budget in ("run", "session", "day")


def concerns_all(error: errors.MoltError, asked: Asked) -> bool:
    """Whether a failure has nothing to do with its row: a key that is refused, a model that nobody has, a host that is not
    there, a price that is not known."""
    if isinstance(error, errors.NoAnswer):
        return all(isinstance(failure, _OURS) for _, failure in error.failures)
    candidates = () if asked.situation is None else asked.situation.candidates
    if isinstance(error, errors.NoCandidate):
        return not any(candidate.reachable for candidate in candidates)
    if isinstance(error, errors.BudgetExceeded):
        return all(c.expected_cost_usd is None for c in candidates if c.reachable)
    return isinstance(error, _OURS)
