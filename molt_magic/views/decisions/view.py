"""Decisions: the log as a table to search, sort and open row by row. The kernel keeps the rows; a page of them is shown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from molt_magic.errors import InputError, MoltError
from molt_magic.log import frame as frames
from molt_magic.log.ledger import Ledger
from molt_magic.types import Decision
from molt_magic.views import listings
from molt_magic.views.decisions import again, pages, story
from molt_magic.views.decisions.finder import Finder
from molt_magic.views.decisions.fragments import short
from molt_magic.views.decisions.query import SHOWN, Query
from molt_magic.views.tables import Page

if TYPE_CHECKING:
    import pandas as pd

    from molt_magic.orchestrator import Orchestrator

_AT_ONCE = 10_000  # decisions that are read before the table is shown; of more, the newest are shown while the others are read
_STATIC_ROWS = 10
_COLUMNS = ("decision_id", "quality_source", *SHOWN)  # what is read first of a long log

# One for all tables of a log: over the columns that are read first, until all are; and over all of them.
_narrow: WeakKeyDictionary[Ledger, Finder] = WeakKeyDictionary()
_finders: WeakKeyDictionary[Ledger, Finder] = WeakKeyDictionary()
_finders_lock = threading.Lock()


class Decisions:
    """The decisions of an orchestrator's log, as a static table and a widget beside it.

    Displaying it shows the static table first, so that an export, or a notebook that is opened again, has that.

    Args:
        orch: whose log it is; it also takes the thumbs and forgets cached answers.
        before: the static part; None: the last decisions.

    Raises:
        StoreError: the log cannot be read.
    """

    def __init__(self, orch: Orchestrator, *, before: Page | None = None) -> None:
        from molt_magic.views.decisions.table import DecisionTable

        self._orch = orch
        self._log = orch.log
        self._before = before
        self._narrow: Finder | None = None  # of the shown columns, until all are read
        self._sortable = threading.Event()  # there is a finder, if only a narrow one
        self._query = Query()
        self._lock = threading.Lock()  # of drawing: two threads do while a long log is read
        self._writing = threading.Lock()
        self._actions: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
            "mark": self._mark,
            "forget": self._forget,
            "export": self._export,
            "refresh": self._refresh,
        }
        self.widget = DecisionTable(query=self._query.write())
        total = int(self._log.stats()["decisions"])
        if total > _AT_ONCE and not self._log.ledger.read:
            self._narrow = _narrow.get(self._log.ledger)  # where another table of this log is reading too
        else:
            self._log.ledger.refresh()
        if self._narrow is not None or self._log.ledger.read:
            self._sortable.set()
            self._draw()
        else:
            self.widget.view = pages.first(self._log.to_frame(limit=self._query.page_size), total, self._query)
        if total > _AT_ONCE:
            threading.Thread(target=self._read, name="molt-decisions", daemon=True).start()
        self.widget.observe(self._on_query, "query")
        self.widget.observe(self._on_opened, "opened")
        self.widget.on_msg(self._on_message)

    # state

    @property
    def frame(self) -> pd.DataFrame:
        """What is filtered and sorted now, every page of it, without `candidates` and `attempts`."""
        finder = self._whole()
        return finder.frame.iloc[finder.find(self._query)].reset_index(drop=True)

    @property
    def selected(self) -> pd.DataFrame:
        """The decision that is open, with all its columns: one row, or none."""
        return self._log.to_frame(ids=[self.widget.opened])

    def refresh(self) -> int:
        """Take in what was logged since; returns how many decisions are new in the table. Raises StoreError."""
        shown = int(self.widget.view["total"])
        self._log.ledger.refresh()
        now = len(self._whole().frame)
        self._draw()
        return now - shown

    # reading

    def _whole(self) -> Finder:
        """The finder over all columns, of the ledger as it is; one for all tables of a log."""
        with _finders_lock:
            frame, finder = self._log.ledger.frame, _finders.get(self._log.ledger)
            if finder is None or finder.frame is not frame:
                finder = _finders[self._log.ledger] = Finder(frame, finder or self._narrow)
        self._narrow = None
        return finder

    def _read(self) -> None:
        """Read a long log, on a thread of its own: first what the table shows, then the other columns."""
        try:
            if not self._sortable.is_set():
                narrow = self._narrow = _narrow[self._log.ledger] = Finder(Ledger(self._log, _COLUMNS).frame)
                self._sortable.set()
                self._draw()
                narrow.find(Query(sort="prompt"))  # of all orders this one takes longest to work out
            self._log.ledger.refresh()
            whole = self._whole()
            if len(whole.frame) != self.widget.view["total"]:  # others have logged meanwhile
                self._draw()
            whole.gather()
            _narrow.pop(self._log.ledger, None)
        except MoltError as error:
            self._say(str(error), failed=True)
        finally:
            self._sortable.set()

    # drawing

    def _draw(self) -> None:
        self._sortable.wait()
        query, finder = self._query, self._narrow
        if finder is None or query.search:  # every column is searched
            finder = self._whole()
        with self._lock:
            if query is not self._query:
                return  # who changed it draws it
            # `n`: the page waits for an answer even where it is the same as before
            drawn = pages.page(finder, finder.find(query), query)
            self.widget.view = {**drawn, "n": self.widget.query.get("n", 0)}

    def _say(self, text: str, *, failed: bool = False) -> None:
        self.widget.said = {"text": short(text, 500), "failed": failed, "n": self.widget.said.get("n", 0) + 1}

    # what the page asks for

    def _on_query(self, change: Mapping[str, Any]) -> None:
        def ask() -> None:
            self._query = Query.read(change["new"])
            self._draw()

        self._telling(ask)

    def _on_opened(self, change: Mapping[str, Any]) -> None:
        def open_it() -> None:
            self.widget.story = self._story(change["new"]) if change["new"] else {}

        self._telling(open_it)

    def _on_message(self, _widget: object, content: Mapping[str, Any], _buffers: object) -> None:
        action = self._actions.get(str(content.get("do")))
        if action is not None:
            self._telling(lambda: action(content))

    def _telling(self, action: Callable[[], None]) -> None:
        """Do it; what goes wrong is told on the page, with its fix."""
        try:
            action()
        except MoltError as error:
            self._say(str(error), failed=True)

    def _opened(self) -> Decision:
        decision = self._log.get(self.widget.opened) if self.widget.opened else None
        if decision is None:
            raise InputError("No decision is open.", fix="Open a row first.")
        return decision

    def _story(self, decision_id: str) -> dict[str, Any]:
        decision = self._log.get(decision_id)
        if decision is None:
            raise InputError("This decision is not in the log.", fix="Refresh the table.")
        return {
            "id": decision.decision_id,
            "title": story.title(decision),
            "html": story.html(decision),
            "code": again.code(decision),
            "cached": any(attempt.get("cache_keys") for attempt in decision.attempts),
        }

    # actions: each tells what came of it

    def _mark(self, content: Mapping[str, Any]) -> None:
        decision, good = self._opened(), bool(content.get("good"))
        self._orch.feedback(decision.decision_id, 1.0 if good else 0.0)
        self.refresh()
        self.widget.story = self._story(decision.decision_id)
        self._say(f"Marked {'good' if good else 'bad'}: the answer of {short(decision.model or 'no model')}.")

    def _forget(self, _content: Mapping[str, Any]) -> None:
        count = self._orch.forget(self._opened().decision_id)
        if not count:
            self._say("Nothing of this decision is in the cache any more.")
            return
        answers = "answer" if count == 1 else "answers"
        self._say(f"Forgotten: {count} cached {answers}. The question is asked anew the next time.")

    def _export(self, content: Mapping[str, Any]) -> None:
        path = _path(str(content.get("file") or ""))
        finder = self._whole()
        ids = finder.frame["decision_id"].iloc[finder.find(self._query)].tolist()
        if not self._writing.acquire(blocking=False):
            raise InputError("An export is being written.", fix="Wait until it is done.")
        self._say(f"Writing {_count(len(ids))} …")

        def write() -> None:
            written = self._log.export(path, self._log.to_frame(ids=ids))
            self._say(f"Wrote {_count(len(ids))} to {written}.")

        def finish() -> None:
            try:
                self._telling(write)
            finally:
                self._writing.release()

        # on a thread of its own: a hundred thousand decisions take their time
        threading.Thread(target=finish, name="molt-export").start()

    def _refresh(self, _content: Mapping[str, Any]) -> None:
        new = self.refresh()
        self._say(f"{_count(new)} more." if new else "Nothing new.")

    # display

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self._before or latest(self._log.to_frame(limit=_STATIC_ROWS)))  # type: ignore[no-untyped-call]
        display(self.widget)  # type: ignore[no-untyped-call]

    def __repr__(self) -> str:
        return f"Decisions({str(self._log.path)!r})"


def latest(frame: pd.DataFrame, note: str = "") -> Page:
    """Decisions as a static table.

    Args:
        note: said after the caption.
    """
    rows = [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
    return Page((listings.log(rows, f"The last {_count(len(rows))}. {note}".rstrip()),))


def _path(text: str) -> Path:
    """The file a person typed. Raises InputError."""
    try:
        path = Path(text.strip()).expanduser().absolute()
    except RuntimeError as error:  # `~somebody` who is not there
        raise InputError(f"{text!r} is no file name: {error}", fix="Write the whole path.") from error
    frames.ending(path)
    return path


def _count(number: int) -> str:
    return f"{number:,} {'decision' if number == 1 else 'decisions'}"
