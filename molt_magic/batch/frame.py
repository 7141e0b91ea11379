"""The rows of a run, and the frame they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from molt_magic.batch.column import Column, Questions
from molt_magic.orchestrator.recorded import source_of
from molt_magic.result import Result

if TYPE_CHECKING:
    import pandas as pd

# fmt: off
COLUMNS = (
    "text", "model", "strategy", "status", "cost_usd", "saved_usd", "latency_s", "cache", "error", "decision_id",
)
# fmt: on
NUMBERS = ("cost_usd", "saved_usd", "latency_s")
ANSWERED = ("ok", "best_effort")  # statuses of an answer that need not be asked for again
NOT_ASKED = "not asked"  # the status of a row that the run did not come to


@dataclass(slots=True)
class Row:
    """What came of a question; all that is kept of it once it is answered."""

    status: str
    text: str | None = None
    model: str | None = None
    strategy: str | None = None
    cost_usd: float | None = None
    saved_usd: float | None = None
    baseline_cost_usd: float | None = None  # what the best available model would have cost: what a row that repeats it saves
    latency_s: float | None = None
    cache: str | None = None
    error: str | None = None  # kind: message
    decision_id: str | None = None

    @property
    def answered(self) -> bool:
        """Whether there is an answer that need not be asked for again."""
        return self.status in ANSWERED

    @classmethod
    def of(cls, result: Result) -> Row:
        """The row of a result, a failed one too."""
        d = result.decision
        return cls(
            status=d.status,
            text=result.text or None,
            model=d.model,
            strategy=d.strategy,
            cost_usd=d.cost_usd,
            saved_usd=d.saved_usd,
            baseline_cost_usd=d.baseline_cost_usd,
            latency_s=d.latency_s,
            cache=d.cache,
            error=f"{result.error.kind}: {result.error.message}" if result.error is not None and d.error is None else d.error,
            decision_id=source_of(d.deployment) or d.decision_id,  # of a recorded answer: where it comes from
        )

    def repeated(self) -> Row:
        """The row of another prompt that asks the same."""
        if not self.answered:
            return Row(self.status, self.text, self.model, self.strategy, 0.0, None, None, None, self.cache, self.error,
                       self.decision_id)  # fmt: skip
        saved = self.baseline_cost_usd
        return Row(
            self.status, self.text, self.model, self.strategy, 0.0, saved, saved, 0.0, "exact", self.error, self.decision_id
        )


def build(column: Column, questions: Questions, answers: Mapping[int, Row], otherwise: str) -> pd.DataFrame:
    """The frame, a row a prompt, in their order and with their index.

    Args:
        answers: what came of each question that has ended.
        otherwise: the error of a row whose question has not.
    """
    import pandas as pd

    values: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    nothing = Row(NOT_ASKED, error=otherwise)
    for at, number in enumerate(questions.of_row):
        if number < 0:
            row = Row("error", error=questions.unread[at])
        elif (found := answers.get(number)) is None:
            row = nothing
        else:
            row = found if questions.rows[number] == at else found.repeated()
        for name in COLUMNS:
            values[name].append(getattr(row, name))
    index = pd.RangeIndex(len(questions.of_row)) if column.index is None else column.index
    made = {name: pd.Series(values[name], index, dtype=float if name in NUMBERS else object) for name in COLUMNS}
    return pd.DataFrame(made, index)
