"""A small form for trying other settings on a prompt. It stands beside a static output, never instead of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from molt_magic.orchestrator import Comparison
from molt_magic.result import Result
from molt_magic.views import answer
from molt_magic.views.compare.board import Board
from molt_magic.views.running import Runner

if TYPE_CHECKING:
    import ipywidgets


@dataclass(frozen=True, slots=True)
class Settings:
    """What the form says."""

    prompt: str
    strategy: str
    model: str | None  # for strategy direct
    quality: float  # threshold in [0, 1], for arbitrage

    @property
    def name(self) -> str:
        """Strategy or model, as `Comparison` takes it."""
        return self.model if self.strategy == "direct" and self.model is not None else self.strategy


class Begin(Protocol):
    """Makes the question of a form's settings, not yet started. May raise MoltError."""

    def __call__(self, settings: Settings, *, on_event: Callable[..., None], on_end: Callable[[str], None]) -> Comparison: ...


def form(
    begin: Begin,
    take: Callable[[Result], None],
    *,
    first: Settings,
    strategies: Sequence[str],
    models: Sequence[str],
    shown_as: str = "markdown",
) -> ipywidgets.VBox:
    """Core widgets only, so that it works where no widget may be fetched. It never holds up the notebook.

    Args:
        begin: the question, a comparison of one.
        take: handed each result; on a thread of its own.
        first: what the form says at first; without a model the first of `models` is chosen.
        shown_as: how answers are shown, one of `forms.FORMATS`.
    """
    import ipywidgets as w

    wide = w.Layout(width="98%")
    text = w.Textarea(value=first.prompt, description="Prompt", rows=4, layout=wide)
    way = w.Dropdown(options=list(strategies), value=first.strategy, description="Strategy")
    which = w.Dropdown(
        options=list(models),
        value=first.model if first.model in models else models[0],
        description="Model",
        disabled=first.strategy != "direct",
    )
    threshold = w.FloatSlider(
        value=first.quality, min=0.0, max=1.0, step=0.01, description="Quality", disabled=first.strategy != "arbitrage"
    )
    shown = w.HTML(layout=wide)

    def on_strategy(change: dict[str, str]) -> None:
        which.disabled = change["new"] != "direct"
        threshold.disabled = change["new"] != "arbitrage"

    def make(*, on_event: Callable[..., None], on_end: Callable[[str], None]) -> Comparison:
        settings = Settings(text.value, way.value, which.value if way.value == "direct" else None, threshold.value)
        return begin(settings, on_event=on_event, on_end=on_end)

    def draw(board: Board | None) -> None:
        shown.value = board.card(board.names[0]) if board else ""

    def end(board: Board, comparison: Comparison) -> None:
        result = comparison.results.get(board.names[0])
        if result is not None:
            shown.value = answer.bundle(result, shown_as)["text/html"]
            take(result)

    runner = Runner(make, form=shown_as, begin=draw, draw=draw, end=end)
    way.observe(on_strategy, names="value")
    box = w.VBox([text, w.HBox([way, which, threshold]), w.HBox([runner.run, runner.cancel, runner.line]), shown])
    box.observe(lambda change: runner.close() if change["new"] is None else None, names="comm")  # closed while it runs
    box.runner = runner  # for who must wait for it: tests, notebooks that go on by code
    return box
