"""Tables in plain text fit the terminal and lose nothing."""

from __future__ import annotations

from molt_magic.views.tables import Page, Table


def test_plain_table_wraps_long_cells_and_keeps_every_word() -> None:
    words = [f"word{i}" for i in range(60)]
    plain = Table("T", ("a", "b"), (("x", " ".join(words)),)).to_plain(width=60)
    assert all(len(line) <= 60 for line in plain.splitlines())
    assert all(word in plain for word in words)


def test_empty_table_still_draws_its_head() -> None:
    assert Table("Nothing", ("a", "b"), ()).to_plain() == "Nothing\na  b\n-  -"


def test_page_is_its_own_plain_text_in_a_terminal() -> None:
    assert repr(Page(("Hello.", Table("T", ("a",), (("1",),))))) == "Hello.\n\nT\na\n-\n1"


def test_markdown_table_survives_pipes_and_newlines_in_cells() -> None:
    lines = Table("T", ("a",), (("x|y\nz",),)).to_markdown().splitlines()
    assert lines[-1] == r"| x\|y z |"
