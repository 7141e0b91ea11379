"""The form for trying other settings: core widgets, driven as a person would."""

from __future__ import annotations

import pytest

from molt_magic.errors import InputError
from molt_magic.result import Result
from molt_magic.views.interact import form
from tests.views.samples import result

Asked = tuple[str, str, str | None, float]


def build(answers: Result | InputError, asked: list[Asked], first: str | None = None) -> tuple[dict[str, object], object]:
    """The form's parts by name."""

    def ask(prompt: str, strategy: str, model: str | None, quality: float) -> Result:
        asked.append((prompt, strategy, model, quality))
        if isinstance(answers, InputError):
            raise answers
        return answers

    box = form(
        ask, prompt="Hello?", strategies=["rule", "direct"], models=["small", "big"], strategy="rule", model=first, quality=0.5
    )
    text, row, button, shown = box.children
    strategy, model, quality = row.children
    return {"text": text, "strategy": strategy, "model": model, "quality": quality, "shown": shown}, button


@pytest.mark.parametrize(("first", "chosen"), [("big", "big"), (None, "small"), ("gone", "small")])
def test_form_starts_with_the_cell_s_model(first: str | None, chosen: str) -> None:
    parts, _button = build(result(), [], first)
    assert parts["model"].value == chosen  # type: ignore[attr-defined]


def test_click_asks_with_the_form_s_settings_and_shows_the_answer() -> None:
    asked: list[Asked] = []
    parts, button = build(result("<script>x</script> Four."), asked)
    parts["strategy"].value = "direct"  # type: ignore[attr-defined]
    parts["model"].value = "big"  # type: ignore[attr-defined]
    parts["text"].value = "Again?"  # type: ignore[attr-defined]
    button.click()  # type: ignore[attr-defined]
    assert asked == [("Again?", "direct", "big", 0.5)]
    assert "Four." in parts["shown"].value  # type: ignore[attr-defined]
    assert "<script" not in parts["shown"].value  # type: ignore[attr-defined]


def test_error_is_shown_and_the_button_works_again() -> None:
    asked: list[Asked] = []
    parts, button = build(InputError("<b>No</b>."), asked)
    button.click()  # type: ignore[attr-defined]
    assert "&lt;b&gt;No&lt;/b&gt;" in parts["shown"].value  # type: ignore[attr-defined]
    assert not button.disabled  # type: ignore[attr-defined]


@pytest.mark.parametrize(("strategy", "usable"), [("rule", False), ("direct", True)])
def test_model_can_be_chosen_only_where_it_is_used(strategy: str, usable: bool) -> None:
    parts, _ = build(result(), [])
    parts["strategy"].value = strategy  # type: ignore[attr-defined]
    assert parts["model"].disabled is not usable  # type: ignore[attr-defined]
