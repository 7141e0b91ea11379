"""Which decisions are found, and in which order: what the table asks of a frame in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molt_magic.errors import InputError, UnknownName
from molt_magic.log.frame import to_frame
from molt_magic.log.ledger import LIGHT
from molt_magic.log.schema import to_row
from molt_magic.views.decisions import pages
from molt_magic.views.decisions.finder import Finder
from molt_magic.views.decisions.query import PAGE_SIZES, SHOWN, Query
from tests.test_log import a_decision
from tests.views.samples import HOSTILE

START = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)


def ledger(*rows: dict[str, Any]) -> pd.DataFrame:
    """The frame of a ledger that holds these decisions, a minute apart."""
    made = [
        a_decision(f"d{n}", **{"time": (START + timedelta(minutes=n)).isoformat(), "attempts": (), "candidates": (), **row})
        for n, row in enumerate(rows)
    ]
    return to_frame([to_row(decision, prompts=True) for decision in made])[list(LIGHT)]


def ids(finder: Finder, **asked: Any) -> list[str]:
    return finder.frame["decision_id"].iloc[finder.find(Query(**asked))].tolist()


def test_newest_stands_first() -> None:
    assert ids(Finder(ledger({}, {}, {}))) == ["d2", "d1", "d0"]


def test_unknown_stands_last_and_equal_newest_first_whichever_way_is_sorted() -> None:
    finder = Finder(ledger({"cost_usd": 2.0}, {"cost_usd": None}, {"cost_usd": 1.0}, {"cost_usd": 2.0}))
    assert ids(finder, sort="cost_usd", descending=True) == ["d3", "d0", "d2", "d1"]
    assert ids(finder, sort="cost_usd", descending=False) == ["d2", "d3", "d0", "d1"]


def test_text_is_sorted_without_regard_to_case() -> None:
    finder = Finder(ledger({"prompt": "beta"}, {"prompt": "Alpha"}, {"prompt": None}, {"prompt": "ALPHA"}))
    assert ids(finder, sort="prompt", descending=False) == ["d3", "d1", "d0", "d2"]


@pytest.mark.parametrize("name", SHOWN)
def test_every_column_can_be_sorted_of_nothing_and_of_unknowns(name: str) -> None:
    unknown = dict.fromkeys(("prompt", "task", "model", "cost_usd", "saved_usd", "quality"))
    assert ids(Finder(ledger()), sort=name) == []
    assert len(ids(Finder(ledger(unknown, {}, unknown)), sort=name)) == 3


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("median", ["d0"]),
        ("MEDIAN what", ["d0"]),
        ("what", ["d2", "d0"]),
        ("median nowhere", []),
        ("d2", ["d2"]),
        ("$0.25", ["d2", "d0"]),
        ("2026-11-01 10:01", ["d1"]),
        ("timeout", ["d1"]),
        ("STRASSE", ["d2"]),
        ("user", ["d1"]),
        ("  ", ["d2", "d1", "d0"]),
    ],
)
def test_every_word_of_a_search_must_occur_in_some_column(search: str, found: list[str]) -> None:
    finder = Finder(
        ledger(
            {"prompt": "What is a median?"},
            {"prompt": "x", "cost_usd": 1.0, "error": "timeout: late", "quality": 1.0, "quality_source": "user"},
            {"prompt": "What of Straße?"},
        )
    )
    assert ids(finder, search=search) == found


def test_filters_narrow_together() -> None:
    finder = Finder(
        ledger(
            {"strategy": "rule", "model": "small", "cost_usd": 0.5},
            {"strategy": "cascade", "model": "small", "cost_usd": 0.5},
            {"strategy": "cascade", "model": None, "cost_usd": None, "status": "error"},
            {"strategy": "cascade", "model": "big", "cost_usd": 2.0, "status": "best_effort", "cache": "exact"},
        )
    )
    assert ids(finder, strategy="cascade") == ["d3", "d2", "d1"]
    assert ids(finder, strategy="cascade", model="small") == ["d1"]
    assert ids(finder, model="none") == ["d2"]
    assert ids(finder, status="best effort", cache="exact") == ["d3"]
    assert ids(finder, cost_from=0.5, cost_to=1.0) == ["d1", "d0"]
    assert ids(finder, cost_to=100.0) == ["d3", "d1", "d0"], "an unknown cost is in no range"
    assert ids(finder, time_from=START + timedelta(minutes=1), time_to=START + timedelta(minutes=2)) == ["d2", "d1"]
    assert ids(finder, model="gone") == []


def test_choices_are_counted_the_most_frequent_first_and_nothing_that_is_not_there() -> None:
    choices = Finder(ledger({"model": "a"}, {"model": "b"}, {"model": "b"}, {"model": None})).choices()
    assert choices["model"] == [("b", 2), ("a", 1), ("none", 1)]
    assert choices["status"] == [("ok", 4)]
    assert Finder(ledger()).choices()["model"] == []


@pytest.mark.parametrize("text", [*HOSTILE, "m" * 5_000_000, "\u202eevil", "", " "])
def test_every_choice_finds_the_decisions_it_counts(text: str) -> None:
    finder = Finder(ledger({"model": text}, {"model": "other"}))
    for label, count in finder.choices()["model"]:
        assert len(label) <= 80
        assert len(ids(finder, model=label)) == count


def test_later_finder_takes_over_what_was_gathered_and_sees_what_is_new() -> None:
    frame = ledger({"prompt": "one"}, {"prompt": "two"}, {"prompt": "one more"})
    early = Finder(frame.iloc[:2].reset_index(drop=True))
    assert ids(early, search="one") == ["d0"]
    late = Finder(frame, early)
    assert ids(late, search="one") == ["d2", "d0"]
    assert ids(early, search="one") == ["d0"]


def test_later_finder_of_the_same_rows_sees_what_was_said_of_them() -> None:
    early = Finder(ledger({"quality": 0.1}, {"quality": 0.2}))
    assert ids(early, sort="quality") == ["d1", "d0"]
    said = early.frame.assign(quality=[0.9, 0.2])
    assert ids(Finder(said, early), sort="quality") == ["d0", "d1"]


row = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["small", "big", None]),
        "cost_usd": st.none() | st.sampled_from([0.0, 0.5, 1.0]),
        "prompt": st.none() | st.text(alphabet="abAB", max_size=3),
    }
)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(row, max_size=12),
    model=st.sampled_from(["", "small", "big", "none"]),
    cost_from=st.none() | st.sampled_from([0.0, 0.5]),
    sort=st.sampled_from(["cost_usd", "model", "prompt"]),
    descending=st.booleans(),
    size=st.sampled_from([1, 5]),
)
def test_pages_together_are_what_a_plain_loop_finds(
    rows: list[dict[str, Any]], model: str, cost_from: float | None, sort: str, descending: bool, size: int
) -> None:
    finder = Finder(ledger(*rows))
    query = Query(model=model, cost_from=cost_from, sort=sort, descending=descending, page_size=size)
    found = finder.find(query)
    drawn = [pages.page(finder, found, replace(query, page=number)) for number in range(-(-len(found) // size))]
    assert all(len(page["rows"]) <= size and page["found"] == len(found) for page in drawn)

    kept = [
        (f"d{n}", row[sort].casefold() if isinstance(row[sort], str) else row[sort])
        for n, row in reversed(list(enumerate(rows)))
        if model in ("", row["model"] or "none")
        and (cost_from is None or (row["cost_usd"] is not None and row["cost_usd"] >= cost_from))
    ]
    known = sorted((pair for pair in kept if pair[1] is not None), key=lambda pair: pair[1], reverse=descending)
    unknown = [pair for pair in kept if pair[1] is None]
    assert [decision_id for page in drawn for decision_id in page["ids"]] == [name for name, _ in known + unknown]


# -- what the page asks for


def test_query_is_read_as_the_page_writes_it() -> None:
    read = Query.read(
        {"search": "x", "model": "big", "cost_from": "0.5", "cost_to": "", "time_from": "2026-11-01T10:00", "sort": "cost_usd",
         "descending": False, "page": 3, "page_size": 50, "n": 7}
    )  # fmt: skip
    assert read == Query(
        search="x", model="big", cost_from=0.5, time_from=START, sort="cost_usd", descending=False, page=3, page_size=50
    )
    assert Query.read({}) == Query() == Query.read(Query().write())


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"sort": "promt"}, UnknownName, "Did you mean 'prompt'"),
        ({"sort": "attempts"}, UnknownName, "Unknown column"),
        ({"cost_from": "cheap"}, InputError, "USD as a number"),
        ({"cost_to": "nan"}, InputError, "USD as a number"),
        ({"time_from": "yesterday"}, InputError, "in UTC"),
        ({"time_to": "0001-01-01T00:00+14:00"}, InputError, "in UTC"),
    ],
)
def test_wrong_query_is_an_error_with_its_fix(asked: dict[str, str], error: type[InputError], says: str) -> None:
    with pytest.raises(error, match=says):
        Query.read(asked)


json_like = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20), st.lists, max_leaves=3)


@settings(max_examples=100, deadline=None)
@given(asked=st.dictionaries(st.sampled_from(list(Query.__dataclass_fields__)), json_like))
def test_whatever_is_asked_is_a_query_within_bounds_or_an_input_error(asked: dict[str, Any]) -> None:
    try:
        query = Query.read(asked)
    except InputError:
        return
    assert 1 <= query.page_size <= PAGE_SIZES[-1]
    finder = Finder(ledger({}, {"cost_usd": None}))
    assert pages.page(finder, finder.find(query), query)["total"] == 2


# -- what crosses the wire


@pytest.mark.parametrize("text", [*HOSTILE, "x" * 5_000_000, "\u202ereversed\u2066", "line\nbreak"])
def test_cell_is_short_printable_text_of_one_line(text: str) -> None:
    finder = Finder(ledger({"prompt": text, "model": text, "task": text}))
    (cells,) = pages.page(finder, finder.find(Query()), Query())["rows"]
    for cell in cells:
        assert len(cell) <= 200
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in cell)


def test_page_beyond_the_last_is_the_last() -> None:
    finder = Finder(ledger({}, {}, {}))
    query = Query(page=99, page_size=2)
    page = pages.page(finder, finder.find(query), query)
    assert (page["page"], page["last_page"], page["ids"], page["start"]) == (1, 1, ["d0"], 2)
