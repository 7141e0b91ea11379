"""Labelled examples as people have them, read as (text, task) pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from molt_magic.errors import InputError
from molt_magic.serial import half_at

if TYPE_CHECKING:
    import pandas as pd

Example = tuple[str, str | None]  # (text, task); None: none of the tasks, e.g. a greeting

TEXT_COLUMNS, TASK_COLUMNS = ("text", "prompt"), ("task", "label")


def pairs(examples: Iterable[Any] | pd.DataFrame) -> list[Example]:
    """The pairs of a DataFrame or of an iterable of pairs.

    Raises:
        InputError: a column is missing, a row is no pair, a text is no text.
    """
    if hasattr(examples, "columns"):
        frame = cast("pd.DataFrame", examples)
        texts, tasks = _column(frame, TEXT_COLUMNS, "the prompts"), _column(frame, TASK_COLUMNS, "their tasks")
        rows: Iterable[Any] = zip(frame[texts], frame[tasks], strict=True)
    elif isinstance(examples, str | bytes) or not isinstance(examples, Iterable):
        raise InputError(
            f"Examples are (text, task) pairs or a DataFrame, not {type(examples).__name__}.",
            fix='Write: [("Where is my money?", "refunds")].',
        )
    else:
        rows = examples
    return [_pair(number, row) for number, row in enumerate(rows)]


def _column(frame: pd.DataFrame, names: Sequence[str], what: str) -> str:
    found = next((name for name in names if name in frame.columns), None)
    if found is None:
        wanted = " or ".join(map(repr, names))
        there = ", ".join(map(repr, frame.columns)) or "none"
        raise InputError(
            f"The DataFrame has no column {wanted} for {what}; its columns: {there}.",
            fix=f"Rename it: frame.rename(columns={{...: {names[0]!r}}}).",
        )
    return found


def _pair(number: int, row: Any) -> Example:
    if isinstance(row, str | bytes) or not isinstance(row, Sequence) or len(row) != 2:
        raise InputError(
            f"Example {number} is no (text, task) pair: {str(row)[:60]!r}.", fix='Write: ("some prompt", "its task").'
        )
    text, task = row
    if not isinstance(text, str):
        raise InputError(f"The text of example {number} is {type(text).__name__}, not text.", fix="Drop or mend that row.")
    nothing = task is None or type(task).__name__ == "NAType" or task != task  # NaN is not itself; pandas' NA is neither
    name = "" if nothing else str(task).strip()
    if not nothing and not name:
        raise InputError(f"The task of example {number} is empty.", fix="Say None where a text is none of the tasks.")
    if half_at(f"{text}{name}") is not None:
        raise InputError(
            f"Example {number} holds half of a character (a lone surrogate).",
            fix='Mend the text: text.encode("utf-8", "replace").decode().',
        )
    return text, name or None
