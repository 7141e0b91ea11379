"""Rule: the task picks a row of the routing table, primary first, then fallback."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from molt_magic.strategies.order import absence, choice, default_order, named, passed_over
from molt_magic.strategies.walk import walk
from molt_magic.types import Candidate, Flow, Route, Situation, TaskGuess


class Rule:
    """Routes by task.

    Args:
        routes: task -> Route.
        classify: proposes a task for a prompt when the request names none.
        default: catalog name for prompts without a route; None: the strongest eligible model.
    """

    name = "rule"

    def __init__(
        self, *, routes: Mapping[str, Route], classify: Callable[[str], TaskGuess], default: str | None = None
    ) -> None:
        self.routes = routes
        self.classify = classify
        self.default = default

    def flow(self, situation: Situation) -> Flow:
        task, score = situation.request.task, None
        said = f"task {task}"
        if task is None:
            guess = self.classify(situation.request.prompt)
            task, score = guess.task, guess.score
            said = f"task {task} (proposed" if task else "no task given and none likely enough (best"
            said += f", {guess.score:.2f})"
        route = self.routes.get(task) if task else None
        said += without_route(route) if task else ""
        order, reason, reasons = along_route(situation, route, self.default)
        candidates = passed_over(situation, reasons, order)
        walked = yield from walk(situation, order)
        return choice(situation, walked, reason=f"{said}: {reason}", candidates=candidates, task=task, task_score=score)


def along_route(situation: Situation, route: Route | None, default: str | None) -> tuple[list[Candidate], str, dict[str, str]]:
    """The order a route gives, why, and why the other models are passed over.

    Where neither model of the row can take the request, the default one is used and the reason says so.
    """
    if route is None:
        order = default_order(situation, default)
        reasons = {c.name: "not the default" for c in situation.eligible}
        return order, f"{order[0].name if order else 'nothing'} by default", reasons
    order = named(situation, [route.primary, route.fallback])
    reasons = {c.name: f"not in the route of {route.task}" for c in situation.eligible}
    if order:
        primary = order[0].name == route.primary
        role = "primary" if primary else f"fallback, as {route.primary} {absence(situation, route.primary)}"
        return order, f"{order[0].name} ({role})", reasons
    order = default_order(situation, default)
    wanted = " and ".join(f"{name} {absence(situation, name)}" for name in (route.primary, route.fallback) if name)
    return order, f"{order[0].name if order else 'nothing'} by default, as {wanted}", reasons


def without_route(route: Route | None) -> str:
    """What there is to say of a task whose row of the table is missing."""
    return ", which has no route" if route is None else ""
