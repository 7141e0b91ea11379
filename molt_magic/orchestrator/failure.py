"""What the user is told, and what is logged, when there is no whole answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from molt_magic import errors
from molt_magic.orchestrator.budget import Refusal
from molt_magic.strategies.order import cost_of
from molt_magic.types import Attempt, Choice


def failure(
    choice: Choice,
    attempts: Sequence[Attempt],
    fixes: Callable[[Iterable[str]], str],
    refused: Mapping[str, Refusal],
) -> errors.MoltError | None:
    """What the user is told when there is no whole answer.

    Args:
        fixes: the fix for models that cannot be reached.
        refused: models that were not asked for what they may cost.
    """
    answer = choice.attempt
    if answer is None:
        skipped = {c.name: c.skipped for c in choice.candidates if c.skipped}
        if (too_dear := _too_dear(choice, refused)) is not None:
            return too_dear
        if len(skipped) == 1 or "was asked for" in choice.reason:
            name = choice.reason.split(" ", 1)[0]
            skipped = {name: skipped.get(name, "")} if name in skipped else skipped
        story = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        fix = fixes(skipped) or _remedy(choice, skipped, refused)
        return errors.NoCandidate(f"No model can take this request. {story}.", skipped=skipped, fix=fix)
    if answer.error is None:
        return None
    failed = [(a.call.model, a.error) for a in attempts if a.error is not None and a.call.purpose == "answer"]
    if failed and all(isinstance(error, errors.BudgetExceeded) for _, error in failed):
        return failed[0][1]  # whom the strategy would have asked
    return errors.NoAnswer(failed) if len(failed) > 1 and answer.completion is None else answer.error


def _too_dear(choice: Choice, refused: Mapping[str, Refusal]) -> errors.BudgetExceeded | None:
    """The refusal of the budget that keeps the cheapest model from being asked, or the one that was asked for."""
    asked_for = [c for c in choice.candidates if "was asked for" in choice.reason and choice.reason.split(" ", 1)[0] == c.name]
    about = [c for c in asked_for or choice.candidates if c.reachable and c.name in refused]
    about = [c for c in about if refused[c.name].name != "question"]
    return refused[min(about, key=cost_of).name].error if about else None


def _remedy(choice: Choice, skipped: Collection[str], refused: Collection[str]) -> str:
    """What helps where every model is there and none fits.

    Args:
        skipped: names of the models that it is about.
        refused: of models that were not asked for what they may cost.
    """
    if not set(refused).isdisjoint(skipped):
        return "Allow more with max_cost (--max-cost), or set the prices of the models."
    if len(skipped) == 1 and len(choice.candidates) > 1:
        return "Use another model (%route models shows what each one takes), or ask again later."
    if choice.candidates:
        return "Ask for less, or configure a model that can take it: %route models shows what each one takes."
    return "Configure a model under [models] in molt.toml."


def as_molt_error(error: BaseException | None) -> errors.MoltError | None:
    """The error as one of ours, for the log: a cancellation or a surprise included."""
    if error is None or isinstance(error, errors.MoltError):
        return error
    if isinstance(error, asyncio.CancelledError):
        return errors.StreamInterrupted("Cancelled by the user.")
    return errors.MoltError(f"{type(error).__name__}: {error}")
