"""How a widget is shown beside a static output: where no widget can be drawn, a sentence stands in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ipywidgets


def show_beside(widget: ipywidgets.DOMWidget, what: str) -> None:
    """Display a widget. Its own text, `VBox(children=(...`, would be all that an export or a terminal has of it.

    Args:
        what: what it is, as in `The form`.
    """
    from IPython.display import display

    bundle = widget._repr_mimebundle_()
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    instead = f"({what} is there while the notebook runs.)"
    display({**data, "text/plain": instead}, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
