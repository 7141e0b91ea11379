"""Outcome tables taken apart into prompts to learn from and to score, and made from the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from molt_magic.errors import InputError
from molt_magic.quality.tables import read_outcomes
from molt_magic.types import SOURCE_RANK

if TYPE_CHECKING:
    import pandas as pd

    from molt_magic.log import DecisionLog

__all__ = ["from_log", "read_outcomes", "split"]


class HasLog(Protocol):
    """An orchestrator, as far as its log goes."""

    @property
    def log(self) -> DecisionLog: ...


def split(table: pd.DataFrame, *, share: float = 0.7, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(rows to learn from, rows to score): by the column `split` where it says train and test, else at random by prompt.

    Args:
        table: of `read_outcomes`.
        share: of the prompts to learn from, in (0, 1).

    Raises:
        InputError: the share is out of range.
    """
    import numpy as np

    if not 0.0 < share < 1.0:
        raise InputError(f"The share to learn from must be between 0 and 1, not {share!r}.")
    if "split" in table.columns and {"train", "test"} <= set(table["split"]):
        return table[table["split"] == "train"], table[table["split"] == "test"]
    ids = table["prompt_id"].unique().tolist()
    order = np.random.default_rng(seed).permutation(len(ids))
    chosen = {ids[i] for i in order[: round(share * len(ids))]}
    learn = table["prompt_id"].isin(chosen)
    return table[learn], table[~learn]


def from_log(orch: HasLog, *, session: str | None = None) -> pd.DataFrame:
    """The outcomes in the decision log: answers that a person, a judge or a scoring check has marked.

    Of the same model's answers to the same prompt the strongest word counts (user, judge, validator), then the newest.
    Only decisions whose prompt was logged can be used. Answers that were refused on the way count for the model that gave
    them; a model's answers that nobody marked teach nothing and are left out.

    Args:
        session: whose decisions, e.g. `orch.session`; None: those of every session.

    Returns:
        a table as `read_outcomes` gives it, possibly without rows.
    """
    import pandas as pd

    found: dict[tuple[str, str], tuple[int, dict[str, Any]]] = {}
    decisions: list[dict[str, Any]] = orch.log.to_frame().to_dict("records")  # type: ignore[assignment]  # our own names
    for decision in decisions:
        if not decision["prompt"] or decision["status"] == "planned" or session not in (None, decision["session"]):
            continue
        for attempt in decision["attempts"]:
            marked = _mark(decision, attempt)
            if marked is None:
                continue
            score, source = marked
            row = {
                "prompt_id": decision["prompt_hash"],
                "prompt": decision["prompt"],
                "task": decision["task"],
                "model": attempt["model"],
                "score": score,
                "cost_usd": attempt["cost_usd"],
                "response": attempt["text"],
                "prompt_tokens": attempt["input_tokens"],
                "completion_tokens": attempt["output_tokens"],
            }
            key = (decision["prompt_hash"], attempt["model"])
            if key not in found or SOURCE_RANK[source] >= found[key][0]:
                found[key] = (SOURCE_RANK[source], row)
    columns = ("prompt_id", "prompt", "model", "score", "cost_usd", "task", "response", "prompt_tokens", "completion_tokens")
    return read_outcomes(pd.DataFrame([row for _, row in found.values()], columns=list(columns)))


def _mark(decision: dict[str, Any], attempt: dict[str, Any]) -> tuple[float, str] | None:
    """(score, source) of an attempt: the decision's for the one that answered, its own verdict's for the others."""
    if attempt["purpose"] != "answer" or attempt["error"] or attempt["cache"] in ("exact", "semantic"):
        return None
    answers = [a for a in decision["attempts"] if a["purpose"] == "answer" and not a["error"]]
    quality = decision["quality"]
    if quality == quality and quality is not None and attempt is answers[-1]:
        return float(quality), str(decision["quality_source"])
    verdict = attempt["verdict"]
    if not verdict or verdict.get("source") == "learned":
        return None
    score = verdict["score"] if verdict["accepted"] or verdict["score"] is not None else 0.0
    return None if score is None else (float(score), str(verdict.get("source") or "validator"))
