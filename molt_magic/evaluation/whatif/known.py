"""What each model is known to answer to a prompt: from the log, a cassette, an outcome table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from molt_magic import catalog as pricing
from molt_magic.evaluation.logged import Answer, Logged, words
from molt_magic.orchestrator.beforehand import prompt_hash
from molt_magic.types import SOURCE_RANK, Message, ModelSpec, Request

if TYPE_CHECKING:
    import pandas as pd

    from molt_magic.log import DecisionLog
    from molt_magic.providers.cassette import Tape

Known = dict[str, dict[str, Answer]]  # the hash of a prompt -> model -> its answer


def in_log(decisions: Iterable[Logged]) -> Known:
    """Of several answers of a model to a prompt the one whose mark counts most, then the one that was marked last.

    An answer from the cache is the older one again: it costs nothing, and only its mark counts; see `words`.
    """
    found: dict[str, dict[str, list[Answer]]] = {}
    for decision in decisions:
        if decision.status == "planned":
            continue
        for answer in decision.answers:
            if answer.error is None:
                found.setdefault(decision.prompt_hash, {}).setdefault(answer.model, []).append(answer)
    said = {key: {model: words(answers) for model, answers in models.items()} for key, models in found.items()}
    return {key: {model: max(told)[2] for model, told in models.items() if told} for key, models in said.items()}


def on_tape(tape: Tape, models: Mapping[str, ModelSpec]) -> Known:
    """The answers on a cassette, at the prices of now; nobody has marked them. Raises StoreError.

    As with the log, an answer is one to the same messages, whatever its parameters were.
    """
    found: Known = {}
    for recording in tape:
        spec = models.get(recording.model)
        messages = [_message(m) for m in recording.messages]
        if spec is not None and spec.system and messages and messages[0] == Message("system", spec.system):
            messages = messages[1:]  # the model's own, which is not part of the question
        key = prompt_hash(Request(messages=tuple(messages)))
        usd = None if spec is None else pricing.cost_usd(spec, recording.completion.usage)
        answer = Answer(
            recording.model, math.nan if usd is None else usd, math.nan, 0, recording.completion.text, None, "cassette"
        )
        found.setdefault(key, {}).setdefault(recording.model, answer)  # the first: later ones are further samples
    return found


def _message(written: Mapping[str, Any]) -> Message:
    content = written["content"]
    return Message(
        written["role"],
        content if isinstance(content, str) else tuple(content),
        tuple(written.get("tool_calls") or ()),
        written.get("tool_call_id"),
    )


def in_table(table: pd.DataFrame) -> Known:
    """The answers of a table of `read_outcomes`.

    Its prompts are questions of one message. A `prompt_id` that is a logged decision's `prompt_hash` stands for that
    question, whatever came before its prompt (`evaluation.from_log` makes such tables).
    """
    found: Known = {}
    texts = table["response"] if "response" in table.columns else [None] * len(table)
    columns = (table["prompt_id"], table["prompt"], table["model"], table["cost_usd"], table["score"], texts)
    for prompt_id, prompt, model, usd, score, text in zip(*columns, strict=True):
        rank = 0 if math.isnan(score) else SOURCE_RANK["user"]  # somebody measured it
        answer = Answer(model, float(usd), float(score), rank, text if isinstance(text, str) else None, None, "table")
        for key in {prompt_id, _hash(prompt)}:
            found.setdefault(key, {})[model] = answer
    return found


def _hash(prompt: str) -> str:
    """Of a question of one message."""
    return prompt_hash(Request(messages=(Message("user", prompt),)))


def imported(log: DecisionLog) -> Known:
    """The scores of tables that quality was learned from (`Orchestrator.learn`); what their answers cost is not kept."""
    found: Known = {}
    for outcome in log.outcomes():
        if outcome.source == "imported" and outcome.prompt:
            answer = Answer(outcome.model, math.nan, outcome.score, SOURCE_RANK["user"], None, None, "table")
            found.setdefault(_hash(outcome.prompt), {})[outcome.model] = answer
    return found


def together(*sources: Known) -> Known:
    """All sources: an answer comes from the first that has it, what is not known of it from the next."""
    found: Known = {}
    for source in sources:
        for key, answers in source.items():
            held = found.setdefault(key, {})
            for model, answer in answers.items():
                held[model] = filled(held[model], answer) if model in held else answer
    return found


def filled(answer: Answer, other: Answer) -> Answer:
    """An answer, with what is not known of it as of another one of the same model to the same prompt."""
    if not math.isnan(answer.cost_usd) and not math.isnan(answer.score) and answer.text is not None:
        return answer
    marked = answer if not math.isnan(answer.score) else other
    return replace(
        answer,
        cost_usd=other.cost_usd if math.isnan(answer.cost_usd) else answer.cost_usd,
        score=marked.score,
        rank=marked.rank,
        text=other.text if answer.text is None else answer.text,
    )
