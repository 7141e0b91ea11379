"""The answer while it arrives: one display, at most ten updates a second, ending with the full final display."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from molt_magic.batch import Progress
from molt_magic.types import Event
from molt_magic.views.pace import Pace
from molt_magic.views.progress import TerminalProgress
from molt_magic.views.text import one_line, printable

if TYPE_CHECKING:
    from IPython.display import DisplayHandle


class Live(Protocol):
    """Where a running request is shown."""

    def on_event(self, event: Event) -> None: ...

    def finish(self, final: Mapping[str, str]) -> None:
        """Show the whole answer."""
        ...

    def fail(self, final: Mapping[str, str], *, partial: bool) -> None:
        """Show what there was when it failed, where there is anything beside the error itself."""
        ...


class Silent:
    """Shows nothing until the end: a notebook run headless has one output, and it is the same every time."""

    def on_event(self, event: Event) -> None:
        """Nothing is shown while the request runs."""

    def finish(self, final: Mapping[str, str]) -> None:
        from IPython.display import display

        display(dict(final), raw=True)  # type: ignore[no-untyped-call]

    def fail(self, final: Mapping[str, str], *, partial: bool) -> None:
        if partial:
            self.finish(final)


class Quiet(Silent):
    """Shows nothing at all."""

    def finish(self, final: Mapping[str, str]) -> None:
        """The result is the cell's value, and that is enough."""


class Drawn(Protocol):
    """What a notebook shows while a request runs."""

    def on_event(self, event: Event) -> None: ...

    def bundle(self) -> dict[str, str]:
        """How it looks now."""
        ...


class NotebookLive:
    """Updates one display handle. Events may come from any thread; those after the end are dropped."""

    def __init__(self, drawn: Drawn) -> None:
        self._drawn = drawn
        self._lock = threading.Lock()
        self._handle: DisplayHandle | None = None
        self._ended = False
        self._pace = Pace(self._draw)

    def on_event(self, event: Event) -> None:
        if not self._ended:
            self._drawn.on_event(event)
            self._pace.touch()

    def finish(self, final: Mapping[str, str]) -> None:
        self._pace.close()
        with self._lock:
            self._ended = True
            self._show(dict(final))

    def fail(self, final: Mapping[str, str], *, partial: bool) -> None:
        self._pace.close()
        if partial or self._handle is not None:  # "is answering" must not stand there for ever
            self.finish(final)
        self._ended = True

    def _draw(self) -> None:
        with self._lock:
            if not self._ended:
                self._show(self._drawn.bundle())

    def _show(self, data: dict[str, str]) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(data, raw=True)  # type: ignore[no-untyped-call]


class TerminalLive:
    """Writes the answer's pieces to the terminal as they come, and at the end what they do not say."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress = TerminalProgress(sys.stderr)
        self._pieces: list[str] = []
        self._expected = False  # whether it was said what is expected of a run of rows
        self._ended = False

    def on_event(self, event: Event) -> None:
        with self._lock:
            if self._ended:
                return
            if event.kind == "progress":
                self._tell(event)
                return
            self._progress.close()
            if event.kind == "attempt" and self._pieces:
                self._pieces.clear()
                self._write(f"\n\n[not taken; {one_line(event.model)} is answering]\n\n")
            elif event.kind == "delta":
                self._pieces.append(printable(event.text))
                self._write(self._pieces[-1])

    def _tell(self, event: Event) -> None:
        if not isinstance(event, Progress):
            self._progress(event.text, event.fraction)
            return
        if event.forecast is not None and not self._expected:
            self._expected = True
            self._progress.close()
            self._write(f"{one_line(f'Expected: {event.forecast}')}\n")
        self._progress(event.text, event.fraction, tells_time=True)

    def finish(self, final: Mapping[str, str]) -> None:
        with self._lock:
            self._ended = True
            self._progress.close()
            plain, written = final["text/plain"], "".join(self._pieces).strip()
            if written and written in plain:  # the answer stands there already
                plain = "\n\n" + plain.replace(written, "", 1).strip()
            elif written:
                plain = f"\n\n{plain}"
            self._write(f"{plain}\n")

    def fail(self, final: Mapping[str, str], *, partial: bool) -> None:
        if partial:
            self.finish(final)
        else:
            self._progress.close()

    @staticmethod
    def _write(text: str) -> None:
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError as error:  # the answer is paid for: what the terminal cannot show is shown as ?
            sys.stdout.write(text.encode(error.encoding, "replace").decode(error.encoding))
        sys.stdout.flush()


def screen(drawn: Drawn, *, setting: str, quiet: bool, shell: Any, cell_id: str | None) -> Live:
    """Where to show a request.

    Args:
        drawn: what a notebook shows meanwhile.
        setting: `on`, `off`, or `auto`: streaming where a person is watching. A notebook front end names the cell it runs; what
            runs a notebook headless (nbclient, papermill, nbval) does not. A terminal is one when its output is.
        quiet: show nothing.
        shell: the IPython shell.
        cell_id: the front end's id of the running cell, or None.
    """
    if quiet:
        return Quiet()
    terminal = is_terminal(shell) and getattr(sys.stdout, "isatty", bool)()
    if setting == "off" or (setting == "auto" and cell_id is None and not terminal):
        return Silent()
    return TerminalLive() if terminal else NotebookLive(drawn)


def is_terminal(shell: Any) -> bool:
    """Whether the shell has no front end that could show a picture or a widget."""
    return not hasattr(shell, "kernel")
