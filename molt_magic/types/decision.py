"""A row of the log, and what is learned from one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Self, cast

from molt_magic.types.attempt import CacheState

# how much the word of a source counts: of several on one answer the strongest, newest one is believed
SOURCE_RANK: Mapping[str, int] = MappingProxyType({"user": 3, "judge": 2, "validator": 1})


@dataclass(frozen=True)
class Decision:
    """One logged row; its fields are the columns of the decisions' frame (design: one row, everything about it)."""

    candidates_json = attempts_json = cast("str | None", None)  # of a decision made `of` them; they are no fields

    decision_id: str
    time: str  # ISO 8601, UTC
    session: str
    cell_id: str | None
    strategy: str
    task: str | None
    task_score: float | None
    prompt_hash: str
    prompt: str | None  # None where log_prompts is off
    model: str | None
    served_model: str | None
    provider: str | None
    deployment: str | None
    candidates: tuple[Mapping[str, Any], ...]  # JSON-ready
    attempts: tuple[Mapping[str, Any], ...]  # JSON-ready
    n_attempts: int
    escalations: int
    fallbacks: int
    fallback_reason: str | None
    cache: CacheState
    cache_distance: float | None
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: float | None
    overhead_cost_usd: float | None
    baseline_model: str | None
    baseline_cost_usd: float | None
    saved_usd: float | None
    latency_s: float
    ttft_s: float | None
    overhead_ms: float
    predicted_quality: float | None
    quality_threshold: float | None
    quality: float | None
    quality_source: Literal["validator", "judge", "user"] | None
    context_action: str
    context_tokens_before: int
    context_tokens_after: int
    status: Literal["ok", "best_effort", "interrupted", "error", "planned"]
    error: str | None  # kind: message
    reason: str
    promise: str | None = None  # what was promised of the policy that decided, a sentence
    propensity: float | None = None  # chance that the model asked first was asked first; None: it was certain

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """A decision of all its fields, made in a third of the time: every question makes one.

        Args:
            values: by name, and the decision's from now on; `candidates_json` or `attempts_json` instead of one of these two,
                which is read from it when somebody looks at it.
        """
        made = object.__new__(cls)
        object.__setattr__(made, "__dict__", values)
        return made


NOT_ASSESSED = "not assessed"  # the evidence of a model that could not have answered
_EXPECTED = {"expected_cost_usd": None, "predicted_quality": None, "quality_low": None}
_UNABLE = {**_EXPECTED, "evidence": NOT_ASSESSED, "n_evidence": 0.0}


def candidate_of_row(kept: dict[str, Any]) -> dict[str, Any]:
    """A candidate as a decision tells it, given what its row keeps: of a model that could not have answered no more than its
    name and why."""
    if len(kept) != 2 or kept.keys() != {"model", "skipped"}:
        return kept
    return {"model": kept["model"], **_UNABLE, "skipped": kept["skipped"], "eligible": False}


class _Read:
    """A field of a decision, read from its JSON once."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, decision: Decision | None, _kind: type[Decision]) -> Any:
        text = None if decision is None else getattr(decision, f"{self._name}_json")
        if text is None:
            raise AttributeError(self._name)
        found = json.loads(text)
        values = decision.__dict__[self._name] = tuple(map(candidate_of_row, found) if self._name == "candidates" else found)
        return values


for _name in ("candidates", "attempts"):
    setattr(Decision, _name, _Read(_name))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A scored answer, what predicted quality learns from."""

    decision_id: str
    model: str
    task: str | None
    score: float  # in [0, 1]
    source: Literal["validator", "judge", "user", "imported"]
    embedder: str  # id of the embedder that made `vector`
    vector: bytes  # float32, unit length; empty when there was none
    prompt: str = field(default="", compare=False)  # its text where it is known; the log keeps it with the decision
