"""The table of decisions, driven from Python by setting the traits that the page sets."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from molt_magic.orchestrator import Orchestrator
from molt_magic.types import Decision
from molt_magic.views.decisions import Decisions, view
from tests.conftest import MakeOrchestrator
from tests.views.samples import DECISION, HOSTILE


def log_some(orch: Orchestrator, *changes: dict[str, Any]) -> None:
    for n, changed in enumerate(changes):
        orch.log.append(replace(DECISION, **{"decision_id": f"d{n}", "time": f"2026-11-02T10:{n:02}:00+00:00", **changed}))


@pytest.fixture
def orch(orchestrator: MakeOrchestrator) -> Orchestrator:
    return orchestrator({"small": "Four.", "big": "Four."})


Open = Callable[..., Decisions]


@pytest.fixture
def opened(orch: Orchestrator) -> Iterator[Open]:
    """Opens the table over some decisions; its threads have ended when the test ends."""

    def start(*changes: dict[str, Any]) -> Decisions:
        log_some(orch, *changes)
        return Decisions(orch)

    yield start
    for thread in threading.enumerate():
        if thread.name in ("molt-decisions", "molt-export"):
            thread.join(20)


def ask(table: Decisions, **change: Any) -> list[str]:
    """What the page does when a control is used; the ids of the rows it then shows."""
    query = table.widget.query
    table.widget.query = {**query, "page": 0, **change, "n": query.get("n", 0) + 1}
    return list(table.widget.view["ids"])


def act(table: Decisions, **message: Any) -> tuple[str, bool]:
    """What the page does when a button is pressed; what is then told, and whether as a failure."""
    table.widget._handle_custom_msg(message, [])
    return table.widget.said["text"], table.widget.said["failed"]


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


# -- table


def test_opens_with_the_newest_first_and_says_how_many_there_are(opened: Open) -> None:
    drawn = opened(*({} for _ in range(25))).widget.view
    assert drawn["ids"] == [f"d{n}" for n in range(24, 4, -1)]
    assert (drawn["start"], drawn["found"], drawn["total"], drawn["last_page"], drawn["ready"]) == (0, 25, 25, 1, True)


def test_empty_log_is_an_empty_page(opened: Open) -> None:
    table = opened()
    assert table.widget.view["rows"] == []
    assert table.frame.empty
    assert table.selected.empty


def test_sorting_filtering_and_paging_change_the_page_and_the_frame(opened: Open) -> None:
    table = opened({"cost_usd": 1.0}, {"cost_usd": 3.0, "strategy": "rule"}, {"cost_usd": 2.0})
    assert ask(table, sort="cost_usd", descending=False) == ["d0", "d2", "d1"]
    assert ask(table, sort="cost_usd", descending=False, page_size=2, page=1) == ["d1"]
    assert table.frame["decision_id"].tolist() == ["d0", "d2", "d1"], "the frame has every page"
    assert ask(table, strategy="rule") == ["d1"]
    assert table.frame["decision_id"].tolist() == ["d1"]
    assert ask(table, strategy="", search="big", time_to="2026-11-02T10:01") == ["d0", "d1"]


def test_answer_that_is_the_same_as_before_still_arrives(opened: Open) -> None:
    table = opened({})
    before = table.widget.view
    ask(table, search="big")
    assert table.widget.view != before
    assert table.widget.view["n"] == table.widget.query["n"]


def test_wrong_filter_is_told_with_its_fix_and_changes_nothing(opened: Open) -> None:
    table = opened({}, {})
    assert ask(table, cost_from="cheap") == ["d1", "d0"]
    assert table.widget.said["failed"]
    assert "USD as a number" in table.widget.said["text"]


def test_only_the_page_crosses_the_wire_and_no_prompt_whole(opened: Open) -> None:
    table = opened(*({"prompt": f"secret{n} " + "x" * 100_000, "reason": "y" * 100_000} for n in range(30)))
    ask(table, page_size=10)
    state = {name: value for name, value in table.widget.get_state().items() if name not in ("_esm", "_css")}
    sent = json.dumps(state, default=str)
    assert len(sent) < 20_000
    assert sum(f"secret{n} " in sent for n in range(30)) == 10


def test_hostile_cells_cross_the_wire_as_printable_text(opened: Open) -> None:
    table = opened(*({"prompt": text, "model": text} for text in HOSTILE))
    sent = [cell for row in table.widget.view["rows"] for cell in row]
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for cell in sent for c in cell)


def test_long_log_shows_its_newest_at_once_and_is_read_meanwhile(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "_AT_ONCE", 5)
    table = opened(*({"cost_usd": float(n)} for n in range(30)))
    assert table.widget.view["ids"] == [f"d{n}" for n in range(29, 9, -1)]
    assert table.widget.view["found"] == 30
    wait_for(lambda: table.widget.view["ready"])
    assert ask(table, sort="cost_usd", descending=False, page_size=10) == [f"d{n}" for n in range(10)]
    assert ask(table, search="d7")[:1] == ["d7"]
    assert len(table.frame) == 1


def test_table_that_is_opened_later_shows_what_was_logged_since(opened: Open, orch: Orchestrator) -> None:
    first = opened({})
    orch.log.append(replace(DECISION, decision_id="late", time="2026-11-03T10:00:00+00:00"))
    assert Decisions(orch).widget.view["ids"] == ["late", "d0"]
    assert first.widget.view["ids"] == ["d0"]


def test_long_log_that_was_read_already_is_there_at_once(
    opened: Open, monkeypatch: pytest.MonkeyPatch, orch: Orchestrator
) -> None:
    monkeypatch.setattr(view, "_AT_ONCE", 5)
    first = opened(*({} for _ in range(30)))
    wait_for(lambda: orch.log.ledger.read)
    second = Decisions(orch)
    assert second.widget.view["ready"]
    assert ask(second, search="d7")[:1] == ask(first, search="d7")[:1] == ["d7"]


# -- the open decision


def test_row_opens_its_story_and_closes_again(opened: Open) -> None:
    table = opened({}, {"reason": "because of d1"})
    table.widget.opened = "d1"
    assert "because of d1" in table.widget.story["html"]
    assert table.widget.story["title"] == "big, cascade, 2026-11-02 10:01:00 UTC"
    assert "orch.route(" in table.widget.story["code"]
    assert table.selected["decision_id"].tolist() == ["d1"]
    assert table.selected["attempts"].tolist()[0][0]["model"] == "small"
    table.widget.opened = ""
    assert table.widget.story == {}
    assert table.selected.empty


def test_row_that_is_not_in_the_log_is_told(opened: Open) -> None:
    table = opened({})
    table.widget.opened = "<script>"
    assert "not in the log" in table.widget.said["text"]
    assert table.widget.said["failed"]


# -- actions


@pytest.mark.parametrize(("good", "word", "score"), [(True, "good", 1.0), (False, "bad", 0.0)])
def test_mark_is_stored_shown_and_told(opened: Open, orch: Orchestrator, good: bool, word: str, score: float) -> None:
    table = opened({}, {})
    table.widget.opened = "d0"
    assert act(table, do="mark", good=good) == (f"Marked {word}: the answer of big.", False)
    logged = orch.log.get("d0")
    assert isinstance(logged, Decision)
    assert (logged.quality, logged.quality_source) == (score, "user")
    assert f"{score:.2f}" in table.widget.view["rows"][1]
    assert f"quality {score:.2f} by user" in table.widget.story["html"]


@pytest.mark.parametrize("message", [{"do": "mark", "good": True}, {"do": "forget"}])
def test_action_without_an_open_row_is_told_with_its_fix(opened: Open, message: dict[str, Any]) -> None:
    text, failed = act(opened({}), **message)
    assert failed
    assert "Open a row first" in text


def test_cache_hit_is_forgotten_so_that_the_question_is_asked_anew(orch: Orchestrator) -> None:
    orch.route("What is 2 + 2?", model="small")
    hit = orch.route("What is 2 + 2?", model="small")
    assert hit.cached
    table = Decisions(orch)
    table.widget.opened = hit.decision.decision_id
    assert table.widget.story["cached"]
    assert "Forgotten: " in act(table, do="forget")[0]
    assert not orch.route("What is 2 + 2?", model="small").cached
    table.widget.opened = ""
    table.widget.opened = hit.decision.decision_id
    orch.forget(hit.decision.decision_id)
    assert "Nothing of this decision is in the cache any more" in act(table, do="forget")[0]


def test_decision_that_touched_no_cache_cannot_be_forgotten(opened: Open) -> None:
    table = opened({})
    table.widget.opened = "d0"
    assert table.widget.story["cached"] is False


@pytest.mark.parametrize(
    ("name", "read"),
    [("out.csv", pd.read_csv), ("out.jsonl", lambda p: pd.read_json(p, lines=True)), ("out.parquet", pd.read_parquet)],
)
def test_export_writes_what_is_filtered_in_its_order_with_every_column(
    opened: Open, tmp_path: Path, name: str, read: Callable[[Path], pd.DataFrame]
) -> None:
    table = opened({"cost_usd": 2.0}, {"strategy": "rule"}, {"cost_usd": 1.0})
    ask(table, strategy="cascade", sort="cost_usd", descending=False)
    table.widget._handle_custom_msg({"do": "export", "file": str(tmp_path / name)}, [])
    wait_for(lambda: table.widget.said["text"].startswith("Wrote"))
    assert table.widget.said["text"] == f"Wrote 2 decisions to {tmp_path / name}."
    written = read(tmp_path / name)
    assert written["decision_id"].tolist() == ["d2", "d0"]
    assert {"candidates", "attempts"} <= set(written.columns)


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("", ".csv, .jsonl or .parquet"),
        ("out.xlsx", ".csv, .jsonl or .parquet"),
        ("~nobody-of-this-name/out.csv", "whole path"),
    ],
)
def test_export_to_a_wrong_name_is_told_at_once(opened: Open, file: str, says: str) -> None:
    text, failed = act(opened({}), do="export", file=file)
    assert failed
    assert says in text


def test_export_into_a_missing_folder_is_told_when_it_fails(opened: Open, tmp_path: Path) -> None:
    table = opened({})
    act(table, do="export", file=str(tmp_path / "missing" / "out.csv"))
    wait_for(lambda: table.widget.said["failed"])
    assert "Make the folder first" in table.widget.said["text"]


def test_refresh_shows_what_is_new_and_says_how_much(opened: Open, orch: Orchestrator) -> None:
    table = opened({})
    assert act(table, do="refresh") == ("Nothing new.", False)
    orch.log.append(replace(DECISION, decision_id="late"))
    orch.log.ledger.refresh()  # as another view of the same log does
    assert act(table, do="refresh") == ("1 decision more.", False)
    assert "late" in table.widget.view["ids"]


def test_unknown_action_is_ignored(opened: Open) -> None:
    table = opened({})
    table.widget._handle_custom_msg({"do": "rm -rf"}, [])
    assert table.widget.said == {}


def test_log_that_cannot_be_read_any_more_is_told_and_the_page_stays(opened: Open, orch: Orchestrator) -> None:
    table = opened({})
    orch.log.close()
    orch.log.path.write_bytes(b"not a database" * 1000)
    text, failed = act(table, do="refresh")
    assert failed
    assert "damaged" in text
    assert table.widget.view["ids"] == ["d0"]
