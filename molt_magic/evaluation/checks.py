"""Checks in an evaluation: what they say of every recorded answer, and one that is only simulated."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from molt_magic.evaluation.matrix import Ints, Outcomes
from molt_magic.evaluation.replay import recorded_text
from molt_magic.strategies.walk import judged
from molt_magic.types import Attempt, Call, Check, Checking, Completion, Message, Request, Verdict
from molt_magic.validators.sampling import final_answer

Flags = npt.NDArray[np.bool_]


class SimulatedCheck:
    """Reads the recorded score and errs as often as it is told to: for tables without answers, where no check can run.

    It says what a check of that accuracy *would* be worth, not what any check is: whatever is measured with it carries the
    word "simulated".

    Args:
        outcomes: whose scores it reads; a score from 0.5 is a right answer.
        accuracy: P(it accepts a right answer) = P(it refuses a wrong one), in (0.5, 1].
    """

    def __init__(self, outcomes: Outcomes, *, accuracy: float, seed: int = 0) -> None:
        self.name = f"simulated ({accuracy:.0%} right)"
        self.accuracy = accuracy
        self.seed = seed
        self._scores = {
            (text, model): float(outcomes.scores[i, j])
            for i, text in enumerate(outcomes.texts)
            for j, model in enumerate(outcomes.models)
        }

    def check(self, request: Request, attempt: Attempt) -> Checking:
        """The verdict; the same one every time it is asked of the same answer."""
        yield from ()
        right = self._scores[request.prompt, attempt.call.model] >= 0.5
        drawn = hashlib.sha256(f"{self.seed}\0{attempt.call.model}\0{request.prompt}".encode()).digest()
        errs = int.from_bytes(drawn[:6], "big") / 2**48 >= self.accuracy
        accepted = right != errs
        said = "accepts" if accepted else "refuses"
        return Verdict(accepted, None, f"a simulated check {said}", self.name)


def accepted(checks: Sequence[Check], outcomes: Outcomes) -> Flags:
    """What checks that ask nobody say of every recorded answer: shape (n, m). A check that wants a call gets none and
    abstains; such checks belong into a cascade's settings, where their cost is counted."""
    found = np.ones(outcomes.scores.shape, bool)
    if not checks:
        return found
    for i, text in enumerate(outcomes.texts):
        request = Request(messages=(Message("user", text),), task=outcomes.tasks[i])
        for j, model in enumerate(outcomes.models):
            answer = Completion(recorded_text(outcomes, i, j), model)
            found[i, j] = _verdict(checks, request, Attempt(0, Call(model, request.messages), answer)).accepted
    return found


def _verdict(checks: Sequence[Check], request: Request, attempt: Attempt) -> Verdict:
    checking = judged(checks, request, attempt)
    try:
        call = next(checking)
        while True:
            call = checking.send(Attempt(1, call))
    except StopIteration as stop:
        verdict: Verdict = stop.value
        return verdict


def answer_codes(outcomes: Outcomes) -> Ints:
    """Recorded answers as numbers that are equal where two answers come down to the same: shape (n, m)."""
    known: dict[str, int] = {}
    found = np.empty(outcomes.scores.shape, np.intp)
    for i in range(len(outcomes)):
        for j in range(len(outcomes.models)):
            found[i, j] = known.setdefault(final_answer(recorded_text(outcomes, i, j)), len(known))
    return found
