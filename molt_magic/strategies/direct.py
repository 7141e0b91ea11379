"""Direct: this model and no other."""

from __future__ import annotations

from molt_magic.strategies.order import choice, default_order, named, passed_over
from molt_magic.strategies.walk import walk
from molt_magic.types import Flow, Situation


class Direct:
    """Asks the model that the request names, or the default one. It never falls back to another model.

    Args:
        default: catalog name used when the request names none; None: the strongest eligible model.
    """

    name = "direct"

    def __init__(self, *, default: str | None = None) -> None:
        self.default = default

    def flow(self, situation: Situation) -> Flow:
        model = situation.request.model
        order = named(situation, [model]) if model else default_order(situation, self.default)
        candidates = passed_over(situation, {}, order)
        walked = yield from walk(situation, order)
        reason = f"{model} was asked for" if model else f"{order[0].name if order else 'nothing'} is the default"
        return choice(situation, walked, reason=reason, candidates=candidates)
