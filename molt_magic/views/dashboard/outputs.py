"""Where a dashboard's parts stand in a notebook: plain outputs, each of which can be replaced while the notebook runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from molt_magic.views.figures.canvas import Picture
from molt_magic.views.tables import Page

if TYPE_CHECKING:
    from IPython.display import DisplayHandle

SLOTS = 7  # as many parts as a board has at most: an output cannot be added to a cell that has ended

_Bundle = tuple[Mapping[str, str], Mapping[str, Any]]
_BLANK: _Bundle = ({"text/html": "", "text/plain": ""}, {})


class Outputs:
    """The outputs of one cell."""

    def __init__(self) -> None:
        self._handles: list[DisplayHandle] = []
        self._shown: list[_Bundle] = []

    def begin(self, parts: Sequence[Page | Picture]) -> None:
        """Display the parts."""
        from IPython.display import display

        self._shown = _slots(parts)
        self._handles = [
            display(dict(data), metadata=dict(metadata), raw=True, display_id=True)  # type: ignore[no-untyped-call]
            for data, metadata in self._shown
        ]

    def update(self, parts: Sequence[Page | Picture]) -> None:
        """Show these in their place; what is the same is not sent. Without outputs nothing is shown."""
        if not self._handles:
            return
        slots = _slots(parts)
        for handle, old, new in zip(self._handles, self._shown, slots, strict=True):
            if new != old:
                handle.update(dict(new[0]), metadata=dict(new[1]), raw=True)  # type: ignore[no-untyped-call]
        self._shown = slots


def _slots(parts: Sequence[Page | Picture]) -> list[_Bundle]:
    found: list[_Bundle] = [part.bundle() if isinstance(part, Picture) else (part.bundle(), {}) for part in parts]
    return found + [_BLANK] * (SLOTS - len(found))
