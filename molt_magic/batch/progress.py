"""How far a run is, told while it goes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from molt_magic.batch.forecast import Forecast, duration
from molt_magic.result import usd
from molt_magic.types import Event, OnEvent

logger = logging.getLogger("molt_magic")

EVERY_S = 0.2  # a display that changes more often is not read better


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """How far a run is: an event of kind `progress`, whose text says it in words."""

    rows: int = 0  # of the column
    done: int = 0  # rows that have ended, failed or not
    failed: int = 0  # of them, without an answer
    spent_usd: float = 0.0  # by this run, in earlier calls too, as far as prices are known
    left_usd: float | None = None  # of `max_cost`; None: there is none
    left_s: float | None = None  # seconds until the last row, by the pace so far; None: it cannot be told yet
    forecast: Forecast | None = None  # what was expected of it before it began


def told(
    *,
    rows: int,
    done: int,
    failed: int,
    spent_usd: float,
    left_usd: float | None,
    left_s: float | None,
    forecast: Forecast | None,
    ended_early: bool,
    unknown: bool,
) -> Progress:
    """The event of these figures.

    Args:
        unknown: whether a call was made whose price is not known.
    """
    parts = [f"{done:,} of {rows:,} rows"]
    if failed:
        parts.append(f"{failed:,} without an answer")
    of = "" if left_usd is None else f" of {usd(spent_usd + left_usd)}"
    about = ""
    if forecast is not None and forecast.cost_usd is not None and done < rows:
        of_what = " of the rest" if forecast.known else ""  # what was answered before is in what was spent
        about = f" (about {usd(forecast.cost_usd)} expected{of_what})"
    parts.append(f"{'at least ' if unknown else ''}{usd(spent_usd)} spent{of}{about}")
    if ended_early:
        parts.append("ended early: the others are not asked")
    elif left_s is not None and done < rows:
        parts.append(f"about {duration(left_s)} to go")
    return Progress(
        "progress",
        text=", ".join(parts),
        fraction=done / rows if rows else 1.0,
        rows=rows,
        done=done,
        failed=failed,
        spent_usd=spent_usd,
        left_usd=left_usd,
        left_s=left_s,
        forecast=forecast,
    )


class Teller:
    """Tells a listener how far it is, a few times a second.

    Args:
        on_event: the listener; one that raises is its own problem. None: nobody listens.
    """

    def __init__(self, on_event: OnEvent | None) -> None:
        self._on_event = on_event
        self._next = 0.0

    def tell(self, now: Callable[[], Event], *, at_once: bool = False) -> None:
        """Tell what `now` says, unless something was told just before."""
        if self._on_event is None or (time.monotonic() < self._next and not at_once):
            return
        self._next = time.monotonic() + EVERY_S
        try:
            self._on_event(now())
        except Exception:
            logger.exception("on_event raised; the run goes on")
