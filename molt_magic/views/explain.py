"""A decision in words, and as a small figure below them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from molt_magic.result import explain
from molt_magic.views.figures.decision import decision as drawn
from molt_magic.views.tables import Page

if TYPE_CHECKING:
    from molt_magic.types import Decision
    from molt_magic.views.figures.canvas import Picture


@dataclass(frozen=True, slots=True, repr=False)
class Explained(Page):
    """The words, with the picture of the same; as a cell's value two outputs, so that every front end shows both.

    Attributes:
        picture: None where there was neither a candidate nor an attempt.
    """

    picture: Picture | None = None

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.bundle(), raw=True)  # type: ignore[no-untyped-call]
        if self.picture is not None:
            self.picture.show()


def explained(decision: Decision) -> Explained:
    """Who was considered, what was tried, what it cost and why: in words and as a figure."""
    title = f"Decision {decision.decision_id}, {decision.time[:19].replace('T', ' ')} UTC"
    lines = explain(decision)
    first = next((a["model"] for a in decision.attempts if a["purpose"] == "answer"), None)
    if decision.propensity is not None and first is not None:
        lines.append(f"Exploration is on: {first} was to be asked first with a chance of {decision.propensity:.1%}.")
    return Explained((title, "\n".join(lines)), drawn(decision))
