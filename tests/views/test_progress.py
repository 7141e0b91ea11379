"""Progress on a terminal and in a log."""

from __future__ import annotations

import io

from molt_magic.views.progress import TerminalProgress, bar


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bar_stays_within_its_ends() -> None:
    assert bar(-1).endswith("  0%")
    assert bar(2).endswith("100%")


def test_terminal_keeps_one_line_up_to_date() -> None:
    out = Tty()
    progress = TerminalProgress(out)
    progress("m: fetching", 0.0)
    progress("m: fetching", 1.0)
    progress.close()
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().count("\r") == 2


def test_log_gets_a_line_at_the_beginning_and_one_at_the_end() -> None:
    out = io.StringIO()
    progress = TerminalProgress(out)
    for i in range(101):
        progress("m: fetching", i / 100)
    progress.close()
    assert out.getvalue().count("\n") == 2
    assert out.getvalue().rstrip().endswith("100%")
