"""A comparison while it runs: a column each, what is known of the whole, and how both look."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from molt_magic.orchestrator import Comparison
from molt_magic.result import Result, usd
from molt_magic.types import Event
from molt_magic.views.arriving import Arriving
from molt_magic.views.compare import cards
from molt_magic.views.compare.cards import Row
from molt_magic.views.progress import TimeLeft, as_html, as_text, label_of, told


class Board:
    """Told of a comparison's events on its threads, drawn on another.

    Args:
        names: the columns, in order.
        form: how answers are shown, one of `forms.FORMATS`.
    """

    def __init__(self, names: Sequence[str], form: str = "markdown", *, planned: bool = False) -> None:
        self.names = tuple(names)
        self.form = form
        self._planned = planned
        self._left = TimeLeft()
        self._lock = threading.Lock()
        self._arriving = {name: Arriving(form) for name in self.names}
        self._ended: dict[str, tuple[Row, Result | None]] = {}
        self._drawn_as: dict[str, str] = {}  # name -> its card when it last changed, so that only what changed is drawn anew
        self._changed = set(self.names)
        self._spent: float | None = 0.0
        self._preparing: dict[str, Event] = {}  # what is under way before answers come, such as a model that is loaded

    def on_named_event(self, name: str, event: Event) -> None:
        """What happened to one of them, or with no name to all."""
        with self._lock:
            if not name:
                self._prepare(event)
                return
            if event.kind in ("delta", "attempt_end"):  # the model is there, or will not be
                self._preparing = {label: e for label, e in self._preparing.items() if event.model not in label}
            if event.kind == "attempt_end" and event.attempt is not None and event.attempt.usage is not None:
                cost = event.attempt.usage.cost_usd
                self._spent = None if self._spent is None or cost is None else self._spent + cost
            self._changed.add(name)
        self._arriving[name].on_event(event)

    def _prepare(self, event: Event) -> None:
        label = label_of(event.text)
        self._preparing.pop(label, None)
        if event.fraction is None or event.fraction < 1:  # the last one told is shown
            text = told(event.text, self._left(event.text, event.fraction))
            self._preparing[label] = Event("progress", text=text, fraction=event.fraction)

    def on_end(self, name: str, comparison: Comparison) -> None:
        """One of them has ended."""
        came = (comparison.row(name), comparison.results.get(name))
        with self._lock:
            self._ended[name] = came
            self._changed.add(name)

    @property
    def ended(self) -> bool:
        """Whether all have ended."""
        with self._lock:
            return len(self._ended) == len(self.names)

    def changes(self) -> list[str]:
        """The columns that changed since this was last asked."""
        with self._lock:
            changed, self._changed = self._changed, set()
        return [name for name in self.names if name in changed]

    def card(self, name: str) -> str:
        """How a column looks now."""
        with self._lock:
            came = self._ended.get(name)
        return cards.arriving(name, self._arriving[name]) if came is None else cards.ended(*came, self.form)

    def progress(self) -> Event:
        """How far the whole is: `2 of 4 answered, $0.0012 so far`."""
        with self._lock:
            if self._preparing:
                return next(reversed(self._preparing.values()))
            done, of = len(self._ended), len(self.names)
            spent = "" if self._planned else f", {usd(self._spent)} so far"
            if of == 1:
                return Event("progress", text=f"{'planning' if self._planned else 'answering'}{spent}")
            text = f"{done} of {of} {'planned' if self._planned else 'answered'}{spent}"
            return Event("progress", text=told(text, self._left(text, done / of)), fraction=done / of)

    def progress_html(self) -> str:
        """The same with its bar."""
        event = self.progress()
        return as_html(event.text, event.fraction)

    # what `views.live.NotebookLive` shows while a cell runs

    def on_event(self, event: Event) -> None:
        """Events come with their names, to `on_named_event`."""

    def bundle(self) -> dict[str, str]:
        """All columns and the progress below them. Only what a front end shows while a cell runs: nothing of it is kept."""
        for name in self.changes():
            self._drawn_as[name] = self.card(name)
        event = self.progress()
        columns = [f"{name}\n{self._arriving[name].in_text()}" for name in self.names]
        return {
            "text/html": cards.side_by_side([self._drawn_as[name] for name in self.names]) + self.progress_html(),
            "text/plain": "\n\n".join([*columns, as_text(event.text, event.fraction)]),
        }
