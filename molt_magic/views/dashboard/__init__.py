"""The dashboard: what routing spent and saved, how often the cache hit, how good and how fast the answers were."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from molt_magic.errors import UnknownName
from molt_magic.log.ledger import Ledger
from molt_magic.views.dashboard import metrics
from molt_magic.views.dashboard.board import Budget, board
from molt_magic.views.dashboard.metrics import BY, LAST, By, Last
from molt_magic.views.figures.canvas import Picture
from molt_magic.views.tables import Page

if TYPE_CHECKING:
    import ipywidgets
    import pandas as pd

    from molt_magic.orchestrator import Orchestrator
    from molt_magic.views.dashboard.live import Live

__all__ = ["BY", "LAST", "Dashboard"]


def _utc() -> pd.Timestamp:
    import pandas as pd

    return pd.Timestamp.now("UTC")


class Dashboard:
    """The decisions of a window in figures, tables and pictures; as a cell's value it shows them, and below them a widget.

    Args:
        orch: whose log is shown, and whose budget.
        last: the window: 24h, 7d, session (of `orch`) or all.
        by: what decisions are grouped by: model, provider or strategy.
        clock: what time it is, in UTC.

    Raises:
        UnknownName: no such window or grouping.
        StoreError: the log cannot be read (when it is first shown).
    """

    def __init__(
        self, orch: Orchestrator, *, last: Last = "7d", by: By = "model", clock: Callable[[], pd.Timestamp] = _utc
    ) -> None:
        if last not in LAST:
            raise UnknownName("window", last, LAST)
        if by not in BY:
            raise UnknownName("grouping", by, BY)
        self.last, self.by = last, by
        self._orch, self._clock = orch, clock
        self._ledger = Ledger(orch.log)
        self._refreshed = 0  # how often the log had something new

    @property
    def frame(self) -> pd.DataFrame:
        """The decisions of the window, as far as the dashboard reads them: `metrics.COLUMNS`, dry runs left out."""
        self._ledger.refresh()
        return self._window(self.last, self._clock())

    def parts(self) -> Sequence[Page | Picture]:
        """What is shown, static: figures, tables and pictures as of now."""
        self._ledger.refresh()
        return self._parts(self.last, self.by, self._clock())

    @cached_property
    def live(self) -> Live:
        """The widget and what drives it, begun at the first use."""
        from molt_magic.views.dashboard.live import Live

        return Live(self._look, self._draw, last=self.last, by=self.by)

    @property
    def widget(self) -> ipywidgets.VBox:
        """The widget alone: window, grouping, refresh, keep up to date, and what they show."""
        return self.live.box

    def close(self) -> None:
        """End the widget, if there is one, and what keeps it up to date."""
        if "live" in self.__dict__:
            self.live.close()

    def _ipython_display_(self) -> None:
        from IPython.core.getipython import get_ipython
        from IPython.display import display

        for part in self.parts():
            display(part)  # type: ignore[no-untyped-call]
        if hasattr(get_ipython(), "kernel"):  # a terminal shows no widget
            display(self.widget)  # type: ignore[no-untyped-call]

    def __repr__(self) -> str:
        return f"Dashboard(last={self.last!r}, by={self.by!r})"

    # within

    def _window(self, last: Last, now: pd.Timestamp) -> pd.DataFrame:
        return metrics.within(self._ledger.frame, last, session=self._orch.session, now=now)

    def _parts(self, last: Last, by: By, now: pd.Timestamp) -> list[Page | Picture]:
        budget = Budget(self._orch.settings.budget.session_usd, self._orch.spent_usd())
        return board(self._window(last, now), last, by, now=now, budget=budget, logged=len(self._ledger.frame))

    def _look(self, last: Last) -> object:
        """What is shown depends on this: how often the log changed, what left the window since, and the budget."""
        if self._ledger.refresh():
            self._refreshed += 1
        within = metrics.count(self._ledger.frame, last, now=self._clock())
        return self._refreshed, within, self._orch.settings.budget.session_usd

    def _draw(self, last: Last, by: By) -> tuple[Sequence[Page | Picture], str]:
        began, now = time.perf_counter(), self._clock()
        parts = self._parts(last, by, now)
        return parts, f"As of {now:%Y-%m-%d %H:%M:%S} UTC; drawn in {time.perf_counter() - began:.2f} s."
