"""Ask one model after another until one answers and every check accepts: what all strategies do once they have an order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from molt_magic import errors
from molt_magic.frozen import fast_init
from molt_magic.types import Attempt, Call, Candidate, Check, Request, Situation, Verdict

# after a refusal: who was refused and how, and the models that remain -> those that are worth asking still, in the order in
# which they are, and a clause that says why others are not
Onwards = Callable[[Candidate, Verdict, Sequence[Candidate]], tuple[list[Candidate], str]]

UNCHECKED = Verdict(accepted=True, score=None, reason="no check was asked for")


@fast_init
@dataclass(frozen=True, slots=True)
class Walk:
    """How a walk along an order of models ended."""

    attempt: Attempt | None  # the answer, the best effort, or the last failure; None: the order was empty
    reason: str  # how the answer came about, a clause
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    escalations: int = 0
    fallbacks: int = 0
    fallback_reason: str | None = None
    best_effort: bool = False


def walk(situation: Situation, order: Sequence[Candidate], onwards: Onwards | None = None) -> Generator[Call, Attempt, Walk]:
    """Call the models of `order` in turn.

    A failure moves on to the next model that could do better (after "context too long" only a larger window, after a
    content filter only another provider); a refused answer moves on to the next model. A stream that broke after text
    had arrived ends the walk: the reader has seen that text. When nothing is accepted the last answer is the best effort.

    Args:
        onwards: which of the remaining models a refusal moves on to; None: all of them.
    """
    verdicts: dict[int, Verdict] = {}
    escalations = fallbacks = 0
    fallback_reason: str | None = None
    refused: Attempt | None = None
    failed: Attempt | None = None
    why = ""
    remaining = list(order)
    while remaining:
        candidate = remaining.pop(0)
        request = situation.request
        attempt = yield Call(candidate.spec.name, request.messages, "answer", request.params, request.schema)
        if attempt.error is not None:
            failed = attempt
            if attempt.completion is not None:
                return Walk(
                    attempt, f"the answer of {candidate.name} broke off", verdicts, escalations, fallbacks, fallback_reason
                )
            remaining = after_failure(attempt.error, candidate, remaining)
            if remaining:
                fallbacks += 1
                fallback_reason = f"{candidate.name}: {attempt.error.kind}"
            why = f"{candidate.name} failed ({attempt.error.kind})"
            continue
        verdict = yield from judged(situation.checks, request, attempt)
        if verdict is not UNCHECKED:
            verdicts[attempt.index] = verdict
        if verdict.accepted:
            if attempt.planned:
                reason = f"{candidate.name} would be asked first"
            else:
                reason = f"{why}, {candidate.name} answered" if why else f"{candidate.name} answered"
            if verdict is not UNCHECKED:
                reason += f" and {verdict.reason}" if attempt.planned else f" and was accepted ({verdict.reason})"
            return Walk(attempt, reason, verdicts, escalations, fallbacks, fallback_reason)
        refused = attempt
        why = f"{candidate.name} was refused ({verdict.reason})"
        if remaining and onwards is not None:
            remaining, left_out = onwards(candidate, verdict, remaining)
            why = f"{why}, {left_out}" if left_out else why
        if remaining:
            escalations += 1
    if refused is not None:
        model = refused.call.model
        return Walk(refused, f"best effort of {model}: {why}", verdicts, escalations, fallbacks, fallback_reason, True)
    return Walk(failed, why or "no model could take the request", verdicts, escalations, fallbacks, fallback_reason)


def judged(checks: Sequence[Check], request: Request, attempt: Attempt) -> Generator[Call, Attempt, Verdict]:
    """The verdict of all checks: the first refusal, or the lowest score among those that accept.

    A dry run has no answer to check, so it is taken as accepted.
    """
    if not checks:
        return UNCHECKED
    if attempt.planned:
        return Verdict(True, None, f"would be checked by {', '.join(check.name for check in checks)}")
    accepted: list[Verdict] = []
    for check in checks:
        verdict = yield from check.check(request, attempt)
        if not verdict.accepted:
            return verdict
        accepted.append(verdict)
    scored = [verdict for verdict in accepted if verdict.score is not None]
    if scored:
        return min(scored, key=lambda verdict: verdict.score or 0.0)
    return accepted[0]


def after_failure(error: errors.MoltError, failed: Candidate, remaining: Sequence[Candidate]) -> list[Candidate]:
    """Which of the remaining models are worth asking after this failure."""
    if isinstance(error, errors.OutOfTime):  # of the whole question
        return []
    if isinstance(error, errors.BudgetExceeded) and error.budget == "run":  # which ends: none stands in for the one it wanted
        return []
    if isinstance(error, errors.ContextTooLong | errors.PromptTooLong):
        window = failed.spec.context_window or 0
        return [c for c in remaining if c.spec.context_window is None or c.spec.context_window > window]
    if isinstance(error, errors.ContentFiltered):
        return [c for c in remaining if c.spec.provider != failed.spec.provider]
    return list(remaining)
