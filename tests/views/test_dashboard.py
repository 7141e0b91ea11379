"""The dashboard: its arithmetic worked out by hand, what it shows, and the widget that keeps itself up to date."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molt_magic.errors import StoreError, UnknownName
from molt_magic.types import Decision
from molt_magic.views.dashboard import Dashboard, metrics
from molt_magic.views.dashboard.board import Budget, board
from molt_magic.views.dashboard.live import Live
from molt_magic.views.dashboard.metrics import Last, Rate
from molt_magic.views.dashboard.outputs import Outputs
from molt_magic.views.dashboard.timeline import timeline
from molt_magic.views.figures.canvas import Picture
from molt_magic.views.tables import Page
from tests.conftest import MakeOrchestrator
from tests.views.decided import NOW, decided, frame
from tests.views.samples import HOSTILE
from tests.views.test_untrusted import alive, alive_markdown


def window(*decisions: Decision, last: Last = "all") -> pd.DataFrame:
    return metrics.within(frame(*decisions), last, session="s1", now=NOW)


# metrics


@pytest.mark.parametrize(("last", "left"), [("24h", 1), ("7d", 2), ("session", 2), ("all", 3)])
def test_window_keeps_what_is_young_enough_or_of_the_session(last: Last, left: int) -> None:
    found = window(
        decided(hours_ago=23),
        decided(hours_ago=25, session="other"),
        decided(hours_ago=24 * 8),
        decided(status="planned"),
        last=last,
    )
    assert len(found) == left


def test_unknown_costs_are_counted_and_never_added_as_nothing() -> None:
    totals = metrics.totals(window(decided(), decided(cost_usd=0.0), decided(cost_usd=None, saved_usd=None)))
    assert (totals.decisions, totals.unknown_costs) == (3, 1)
    assert totals.spent_usd == pytest.approx(0.01)
    assert (totals.saved_usd, totals.baseline_usd) == pytest.approx((0.18, 0.20))  # not the third's


def test_rates_say_over_how_many() -> None:
    totals = metrics.totals(
        window(
            decided(cache="exact"),
            decided(cache="semantic", escalations=2),
            decided(cache="miss", fallbacks=1),
            decided(cache="off", status="error", deployment="cassette"),
        )
    )
    assert totals.hits == Rate(2, 3)  # one did not look there
    assert (totals.fallbacks, totals.escalations, totals.failed) == (Rate(1, 4), Rate(1, 4), Rate(1, 4))
    assert totals.recorded == 1


def test_groups_are_told_apart_the_dearest_first() -> None:
    found = metrics.groups(
        window(
            decided(cost_usd=0.01),
            decided(model="big", cost_usd=0.30, cache="exact"),
            decided(model="big", cost_usd=None, saved_usd=None),
            decided(model=None, status="error", cost_usd=None, saved_usd=None, cache="off"),
        ),
        "model",
    )
    assert list(found.index) == ["big", "small", "no model"]
    assert list(found["decisions"]) == [2, 1, 1]
    assert list(found["share"]) == [0.5, 0.25, 0.25]
    assert list(found["spent_usd"])[:2] == pytest.approx([0.30, 0.01])
    assert found["spent_usd"].isna().tolist() == [False, False, True]  # nothing is known of it: not 0
    assert list(found["unknown_costs"]) == [1, 0, 1]
    assert list(found["hits"]) == [1, 0, 0]
    assert list(found["looked"]) == [2, 1, 0]


def test_latency_is_of_answers_that_a_model_gave() -> None:
    waits = [decided(latency_s=float(i)) for i in range(1, 101)]
    others = [decided(latency_s=0.001, cache="exact"), decided(latency_s=900.0, status="error")]
    row = metrics.latency(window(*waits, *others), "model").loc["small"]
    assert row["answers"] == 100
    assert (row["p50"], row["p90"], row["p99"]) == pytest.approx((50.5, 90.1, 99.01))


def test_scores_of_judges_validators_and_users_are_kept_apart() -> None:
    found = metrics.quality(
        window(
            decided(quality=0.5, quality_source="judge"),
            decided(quality=1.0, quality_source="judge"),
            decided(quality=0.0, quality_source="validator"),
            decided(quality=1.0, quality_source="user", model="big"),
            decided(),
        ),
        "model",
    )
    assert found["mean"].to_dict() == {("small", "judge"): 0.75, ("small", "validator"): 0.0, ("big", "user"): 1.0}
    assert found["scores"].to_dict() == {("small", "judge"): 2, ("small", "validator"): 1, ("big", "user"): 1}


def test_timeline_puts_each_decision_into_its_hour() -> None:
    found = timeline(
        window(decided(hours_ago=1), decided(hours_ago=1.2), decided(hours_ago=5, model="big", cost_usd=0.5), last="24h"),
        "model",
        "24h",
        now=NOW,
    )
    assert (found.seconds, found.unit, len(found.spent)) == (3600, "hour", 25)
    spent = found.spent[(found.spent > 0).any(axis=1)]
    assert [f"{when:%H:%M}" for when in spent.index] == ["07:00", "11:00"]
    assert spent.to_dict("list") == {"big": [0.5, 0.0], "small": [0.0, pytest.approx(0.02)]}
    assert found.saved.sum() == pytest.approx(0.27)


@pytest.mark.parametrize(
    ("hours", "unit"),
    [(0, "minute"), (3, "5 minutes"), (24, "hour"), (24 * 6, "6 hours"), (24 * 40, "day"), (24 * 365 * 90, "52 weeks")],
)
def test_timeline_s_spans_are_as_long_as_it_needs(hours: float, unit: str) -> None:
    found = timeline(window(decided(hours_ago=hours), decided(hours_ago=0)), "model", "all", now=NOW)
    assert found.unit == unit
    assert found.spent.to_numpy().sum() == pytest.approx(0.02)


def test_groups_beyond_the_dearest_are_one_in_a_timeline() -> None:
    many = [decided(model=f"m{i}", cost_usd=float(i)) for i in range(1, 9)]
    found = timeline(window(*many), "model", "all", now=NOW, most=5)
    assert list(found.spent) == ["m8", "m7", "m6", "m5", "others"]
    assert found.spent["others"].sum() == 1 + 2 + 3 + 4


DECIDED = st.builds(
    decided,
    hours_ago=st.floats(0, 400),
    model=st.sampled_from([None, "", "small", "big", "no model"]),
    cost_usd=st.none() | st.floats(0, 10),
    saved_usd=st.none() | st.floats(-10, 10),
    cache=st.sampled_from(["exact", "semantic", "miss", "off"]),
    status=st.sampled_from(["ok", "best_effort", "error", "interrupted", "planned"]),
    session=st.sampled_from(["s1", "s2"]),
    quality=st.none() | st.floats(0, 1),
    quality_source=st.sampled_from(["judge", "validator", "user"]),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(DECIDED, max_size=12))
def test_groups_add_up_to_the_whole(decisions: list[Decision]) -> None:
    found = window(*decisions)
    totals, groups = metrics.totals(found), metrics.groups(found, "model")
    assert groups["share"].sum() == pytest.approx(1.0 if len(found) else 0.0)
    assert groups["decisions"].sum() == totals.decisions
    assert groups["spent_usd"].sum() == pytest.approx(totals.spent_usd)
    assert groups["saved_usd"].sum() == pytest.approx(totals.saved_usd)
    assert (groups["hits"].sum(), groups["looked"].sum()) == (totals.hits.count, totals.hits.of)
    assert groups.index.is_unique
    line = timeline(found, "model", "all", now=NOW)
    assert line.spent.to_numpy().sum() == pytest.approx(totals.spent_usd)
    assert line.saved.sum() == pytest.approx(totals.saved_usd)


@settings(deadline=None, max_examples=40)
@given(st.lists(DECIDED, max_size=12))
def test_shorter_window_never_spends_more(decisions: list[Decision]) -> None:
    day, week, ever, session = (
        metrics.totals(window(*decisions, last=last)).spent_usd for last in ("24h", "7d", "all", "session")
    )
    for shorter, longer in ((day, week), (week, ever), (session, ever)):
        assert shorter <= longer + 1e-9  # a sum of more rows is rounded in other places


# what is shown

SOME = (
    decided(quality=0.8, quality_source="judge"),
    decided(model="big", cost_usd=None, saved_usd=None, deployment="cassette"),
    decided(cache="exact", cost_usd=0.0, saved_usd=0.10, latency_s=0.004),
)
FREE = Budget(None, 0.0)


def shown(*decisions: Decision, budget: Budget = FREE, last: Last = "all", logged: int | None = None) -> list[Page | Picture]:
    count = len(decisions) if logged is None else logged
    return board(window(*decisions, last=last), last, "model", now=NOW, budget=budget, logged=count)


def plain(parts: list[Page | Picture]) -> str:
    return "\n\n".join(part.to_plain(160) if isinstance(part, Page) else part.alt for part in parts)


def test_board_is_pages_and_pictures_in_turn() -> None:
    assert [type(part) for part in shown(*SOME)] == [Page, Picture, Page, Picture, Page, Picture, Page]


def test_board_tells_what_is_unknown_recorded_and_left() -> None:
    text = plain(shown(*SOME, budget=Budget(5.0, 1.25)))
    assert "1 decision without a known price" in text
    assert "1 decision replayed from a cassette" in text
    assert "2 with a known price" in text
    assert "$3.75" in text
    assert "1 of 3" in text
    assert "mean of 1 scores" in text


def test_overspent_budget_has_nothing_left() -> None:
    assert re.search(r"Budget left +\$0 +of \$1.00", plain(shown(*SOME, budget=Budget(1.0, 2.0))))


def test_what_is_left_of_the_day_has_a_tile_of_its_own_and_tells_what_is_reserved() -> None:
    text = plain(shown(*SOME, budget=Budget(None, 1.0, day=Budget(5.0, 1.0, 0.5))))
    assert re.search(r"Left today +\$3.50 +of \$5.00 for the day; \$0.50 reserved", text)
    assert "Left today" not in plain(shown(*SOME))


def test_group_of_which_no_price_is_known_is_not_free() -> None:
    money = shown(decided(cost_usd=None, saved_usd=None))[2]
    assert isinstance(money, Page)
    assert "unknown" in money.to_plain(160)
    assert "$0" not in money.to_plain(160)


@pytest.mark.parametrize(
    ("logged", "last", "says"),
    [(0, "7d", "Nothing was routed yet."), (5, "7d", "The log has 5"), (5, "session", "No decisions in this session yet.")],
)
def test_empty_log_says_so_kindly(logged: int, last: Last, says: str) -> None:
    assert says in plain(shown(last=last, logged=logged))


@pytest.mark.parametrize("changes", [{"cost_usd": 0.01}, {"cost_usd": None, "saved_usd": None}])
def test_hostile_names_are_dead_in_every_part(changes: dict[str, Any]) -> None:
    names = (*HOSTILE, "$x^2$ $y$", "long" * 500)
    for part in shown(*(decided(model=name, quality=0.5, quality_source="judge", **changes) for name in names)):
        if isinstance(part, Page):
            assert alive(part.to_html()) == []
            assert alive_markdown(part.to_markdown()) == []
            assert "\x1b" not in part.to_plain()
        else:
            assert [f for f in alive(part.html()) if f != "img" and not f.startswith("img src=data:image/png")] == []


def test_failures_alone_can_be_shown() -> None:
    failed = decided(
        model=None, provider="", status="error", cost_usd=None, saved_usd=None, baseline_cost_usd=None, cache="off"
    )
    assert "no model" in plain(shown(failed))


def test_dashboard_refuses_an_unknown_window(orchestrator: MakeOrchestrator) -> None:
    with pytest.raises(UnknownName, match="7d"):
        Dashboard(orchestrator({"small": "x"}), last="7days")  # type: ignore[arg-type]


def test_dashboard_shows_the_log_s_decisions(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "Small says so."}, values={"budget.session_usd": 1.0})
    dashboard = Dashboard(orch, last="session", by="strategy")
    assert "Nothing was routed yet" in plain(list(dashboard.parts()))
    orch.route("Hello?", model="small")
    orch.route("Hello again?", model="small", dry_run=True)
    assert "direct" in plain(list(dashboard.parts()))
    assert len(dashboard.frame) == 1


def test_same_log_is_drawn_once_and_feedback_makes_it_another(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "Small says so."})
    dashboard = Dashboard(orch, last="session")
    answer = orch.route("Hello?", model="small")
    first = dashboard.parts()
    assert dashboard.parts() is first
    orch.feedback(answer.decision.decision_id, 1.0)
    assert dashboard.parts() is not first


def test_log_that_is_off_is_told(orchestrator: MakeOrchestrator) -> None:
    dashboard = Dashboard(orchestrator({"small": "x"}, values={"log.enabled": False}))
    assert "The log is off" in plain(list(dashboard.parts()))


def test_log_that_cannot_be_read_is_an_error_at_once(orchestrator: MakeOrchestrator, tmp_path: Path) -> None:
    orch = orchestrator({"small": "x"})
    orch.log.path.parent.mkdir(parents=True, exist_ok=True)
    orch.log.path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError):
        Dashboard(orch)


# the widget


class Log:
    """Stands in for the log behind a widget: what it holds, how often it was drawn, and an error to raise."""

    def __init__(self) -> None:
        self.state = 0
        self.drawn: list[tuple[str, str]] = []
        self.error: Exception | None = None
        self.shown = ""

    def look(self, last: str) -> object:
        if self.error is not None:
            raise self.error
        return self.state

    def draw(self, last: str, by: str) -> str:
        self.drawn.append((last, by))
        self.shown = f"state {self.state}"
        return "now"


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def live(log: Log) -> Iterator[Live]:
    widget = Live(log.look, log.draw, last="7d", by="model", interval_s=0.01)
    widget.box._view_count = 1  # a front end shows it
    assert until(lambda: log.shown == "state 0")
    yield widget
    widget.close()


def until(done: Callable[[], Any]) -> bool:
    end = time.monotonic() + 10
    while not done() and time.monotonic() < end:
        time.sleep(0.005)
    return bool(done())


def test_every_control_has_a_label(live: Live) -> None:
    assert all(control.description for control in live.box.children[0].children)


def test_widget_draws_again_when_the_log_has_grown(live: Live, log: Log) -> None:
    log.state = 1
    assert until(lambda: "state 1" in log.shown)


def test_nothing_is_drawn_while_nothing_changes(live: Live, log: Log) -> None:
    drawn = len(log.drawn)
    time.sleep(0.2)  # twenty looks
    assert len(log.drawn) == drawn


def test_choosing_a_window_or_a_grouping_draws_it(live: Live, log: Log) -> None:
    live.auto.value = False
    live.last.value = "all"
    live.by.value = "provider"
    live.button.click()
    assert log.drawn == [("7d", "model"), ("all", "model"), ("all", "provider"), ("all", "provider")]


def test_unticked_box_stops_looking_and_ticking_starts_again(live: Live, log: Log) -> None:
    live.auto.value = False
    log.state = 1
    time.sleep(0.1)
    assert "state 0" in log.shown
    live.auto.value = True
    assert until(lambda: "state 1" in log.shown)


def test_error_is_shown_once_and_looking_stops(live: Live, log: Log) -> None:
    log.error = StoreError("<b>The log is gone</b>.", fix="Bring it back.")
    assert until(lambda: not live.watching)
    assert "&lt;b&gt;The log is gone" in live.said.value
    assert "Bring it back." in live.said.value
    assert "role" in live.said.value
    assert live.auto.value is False


def test_error_of_a_kind_nobody_thought_of_is_shown_too(live: Live, log: Log) -> None:
    log.error = ZeroDivisionError("division by zero")
    assert until(lambda: "ZeroDivisionError" in live.said.value)


def test_refresh_after_an_error_shows_the_log_again(live: Live, log: Log) -> None:
    log.error = StoreError("Gone.")
    assert until(lambda: not live.watching)
    log.error = None
    live.button.click()
    assert "Gone" not in live.said.value


def test_closed_widget_no_longer_looks(log: Log) -> None:
    live = Live(log.look, log.draw, last="7d", by="model", interval_s=0.01)
    live.box._view_count = 1
    assert live.watching
    before = {thread.name for thread in threading.enumerate()}
    assert "molt-dashboard" in before
    live.box.close()
    assert not live.watching
    log.state = 1
    time.sleep(0.1)
    assert log.shown != "state 1"


def test_widget_whose_last_view_is_gone_waits_for_the_next(live: Live, log: Log) -> None:
    live.box._view_count = 1
    live.box._view_count = 0
    assert not live.watching
    live.box._view_count = 1
    assert live.watching


def test_nothing_is_looked_at_before_a_page_shows_the_controls(log: Log) -> None:
    live = Live(log.look, log.draw, last="7d", by="model", interval_s=0.01)
    assert not live.watching  # a notebook that runs headless has its outputs once, and they stay
    live.close()


class Handle:
    """Stands in for IPython's: keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[Mapping[str, str]] = []

    def update(self, data: Mapping[str, str], **_: object) -> None:
        self.told.append(data)


def test_outputs_are_replaced_where_they_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    handles: list[Handle] = []

    def display(*_: object, **__: object) -> Handle:
        handles.append(Handle())
        return handles[-1]

    monkeypatch.setattr("IPython.display.display", display)
    outputs = Outputs()
    outputs.update([Page(("nowhere to be shown",))])
    outputs.begin([Page(("one",)), Page(("two",))])
    outputs.update([Page(("one",)), Page(("three",)), Page(("four",))])
    told = ["".join(data["text/plain"] for data in handle.told) for handle in handles]
    assert told == ["", "three", "four", "", "", "", ""]
    outputs.update([Page(("one",))])
    assert [len(handle.told) for handle in handles] == [0, 2, 2, 0, 0, 0, 0]


def test_dashboard_s_outputs_follow_its_log(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "Small says so."})
    dashboard = Dashboard(orch, last="session")
    told: list[int] = []
    dashboard._outputs.update = lambda parts: told.append(len(parts))  # type: ignore[method-assign]
    dashboard.live.redraw()
    orch.route("Hello?", model="small")
    dashboard.live.redraw()
    assert told == [1, 7]
    dashboard.close()
