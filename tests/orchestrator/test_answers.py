"""How an answer is written down for the cache."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from molt_magic.serial import answer_text, answer_to_json, completion_from_json
from molt_magic.types import Completion, Usage

ANSWER = Completion('Four, "4"\\\n\u00e9\U0001f600\u2028\x00\ud83d', "gpt", Usage(12, 3, 1, 2, 1, 1.2e-05, True))


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER,
        replace(ANSWER, text="", usage=Usage(), finish_reason="tool_calls"),
        *[replace(ANSWER, usage=Usage(10**20, cost_usd=cost)) for cost in (0.0, -0.0, 1e22, 5e-324, 1 / 3)],
    ],
)
def test_most_answers_are_written_as_an_encoder_does(answer: Completion) -> None:
    text = answer_text(answer, asked='a "model"')
    assert text == json.dumps(answer_to_json(answer, asked='a "model"'), separators=(",", ":"))
    assert completion_from_json(json.loads(text)) == answer


@pytest.mark.parametrize(
    "unusual",
    [
        replace(ANSWER, logprobs=(-0.5,)),
        replace(ANSWER, tool_calls=({"id": "1"},)),
        replace(ANSWER, text=None),  # type: ignore[arg-type]
        *[replace(ANSWER, usage=Usage(cost_usd=cost)) for cost in (0, math.inf, math.nan)],
        *[replace(ANSWER, usage=Usage(count)) for count in (True, 1.5, None, "1")],  # type: ignore[arg-type]
    ],
)
def test_an_unusual_answer_is_left_to_the_encoder(unusual: Completion) -> None:
    assert answer_text(unusual, asked="m") is None
