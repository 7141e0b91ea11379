"""The dashboard: what routing spent and saved, how often the cache hit, how good and how fast the answers were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from molt_magic.errors import UnknownName
from molt_magic.log.ledger import Ledger
from molt_magic.views.beside import show_beside
from molt_magic.views.dashboard import metrics
from molt_magic.views.dashboard.board import Budget, board
from molt_magic.views.dashboard.metrics import BY, LAST, By, Last
from molt_magic.views.dashboard.outputs import Outputs
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
    """The decisions of a window in figures, tables and pictures, all of them plain outputs of the cell.

    In a notebook that runs, controls above them choose the window and the grouping and keep the outputs up to date.

    Args:
        orch: whose log is shown, and whose budget.
        last: the window: 24h, 7d, session (of `orch`) or all.
        by: what decisions are grouped by: model, provider or strategy.
        clock: what time it is, in UTC.

    Raises:
        UnknownName: no such window or grouping.
        StoreError: the log cannot be read.
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
        self._ledger = Ledger(orch.log, ("decision_id", *metrics.COLUMNS))  # all columns of a long log take twice as long
        self._refreshed = 0  # how often the log had something new
        self._drawn: tuple[object, list[Page | Picture]] | None = None  # the state that was drawn last, and what came of it
        self._outputs = Outputs()
        self._ledger.refresh()

    @property
    def frame(self) -> pd.DataFrame:
        """The decisions of the window, as far as the dashboard reads them: `metrics.COLUMNS`, dry runs left out."""
        self._look(self.last)
        return self._window(self.last)

    def parts(self) -> Sequence[Page | Picture]:
        """What is shown, static: figures, tables and pictures as of now."""
        return self._parts(self.last, self.by)

    @cached_property
    def live(self) -> Live:
        """The controls and what drives them, begun at the first use."""
        from molt_magic.views.dashboard.live import Live

        return Live(self._look, self._draw, last=self.last, by=self.by)

    @property
    def widget(self) -> ipywidgets.VBox:
        """The controls alone: window, grouping, refresh, keep up to date."""
        return self.live.box

    def close(self) -> None:
        """Take the controls away, if there are any, and end what keeps the outputs up to date."""
        if "live" in self.__dict__:
            self.live.close()

    def _ipython_display_(self) -> None:
        from IPython.core.getipython import get_ipython
        from IPython.display import display

        if hasattr(get_ipython(), "kernel"):
            show_beside(self.widget, "What keeps the dashboard up to date")
            self._outputs = Outputs()  # of this cell: where it was shown before it stays as it is
            self._outputs.begin(self.parts())
            return
        for part in self.parts():  # a terminal has no widgets and replaces nothing
            part.show() if isinstance(part, Picture) else display(part)  # type: ignore[no-untyped-call]

    def __repr__(self) -> str:
        return f"Dashboard(last={self.last!r}, by={self.by!r})"

    # within

    def _window(self, last: Last) -> pd.DataFrame:
        return metrics.within(self._ledger.frame, last, session=self._orch.session, now=self._clock())

    def _look(self, last: Last) -> object:
        """What the parts depend on: how often the log changed, what left the window since, the hour, the budget."""
        if self._ledger.refresh():
            self._refreshed += 1
        now, settings = self._clock(), self._orch.settings
        within = metrics.count(self._ledger.frame, last, now=now)
        budget = self._budget()
        return self._refreshed, within, now.floor("h"), budget, settings.log.enabled

    def _budget(self) -> Budget:
        session, day = self._orch.budgets()
        today = None if day.limit_usd is None else Budget(day.limit_usd, day.spent_usd, day.reserved_usd)
        return Budget(session.limit_usd, session.spent_usd, session.reserved_usd, today)

    def _parts(self, last: Last, by: By) -> list[Page | Picture]:
        """The parts as of now; drawn anew where what they depend on has changed."""
        state = (last, by, self._look(last))
        if self._drawn is None or self._drawn[0] != state:
            settings = self._orch.settings
            parts = board(
                self._window(last),
                last,
                by,
                now=self._clock(),
                budget=self._budget(),
                logged=len(self._ledger.frame),
                logging=settings.log.enabled,
            )
            self._drawn = state, parts
        return self._drawn[1]

    def _draw(self, last: Last, by: By) -> str:
        self._outputs.update(self._parts(last, by))
        return f"As of {self._clock():%Y-%m-%d %H:%M:%S} UTC."
