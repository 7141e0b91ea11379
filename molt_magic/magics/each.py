"""`--each DF.col`: the cell's prompt once for every row of a frame."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from molt_magic.errors import ConfigError, InputError, MoltError, UnknownName
from molt_magic.magics import interpolation
from molt_magic.magics.cells import arguments, note, shown_on
from molt_magic.result import usd
from molt_magic.types import Event
from molt_magic.views import frames

if TYPE_CHECKING:
    import pandas as pd

    from molt_magic.magics.options import Options
    from molt_magic.magics.session import RouteMagics

_COLUMN = re.compile(r"(?P<frame>.+?)(?:\.(?P<name>[^\W\d]\w*)|\[(?P<key>[^\[\]]+)\])")
_FIELDS = ("model", "strategy", "status", "cost_usd", "saved_usd", "latency_s", "cache", "error", "decision_id")
_OURS = (UnknownName, ConfigError)  # wrong for every row alike: the cell fails at once


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


def run(session: RouteMagics, chosen: Options, template: str, namespace: Mapping[str, Any]) -> pd.DataFrame:
    """Route every row; a row that fails says why in its `error`.

    Returns:
        A frame with the column's index: text, model, strategy, status, cost_usd, saved_usd, latency_s, cache, error,
        decision_id.

    Raises:
        UnknownName, ConfigError: what is wrong for every row.
        InputError: no such frame, or a prompt that is the same for every row.
        KeyboardInterrupt: the rows done so far are bound to the name given with -o.
    """
    import pandas as pd

    assert chosen.each is not None
    frame, column = _column(chosen.each, namespace)
    names = {"row", column} if column.isidentifier() else {"row"}
    wanted = column if column.isidentifier() else f'row["{column}"]'
    if not interpolation.used(template) & names:
        raise InputError(
            f"The prompt is the same for every row of {chosen.each}.",
            fix=f"Write {{{{{wanted}}}}} where the row's value belongs.",
        )
    asked = arguments(session, chosen, namespace)
    rows: list[dict[str, Any]] = []

    def so_far() -> pd.DataFrame:
        return pd.DataFrame(rows, index=frame.index[: len(rows)], columns=["text", *_FIELDS])

    live = shown_on(session, chosen)

    def tell() -> None:
        if len(frame):
            costs = [row["cost_usd"] for row in rows if "cost_usd" in row]
            spent = usd(None if any(cost is None for cost in costs) else math.fsum(cost or 0.0 for cost in costs))
            said = f"{len(rows)} of {len(frame)} rows, {spent} so far"
            live.on_event(Event("progress", text=said, fraction=len(rows) / len(frame)))

    def on_event(event: Event) -> None:
        if event.kind == "progress":  # what takes long: weights, loading. The text of one row among many is not shown
            live.on_event(event)

    asked["on_event"] = on_event
    try:
        tell()
        for values in frame.to_dict("records"):
            rows.append(_one(session, asked, template, {**namespace, **_names(values, column)}, values[column]))
            tell()
    except KeyboardInterrupt:
        session.bind(chosen.name, so_far())
        live.fail(frames.each(so_far()).bundle(), partial=bool(rows))
        raise
    done = so_far()
    session.bind(chosen.name, done)
    live.finish(frames.each(done).bundle())
    session.already_shown(done, note(chosen))
    return done


def _names(values: Mapping[Any, Any], column: str) -> dict[str, Any]:
    return {column: values[column], "row": Row({str(key): value for key, value in values.items()})}


def _one(
    session: RouteMagics, asked: Mapping[str, Any], template: str, namespace: Mapping[str, Any], value: object
) -> dict[str, Any]:
    """The row of one answer or of its failure."""
    if value is None or value != value or not str(value).strip():
        return {"status": "error", "error": "input: the row is empty"}
    prompt = interpolation.fill(template, namespace)
    try:
        result = session.orchestrator.route(prompt, **{**asked, "namespace": namespace})
    except MoltError as error:
        failed = getattr(error, "result", None)
        if failed is None:
            if isinstance(error, _OURS):
                raise
            return {"status": "error", "error": f"{error.kind}: {error.message}"}
        result = failed
    session.last = result
    return {"text": result.text or None, **{name: getattr(result.decision, name) for name in _FIELDS}}


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
    if column not in frame.columns:
        raise UnknownName("column", column, map(str, frame.columns))
    return frame, column
