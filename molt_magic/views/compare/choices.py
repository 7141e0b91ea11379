"""What a form compares, and how: checkboxes of strategies and models, and the modes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from molt_magic.orchestrator import Mode, Readiness
from molt_magic.strategies import NAMES
from molt_magic.views.text import for_html, one_line

if TYPE_CHECKING:
    import ipywidgets

_MODES: Mapping[Mode, str] = {
    "live": "Live: ask now",
    "dry run": "Dry run: plan and estimate, call nothing",
    "recorded": "Recorded: answers of the log or a cassette, pay nothing",
}


class Choices:
    """The checkboxes and the modes. Models that are not ready are out of the way until they are asked for.

    Args:
        models: the catalog's, each with what it lacks.
        chosen: names that are chosen at first.
        mode: the mode that is chosen at first.

    Attributes:
        boxes: name -> its checkbox.
        others: shows the models that are not ready.
        modes: the switch of modes.
        widgets: all of it, in lines with a label each.
    """

    def __init__(self, models: Sequence[Readiness], *, chosen: Collection[str], mode: Mode) -> None:
        import ipywidgets as w

        self.boxes = {name: _box(name, name in chosen) for name in NAMES}
        self._hidden = []
        for model in models:
            label = model.model if model.ready else f"{model.model} (not ready)"
            box = self.boxes[model.model] = _box(label, model.model in chosen)
            if not model.ready:
                box.tooltip = one_line(f"{model.reason}. {model.fix}")
                self._hidden += [] if box.value else [box]
        self.others = _box(f"show {len(self._hidden)} that are not ready", False)
        self.others.observe(lambda change: self._show(change["new"]), names="value")
        self._show(False)
        self.modes = w.RadioButtons(
            options=[(label, name) for name, label in _MODES.items()], value=mode, layout=w.Layout(width="auto")
        )
        named = [self.boxes[model.model] for model in models]
        self.widgets = [
            _line("Strategies", [self.boxes[name] for name in NAMES]),
            _line("Models", [*named, *([self.others] if self._hidden else [])]),
            _line("Mode", [self.modes]),
        ]

    @property
    def chosen(self) -> list[str]:
        """Strategies and models that are to be compared."""
        return [name for name, box in self.boxes.items() if box.value]

    @property
    def mode(self) -> Mode:
        """The mode that is chosen."""
        found: Mode = self.modes.value
        return found

    def _show(self, shown: bool) -> None:
        for box in self._hidden:
            box.layout.display = "" if shown or box.value else "none"


def _box(label: str, chosen: bool) -> ipywidgets.Checkbox:
    import ipywidgets as w

    return w.Checkbox(value=chosen, description=one_line(label), indent=False, layout=w.Layout(width="auto"))


def _line(label: str, choices: Sequence[ipywidgets.Widget]) -> ipywidgets.HBox:
    """Choices with their label where the other controls have theirs."""
    import ipywidgets as w

    left = w.Layout(width="80px", margin="2px 8px 2px 2px", flex="0 0 auto")
    beside = w.HTML(f'<div style="text-align: right">{for_html(label)}</div>', layout=left)
    row = w.Layout(flex_flow="row wrap", grid_gap="0 12px", flex="1 1 0", min_width="0")
    return w.HBox([beside, w.Box(choices, layout=row)])
