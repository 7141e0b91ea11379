"""A small form for trying other settings on a prompt. It stands beside a static output, never instead of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from molt_magic.errors import MoltError
from molt_magic.result import Result
from molt_magic.views import answer
from molt_magic.views.text import for_html

if TYPE_CHECKING:
    import ipywidgets


def form(
    ask: Callable[[str, str, str | None, float], Result],
    *,
    prompt: str,
    strategies: Sequence[str],
    models: Sequence[str],
    strategy: str,
    model: str | None,
    quality: float,
    shown_as: str = "markdown",
) -> ipywidgets.VBox:
    """Core widgets only, so that it works where no widget may be fetched.

    Args:
        ask: (prompt, strategy, model, quality) -> Result; the model is None except for `direct`. It may raise MoltError.
        model: the model that is chosen at first; None: the first of `models`.
        shown_as: how answers are shown, one of `answer.FORMATS`.
    """
    import ipywidgets as w

    wide = w.Layout(width="98%")
    text = w.Textarea(value=prompt, description="Prompt", rows=4, layout=wide)
    way = w.Dropdown(options=list(strategies), value=strategy, description="Strategy")
    which = w.Dropdown(
        options=list(models), value=model if model in models else models[0], description="Model", disabled=strategy != "direct"
    )
    threshold = w.FloatSlider(
        value=quality, min=0.0, max=1.0, step=0.01, description="Quality", disabled=strategy != "arbitrage"
    )
    button = w.Button(description="Route", tooltip="Send the prompt with these settings")
    shown = w.HTML(layout=wide)

    def on_strategy(change: dict[str, str]) -> None:
        which.disabled = change["new"] != "direct"
        threshold.disabled = change["new"] != "arbitrage"

    def on_click(_button: object) -> None:
        button.disabled = True
        shown.value = "<em>Asking …</em>"
        try:
            chosen = which.value if way.value == "direct" else None
            shown.value = answer.bundle(ask(text.value, way.value, chosen, threshold.value), shown_as)["text/html"]
        except MoltError as error:
            shown.value = f"<strong>{for_html(type(error).__name__)}</strong>: {for_html(str(error))}"
        finally:
            button.disabled = False

    way.observe(on_strategy, names="value")
    button.on_click(on_click)
    return w.VBox([text, w.HBox([way, which, threshold]), button, shown])
