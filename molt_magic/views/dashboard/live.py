"""What keeps a dashboard up to date: controls, and a look at the log now and then while they are on a page."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from molt_magic.errors import MoltError
from molt_magic.views.dashboard.board import WINDOWS
from molt_magic.views.dashboard.metrics import BY, By, Last
from molt_magic.views.text import for_html

if TYPE_CHECKING:
    import ipywidgets

INTERVAL_S = 2.0  # between two looks at the log


class Live:
    """Core widgets for a drawing. The log is looked at by a daemon thread, while the widgets are on a page.

    Args:
        look: takes in what was logged since and says what state that makes for a window; drawn again when it differs.
        draw: shows the parts for a window and a grouping, and says in words when they were drawn.
        last, by: what is chosen at first.
        interval_s: seconds between two looks.
    """

    def __init__(
        self,
        look: Callable[[Last], object],
        draw: Callable[[Last, By], str],
        *,
        last: Last,
        by: By,
        interval_s: float = INTERVAL_S,
    ) -> None:
        import ipywidgets as w

        self._look, self._draw, self._interval_s = look, draw, interval_s
        self._lock = threading.Lock()
        self._drawn: object = None  # the state that is shown
        self._stop = threading.Event()  # of the thread that looks
        self._stop.set()
        wide = {"description_width": "initial"}
        windows = [(words[:1].upper() + words[1:], value) for value, words in WINDOWS.items()]
        self.last = w.Dropdown(options=windows, value=last, description="Window", style=wide)
        self.by = w.Dropdown(options=[(by.capitalize(), by) for by in BY], value=by, description="Group by", style=wide)
        self.button = w.Button(description="Refresh", tooltip="Read the log and draw again", layout=w.Layout(width="auto"))
        self.auto = w.Checkbox(value=True, description="Keep up to date", indent=False, layout=w.Layout(width="auto"))
        self.said = w.HTML()
        controls = w.HBox(
            [self.last, self.by, self.button, self.auto],
            layout=w.Layout(flex_flow="row wrap", align_items="center", grid_gap="4px 16px"),
        )
        self.box: ipywidgets.VBox = w.VBox([controls, self.said])
        self.box._view_count = 0  # front ends that know of it count how often the box is on a page
        for control in (self.last, self.by):
            control.observe(lambda _change: self.redraw(), names="value")
        self.button.on_click(lambda _button: self.redraw())
        self.auto.observe(lambda _change: self._watch(), names="value")
        self.box.observe(self._seen, names="_view_count")
        self.box.observe(self._closed, names="comm")

    @property
    def watching(self) -> bool:
        """Whether a thread looks at the log now."""
        return not self._stop.is_set()

    def redraw(self) -> None:
        """Read the log and draw, whether it changed or not."""
        self._update(always=True)

    def close(self) -> None:
        """Stop looking and take the widget off the page."""
        self._stop.set()
        for widget in (*self.box.children[0].children, *self.box.children, self.box):
            widget.close()

    # within

    def _seen(self, change: dict[str, Any]) -> None:
        """The last view is gone (the cell ran again, or was deleted): nothing is drawn until there is one again."""
        if change["new"]:
            self._watch()
        elif change["old"]:
            self._stop.set()

    def _closed(self, change: dict[str, Any]) -> None:
        """The box was closed, by us or with all widgets: nobody can see it again."""
        if change["new"] is None:
            self._stop.set()

    def _watch(self) -> None:
        """Start the thread, or let it end, as the checkbox says."""
        if not self.auto.value:
            self._stop.set()
        elif self._stop.is_set() and self.box.comm is not None and self.box._view_count:
            self._stop = threading.Event()
            threading.Thread(target=self._look_now_and_then, args=(self._stop,), name="molt-dashboard", daemon=True).start()

    def _look_now_and_then(self, stop: threading.Event) -> None:
        while not stop.wait(self._interval_s):
            self._update(always=False)

    def _update(self, *, always: bool) -> None:
        with self._lock:  # the thread and a click may come together
            try:
                state = (self.last.value, self.by.value, self._look(self.last.value))
                if always or state != self._drawn:
                    self._say(self._draw(self.last.value, self.by.value))
                    self._drawn = state
            except Exception as error:  # noqa: BLE001  # a thread's error would be lost: it is shown, once, and the thread ends
                self._drawn = None
                kind = type(error).__name__
                told = str(error) if isinstance(error, MoltError) else f"{kind}: {error}"
                again = "" if not self.auto.value else " It is no longer kept up to date; tick the box to try again."
                self._say(f"{told}{again}", alert=True)
                self.auto.value = False

    def _say(self, text: str, *, alert: bool = False) -> None:
        shown = f'<strong role="alert">{for_html(text)}</strong>' if alert else f"<span>{for_html(text)}</span>"
        self.said.value = shown
