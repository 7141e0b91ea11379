"""A check for every kind of question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from molt_magic.types import Attempt, Check, Checking, Request, Verdict


@dataclass(slots=True)
class ByTask:
    """The check of the request's task; None in its place accepts everything.

    Args:
        checks: by task; that of None is for requests of any other task, or of none.
    """

    name: str
    checks: Mapping[str | None, Check | None]

    def check(self, request: Request, attempt: Attempt) -> Checking:
        """The verdict of that check."""
        check = self.checks.get(request.task, self.checks.get(None))
        if check is None:
            return Verdict(True, None, "questions of this kind need no check", self.name)
        return (yield from check.check(request, attempt))
