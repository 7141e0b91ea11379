"""Spend and saving over time, in equal spans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from molt_magic.views.dashboard.metrics import DAYS, By, Last, named

if TYPE_CHECKING:
    import pandas as pd

OTHERS = "others"

_MOST_BARS = 62  # of a timeline: each wider than a hair
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
# fmt: off
_SPANS = {
    _MINUTE: "minute", 5 * _MINUTE: "5 minutes", 15 * _MINUTE: "15 minutes", _HOUR: "hour", 6 * _HOUR: "6 hours", _DAY: "day",
    7 * _DAY: "week", 28 * _DAY: "4 weeks", 364 * _DAY: "52 weeks",
}
# fmt: on
_MONDAY = 4 * _DAY  # the first Monday after the epoch: weeks begin there


@dataclass(frozen=True, slots=True)
class Timeline:
    """Spend and saving in equal spans of time.

    Attributes:
        spent: a row a span (its start, UTC), a column a group, the dearest first and the rest as `others`; USD.
        saved: USD by span.
        seconds: how long a span is.
        unit: the same in words, for an axis: `day`, `6 hours`.
    """

    spent: pd.DataFrame
    saved: pd.Series[float]
    seconds: int
    unit: str


def timeline(frame: pd.DataFrame, by: By, last: Last, *, now: pd.Timestamp, most: int = 5) -> Timeline:
    """Spend by group and saving, over the window (24h, 7d) or from the first decision to the last.

    Args:
        most: groups that have a column of their own.
    """
    import numpy as np
    import pandas as pd

    times = frame["time"].dt.as_unit("s").astype("int64").to_numpy() - _MONDAY
    start, end = _ends(times, last, int(now.timestamp()) - _MONDAY)
    seconds = next((span for span in _SPANS if (end - start) / span <= _MOST_BARS), max(_SPANS))
    first, bars = start // seconds, end // seconds - start // seconds + 1
    at = times // seconds - first
    names = named(frame, by)
    cost = np.nan_to_num(frame["cost_usd"].to_numpy(), nan=0.0)  # how many are unknown is told beside it
    spent = frame["cost_usd"].groupby(names, sort=False, observed=True).sum().sort_values(ascending=False, kind="stable")
    chosen = list(spent.index[: most if len(spent) <= most else most - 1])
    columns = {name: _sums(at, cost * (names == name).to_numpy(), bars) for name in chosen}
    if len(chosen) < len(spent):
        columns[OTHERS] = _sums(at, cost * ~names.isin(chosen).to_numpy(), bars)
    saved = np.nan_to_num(frame["saved_usd"].to_numpy(), nan=0.0)
    index = pd.to_datetime((np.arange(first, first + bars) * seconds + _MONDAY), unit="s", utc=True)
    return Timeline(
        spent=pd.DataFrame(columns, index=index),
        saved=pd.Series(_sums(at, saved, bars), index=index),
        seconds=seconds,
        unit=_SPANS[seconds],
    )


def _ends(times: Any, last: Last, now: int) -> tuple[int, int]:
    """The first and the last second of the timeline."""
    newest = int(times.max()) if len(times) else now
    if last in DAYS:  # a clock that was put back may have made decisions of the future
        return now - int(DAYS[last] * _DAY), max(now, newest)
    return int(times.min()) if len(times) else now, newest


def _sums(at: Any, weights: Any, bars: int) -> Any:
    """The sum of the weights of each bar."""
    import numpy as np

    return np.bincount(at, weights=weights, minlength=bars)[:bars]
