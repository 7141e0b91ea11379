"""Run, Cancel and a line that says how it goes: what every form that asks has. Nothing in it waits for an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from molt_magic.errors import MoltError
from molt_magic.orchestrator import Comparison
from molt_magic.result import usd
from molt_magic.views.compare.board import Board
from molt_magic.views.formulas import CLOSED
from molt_magic.views.pace import Pace
from molt_magic.views.text import for_html


class Make(Protocol):
    """Makes what a press of Run starts, from what the form says now. May raise MoltError."""

    def __call__(self, *, on_event: Callable[..., None], on_end: Callable[[str], None]) -> Comparison: ...


class Runner:
    """Presses of Run, one at a time.

    Args:
        make: what is asked.
        form: how answers are shown, one of `forms.FORMATS`.
        begin: lays out the columns of a new run, or takes them away (None); on the notebook's thread.
        draw: shows how the run stands; at most ten times a second, on a thread of its own.
        end: shows what came of it; on the same thread.

    Attributes:
        run, cancel, line: the widgets.
        idle: set while nothing runs.
    """

    def __init__(
        self,
        make: Make,
        *,
        form: str,
        begin: Callable[[Board | None], None],
        draw: Callable[[Board], None],
        end: Callable[[Board, Comparison], None],
    ) -> None:
        import ipywidgets as w

        self._make = make
        self._form = form
        self._begin = begin
        self._draw = draw
        self._end = end
        self._comparison: Comparison | None = None
        self._cancelled = False
        self.idle = threading.Event()
        self.idle.set()
        self.run = w.Button(description="Run", tooltip="Ask with these settings", button_style="primary")
        self.cancel = w.Button(description="Cancel", tooltip="End what is under way; what has arrived is kept", disabled=True)
        self.line = w.HTML(layout=w.Layout(flex="1 1 20em", min_width="0"))
        self.run.on_click(self._start)
        self.cancel.on_click(self._stop)

    def close(self) -> None:
        """End what is under way; does not wait."""
        if self._comparison is not None:
            self._comparison.cancel()

    def tell(self, text: str) -> None:
        """Say something on the line."""
        self.line.value = f'<div class="{CLOSED}" role="status">{for_html(text)}</div>'

    def tell_error(self, error: MoltError) -> None:
        """Say what went wrong, and the fix."""
        kind = for_html(type(error).__name__)
        self.line.value = f'<div class="{CLOSED}" role="alert"><strong>{kind}</strong>: {for_html(str(error))}</div>'

    def _start(self, _button: object) -> None:
        if not self.idle.is_set():  # a second click that was on its way
            return
        self.idle.clear()
        self._cancelled = False
        self.run.disabled, self.cancel.disabled = True, False
        self.tell("Asking …")
        pace: Pace | None = None

        def on_event(name: str, event: Any) -> None:
            board.on_named_event(name, event)
            running.touch()

        def on_end(name: str) -> None:
            board.on_end(name, comparison)
            running.touch()

        try:
            comparison = self._make(on_event=on_event, on_end=on_end)
            board = Board(comparison.names, self._form, planned=comparison.mode == "dry run")
            pace = running = Pace(lambda: self._show(board, comparison, running))
            self._begin(board)
            self._comparison = comparison
            comparison.start()
        except Exception as error:
            if pace is not None:
                pace.close()
            self._begin(None)
            self._rest()
            if not isinstance(error, MoltError):
                raise
            self.tell_error(error)

    def _stop(self, _button: object) -> None:
        if self._comparison is not None and not self.idle.is_set():
            self._cancelled = True
            self.cancel.disabled = True
            self._comparison.cancel()
            self.tell("Cancelling …")

    def _show(self, board: Board, comparison: Comparison, pace: Pace) -> None:
        ended = board.ended
        try:
            self._draw(board)
            if ended:
                self._end(board, comparison)
            elif not self._cancelled:
                self.line.value = board.progress_html()
        finally:
            if ended:  # whatever could not be drawn: the form can be used again
                pace.close()
                self.tell(summary(comparison, cancelled=self._cancelled))
                self._rest()

    def _rest(self) -> None:
        self.run.disabled, self.cancel.disabled = False, True
        self.idle.set()


def summary(comparison: Comparison, *, cancelled: bool) -> str:
    """How a run ended, in a line."""
    rows = [comparison.row(name) for name in comparison.names]
    count = {status: sum(row["status"] == status for row in rows) for status in ("planned", "interrupted", "error")}
    answered = len(rows) - sum(count.values())
    told = {"answered": answered, "planned": count["planned"], "interrupted": count["interrupted"], "failed": count["error"]}
    parts = [f"{n} {word}" for word, n in told.items() if n]
    if not count["planned"]:
        costs = [row["cost_usd"] for row in rows]
        parts.append(f"cost {usd(None if None in costs else sum(costs))}")
    return f"{'Cancelled' if cancelled else 'Done'}: {', '.join(parts)}."
