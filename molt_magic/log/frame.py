"""Decisions as a DataFrame, and a DataFrame as a file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molt_magic.drafts import replacing
from molt_magic.errors import InputError, StoreError
from molt_magic.log.schema import COLUMNS, JSON_COLUMNS
from molt_magic.types import Decision, candidate_of_row

if TYPE_CHECKING:
    import pandas as pd

# the annotations are text here: `from __future__ import annotations` in types
_TYPES = {field.name: field.type for field in dataclasses.fields(Decision)}
_WHOLE = frozenset(name for name, kind in _TYPES.items() if kind == "int")
_REAL = frozenset(name for name, kind in _TYPES.items() if kind in ("float", "float | None"))

ENDINGS = (".csv", ".jsonl", ".parquet")

# What a spreadsheet would take for a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def to_frame(rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Rows of COLUMNS as a frame: `time` in UTC, counts whole, costs float (NaN: unknown), candidates and attempts as lists."""
    return from_columns(dict(zip(COLUMNS, zip(*rows, strict=True) if rows else ((),) * len(COLUMNS), strict=True)))


def from_columns(by_column: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Some of COLUMNS, with their stored values, as a frame."""
    import numpy as np
    import pandas as pd

    data: dict[str, Any] = {}
    for name, values in by_column.items():
        if name == "time":
            data[name] = pd.to_datetime(pd.Series(values, dtype=object), utc=True, format="ISO8601").dt.as_unit("us")
        elif name in _WHOLE:
            data[name] = np.array(values, dtype="int64")
        elif name in _REAL:
            data[name] = np.array(values, dtype="float64")  # None becomes NaN
        elif name in JSON_COLUMNS:
            cells = _parsed(values)
            if name == "candidates":
                cells = [list(map(candidate_of_row, cell)) for cell in cells]
            data[name] = pd.Series(cells, dtype=object)
        else:
            data[name] = pd.Series(values, dtype=object)
    return pd.DataFrame(data, columns=list(by_column))


def _parsed(values: Sequence[str]) -> list[Any]:
    """Cells of JSON, parsed as one text: in half the time, since the garbage collector looks at it less often."""
    found: list[Any] = json.loads(f"[{','.join(values)}]")
    if len(found) != len(values):
        raise ValueError("a cell holds more than one value")
    return found


def ending(path: Path) -> str:
    """The ending of a file that can be written. Raises InputError."""
    found = path.suffix.lower()
    if found not in ENDINGS:
        raise InputError(f"{path.name!r} has no ending that is known.", fix="Use .csv, .jsonl or .parquet.")
    return found


def export(frame: pd.DataFrame, path: Path) -> Path:
    """Write a frame as .csv, .jsonl or .parquet by the ending of `path`, whole or not at all, for the user only (0600).

    Nested cells (candidates, attempts) are JSON text in csv and parquet. In csv a text that a spreadsheet would run as a
    formula gets a leading apostrophe.

    Raises:
        InputError: another ending, or pyarrow is missing for parquet.
        StoreError: the file cannot be written.
    """
    writer = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}[ending(path)]
    try:
        with replacing(path) as draft:
            writer(frame, draft)
    except OSError as error:
        story = error.strerror or str(error)
        fix = (
            "Make the folder first, or choose another one." if isinstance(error, FileNotFoundError) else "Choose another place."
        )
        raise StoreError(f"{path} cannot be written: {story}.", fix=fix) from error
    return path


def _csv(frame: pd.DataFrame, path: Path) -> None:
    flat = _nested_as_text(frame)
    for name in flat.columns:
        if any(isinstance(cell, str) for cell in flat[name]):
            flat[name] = flat[name].map(_harmless)
    flat.columns = [_harmless(name) for name in flat.columns]
    flat.to_csv(path, index=False, encoding="utf-8", lineterminator="\r\n")  # else a lone \r in a cell is not quoted


def _jsonl(frame: pd.DataFrame, path: Path) -> None:
    frame.to_json(path, orient="records", lines=True, date_format="iso", date_unit="us", double_precision=15, force_ascii=False)


def _parquet(frame: pd.DataFrame, path: Path) -> None:
    try:
        import pyarrow  # noqa: F401  # pandas' own message names two engines and no command
    except ImportError as error:
        raise InputError(
            "Parquet needs pyarrow.", fix="Install it with: pip install pyarrow; or export .csv or .jsonl."
        ) from error
    _nested_as_text(frame).to_parquet(path, index=False, engine="pyarrow")


def _nested_as_text(frame: pd.DataFrame) -> pd.DataFrame:
    flat = frame.copy()
    for name in flat.columns:
        if any(isinstance(cell, (list, tuple, Mapping)) for cell in flat[name]):
            flat[name] = flat[name].map(_text_of_nested)
    return flat


def _text_of_nested(cell: Any) -> Any:
    return json.dumps(cell, ensure_ascii=False, default=str) if isinstance(cell, (list, tuple, Mapping)) else cell


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
