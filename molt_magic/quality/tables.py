"""Outcome tables: what several models answered to the same prompts, and how good that was. Read and checked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molt_magic.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

REQUIRED = ("prompt_id", "prompt", "model", "score", "cost_usd")
OPTIONAL = ("task", "response", "prompt_tokens", "completion_tokens", "prompt_short", "dataset", "split")
_ALIASES = {"category": "task"}
_TEXTS = ("prompt_id", "prompt", "model", "task", "category", "response", "prompt_short", "dataset", "split")
_NUMBERS = ("score", "cost_usd", "prompt_tokens", "completion_tokens")
_NO_NUMBER = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
    "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip  # what pandas takes for missing
_SHOWN = 3  # examples in an error


def read_outcomes(source: str | os.PathLike[str] | pd.DataFrame) -> pd.DataFrame:
    """An outcome table, checked and with its columns in their types.

    A row is what one model answered to one prompt. Columns: `prompt_id` (text), `prompt` (text), `model` (text), `score`
    (float in [0, 1]; missing where an answer was not scored), `cost_usd` (float, USD of the answer; missing where unknown).
    Where known: `task` (or `category`), `response` (the answer's text: with it checks replay for real), `prompt_tokens`,
    `completion_tokens`, `prompt_short` (the prompt without a preamble that all prompts share: what predictions look at),
    `dataset`, `split`. Other columns are left out.

    Args:
        source: a .parquet, .csv or .jsonl file, or a DataFrame. In a .csv text is read as it is written: only an empty field
            is missing.

    Raises:
        InputError: neither of these, the file cannot be read, or the table is none of outcomes; the message names the column
            and the fix.
    """
    import pandas as pd

    if not isinstance(source, str | os.PathLike | pd.DataFrame):
        said = f"Outcomes are a DataFrame or a file's path, not {type(source).__name__}."
        raise InputError(said, fix="Give a DataFrame, or the path of a .parquet, .csv or .jsonl file.")
    frame = source.copy() if isinstance(source, pd.DataFrame) else _read(Path(source).expanduser())
    named = {alias: name for alias, name in _ALIASES.items() if alias in frame.columns and name not in frame.columns}
    frame = frame.rename(columns=named)
    _columns(frame)
    frame = frame[[name for name in (*REQUIRED, *OPTIONAL) if name in frame.columns]].reset_index(drop=True)
    for name in ("prompt_id", "prompt", "model"):
        _complete(frame, name)
        frame[name] = frame[name].astype(str)
    frame["score"] = _numbers(frame, "score", 0.0, 1.0)
    frame["cost_usd"] = _numbers(frame, "cost_usd", 0.0, None)
    for name in ("prompt_tokens", "completion_tokens"):
        if name in frame.columns:
            frame[name] = _numbers(frame, name, 0.0, None)
    for name in ("task", "response", "prompt_short", "dataset", "split"):
        if name in frame.columns:
            given = frame[name].astype(object)
            frame[name] = given.where(given.isna(), given.map(str)).where(given.notna(), None)
    _once(frame)
    return frame


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        match path.suffix.lower():
            case ".parquet":
                return pd.read_parquet(path)
            case ".csv":
                return _csv(path)
            case ".jsonl":
                return pd.read_json(path, lines=True, dtype=False)
    except ImportError as error:
        fix = "Install it with: pip install pyarrow; or give .csv or .jsonl."
        raise InputError("Parquet needs pyarrow.", fix=fix) from error
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.", fix="Give the path of a .parquet, .csv or .jsonl file.") from error
    except (OSError, ValueError, TypeError) as error:
        said = " ".join(str(error).split())[:200]
        raise InputError(f"{path} cannot be read as {path.suffix[1:]}: {said}.", fix="Write it again.") from error
    raise InputError(f"{path.name!r} has no ending that is known.", fix="Give a .parquet, .csv or .jsonl file.")


def _csv(path: Path) -> pd.DataFrame:
    """A .csv with its text as it is written: pandas would take NA and null for missing, and 007 for 7."""
    import pandas as pd

    missing = {name: [""] for name in _TEXTS} | {name: list(_NO_NUMBER) for name in _NUMBERS}
    return pd.read_csv(path, dtype=dict.fromkeys(_TEXTS, str), na_values=missing, keep_default_na=False)


def _columns(frame: pd.DataFrame) -> None:
    names = list(frame.columns)
    doubled = [name for name in (*REQUIRED, *OPTIONAL) if names.count(name) > 1]
    if doubled:
        fix = "Keep one of each: table.loc[:, ~table.columns.duplicated()]."
        raise InputError(f"The outcome table has more than one column {', '.join(doubled)}.", fix=fix)
    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        had = ", ".join(map(str, frame.columns)) or "none"
        raise InputError(
            f"The outcome table has no column {', '.join(missing)} (it has: {had}).",
            fix=f"Rename yours, as in table.rename(columns={{'your_name': '{missing[0]}'}}).",
        )


def _complete(frame: pd.DataFrame, name: str) -> None:
    empty = frame.index[frame[name].isna()]
    if len(empty):
        raise InputError(f"{name} is missing in {_rows(empty)}.", fix=f"Fill it in, or table.dropna(subset=['{name}']).")


def _numbers(frame: pd.DataFrame, name: str, low: float, high: float | None) -> pd.Series[float]:
    import pandas as pd

    given = frame[name]
    read = pd.to_numeric(given, errors="coerce")
    whole = not pd.api.types.is_complex_dtype(read)  # a complex number would lose a part of it
    values = read.astype("float64") if whole else pd.Series(float("nan"), index=frame.index)
    wrong = frame.index[values.isna() & given.notna()]
    if len(wrong):
        said = f"{name} is no number in {_rows(wrong)}: {given[wrong[0]]!r}."
        raise InputError(said, fix="Write a number, or leave it empty.")
    endless = float("inf")
    outside = frame.index[(values < low) | (values > (endless if high is None else high)) | (values == endless)]
    if len(outside):
        span = f"{low:g} or more" if high is None else f"between {low:g} and {high:g}"
        first = values[outside[0]]
        fix = "Amounts are in USD or tokens, and none is negative."
        fix = "Scale it to [0, 1], as in table['score'] / 10." if name == "score" else fix
        raise InputError(f"{name} must be {span}, not {first:g} ({_rows(outside)}).", fix=fix)
    return values


def _once(frame: pd.DataFrame) -> None:
    again = frame.index[frame.duplicated(["prompt_id", "model"])]
    if len(again):
        pair = frame.loc[again[0], ["prompt_id", "model"]].tolist()
        raise InputError(
            f"{pair[1]!r} answers prompt {pair[0]!r} more than once ({_rows(again)}).",
            fix="Keep one: table.drop_duplicates(['prompt_id', 'model']); or give every repetition a prompt_id of its own.",
        )
    texts = frame.groupby("prompt_id")["prompt"].nunique()
    if (texts > 1).any():
        raise InputError(
            f"prompt_id {texts.index[texts > 1][0]!r} stands for several prompts.", fix="Give every prompt an id of its own."
        )


def _rows(index: Sequence[Any] | pd.Index[Any]) -> str:
    shown = ", ".join(str(i) for i in list(index)[:_SHOWN])
    more = f" and {len(index) - _SHOWN} more" if len(index) > _SHOWN else ""
    return f"row{'s' if len(index) > 1 else ''} {shown}{more}"
