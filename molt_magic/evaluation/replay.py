"""A strategy's own generator, its calls answered by what was recorded."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from molt_magic.errors import InputError, NotRecorded
from molt_magic.evaluation.matrix import Outcomes
from molt_magic.types import Attempt, Call, Choice, Completion, Situation, Strategy, Usage


@dataclass(frozen=True, slots=True)
class Replayed:
    """How one prompt went."""

    model: str | None  # that answered; None: nothing did
    score: float  # recorded, of that answer; 0 where nothing answered
    cost_usd: float  # of all calls, checks and refused answers included
    called: tuple[str, ...]  # in order
    choice: Choice


def replay(strategy: Strategy, situation: Situation, outcomes: Outcomes, row: int) -> Replayed:
    """Drive the strategy to its end on one prompt.

    An answer is the model's recorded one, with its text where that was recorded. So is the answer of another model that a
    check asks the same question. Everything else (a judge's mark, a second sample) was never recorded: that call fails with
    NotRecorded and its check abstains, as it does live when its model cannot be reached. The same question put to the same
    model a second time costs nothing: live, the cache answers it.

    Raises:
        InputError: the strategy asked for an outcome that is missing in the table.
    """
    flow = strategy.flow(situation)
    called: list[str] = []
    cost = 0.0
    try:
        call = next(flow)
        while True:
            attempt = _answer(call, situation, outcomes, row, len(called))
            if call.model in called and attempt.completion is not None:
                attempt = replace(attempt, completion=_free(attempt.completion), cache="exact")
            called.append(call.model)
            if attempt.completion is not None:
                cost += attempt.completion.usage.cost_usd or 0.0
            call = flow.send(attempt)
    except StopIteration as stop:
        choice: Choice = stop.value
    answered = choice.attempt.call.model if choice.attempt is not None and choice.attempt.ok else None
    score = float(outcomes.scores[row, outcomes.models.index(answered)]) if answered is not None else 0.0
    return Replayed(answered, score, cost, tuple(called), choice)


def _free(completion: Completion) -> Completion:
    return replace(completion, usage=replace(completion.usage, cost_usd=0.0))


def recorded_text(outcomes: Outcomes, row: int, column: int) -> str:
    """The recorded answer; empty where only its score was kept."""
    text = None if outcomes.responses is None else outcomes.responses[row, column]
    return text if isinstance(text, str) else ""


def _answer(call: Call, situation: Situation, outcomes: Outcomes, row: int, index: int) -> Attempt:
    same_question = call.messages == situation.request.messages and call.sample == 0
    if not same_question or call.model not in outcomes.models:
        error = NotRecorded(f"{call.model} has no {call.purpose} of this in the table.")
        return Attempt(index, call, error=error, provider="recorded")
    column = outcomes.models.index(call.model)
    score, usd = outcomes.scores[row, column], outcomes.costs[row, column]
    if np.isnan(score) or np.isnan(usd):
        raise InputError(
            f"The outcome of {call.model!r} for prompt {outcomes.prompt_ids[row]!r} is not in the table.",
            fix="Leave out prompts that some model did not answer.",
        )
    tokens = [0 if np.isnan(t) else int(t) for t in outcomes.tokens[row, column]]
    usage = Usage(input_tokens=tokens[0], output_tokens=tokens[1], cost_usd=float(usd))
    return Attempt(index, call, Completion(recorded_text(outcomes, row, column), call.model, usage), provider="recorded")
