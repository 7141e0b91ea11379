"""What a user says of answers: one score, or a column of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from molt_magic.errors import InputError
from molt_magic.serial import scalar

if TYPE_CHECKING:
    import pandas as pd

Mark = tuple[Any, Any]  # decision_id and score, neither of them checked yet

ID, SCORE = "decision_id", "score"
_SHOWN = 3  # examples in an error


def marks_of(about: str | Mapping[str, float] | pd.Series[Any] | pd.DataFrame, score: float | None) -> list[Mark]:
    """Pairs of a decision's id and its score, in the order given.

    Args:
        about: a decision's id; or a frame with the columns `decision_id` (or an index of that name) and `score`; or a Series
            of scores indexed by id; or a mapping of them.
        score: of the one decision; None where `about` holds the scores.

    Raises:
        InputError: there is a score beside a column of them; a column is missing.
    """
    if isinstance(about, str):
        return [(about, scalar(score))]
    import pandas as pd

    if score is not None and isinstance(about, (pd.DataFrame, pd.Series, Mapping)):
        raise InputError("There is a score beside a whole column of them.", fix="Leave it out: orch.feedback(frame).")
    if score is not None:
        return [(str(about), scalar(score))]
    if isinstance(about, pd.DataFrame):
        about = scores_in(about, SCORE)
    if isinstance(about, (pd.Series, Mapping)):
        return [(decision_id, scalar(value)) for decision_id, value in about.items()]
    raise InputError(
        f"Feedback is about a decision's id, not about a {type(about).__name__}.",
        fix="Or give a DataFrame with decision_id and score, a Series of scores by decision_id, or a dict.",
    )


def scores_in(frame: pd.DataFrame, column: str) -> pd.Series[Any]:
    """The scores in a column of a frame, indexed by the decisions' ids. Raises InputError."""
    if column == ID:
        raise InputError(f"{ID} says which decisions are meant, and holds no scores.", fix="Name the column of scores.")
    by_index = frame.index.name == ID
    missing = [name for name in ((column,) if by_index else (ID, column)) if name not in frame.columns]
    if missing:
        had = ", ".join(map(str, frame.columns)) or "none"
        raise InputError(
            f"The frame has no column {', '.join(missing)} (it has: {had}).",
            fix=f"Rename yours, as in frame.rename(columns={{'your_name': '{missing[0]}'}}).",
        )
    return frame[column] if by_index else frame.set_index(ID)[column]


def checked(marks: Sequence[Mark]) -> list[tuple[str, float]]:
    """The marks, every score a number in [0, 1]. Raises InputError, which names those that are not."""
    wrong = [(decision_id, score) for decision_id, score in marks if not _is_score(score)]
    if len(marks) == 1 and wrong:
        raise InputError(f"A score must be a number between 0 and 1, not {wrong[0][1]!r}.", fix="Say 1 for good and 0 for bad.")
    if wrong:
        raise InputError(
            f"{len(wrong):,} of {len(marks):,} scores are no number between 0 and 1: "
            f"{some([f'{score!r} of {decision_id}' for decision_id, score in wrong])}. Nothing was noted.",
            fix="Scale them to [0, 1]; leave out what has no score, as in frame.dropna(subset=['score']).",
        )
    return [(str(decision_id), float(score)) for decision_id, score in marks]


def some(names: Sequence[str]) -> str:
    """The first few of some names, and how many more there are."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _is_score(score: object) -> bool:
    return isinstance(score, (int, float)) and 0.0 <= score <= 1.0
