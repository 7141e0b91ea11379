"""What a failure says of the other rows: nothing, that they will fail alike, or that there is somebody to wait for."""

from __future__ import annotations

import re
from collections.abc import Callable

from molt_magic import errors
from molt_magic.orchestrator.asked import Asked
from molt_magic.types import Candidate, ModelSpec

# of the user's side, and whatever the prompt is
_OURS = (
    errors.Unauthorized,
    errors.QuotaExceeded,
    errors.ModelNotFound,
    errors.ConnectionFailed,
    errors.ConfigError,
    errors.WeightsError,
)
# why deployments are left alone for a while after which they may answer again, as `Serves.cooling` ends
_PASSING = re.compile(
    rf"\(({'|'.join(e.kind for e in (errors.RateLimited, errors.ServerError, errors.TimedOut, errors.MalformedAnswer))})\)$"
)


def ends_all(error: errors.MoltError) -> bool:
    """Whether there is no point in asking on: the budget of the run, the session or the day has no room for the question, nor
    will it have for the next; or the workers are gone that ask."""
    if isinstance(error, errors.BudgetExceeded):
        return error.budget in ("run", "session", "day")
    return isinstance(error, errors.ClusterError)


def concerns_all(error: errors.MoltError, asked: Asked) -> bool:
    """Whether a failure has nothing to do with its row: a key that is refused, a model that nobody has, a host that is not
    there, a price that is not known."""
    if isinstance(error, errors.NoAnswer):
        return all(isinstance(failure, _OURS) for _, failure in error.failures)
    candidates = _candidates(asked)
    if isinstance(error, errors.NoCandidate):
        return not any(candidate.reachable for candidate in candidates)
    if isinstance(error, errors.BudgetExceeded):
        return all(candidate.expected_cost_usd is None for candidate in candidates if candidate.reachable)
    return isinstance(error, _OURS)


def resting(error: errors.MoltError, asked: Asked, cooling: Callable[[ModelSpec], str | None]) -> bool:
    """Whether nobody could be asked because whoever could is left alone for a while, as a server that was asked too much.

    Args:
        cooling: why every deployment of a model is cooling down now; None: one is not.
    """
    if not isinstance(error, errors.NoCandidate):
        return False
    wanted = asked.request.model
    able = [c.spec for c in _candidates(asked) if wanted in (None, c.name)]
    return any(_PASSING.search(cooling(spec) or "") for spec in able)


def too_fast(error: errors.MoltError) -> float | None:
    """Seconds that whoever was asked wants to be left alone, 0 where they do not say; None: that is not why it failed."""
    failures = [failure for _, failure in error.failures] if isinstance(error, errors.NoAnswer) else [error]
    waits = [failure.retry_after_s or 0.0 for failure in failures if isinstance(failure, errors.RateLimited)]
    return min(waits) if waits and len(waits) == len(failures) else None


def _candidates(asked: Asked) -> tuple[Candidate, ...]:
    return () if asked.result is None else asked.result.candidates
