"""An answer while it arrives: what is being done, how far it is, and the text so far."""

from __future__ import annotations

import threading

from molt_magic.types import Event
from molt_magic.views import answer
from molt_magic.views.formulas import CLOSED
from molt_magic.views.progress import TimeLeft, as_html, as_text, told
from molt_magic.views.text import for_html, for_markdown, one_line, printable

_WHOLE = 20_000  # characters: of a longer text the end is shown while it arrives, so that drawing it stays cheap


class Arriving:
    """Told of events on one thread, drawn on another."""

    def __init__(self, form: str = "markdown") -> None:
        self._form = form
        self._left = TimeLeft()
        self._lock = threading.Lock()
        self._pieces: list[str] = []
        self._doing = ""
        self._fraction: float | None = None
        self._progresses = False  # whether what is being done is something other than answering

    def on_event(self, event: Event) -> None:
        """Take in what happened."""
        with self._lock:
            if event.kind == "progress":
                self._doing = told(event.text, self._left(event.text, event.fraction))
                self._fraction, self._progresses = event.fraction, True
                return
            if event.kind == "attempt":
                self._pieces.clear()
            elif event.kind == "delta":
                self._pieces.append(event.text)
            elif not self._pieces and event.attempt is not None and event.attempt.call.purpose == "answer":
                # from the cache, or from an equal question that was under way: it comes in one piece
                self._pieces += [event.attempt.completion.text] if event.attempt.completion else []
            if event.kind != "attempt_end":
                model = one_line(event.model)
                self._doing = f"waiting for {model}" if event.kind == "attempt" else f"{model} is answering"
                self._fraction, self._progresses = None, False

    @property
    def text(self) -> str:
        """What has arrived."""
        with self._lock:
            return "".join(self._pieces)

    def show_text(self) -> dict[str, str]:
        """The text alone, drawn."""
        return _bounded(self.text, self._form)

    def show_doing(self) -> dict[str, str]:
        """What is being done, drawn; nothing is while nothing was told."""
        with self._lock:
            doing, fraction, progresses = self._doing, self._fraction, self._progresses
        if not doing:
            return {"text/html": "", "text/markdown": "", "text/plain": ""}
        line = as_text(doing, fraction) if progresses else doing
        html = as_html(doing, fraction) if progresses else f"<em>{for_html(doing)} …</em>"
        return {"text/html": html, "text/markdown": f"*{for_markdown(line)} …*", "text/plain": f"[{line} …]"}

    def in_text(self) -> str:
        """Text and doing for a terminal, the text as it came."""
        return f"{printable(self.text[-_WHOLE:])}\n{self.show_doing()['text/plain']}".strip()

    def bundle(self) -> dict[str, str]:
        """Text and doing, one under the other."""
        text, doing = self.show_text(), self.show_doing()
        return {
            "text/html": f'{text["text/html"]}<div class="{CLOSED}">{doing["text/html"]}</div>',
            "text/markdown": f"{text['text/markdown']}\n\n{doing['text/markdown']}",
            "text/plain": f"{text['text/plain']}\n{doing['text/plain']}".lstrip(),
        }


def _bounded(text: str, form: str) -> dict[str, str]:
    if not text:
        return {"text/html": "", "text/markdown": "", "text/plain": ""}
    if len(text) <= _WHOLE:
        return answer.show(text, form)
    return answer.show(f"(the last of {len(text):,} characters)\n… {text[-_WHOLE:]}", "text")
