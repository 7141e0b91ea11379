"""What `logging` is told, under `molt_magic`: a line for a decision (INFO), one for every call and every retry (DEBUG).

Nothing of prompts and answers is in them; a DEBUG line has a provider's own words on what failed, which may quote a prompt.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from molt_magic.types import Attempt, Decision

logger = logging.getLogger("molt_magic")


def write(decision: Decision, attempts: Sequence[Attempt]) -> None:
    """Tell of a question that has ended."""
    if not logger.isEnabledFor(logging.INFO):
        return
    for attempt in attempts:
        for retry in attempt.retries:
            logger.debug(
                "%s: %s %s, after %.2f s: %s", decision.decision_id, retry.deployment, retry.step, retry.waited_s, retry.error
            )
        outcome = "answered" if attempt.error is None else f"{attempt.error.kind}: {attempt.error.message}"
        logger.debug(
            "%s: %s (%s, %s, cache %s) in %.2f s: %s",
            decision.decision_id,
            attempt.call.model,
            attempt.call.purpose,
            attempt.deployment,
            attempt.cache,
            attempt.latency_s,
            outcome,
        )
    error = "" if decision.error is None else f", {decision.error.partition(':')[0]}"
    cost = "unknown" if decision.cost_usd is None else f"{decision.cost_usd:.6f} USD"
    logger.info(
        "%s: %s by %s%s: %s, cache %s, %d attempts, cost %s, %.2f s",
        decision.decision_id,
        decision.status,
        decision.strategy,
        error,
        decision.model,
        decision.cache,
        decision.n_attempts,
        cost,
        decision.latency_s,
    )
