"""A logged decision taken again by another policy: its strategy's own generator, answered by what is known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from molt_magic import errors
from molt_magic.evaluation.logged import Answer, Logged, Source, mark_of
from molt_magic.evaluation.whatif.instead import Instead
from molt_magic.evaluation.whatif.known import filled
from molt_magic.strategies.walk import judged
from molt_magic.types import (
    Attempt,
    Call,
    Candidate,
    Check,
    Checking,
    Choice,
    Completion,
    Message,
    ModelSpec,
    Request,
    Situation,
    Usage,
    Verdict,
)
from molt_magic.validators import build

# checks of an answer's text alone, which say the same whenever they are asked
_RULES = frozenset({"nonempty", "json", "python", "refusal", "arithmetic", "regex", "length"})


@dataclass(frozen=True, slots=True)
class Rerun:
    """How a decision would have gone."""

    model: str | None  # that answers; None: every model it asks failed then
    first: Candidate  # the model it asks first
    first_was: Candidate | None  # the one that was asked first; None: it was no candidate
    expected_quality: float  # predicted of the model that answered then; NaN: nothing was
    cost_usd: float  # NaN: neither known nor predicted
    score: float  # NaN: neither known nor predicted
    cost_known: bool
    score_known: bool
    source: Source
    same: bool  # it asks the very models that were asked
    reason: str
    abstained: bool  # a check could not be asked of an answer, which was taken to be accepted


def answers_to(decision: Logged, known: Mapping[str, Answer]) -> dict[str, Answer]:
    """What each model answers to a decision's prompt: its own answers first, failures included, then what else is known."""
    own: dict[str, Answer] = {}
    for answer in decision.answers:
        own.setdefault(answer.model, answer)
    for model, answer in own.items():
        if answer.error is None and model in known:
            own[model] = filled(answer, known[model])
    return {**known, **own}


def rerun(
    policy: Instead, decision: Logged, answers: Mapping[str, Answer], *, quality: float, specs: Mapping[str, ModelSpec]
) -> Rerun | None:
    """Drive the policy's strategy to its end on one decision; None where it could ask nobody.

    A model whose answer is known gives that answer, at its cost. Any other is planned, as in a dry run: it is taken to be
    accepted, its cost and quality are what was expected of it. A decision that was answered from the cache costs what it did.

    Args:
        answers: of `answers_to`.
        quality: the threshold in force.
        specs: the catalog's models.
    """
    asked = [*dict.fromkeys(a.verdict.validator for a in decision.answers if a.verdict is not None)] or [*policy.checks]
    repeated = [Repeated(name, answers, own=frozenset(a.model for a in decision.answers)) for name in asked]
    situation = _situation(policy, decision, answers, quality, tuple(repeated), specs)
    flow = policy.strategy.flow(situation)
    called: list[str] = []
    attempts: list[Attempt] = []
    try:
        call = next(flow)
        while True:
            attempt = _attempt(call, situation, answers, len(attempts))
            called.append(call.model)
            attempts.append(attempt)
            call = flow.send(attempt)
    except StopIteration as stop:
        choice: Choice = stop.value
    if choice.attempt is None or not called:
        return None
    abstained = any(check.abstained for check in repeated) or (bool(asked) and any(a.planned for a in attempts))
    return _told(decision, situation, choice, attempts, answers, abstained)


def _told(
    decision: Logged,
    situation: Situation,
    choice: Choice,
    attempts: Sequence[Attempt],
    answers: Mapping[str, Answer],
    abstained: bool,
) -> Rerun:
    candidates = {c.name: c for c in situation.candidates}
    called = [attempt.call.model for attempt in attempts]
    costs = [_cost(answers.get(model), candidates[model]) for model in called]
    same = called == [answer.model for answer in decision.answers]
    cost, cost_known = sum(usd for usd, _ in costs), all(known for _, known in costs)
    if same or decision.cached:
        cost, cost_known = decision.cost_usd, not math.isnan(decision.cost_usd)
    final = choice.attempt
    assert final is not None
    model = final.call.model if final.ok else None
    answer = answers.get(final.call.model)
    score, score_known = 0.0, True  # of a failure
    if model is not None:
        score = math.nan if answer is None else answer.score
        if math.isnan(score) and not final.planned:
            score, _ = mark_of(choice.verdicts.get(final.index))  # of a check that was asked again
        score_known = not math.isnan(score)
        score = score if score_known else candidates[model].predicted_quality
    return Rerun(
        model=model,
        first=candidates[called[0]],
        first_was=candidates.get(decision.answers[0].model) if decision.answers else None,
        expected_quality=candidates[decision.model].predicted_quality if decision.model in candidates else math.nan,
        cost_usd=cost,
        score=score,
        cost_known=cost_known,
        score_known=score_known,
        source="predicted" if answer is None else answer.source,
        same=same,
        reason=choice.reason,
        abstained=abstained,
    )


def _cost(answer: Answer | None, candidate: Candidate) -> tuple[float, bool]:
    """USD of a call, and whether it is known."""
    if answer is not None and not math.isnan(answer.cost_usd):
        return answer.cost_usd, True
    return (math.nan if candidate.expected_cost_usd is None else candidate.expected_cost_usd), False


def _situation(
    policy: Instead,
    decision: Logged,
    answers: Mapping[str, Answer],
    quality: float,
    checks: tuple[Check, ...],
    specs: Mapping[str, ModelSpec],
) -> Situation:
    """What the strategy is told, as it was then. A model that could not be asked stays out unless its answer is known."""
    candidates = [_candidate(c, c["model"] in answers, specs) for c in decision.considered()]
    names = {c.name for c in candidates}
    # whoever answered without having been a candidate can be asked by name; nothing was predicted of it
    candidates += [
        Candidate(_spec(name, specs), predicted_quality=0.0, evidence="not considered then")
        for name in policy.names
        if name in answers and name not in names
    ]
    given = decision.task if math.isnan(decision.task_score) else None  # else it was guessed
    request = Request(messages=(Message("user", decision.prompt or ""),), task=given, model=policy.model)
    return Situation(request=request, candidates=tuple(candidates), quality=quality, checks=checks)


def _candidate(kept: Mapping[str, Any], known: bool, specs: Mapping[str, ModelSpec]) -> Candidate:
    eligible = known or kept.get("eligible", kept["skipped"] is None)
    return Candidate(
        spec=_spec(kept["model"], specs),
        expected_cost_usd=kept["expected_cost_usd"],
        predicted_quality=kept["predicted_quality"] or 0.0,  # None: it was not assessed
        evidence=kept["evidence"],
        n_evidence=kept.get("n_evidence", 0.0),
        quality_low=kept["quality_low"] or 0.0,
        skipped=None if eligible else kept["skipped"],
    )


def _spec(name: str, specs: Mapping[str, ModelSpec]) -> ModelSpec:
    found = specs.get(name)
    return ModelSpec(name=name, provider="recorded", model=name) if found is None else found


def _attempt(call: Call, situation: Situation, answers: Mapping[str, Answer], index: int) -> Attempt:
    if call.messages != situation.request.messages or call.sample or call.purpose != "answer":
        error = errors.NotRecorded(f"{call.model} has no {call.purpose} of this in the log.")
        return Attempt(index, call, error=error, provider="recorded")
    answer = answers.get(call.model)
    if answer is None:
        return Attempt(index, call, Completion("", call.model, Usage(estimated=True), "planned"), planned=True)
    if answer.error is not None:
        return Attempt(index, call, error=_error(answer.error), provider="recorded")
    return Attempt(index, call, Completion(answer.text or "", call.model), provider="recorded")


def _error(said: str) -> errors.MoltError:
    """A logged error, of its kind: what follows a failure depends on it."""
    kind, _, message = said.partition(": ")
    kinds = {cls.kind: cls for cls in (errors.ContextTooLong, errors.ContentFiltered, errors.PromptTooLong)}
    return kinds.get(kind, errors.ProviderError)(message)


class Repeated:
    """A check by its name, of answers that were checked or recorded before.

    What it said of that answer then counts; a rule that looks at the text alone is asked again; any other check abstains:
    whom it would ask was never asked.

    Args:
        name: as the log has it.
        answers: by model.
        own: models that were asked in this decision: the verdict on their answers is that of all of its checks.
    """

    def __init__(self, name: str, answers: Mapping[str, Answer], *, own: frozenset[str]) -> None:
        self.name = name
        self.answers = answers
        self.own = own
        self.abstained = False

    def check(self, request: Request, attempt: Attempt) -> Checking:
        """The verdict; asks nobody."""
        yield from ()
        answer = self.answers[attempt.call.model]
        verdict = answer.verdict
        if verdict is not None and verdict.validator == self.name:
            return verdict
        if verdict is not None and answer.model in self.own:
            return Verdict(True, None, f"{verdict.validator} had the word on it", self.name)
        rule = _rule(self.name)
        if rule is not None and answer.text is not None:
            verdict = yield from judged((rule,), request, attempt)
            return verdict
        self.abstained = True
        return Verdict(True, None, "it was not asked of this answer and abstains", self.name)


@lru_cache(maxsize=64)
def _rule(name: str) -> Check | None:
    return build([name], namespace={}, judge_model=None)[0] if name.partition(":")[0] in _RULES else None
