"""What is logged of a question."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import pytest

from molt_magic.log.schema import to_row
from molt_magic.log.written import Written
from molt_magic.orchestrator.considered import considered
from molt_magic.orchestrator.record import prompt_hash
from molt_magic.serial import message_to_json
from molt_magic.types import Candidate, Message, ModelSpec, Request
from tests.test_log import a_decision


def a_candidate(name: str = "cheap", cost: float | None = 4.44e-05, quality: float = 1 / 3, **more: object) -> Candidate:
    return Candidate(ModelSpec(name, "openai", name), cost, quality, quality_low=quality / 2, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "candidates",
    [
        (),
        (a_candidate(), a_candidate("dear", 0.0, n_evidence=12.3456, evidence='3 "near" of 7'), a_candidate("odd", None)),
        (a_candidate('"\\\n日本 \U0001f600', skipped="its key\tis\x00 missing"), a_candidate("whole", 1, 1)),
        (a_candidate("half \ud83d"),),
        (a_candidate("dear", math.inf), a_candidate("lost", quality=math.nan)),
        (a_candidate("fitted", np.float64(0.125), np.float64(0.87654321)),),
    ],
)
def test_the_text_of_candidates_is_what_json_says_of_them(candidates: tuple[Candidate, ...]) -> None:
    found = considered(candidates, {"cheap", "dear"})
    decision = a_decision(candidates=found)
    plain = a_decision(candidates=tuple(dict(each) for each in found))
    assert isinstance(found, tuple)
    assert decision == plain or any(math.isnan(each["predicted_quality"]) for each in found)
    assert to_row(decision, prompts=True) == to_row(plain, prompts=True)


def test_candidates_bring_their_text_along_and_say_who_could_be_asked() -> None:
    found = considered((a_candidate(), a_candidate("dear", skipped="not asked for")), {"cheap"})
    assert isinstance(found, Written)
    assert json.loads(found.text) == list(found)
    assert found[0] == {
        "model": "cheap", "expected_cost_usd": 4.44e-05, "predicted_quality": 0.3333, "quality_low": 0.1667,
        "evidence": "prior only", "n_evidence": 0.0, "skipped": None, "eligible": True,
    }  # fmt: skip
    assert (found[1]["skipped"], found[1]["eligible"]) == ("not asked for", False)


@pytest.mark.parametrize(
    "message",
    [
        Message("user", 'a "word"\\\n日本 \ud83d'),
        Message("system", ""),
        Message("tool", "4", tool_call_id="t1"),
        Message("assistant", "", tool_calls=({"id": "t1"},)),
        Message("user", ({"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": "data:"}})),
    ],
)
def test_the_hash_of_a_prompt_is_that_of_its_messages_as_json(message: Message) -> None:
    messages = (Message("user", "before"), message)
    text = json.dumps([message_to_json(each) for each in messages], sort_keys=True)
    assert prompt_hash(Request(messages)) == hashlib.sha256(text.encode()).hexdigest()
