"""`--each DF.col`: the cell's prompt once for every row of a frame."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from molt_magic.batch.column import is_empty
from molt_magic.errors import InputError, MoltError, UnknownName
from molt_magic.magics import interpolation
from molt_magic.magics.cells import arguments, note, shown_on
from molt_magic.views import frames, rows

if TYPE_CHECKING:
    import pandas as pd

    from molt_magic.batch import Forecast
    from molt_magic.magics.options import Options
    from molt_magic.magics.session import RouteMagics

_COLUMN = re.compile(r"(?P<frame>.+?)(?:\.(?P<name>[^\W\d]\w*)|\[(?P<key>[^\[\]]+)\])")


class Row:
    """A row's columns, as `row.name` and `row["name"]`."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __dir__(self) -> Sequence[str]:
        return list(self._values)


def run(session: RouteMagics, chosen: Options, template: str, namespace: Mapping[str, Any]) -> pd.DataFrame | Forecast:
    """Fill the prompt for every row, and let `Orchestrator.map` ask them.

    Returns:
        Its frame, with the index of the column; with --dry-run its forecast.

    Raises:
        MoltError: what is wrong for every row; nothing was asked.
        KeyboardInterrupt: what there is so far is bound to the name given with -o.
    """
    import pandas as pd

    assert chosen.each is not None
    frame, column = _column(chosen.each, namespace)
    prompts = pd.Series(list(_prompts(template, frame, column, namespace, chosen.each)), index=frame.index, dtype=object)
    asked = {**arguments(session, chosen, namespace), "resume": chosen.resume}
    if chosen.max_cost is None and asked["max_cost"] is not None:
        asked["max_cost"] *= len(prompts)  # the session's limit is for one prompt
    if chosen.concurrency is not None:
        asked["concurrency"] = chosen.concurrency
    drawn = rows.Rows()
    live = shown_on(session, chosen, drawn)
    try:
        found: pd.DataFrame | Forecast = session.orchestrator.map(prompts, on_event=live.on_event, **asked)
    except (KeyboardInterrupt, MoltError) as ended:
        so_far: pd.DataFrame | None = getattr(ended, "frame", None)
        if so_far is not None:
            session.bind(chosen.name, so_far)
            session.last = None  # several answers: the last one is what the log says
            shown = frames.each(so_far, forecast=drawn.forecast, run=chosen.resume)
            live.fail(shown.bundle(), partial=bool(so_far["text"].notna().any()))
        raise
    session.bind(chosen.name, found)
    if isinstance(found, pd.DataFrame):
        session.last = None
        live.finish(frames.each(found, forecast=drawn.forecast, run=chosen.resume).bundle())
    else:
        live.finish(rows.page(found).bundle())
    session.already_shown(found, note(chosen))
    return found


def _prompts(template: str, frame: pd.DataFrame, column: str, namespace: Mapping[str, Any], path: str) -> Iterator[str | None]:
    """The prompt of each row; None where the column is empty. Raises InputError, UnknownName."""
    named = column.isidentifier()
    wanted = column if named else f'row["{column}"]'
    if not interpolation.used(template) & ({"row", column} if named else {"row"}):
        raise InputError(
            f"The prompt is the same for every row of {path}.",
            fix=f"Write {{{{{wanted}}}}} where the row's value belongs.",
        )
    if column != "row" and "row" in interpolation.whole(template):
        raise InputError(
            f"{{{{row}}}} is a whole row of {path}, of which a model is to see some columns.",
            fix=f"Write {{{{{wanted}}}}}, or {{{{row.NAME}}}} for any other column.",
        )
    names = [str(name) for name in frame.columns]
    for values in frame.itertuples(index=False, name=None):
        row = dict(zip(names, values, strict=True))
        value = row[column]
        if not getattr(value, "ndim", 0) and is_empty(value):
            yield None
        else:
            yield interpolation.fill(template, ChainMap({"row": Row(row), column: value}, namespace))  # type: ignore[arg-type]


def _column(path: str, namespace: Mapping[str, Any]) -> tuple[pd.DataFrame, str]:
    import pandas as pd

    match = _COLUMN.fullmatch(path)
    if match is None:
        raise InputError(f"--each {path} does not name a column.", fix='Write it as --each frame.column or frame["column"].')
    frame = interpolation.lookup(match["frame"], namespace)
    column = match["name"] or match["key"].strip("\"'")  # the line's own quoting took those around the key
    if not isinstance(frame, pd.DataFrame):
        raise InputError(
            f"{match['frame']} is a {type(frame).__name__}, not a DataFrame.", fix="--each takes a frame's column."
        )
    names = list(map(str, frame.columns))
    if frame.columns.nlevels == 1 and column not in names:
        raise UnknownName("column", column, names)
    if frame.columns.nlevels > 1 or names.count(column) > 1:
        several = "columns of several levels" if frame.columns.nlevels > 1 else f"several columns {column!r}"
        raise InputError(f"{match['frame']} has {several}.", fix="Make a frame with one column for each name.")
    return frame, column
