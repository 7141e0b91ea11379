"""Semantic: the nearest labelled examples say the task, and that task's row of the table is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from molt_magic.strategies.order import choice, passed_over
from molt_magic.strategies.rule import along_route, without_route
from molt_magic.strategies.walk import walk
from molt_magic.types import Flow, Route, Situation, TaskGuess


class Semantic:
    """Routes by what the prompt resembles, whatever task the request names.

    Args:
        routes: task -> Route.
        classify: prompt -> TaskGuess; its task is None where it abstains.
        default: catalog name used when it abstains; None: the strongest eligible model.
    """

    name = "semantic"

    def __init__(
        self, *, routes: Mapping[str, Route], classify: Callable[[str], TaskGuess], default: str | None = None
    ) -> None:
        self.routes = routes
        self.classify = classify
        self.default = default

    def flow(self, situation: Situation) -> Flow:
        guess = self.classify(situation.request.prompt)
        route = self.routes.get(guess.task) if guess.task else None
        order, reason, reasons = along_route(situation, route, self.default)
        if guess.task is None:
            said = f"abstains: no task is likely enough (best {guess.score:.2f})"
        else:
            said = f"looks like {guess.task} ({guess.score:.2f}){without_route(route)}"
        candidates = passed_over(situation, reasons, order)
        walked = yield from walk(situation, order)
        return choice(
            situation, walked, reason=f"{said}: {reason}", candidates=candidates, task=guess.task, task_score=guess.score
        )
