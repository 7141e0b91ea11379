"""What the user is told, and what is logged, when there is no whole answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from molt_magic import errors
from molt_magic.types import Attempt, Choice


def failure(choice: Choice, attempts: Sequence[Attempt], fixes: Callable[[Iterable[str]], str]) -> errors.MoltError | None:
    """What the user is told when there is no whole answer."""
    answer = choice.attempt
    if answer is None:
        skipped = {c.name: c.skipped for c in choice.candidates if c.skipped}
        if len(skipped) == 1 or "was asked for" in choice.reason:
            name = choice.reason.split(" ", 1)[0]
            skipped = {name: skipped.get(name, "")} if name in skipped else skipped
        story = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        return errors.NoCandidate(f"No model can take this request. {story}.", skipped=skipped, fix=fixes(skipped))
    if answer.error is None:
        return None
    failed = [(a.call.model, a.error) for a in attempts if a.error is not None and a.call.purpose == "answer"]
    return errors.NoAnswer(failed) if len(failed) > 1 and answer.completion is None else answer.error


def as_molt_error(error: BaseException | None) -> errors.MoltError | None:
    """The error as one of ours, for the log: a cancellation or a surprise included."""
    if error is None or isinstance(error, errors.MoltError):
        return error
    if isinstance(error, asyncio.CancelledError):
        return errors.StreamInterrupted("Cancelled by the user.")
    return errors.MoltError(f"{type(error).__name__}: {error}")
