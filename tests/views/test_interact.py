"""The form for trying other settings: core widgets, driven as a person would, over scripted models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from molt_magic.orchestrator import Comparison, Orchestrator
from molt_magic.result import Result
from molt_magic.views.interact import Settings, form
from tests.conftest import MakeOrchestrator
from tests.views.samples import HOSTILE
from tests.views.test_live import until
from tests.views.test_untrusted import alive

FIRST = Settings("Hello?", "rule", None, 0.5)


@dataclass
class Built:
    """The form's parts by name."""

    box: Any
    asked: list[Settings]
    taken: list[Result]

    def __post_init__(self) -> None:
        self.text, row, controls, self.shown = self.box.children
        self.strategy, self.model, self.quality = row.children
        self.run, self.cancel, self.line = controls.children

    def wait(self) -> None:
        assert self.box.runner.idle.wait(5)


def build(orch: Orchestrator, first: Settings = FIRST) -> Built:
    asked: list[Settings] = []
    taken: list[Result] = []

    def begin(settings: Settings, **told: Any) -> Comparison:
        asked.append(settings)
        return Comparison(orch, settings.prompt, [settings.name], quality=settings.quality, task="simple_qa", **told)

    box = form(begin, taken.append, first=first, strategies=["rule", "direct"], models=["small", "big"])
    return Built(box, asked, taken)


@pytest.mark.parametrize(("model", "chosen"), [("big", "big"), (None, "small"), ("gone", "small")])
def test_form_starts_with_the_cell_s_model(model: str | None, chosen: str, orchestrator: MakeOrchestrator) -> None:
    made = build(orchestrator({}), Settings("Hello?", "direct", model, 0.5))
    assert made.model.value == chosen


def test_click_asks_with_the_form_s_settings_and_shows_the_answer(orchestrator: MakeOrchestrator) -> None:
    made = build(orchestrator({"big": "Four."}))
    made.strategy.value, made.model.value, made.text.value = "direct", "big", "Again?"
    made.run.click()
    made.wait()
    assert made.asked == [Settings("Again?", "direct", "big", 0.5)]
    assert "Four." in made.shown.value
    assert [result.model for result in made.taken] == ["big"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_answer_is_dead_in_the_form(text: str, orchestrator: MakeOrchestrator) -> None:
    made = build(orchestrator({"small": text}))
    made.run.click()
    made.wait()
    assert alive(made.shown.value) == []


def test_click_returns_before_the_answer_and_cancel_keeps_what_had_arrived(orchestrator: MakeOrchestrator) -> None:
    made = build(orchestrator({"small": "word " * 500}, delay_s=0.02))
    made.run.click()
    assert (made.run.disabled, made.cancel.disabled) == (True, False)
    until(lambda: "word" in made.shown.value)
    made.cancel.click()
    made.wait()
    assert "Interrupted" in made.shown.value
    assert made.taken[0].text.startswith("word")
    assert (made.run.disabled, made.cancel.disabled) == (False, True)


def test_second_click_while_it_runs_asks_nothing(orchestrator: MakeOrchestrator) -> None:
    made = build(orchestrator({"small": "one two three"}, delay_s=0.02))
    made.run.click()
    made.run.click()
    made.wait()
    assert len(made.asked) == 1


def test_error_is_told_with_its_fix_and_the_button_works_again(orchestrator: MakeOrchestrator) -> None:
    made = build(orchestrator({"small": "x"}), Settings("  ", "rule", None, 0.5))
    made.run.click()
    assert "InputError" in made.line.value
    assert "prompt is empty" in made.line.value
    assert not made.run.disabled


def test_closing_the_form_ends_what_is_under_way(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "word " * 500}, delay_s=0.02)
    made = build(orch)
    made.run.click()
    made.box.close()
    made.wait()
    assert made.taken[0].decision.status == "interrupted"


@pytest.mark.parametrize(("strategy", "usable"), [("rule", False), ("direct", True)])
def test_model_can_be_chosen_only_where_it_is_used(strategy: str, usable: bool, orchestrator: MakeOrchestrator) -> None:
    made = build(orchestrator({}))
    made.strategy.value = strategy
    assert made.model.disabled is not usable
