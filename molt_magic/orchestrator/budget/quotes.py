"""What a call may cost, before it is made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from molt_magic import catalog, tokens
from molt_magic.orchestrator.candidates import answer_limit
from molt_magic.types import ModelSpec

# An answer without a limit of its own is estimated at this many times its expected length. Logs of lengths deviate from what
# was expected by about 0.7 (`quality.lengths.SPREAD`): 99 of 100 answers are then below exp(2.33 * 0.7) = 5.1 times the middle
# one, and the mean, which is what is expected, is exp(0.7 ** 2 / 2) = 1.28 times the middle one.
MARGIN = 4.0


@dataclass(frozen=True, slots=True)
class Quote:
    """What a call may cost, USD; None: a price is unknown."""

    usd: float | None  # the estimate: with `max_tokens` an upper bound, else what 99 of 100 answers stay under
    most_usd: float | None  # if the model writes as much as it can


def quote(
    spec: ModelSpec, message_tokens: int, params: Mapping[str, Any], schema: Mapping[str, Any] | None, expected_tokens: int
) -> Quote:
    """What a call may cost: its input as counted, and as much output as it may have.

    Args:
        message_tokens: of its messages; tools and a schema are counted here.
        params: of the call. `max_tokens` bounds the answer; without it the estimate is MARGIN times the expected length, and
            the most is what the model can write, or what is left of its window.
        expected_tokens: of the answer.
    """
    count = message_tokens
    if params.get("tools") or schema is not None:
        count += tokens.count_text(json.dumps([params.get("tools"), schema], default=dict), spec.family)
    limit = answer_limit(params)
    room = None if spec.context_window is None else max(spec.context_window - count, 0)
    ends = [end for end in (limit, spec.max_output, room) if end is not None]
    most = min(ends, default=None)
    likely = int(MARGIN * expected_tokens) if limit is None else limit
    likely = likely if most is None else min(likely, most)
    answers = n if isinstance(n := params.get("n"), int) and n > 1 else 1
    estimate = catalog.estimate_usd(spec, count, likely * answers)
    return Quote(estimate, catalog.estimate_usd(spec, count, (likely if most is None else most) * answers))
