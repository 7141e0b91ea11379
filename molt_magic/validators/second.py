"""`second:MODEL`: another model is asked the same, and the answer is kept where both come to the same."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from molt_magic.types import Attempt, Call, Checking, Request, Verdict
from molt_magic.validators.rules import short, text_of
from molt_magic.validators.sampling import Final, final, nothing_to_compare


@dataclass(slots=True)
class Second:
    """Accepts an answer that another model agrees with, by what both come down to (see `final`).

    Two cheap models that agree are right far more often than either is, and where they do not a dearer one is asked. The
    score is 1 or 0. Asked by the model itself, or of one that fails, it abstains. The second answer is a call with purpose
    `judge`: its cost is counted, it is never shown.
    """

    name: str
    model: str  # catalog name

    def check(self, request: Request, attempt: Attempt) -> Checking:  # noqa: ARG002  the protocol's signature
        """Ask the second model and compare."""
        call = attempt.call
        if call.model == self.model:
            return Verdict(True, None, f"{self.model} is its own second opinion", self.name)
        other, missing = yield from opinion(self.model, attempt)
        if other is None:
            return Verdict(True, None, missing, self.name)
        own = final(text_of(attempt))
        if not own.text:
            return nothing_to_compare(attempt, self.name)
        if own.same(other):
            return Verdict(True, 1.0, f"{self.model} agrees", self.name)
        return Verdict(False, 0.0, short(f"{self.model} says {str(other)!r}"), self.name)


def opinion(model: str, attempt: Attempt) -> Generator[Call, Attempt, tuple[Final | None, str]]:
    """Put an attempt's question to another model, as a call with purpose `judge`.

    Returns:
        what its answer comes down to (see `final`); None where it gave none, and why.
    """
    call = attempt.call
    second = yield Call(model, call.messages, "judge", call.params, call.schema)
    if not second.ok or second.planned:
        why = f"failed ({second.error.kind})" if second.error is not None else "gave no answer"
        return None, f"second opinion: {model} {why}"
    return final(text_of(second)), ""
