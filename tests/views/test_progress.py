"""Progress on a terminal and in a log."""

from __future__ import annotations

import io

import pytest

from molt_magic.views.progress import TerminalProgress, TimeLeft, as_html, bar, clock, told


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


def paced(steps: list[tuple[float, str, float | None]]) -> list[float | None]:
    """What is estimated at each (time, what, fraction)."""
    now = [0.0]
    left = TimeLeft(lambda: now[0])
    found = []
    for at, what, fraction in steps:
        now[0] = at
        found.append(left(what, fraction))
    return found


def test_time_left_is_not_told_before_it_means_something() -> None:
    assert paced([(0.0, "m", 0.0), (0.1, "m", 0.1), (0.2, "m", 0.2), (0.3, "m", 0.3), (0.4, "m", 0.4)]) == [None] * 5
    assert paced([(0.0, "m", 0.0), (60.0, "m", 0.5)]) == [None, None]


def test_time_left_follows_the_pace() -> None:
    told = paced([(10.0 * i, f"{i} of 10 rows, $0.0{i} so far", i / 10) for i in range(5)])
    assert told[:3] == [None] * 3
    assert told[4] == pytest.approx(60.0)


def test_time_left_is_of_the_pace_that_is_now() -> None:
    slow = [(float(i), "fetching x: 1 MB", i / 1000) for i in range(100)]
    fast = [(100.0 + i, "fetching x: 2 MB", 0.1 + i / 100) for i in range(60)]
    assert paced([*slow, *fast])[-1] == pytest.approx(31.0, abs=1)


def test_time_left_begins_anew_with_something_else_or_from_the_start() -> None:
    first = [(float(i), "fetching a", i / 10) for i in range(5)]
    assert paced([*first, (5.0, "fetching b", 0.1)])[-1] is None
    assert paced([*first, (5.0, "fetching a", 0.0)])[-1] is None


def test_unknown_share_and_the_end_have_no_time_left() -> None:
    assert paced([*((float(i), "m", i / 10) for i in range(6)), (7.0, "m", None), (8.0, "m", 1.0)])[-2:] == [None, None]


def test_line_tells_count_spend_and_time_left() -> None:
    assert told("12 of 40 rows, $0.0012 so far", 35.2) == "12 of 40 rows, $0.0012 so far, 0:35 left"
    assert clock(3723) == "1:02:03"


def test_bar_in_a_notebook_has_a_label_and_says_its_share_in_words() -> None:
    html = as_html("<b>12 of 40 rows</b>", 0.3)
    assert html.startswith("<label")
    assert '<progress value="0.300" max="1"' in html
    assert "30% · &lt;b&gt;12 of 40 rows&lt;/b&gt;" in html


def test_bar_of_an_unknown_share_has_no_value() -> None:
    assert "value=" not in as_html("loading", None)


def test_terminal_tells_the_time_left() -> None:
    now = [0.0]
    out = Tty()
    progress = TerminalProgress(out, clock=lambda: now[0])
    for i in range(10):
        now[0] = float(i)
        progress("m: fetching", i / 10)
    assert "0:01 left" in out.getvalue().split("\r")[-1]
