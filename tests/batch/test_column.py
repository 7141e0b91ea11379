"""What is read as a column of prompts, and which of its rows ask the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molt_magic.batch.column import Column, different, is_empty, key_of, read
from molt_magic.errors import InputError, UnknownName
from molt_magic.types import Message

ASKED = {"role": "user", "content": "Why?"}


def test_a_series_keeps_its_index_and_a_frame_gives_the_column_that_is_named() -> None:
    frame = pd.DataFrame({"prompt": ["a", "b"], "other": ["c", "d"]}, index=["x", "y"])
    for of, name, expected in ((frame["other"], None, "c"), (frame, "other", "c"), (frame, None, "a")):
        column = read(of, name)
        assert (column.prompt(0), list(column.index)) == (expected, ["x", "y"])


@pytest.mark.parametrize("given", [["a", "b"], ("a", "b"), np.array(["a", "b"]), pd.Index(["a", "b"]), iter("ab")])
def test_other_kinds_of_columns_have_the_index_of_a_new_frame(given: object) -> None:
    column = read(given, None)
    assert ([column.prompt(0), column.prompt(1)], column.index) == (["a", "b"], None)


@pytest.mark.parametrize("given", ["one text", b"bytes", 3, {"a": 1}, {"a", "b"}, [ASKED, ASKED], [Message("user", "Why?")]])
def test_what_is_no_column_is_refused(given: object) -> None:
    with pytest.raises(InputError, match="A column of prompts is wanted"):
        read(given, None)


def test_a_column_that_is_not_there_or_not_asked_of_a_frame_is_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'prompt'"):
        read(pd.DataFrame({"prompt": ["a"]}), "promt")
    with pytest.raises(InputError, match="Only a frame"):
        read(["a"], "prompt")
    with pytest.raises(InputError, match="Name one"):
        read(pd.DataFrame({"prompt": ["a"]}), ["prompt"])  # type: ignore[arg-type]


def test_a_cell_that_holds_a_table_is_wrong_by_itself() -> None:
    for table in (np.zeros((2, 2)), pd.DataFrame({"a": [1, 2]})):
        found = different(Column(["Why?", table], None))
        assert (len(found), list(found.unread)) == (1, [1])


@pytest.mark.parametrize("cell", [None, float("nan"), pd.NA, pd.NaT, "", " \n", []])
def test_an_empty_cell_is_seen_as_one(cell: object) -> None:
    assert is_empty(cell)


def test_a_text_and_one_user_message_that_says_it_are_the_same_question() -> None:
    same = ["Why?", [ASKED], [Message("user", "Why?")]]
    assert len({key_of(prompt) for prompt in same}) == 1
    others = [
        "Why",
        [{"role": "system", "content": "Be brief."}, ASKED],
        [ASKED, {"role": "assistant", "content": "So."}, ASKED],
    ]
    assert len({key_of(prompt) for prompt in [*same, *others]}) == 4


def test_messages_out_of_a_parquet_file_are_read(tmp_path: object) -> None:
    pytest.importorskip("pyarrow")
    path = f"{tmp_path}/prompts.parquet"
    pd.DataFrame({"prompt": [[ASKED], [ASKED, ASKED]]}).to_parquet(path)
    column = read(pd.read_parquet(path), None)
    assert not different(column).unread
    assert column.prompt(0) == [ASKED]


CELLS = st.one_of(
    st.none(), st.sampled_from(["", "a", "b", "c", " a", "a\ud800"]), st.just([ASKED]), st.just("Why?"), st.just(3), st.just([])
)


@given(st.lists(CELLS, max_size=30))
def test_every_row_leads_to_the_first_that_asks_the_same_or_says_why_it_asks_nothing(cells: list[object]) -> None:
    found = different(Column(cells, None))
    assert list(found.rows) == sorted(found.rows)
    assert len(found) == len(set(found.keys)) == len(found.rows)
    for row, number in enumerate(found.of_row):
        if number < 0:
            assert found.unread[row].startswith("input: ")
        else:
            assert row not in found.unread
            assert found.rows[number] <= row
            assert key_of(cells[row]) == key_of(cells[found.rows[number]]) == found.keys[number]  # type: ignore[arg-type]
