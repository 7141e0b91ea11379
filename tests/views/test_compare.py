"""Several answers side by side: while they arrive, as a static display, and as a form driven as a person would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from molt_magic.errors import ServerError
from molt_magic.orchestrator import Comparison, Orchestrator
from molt_magic.types import Event
from molt_magic.views.compare import final
from molt_magic.views.compare.board import Board
from molt_magic.views.compare.form import CompareForm
from molt_magic.views.forms import FORMATS
from tests.conftest import MakeOrchestrator
from tests.views.samples import HOSTILE
from tests.views.test_live import until
from tests.views.test_untrusted import alive, alive_markdown


def compared(orch: Orchestrator, names: list[str], **options: Any) -> Comparison:
    comparison = Comparison(orch, "Hello?", names, task="simple_qa", **options)
    comparison.start()
    comparison.wait()
    return comparison


class TestStatic:
    def test_has_a_column_an_answer_and_a_row_for_each(self, orchestrator: MakeOrchestrator) -> None:
        shown = final.bundle(compared(orchestrator({"small": "**four**", "big": "five"}), ["rule", "big"]))
        assert "<strong>four</strong>" in shown["text/html"]
        assert shown["text/html"].count("<table") == 1
        assert "flex-wrap: wrap" in shown["text/html"]
        assert "rule: small\n**four**" in shown["text/plain"]

    def test_table_tells_model_cost_saving_latency_both_qualities_and_why(self, orchestrator: MakeOrchestrator) -> None:
        comparison = compared(orchestrator({"small": "four"}), ["rule"], validate=[lambda text: 0.75])
        table = final.table(comparison, final.rows_of(comparison))
        row = dict(zip(table.columns, table.rows[0], strict=True))
        assert (row["Model"], row["Cost"], row["Judged"], row["Predicted"]) == (
            "small", "$0.00020", "0.75", f"{comparison.results['rule'].decision.predicted_quality:.2f}",
        )  # fmt: skip
        assert "small answered" in row["Reason"]

    def test_table_leaves_out_what_would_tell_nothing(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "four", "big": ServerError("down")})
        for names, options, left_out in (
            (["small"], {}, {"Model", "Status"}),
            (["rule", "small"], {}, {"Status"}),
            (["rule", "big"], {}, set()),
            (["rule"], {"mode": "dry run"}, {"Latency", "Judged", "Status"}),
        ):
            comparison = compared(orch, names, **options)
            table = final.table(comparison, final.rows_of(comparison))
            assert set(final.HEADINGS) - set(table.columns) == left_out

    def test_failure_is_told_with_its_fix(self, orchestrator: MakeOrchestrator) -> None:
        failed = ServerError("It fell over.", fix="Start it again.")
        shown = final.bundle(compared(orchestrator({"small": failed, "big": "five"}), ["small", "big"]))
        assert "Failed: It fell over. Start it again." in shown["text/plain"]

    def test_dry_run_shows_the_calls_it_would_make(self, orchestrator: MakeOrchestrator) -> None:
        shown = final.bundle(compared(orchestrator({"small": "x", "big": "y"}), ["cascade"], mode="dry run"))
        assert "Would ask:\n1. small: about" in shown["text/plain"]
        assert "nothing was called" in shown["text/plain"]

    @pytest.mark.parametrize("text", HOSTILE)
    def test_hostile_answers_and_errors_are_dead_in_every_medium(self, text: str, orchestrator: MakeOrchestrator) -> None:
        comparison = compared(orchestrator({"small": text, "big": ServerError(text)}), ["small", "big"])
        for form in FORMATS:
            shown = final.bundle(comparison, form)
            assert alive(shown["text/html"]) == []
            assert alive_markdown(shown["text/markdown"]) == []
            assert "\x1b" not in shown["text/plain"]


class TestPicture:
    def test_draws_judged_quality_where_it_is_known_and_says_which(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "four", "big": "five"})
        comparison = compared(orch, ["small", "big"])
        rows = [{**row, "quality": 1.0 if row["strategy"] == "big" else None} for row in final.rows_of(comparison)]
        picture = final.picture(comparison, rows)
        assert picture is not None
        assert "judged for big, predicted for the others" in picture.alt
        assert "quality 1.00" in picture.alt
        assert f"quality {comparison.results['small'].decision.predicted_quality:.2f}" in picture.alt

    def test_there_is_none_where_nothing_answered(self, orchestrator: MakeOrchestrator) -> None:
        assert final.picture(compared(orchestrator({"small": ServerError("down")}), ["small"])) is None


class TestBoard:
    def test_columns_stay_apart_and_only_what_changed_is_drawn_anew(self) -> None:
        board = Board(["small", "big"])
        assert board.changes() == ["small", "big"]
        board.on_named_event("big", Event("delta", model="b", text="only here"))
        assert board.changes() == ["big"]
        assert "only here" in board.card("big")
        assert "only here" not in board.card("small")

    def test_what_concerns_all_is_told_once_below(self) -> None:
        board = Board(["small", "big"])
        board.on_named_event("", Event("progress", text="loading small", fraction=None))
        shown = board.bundle()
        assert shown["text/plain"].endswith("loading small")
        assert shown["text/html"].count("loading small") == 1

    def test_loading_is_told_until_the_model_that_is_loaded_answers(self) -> None:
        board = Board(["small", "big"])
        board.on_named_event("", Event("progress", text="loading big", fraction=None))
        board.on_named_event("small", Event("delta", model="small", text="word"))
        assert board.progress().text == "loading big"
        board.on_named_event("big", Event("delta", model="big", text="word"))
        assert board.progress().text == "0 of 2 answered, $0 so far"

    def test_answer_that_comes_in_one_piece_fills_its_column(self, orchestrator: MakeOrchestrator) -> None:
        board = Board(["rule", "small"])
        orch = orchestrator({"small": "one two three"}, delay_s=0.05)
        compared(orch, ["rule", "small"], on_event=board.on_named_event)  # one call; the second waits for its answer
        assert "one two three" in board.card("rule")
        assert "one two three" in board.card("small")

    @pytest.mark.parametrize("text", HOSTILE)
    def test_hostile_text_is_dead_while_it_arrives(self, text: str) -> None:
        board = Board(["small", "big"])
        board.on_named_event("small", Event("delta", model=text, text=text))
        board.on_named_event("", Event("progress", text=text, fraction=0.5))
        shown = board.bundle()
        assert alive(shown["text/html"]) == []
        assert "\x1b" not in shown["text/plain"]


class Driven:
    """A form with its parts by name."""

    def __init__(self, orch: Orchestrator, **options: Any) -> None:
        self.bound: dict[str, Any] = {}
        asked = {"task": "simple_qa", **options.pop("asked", {})}
        self.form = CompareForm(orch, bind=self.bound.__setitem__, options=asked, **options)
        self.prompt, _, _, _, controls, self.columns, self.below, binding = self.form.widget.children
        self.boxes, self.mode = self.form.choices.boxes, self.form.choices.modes
        self.run, self.cancel, self.line = controls.children
        self.variable, self.binder, self.told = binding.children

    def wait(self) -> None:
        assert self.form.runner.idle.wait(10)

    @property
    def cards(self) -> list[str]:
        return [column.children[0].value for column in self.columns.children]

    @property
    def bests(self) -> list[Any]:
        return [column.children[1] for column in self.columns.children]


ANSWERS: Mapping[str, str] = {"small": "Small says so.", "big": "Big says so."}


class TestForm:
    def test_begins_with_the_names_it_is_given_and_says_what_is_not_ready(self, orchestrator: MakeOrchestrator) -> None:
        made = Driven(orchestrator({"small": "x"}), names=["cascade", "small"])
        assert made.form.choices.chosen == ["cascade", "small"]
        assert made.boxes["big"].description == "big (not ready)"
        assert made.boxes["big"].tooltip == "no key. set a key for big"

    def test_models_that_are_not_ready_are_shown_on_request(self, orchestrator: MakeOrchestrator) -> None:
        made = Driven(orchestrator({"small": "x"}))
        assert [made.boxes[name].layout.display for name in ("small", "big")] == [None, "none"]
        made.form.choices.others.value = True
        assert made.boxes["big"].layout.display == ""
        assert Driven(orchestrator({"small": "x"}), names=["big"]).boxes["big"].layout.display is None  # chosen: shown

    def test_run_fills_a_column_each_the_table_and_the_frame(self, orchestrator: MakeOrchestrator) -> None:
        made = Driven(orchestrator(ANSWERS), prompt="Hello?", names=["rule", "big"])
        made.run.click()
        made.wait()
        assert ["Small says so." in made.cards[0], "Big says so." in made.cards[1]] == [True, True]
        assert "<table" in made.below.value
        assert "<img" in made.below.value  # the scatter
        assert list(made.form.frame["strategy"]) == ["rule", "big"]
        assert "Done: 2 answered" in made.line.value

    def test_click_returns_at_once_and_cancel_keeps_what_had_arrived(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "word " * 2000, "big": "other " * 2000}, delay_s=0.01)
        made = Driven(orch, prompt="Hello?", names=["small", "big"])
        made.run.click()
        assert (made.run.disabled, made.cancel.disabled) == (True, False)
        until(lambda: "word" in made.cards[0] and "other" in made.cards[1])
        assert list(made.form.frame["status"]) == ["running", "running"]
        made.cancel.click()
        made.wait()
        assert list(made.form.frame["status"]) == ["interrupted", "interrupted"]
        assert "Interrupted" in made.cards[0]
        assert "Cancelled: 2 interrupted" in made.line.value
        assert list(orch.log.to_frame()["status"]) == ["interrupted", "interrupted"]
        assert (made.run.disabled, made.cancel.disabled) == (False, True)

    def test_cancel_before_the_first_token_is_an_interruption(self, orchestrator: MakeOrchestrator) -> None:
        made = Driven(orchestrator({"small": "word"}, delay_s=5), prompt="Hello?", names=["small"])
        made.run.click()
        made.cancel.click()
        made.wait()
        assert list(made.form.frame["status"]) == ["interrupted"]

    def test_two_quick_clicks_are_one_run_and_a_later_one_starts_clean(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": ["first", "second"]}, delay_s=0.02)
        made = Driven(orch, prompt="Hello?", names=["small"], asked={"cache": False})
        made.run.click()
        made.run.click()
        made.wait()
        assert len(orch.providers.calls) == 1  # type: ignore[attr-defined]
        made.run.click()
        made.wait()
        assert "second" in made.cards[0]
        assert "first" not in made.cards[0]

    def test_closing_it_ends_what_is_under_way(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "word " * 2000}, delay_s=0.01)
        made = Driven(orch, prompt="Hello?", names=["small"])
        made.run.click()
        made.form.close()
        made.wait()
        assert list(orch.log.to_frame()["status"]) == ["interrupted"]

    @pytest.mark.parametrize(
        ("prompt", "names", "says"), [("", ["small"], "The prompt is empty"), ("Hello?", [], "Nothing is chosen")]
    )
    def test_what_cannot_be_asked_is_told_with_its_fix(
        self, prompt: str, names: list[str], says: str, orchestrator: MakeOrchestrator
    ) -> None:
        made = Driven(orchestrator(ANSWERS), prompt=prompt)
        for name, box in made.boxes.items():
            box.value = name in names
        made.run.click()
        assert says in made.line.value
        assert 'role="alert"' in made.line.value
        assert not made.run.disabled

    def test_what_only_turns_out_wrong_when_it_is_asked_leaves_no_columns(self, orchestrator: MakeOrchestrator) -> None:
        made = Driven(orchestrator(ANSWERS), prompt="Hello?", names=["small"], asked={"validate": ["nonemty"]})
        made.run.click()
        assert "Did you mean" in made.line.value
        assert made.columns.children == ()
        assert not made.run.disabled

    def test_static_output_has_the_last_comparison(self, orchestrator: MakeOrchestrator) -> None:
        made = Driven(orchestrator(ANSWERS), prompt="Hello?", names=["small"])
        assert "Small says so." not in made.form.bundle()["text/plain"]
        made.run.click()
        made.wait()
        assert all("Small says so." in shown for shown in made.form.bundle().values())

    def test_best_is_stored_as_feedback_and_shows_in_the_frame(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator(ANSWERS)
        made = Driven(orch, prompt="Hello?", names=["small", "big"])
        made.run.click()
        made.wait()
        assert made.bests[1].description == "This one is best: big"
        made.bests[1].click()
        logged = orch.log.to_frame().set_index("model")["quality"]
        assert logged["big"] == 1.0
        assert pd.isna(logged["small"])
        assert made.form.frame["quality"][1] == 1.0
        assert made.bests[1].disabled
        until(lambda: "judged for big" in made.below.value)

    def test_failed_and_planned_answers_cannot_be_called_best(self, orchestrator: MakeOrchestrator) -> None:
        made = Driven(orchestrator({"small": ServerError("down"), "big": "x"}), prompt="Hello?", names=["small", "big"])
        made.run.click()
        made.wait()
        assert [best.layout.display for best in made.bests] == ["none", ""]
        made.mode.value = "dry run"
        made.run.click()
        made.wait()
        assert [best.layout.display for best in made.bests] == ["none", "none"]

    def test_modes_reach_the_question(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator(ANSWERS)
        made = Driven(orch, prompt="Hello?", names=["small"], mode="dry run")
        made.run.click()
        made.wait()
        assert list(made.form.frame["status"]) == ["planned"]
        made.mode.value = "recorded"
        made.run.click()
        made.wait()
        assert list(made.form.frame["status"]) == ["error"]
        assert orch.providers.calls == []  # type: ignore[attr-defined]

    def test_frame_is_bound_to_the_variable_that_is_named(self, orchestrator: MakeOrchestrator) -> None:
        made = Driven(orchestrator(ANSWERS), prompt="Hello?", names=["small"])
        made.run.click()
        made.wait()
        made.variable.value = "mine"
        made.binder.click()
        assert list(made.bound["mine"]["text"]) == ["Small says so."]
        assert "mine" in made.told.value
        made.variable.value = "1<b>"
        made.binder.click()
        assert "cannot be a variable" in made.line.value
        assert "<b>" not in made.line.value

    @pytest.mark.parametrize("text", HOSTILE)
    def test_hostile_answers_and_errors_are_dead_in_the_form(self, text: str, orchestrator: MakeOrchestrator) -> None:
        made = Driven(orchestrator({"small": text, "big": ServerError(text)}), prompt=text, names=["small", "big"])
        made.run.click()
        made.wait()
        for html in (*made.cards, made.line.value, made.below.value.partition("<img")[0]):
            assert alive(html) == []
        assert alive(made.form.bundle()["text/html"]) == []
