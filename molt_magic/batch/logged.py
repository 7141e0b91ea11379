"""What became of questions by the decision log: of those whose process was killed before it kept their answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from molt_magic.batch.frame import Row
from molt_magic.log import DecisionLog

_COLUMNS = ("status", "model", "strategy", "cost_usd", "saved_usd", "baseline_cost_usd", "latency_s", "cache", "error")
_WHICH = ("model", "deployment", "ttft_s", "input_tokens", "output_tokens")  # by which a decision's answer is known


def answered_by(log: DecisionLog, ids: Sequence[str]) -> dict[str, Row]:
    """The rows of those of these decisions that are in the log, by id. Raises StoreError."""
    rows = {}
    for name, values in log.columns_of(ids, (*_COLUMNS, *_WHICH[1:], "attempts")).items():
        decision = dict(zip((*_COLUMNS, *_WHICH[1:], "attempts"), values, strict=True))
        rows[name] = Row(**{column: decision[column] for column in _COLUMNS}, text=_text(decision), decision_id=name)
    return rows


def _text(decision: Mapping[str, Any]) -> str | None:
    """The text of the attempt that a decision chose: the first that has its figures."""
    attempts = [attempt for attempt in json.loads(decision["attempts"]) if attempt["purpose"] == "answer"]
    chosen = [attempt for attempt in attempts if all(attempt[name] == decision[name] for name in _WHICH)]
    return next((attempt["text"] or None for attempt in chosen), None)
