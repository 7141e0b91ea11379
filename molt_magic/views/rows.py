"""A column of prompts while it is asked: what was expected of it, how far it is; and the forecast alone."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from molt_magic.batch import Progress
from molt_magic.batch.forecast import duration
from molt_magic.result import usd
from molt_magic.types import Event
from molt_magic.views.formulas import CLOSED
from molt_magic.views.progress import TimeLeft, as_html, as_text, told
from molt_magic.views.tables import Page, Table
from molt_magic.views.text import for_html, for_markdown, one_line

if TYPE_CHECKING:
    from molt_magic.batch import Forecast


class Rows:
    """Told of events on one thread, drawn on another."""

    def __init__(self) -> None:
        self._left = TimeLeft()
        self._lock = threading.Lock()
        self._doing = ""
        self._fraction: float | None = None
        self.forecast: Forecast | None = None  # what was told of it

    def on_event(self, event: Event) -> None:
        """Take in how far it is. The text of one row among many is not shown."""
        if event.kind != "progress":
            return
        with self._lock:
            if isinstance(event, Progress):
                self.forecast = event.forecast or self.forecast
                self._doing = one_line(event.text)  # it tells the time left itself
            else:  # what takes long beside the rows: weights, loading
                self._doing = told(event.text, self._left(event.text, event.fraction))
            self._fraction = event.fraction

    def bundle(self) -> dict[str, str]:
        """The forecast, and under it how far it is."""
        with self._lock:
            doing, fraction, forecast = self._doing, self._fraction, self.forecast
        expected = "" if forecast is None else one_line(f"Expected: {forecast}")
        line = as_text(doing, fraction)
        html = f"<div>{for_html(expected)}</div>{as_html(doing, fraction)}"
        return {
            "text/html": f'<div class="{CLOSED}">{html}</div>',
            "text/markdown": f"{for_markdown(expected)}\n\n*{for_markdown(line)} …*",
            "text/plain": f"{expected}\n[{line} …]".lstrip(),
        }


def page(forecast: Forecast) -> Page:
    """What is expected of a run, for `--dry-run`."""
    asked = forecast.questions - forecast.known
    story = [f"Forecast: nothing was called. From plans of {forecast.sampled:,} of the {asked:,} questions."]
    if forecast.known:
        story.append(f"{forecast.known:,} questions of the run are answered, and cost nothing more.")
    story += [one_line(f"{share:.0%} cannot be asked: {why}") for why, share in forecast.refused.items()]
    story += [one_line(f"{name} is fetched first: {why}.") for name, why in forecast.fetched.items()]
    shares = sorted(forecast.models.items(), key=lambda pair: -pair[1])
    row = (
        f"{forecast.rows:,}",
        f"{asked:,}",
        usd(forecast.cost_usd),
        "unknown" if forecast.low_usd is None else f"{usd(forecast.low_usd)} to {usd(forecast.high_usd)}",
        "unknown" if forecast.seconds is None else f"about {duration(forecast.seconds)}",
        ", ".join(f"{one_line(name)} {share:.0%}" for name, share in shares) or "none",
    )
    columns = ("Rows", "To ask", "Cost", "8 of 10 runs", "Time", "Answered by")
    return Page(("\n".join(story), Table("Expected of the run", columns, [row])))
