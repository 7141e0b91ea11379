"""Tables in plain text fit the terminal; in a notebook names and amounts stay whole."""

from __future__ import annotations

import re

import pytest

from molt_magic.views import listings
from molt_magic.views.tables import Listing, Page, Table


def rows_of(table: Table, width: int) -> list[str]:
    """The lines of the body."""
    lines = table.to_plain(width).splitlines()
    rule = next(i for i, line in enumerate(lines) if set(line) <= {"-", " "})
    return [line for line in lines[rule + 1 :] if not line.startswith("(No room")]


def test_plain_table_wraps_long_cells_and_keeps_every_word() -> None:
    words = [f"word{i}" for i in range(60)]
    plain = Table("T", ("a", "b"), (("x", " ".join(words)),)).to_plain(width=60)
    assert all(len(line) <= 60 for line in plain.splitlines())
    assert all(word in plain for word in words)


def test_names_are_not_broken_while_another_column_can_give() -> None:
    table = Table("T", ("Model", "Served by", "Why"), (("qwen-local-small", "Qwen2.5-Coder-0.5B-Instruct-Q4_K_M", "is " * 40),))
    plain = table.to_plain(width=72)
    assert "qwen-local-small" in plain
    assert all(len(line) <= 72 for line in plain.splitlines())


def test_word_too_long_for_its_column_breaks_after_a_joint() -> None:
    lines = rows_of(Table("T", ("a",), (("Qwen2.5-Coder-0.5B-Instruct",),)), 16)
    assert lines == ["Qwen2.5-Coder-", "0.5B-Instruct"]


def test_word_without_a_joint_breaks_anywhere() -> None:
    assert rows_of(Table("T", ("a",), (("x" * 25,),)), 10) == ["x" * 10, "x" * 10, "x" * 5]


def test_long_heading_wraps_before_a_cell_does() -> None:
    plain = Table("T", ("a b c d e f g", "text"), (("1", "one two three"),)).to_plain(18)
    assert "one two three" in plain


def test_narrow_terminal_leaves_out_the_optional_columns_and_says_so() -> None:
    table = Table("T", ("Name", "Aside", "Note"), (("n" * 20, "a" * 20, "o" * 20),), optional=("Note", "Aside"))
    assert "No room" not in table.to_plain(64)
    assert "(No room for: Note.)" in table.to_plain(50)
    assert "(No room for: Note, Aside.)" in table.to_plain(30)
    assert "a" * 20 not in table.to_plain(30)


@pytest.mark.parametrize("width", [20, 30, 40])
def test_terminal_too_narrow_for_words_is_still_not_exceeded(width: int) -> None:
    table = Table("T", ("Name", "Other", "Third"), (("n" * 20, "a" * 20, "word " * 20),))
    assert max(map(len, table.to_plain(width).splitlines())) <= width


DECISIONS = [
    dict(zip(listings.LOG_COLUMNS, row, strict=True))
    for row in (
        ("2026-11-02T10:00:00", "Write a function that\nreturns the second largest number, or None where there is none",
         "semantic", "code_generation", "qwen-local-small", "best_effort", 2, 1, "semantic", 0.00012, 0.001, 26.1),
        ("2026-11-02T10:00:01", "Hello?", "arbitrage", None, "qwen-local", "ok", 1, 0, "miss", 0.0, 0.0, 0.9),
    )
]  # fmt: skip


@pytest.mark.parametrize("width", [80, 100, 140, 200])
def test_log_has_one_line_a_decision_in_every_usual_terminal(width: int) -> None:
    rows = rows_of(listings.log(DECISIONS, "Decisions"), width)
    assert len(rows) == 2
    assert max(map(len, rows)) <= width
    assert all(word in rows[0] for word in ("semantic", "qwen-local-small", "best effort", "$0.00012", "Write a f"))
    assert "Hello?" in rows[1]


def test_log_has_headings_for_people() -> None:
    columns = listings.log(DECISIONS, "Decisions").columns
    assert list(columns)[:1] == ["Time, UTC"]
    assert not [name for name in columns if "_" in name]


def test_records_leave_out_a_column_of_which_nothing_is_known() -> None:
    table = listings.records(
        [{"model": None, "cost_usd": None, "error": None}, {"model": "m", "cost_usd": 1.0, "error": None}], "T"
    )
    assert list(table.columns) == ["Model", "Cost"]


def test_short_cells_stay_on_one_line_in_a_notebook_and_the_table_scrolls() -> None:
    html = Table("T", ("Model", "Why"), (("qwen-local-small", "because " * 10),)).to_html()
    assert re.search(r"white-space: nowrap\">qwen-local-small<", html)
    assert re.search(r"white-space: pre-wrap\">because", html)
    assert html.startswith('<div style="overflow-x: auto"><table')


def test_cut_column_takes_the_room_there_is_and_a_tooltip_has_all_of_it() -> None:
    html = Table("T", ("Model", "Prompt"), (("m", 'a "quoted" prompt ' * 5),), cut="Prompt").to_html()
    assert "text-overflow: ellipsis" in html
    assert 'title="a &quot;quoted&quot; prompt' in html


@pytest.mark.parametrize(
    ("cells", "side"),
    [
        (("$0", "$1.25", "unknown"), "right"),
        (("$4.0e-05", "-$0.10"), "right"),
        (("12 ms", "1.5 s"), "right"),
        (("1,048,576", ""), "right"),
        (("gpt-5", "1"), "left"),
        (("", "none"), "left"),
    ],
)
def test_numbers_are_aligned_to_the_right(cells: tuple[str, ...], side: str) -> None:
    html = Table("T", ("Name", "Value"), [("n", cell) for cell in cells]).to_html()
    assert re.findall(r'<td style="text-align: (\w+)', html) == [side] * len(cells)


def test_listing_keeps_its_columns_in_every_medium() -> None:
    page = Page((Listing("-a  one\n--bb  <two>"),))
    assert "white-space: pre;" in page.to_html()
    assert "--bb  &lt;two&gt;" in page.to_html()
    assert page.to_markdown() == "```\n-a  one\n--bb  <two>\n```"
    assert page.to_plain() == "-a  one\n--bb  <two>"


def test_empty_table_still_draws_its_head() -> None:
    assert Table("Nothing", ("a", "b"), ()).to_plain() == "Nothing\na  b\n-  -"


def test_page_is_its_own_plain_text_in_a_terminal() -> None:
    assert repr(Page(("Hello.", Table("T", ("a",), (("1",),))))) == "Hello.\n\nT\na\n-\n1"


def test_markdown_table_survives_pipes_and_newlines_in_cells() -> None:
    lines = Table("T", ("a",), (("x|y\nz",),)).to_markdown().splitlines()
    assert lines[-1] == r"| x\|y z |"
