"""The answer while it arrives."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from molt_magic.types import Event
from molt_magic.views import answer, live
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


def stream(shown: live.NotebookLive, clock: list[float], pieces: int, every_s: float) -> None:
    shown.on_event(Event("attempt", model="small"))
    for i in range(pieces):
        clock[0] += every_s
        shown.on_event(Event("delta", model="small", text=f"w{i} "))


def test_updates_come_at_most_ten_times_a_second(recorder: Recorder) -> None:
    clock = [0.0]
    shown = live.NotebookLive(clock=lambda: clock[0])
    stream(shown, clock, pieces=1000, every_s=0.002)  # two seconds
    assert 15 <= len(recorder.shown) <= 21


def test_all_updates_go_to_one_display_that_ends_with_the_final_bundle(recorder: Recorder) -> None:
    clock = [0.0]
    shown = live.NotebookLive(clock=lambda: clock[0])
    stream(shown, clock, pieces=5, every_s=0.2)
    final = answer.bundle(result())
    shown.finish(final)
    assert [update for _, update in recorder.shown] == [False] + [True] * (len(recorder.shown) - 1)
    assert recorder.shown[-1][0] == final


def test_events_after_the_end_are_dropped(recorder: Recorder) -> None:
    shown = live.NotebookLive()
    shown.finish(answer.bundle(result()))
    shown.on_event(Event("delta", model="small", text="late"))
    assert len(recorder.shown) == 1


def test_answer_that_was_not_taken_gives_way_to_the_next(recorder: Recorder) -> None:
    clock = [0.0]
    shown = live.NotebookLive(clock=lambda: clock[0])
    stream(shown, clock, pieces=3, every_s=0.2)
    clock[0] += 1
    shown.on_event(Event("attempt", model="big"))
    assert "w0" not in recorder.shown[-1][0]["text/plain"]
    assert "big is answering" in recorder.shown[-1][0]["text/plain"]


def test_progress_of_weights_is_shown_with_its_share(recorder: Recorder) -> None:
    live.NotebookLive().on_event(Event("progress", text="qwen-local: downloading", fraction=0.5))
    assert "50%" in recorder.shown[-1][0]["text/plain"]


def test_arriving_text_is_as_untrusted_as_a_whole_answer(recorder: Recorder) -> None:
    live.NotebookLive().on_event(Event("delta", model="small", text="<script>alert(1)</script>"))
    assert "<script" not in recorder.shown[-1][0]["text/html"]


def test_failure_replaces_the_words_that_say_it_is_answering(recorder: Recorder) -> None:
    shown = live.NotebookLive()
    shown.on_event(Event("attempt", model="small"))
    shown.fail(answer.bundle(result("", status="error")), partial=False)
    assert "is answering" not in recorder.shown[-1][0]["text/plain"]


def test_failure_before_anything_was_shown_shows_nothing(recorder: Recorder) -> None:
    live.NotebookLive().fail(answer.bundle(result("", status="error")), partial=False)
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
    shown = live.screen(setting=setting, quiet=quiet, form="markdown", shell=shell, cell_id=cell_id)
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


def test_terminal_shows_the_whole_answer_when_nothing_was_streamed() -> None:
    with capture_output() as captured:
        live.TerminalLive().finish(answer.bundle(result("Four.")))
    assert captured.stdout.startswith("Four.\n")
