"""The answer while it arrives."""

from __future__ import annotations

import io
import itertools
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from molt_magic.types import Event
from molt_magic.views import answer, live
from molt_magic.views.arriving import Arriving
from molt_magic.views.pace import Pace
from tests.views.samples import result


class Recorder:
    """Stands where the display publisher stands."""

    def __init__(self) -> None:
        self.shown: list[tuple[dict[str, str], bool]] = []

    def publish(
        self, data: dict[str, str], metadata: object = None, *, transient: object = None, update: bool = False, **_: Any
    ) -> None:
        self.shown.append((data, update))

    def clear_output(self, wait: bool = False) -> None:
        raise AssertionError("clear_output wipes what is not ours")


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    shell = InteractiveShell.instance()
    recorder = Recorder()
    monkeypatch.setattr(shell, "display_pub", recorder, raising=False)
    return recorder


def until(happened: Callable[[], object], within_s: float = 5.0) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def notebook_live() -> live.NotebookLive:
    return live.NotebookLive(Arriving())


def drawn(recorder: Recorder, shown: live.NotebookLive, event: Event) -> dict[str, str]:
    """How it looks once an event has been drawn."""
    count = len(recorder.shown)
    shown.on_event(event)
    until(lambda: len(recorder.shown) > count)
    return recorder.shown[-1][0]


def test_drawing_comes_at_most_so_often_and_the_last_touch_is_not_lost() -> None:
    drawn_at: list[float] = []
    state = {"value": 0, "drawn": -1}

    def draw() -> None:
        drawn_at.append(time.monotonic())
        state["drawn"] = state["value"]

    pace = Pace(draw, every_s=0.05)
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        state["value"] += 1
        pace.touch()
    until(lambda: state["drawn"] == state["value"])
    pace.close()
    assert 3 <= len(drawn_at) <= 9
    assert min(b - a for a, b in itertools.pairwise(drawn_at)) >= 0.045


def test_drawing_that_fails_does_not_end_the_drawing(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []

    def draw() -> None:
        seen.append(1)
        if len(seen) == 1:
            raise ValueError("mine")

    pace = Pace(draw, every_s=0.01)
    pace.touch()
    until(lambda: len(seen) == 1)
    pace.touch()
    until(lambda: len(seen) == 2)
    pace.close()
    assert "could not be drawn" in caplog.text


def test_nothing_is_drawn_after_the_end_and_no_thread_stays() -> None:
    seen: list[int] = []
    pace = Pace(lambda: seen.append(1))
    pace.touch()
    until(lambda: seen)
    pace.close()
    pace.touch()
    assert seen == [1]
    assert "molt-draw" not in [thread.name for thread in threading.enumerate()]


def test_all_updates_go_to_one_display_that_ends_with_the_final_bundle(recorder: Recorder) -> None:
    shown = notebook_live()
    drawn(recorder, shown, Event("attempt", model="small"))
    drawn(recorder, shown, Event("delta", model="small", text="one "))
    final = answer.bundle(result())
    shown.finish(final)
    assert [update for _, update in recorder.shown] == [False] + [True] * (len(recorder.shown) - 1)
    assert recorder.shown[-1][0] == final


def test_events_after_the_end_are_dropped(recorder: Recorder) -> None:
    shown = notebook_live()
    shown.finish(answer.bundle(result()))
    shown.on_event(Event("delta", model="small", text="late"))
    time.sleep(0.02)
    assert len(recorder.shown) == 1


def test_answer_that_was_not_taken_gives_way_to_the_next(recorder: Recorder) -> None:
    shown = notebook_live()
    assert "w0" in drawn(recorder, shown, Event("delta", model="small", text="w0 "))["text/plain"]
    last = drawn(recorder, shown, Event("attempt", model="big"))
    shown.finish({})
    assert last["text/plain"] == "[waiting for big …]"


def test_progress_of_weights_is_shown_with_its_share_and_a_real_bar(recorder: Recorder) -> None:
    shown = notebook_live()
    last = drawn(recorder, shown, Event("progress", text="qwen-local: downloading", fraction=0.5))
    shown.finish({})
    assert "50%" in last["text/plain"]
    assert '<progress value="0.500" max="1"' in last["text/html"]


def test_loading_that_begins_just_after_something_else_is_shown(recorder: Recorder) -> None:
    shown = notebook_live()
    shown.on_event(Event("progress", text="checking qwen-local", fraction=1.0))
    shown.on_event(Event("progress", text="loading qwen-local", fraction=None))
    until(lambda: recorder.shown and "loading qwen-local" in recorder.shown[-1][0]["text/plain"])
    shown.finish({})


def test_arriving_text_is_as_untrusted_as_a_whole_answer(recorder: Recorder) -> None:
    shown = notebook_live()
    last = drawn(recorder, shown, Event("delta", model="small", text="<script>alert(1)</script>"))
    shown.finish({})
    assert "<script" not in last["text/html"]


def test_of_a_huge_text_the_end_is_drawn_while_it_arrives() -> None:
    arriving = Arriving()
    arriving.on_event(Event("delta", model="small", text="a" * 5_000_000 + "<b>end"))
    shown = arriving.bundle()
    assert len(shown["text/html"]) < 50_000
    assert "the last of 5,000,006 characters" in shown["text/html"]
    assert "&lt;b&gt;end" in shown["text/html"]


def test_failure_replaces_the_words_that_say_it_is_answering(recorder: Recorder) -> None:
    shown = notebook_live()
    drawn(recorder, shown, Event("attempt", model="small"))
    shown.fail(answer.bundle(result("", status="error")), partial=False)
    assert "waiting" not in recorder.shown[-1][0]["text/plain"]


def test_failure_before_anything_was_shown_shows_nothing(recorder: Recorder) -> None:
    notebook_live().fail(answer.bundle(result("", status="error")), partial=False)
    assert recorder.shown == []


def test_silent_shows_once_and_never_updates(recorder: Recorder) -> None:
    shown = live.Silent()
    shown.on_event(Event("delta", model="small", text="x"))
    shown.finish(answer.bundle(result()))
    assert [update for _, update in recorder.shown] == [False]


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


KERNEL, PLAIN = SimpleNamespace(kernel=object()), SimpleNamespace()


@pytest.mark.parametrize(
    ("setting", "quiet", "shell", "cell_id", "tty", "kind"),
    [
        ("auto", False, KERNEL, "c1", False, live.NotebookLive),
        ("auto", False, KERNEL, None, False, live.Silent),  # nbclient, papermill, nbval name no cell
        ("on", False, KERNEL, None, False, live.NotebookLive),
        ("off", False, KERNEL, "c1", False, live.Silent),
        ("auto", True, KERNEL, "c1", False, live.Quiet),
        ("auto", False, PLAIN, None, True, live.TerminalLive),
        ("auto", False, PLAIN, None, False, live.Silent),
    ],
)
def test_streams_where_a_person_watches(
    setting: str, quiet: bool, shell: object, cell_id: str | None, tty: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Tty() if tty else io.StringIO())
    shown = live.screen(Arriving(), setting=setting, quiet=quiet, shell=shell, cell_id=cell_id)
    assert type(shown) is kind


def test_terminal_writes_pieces_as_they_come_and_the_rest_once() -> None:
    with capture_output() as captured:
        shown = live.TerminalLive()
        shown.on_event(Event("attempt", model="big"))
        for piece in ("Fo", "ur.\x1b[31m"):
            shown.on_event(Event("delta", model="big", text=piece))
        shown.finish(answer.bundle(result("Four.")))
    assert captured.stdout.count("Four.") == 1
    assert "\x1b" not in captured.stdout
    assert captured.stdout.rstrip().endswith("]")


def test_terminal_that_cannot_show_a_character_shows_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    shown = live.TerminalLive()
    shown.on_event(Event("delta", model="big", text="\u2713 done"))
    shown.finish(answer.bundle(result("\u2713 done")))
    narrow.flush()
    assert b"? done" in narrow.buffer.getvalue()  # type: ignore[attr-defined]


def test_output_that_is_no_file_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(write=len))
    assert type(live.screen(Arriving(), setting="auto", quiet=False, shell=PLAIN, cell_id=None)) is live.Silent


def test_terminal_shows_the_whole_answer_when_nothing_was_streamed() -> None:
    with capture_output() as captured:
        live.TerminalLive().finish(answer.bundle(result("Four.")))
    assert captured.stdout.startswith("Four.\n")
