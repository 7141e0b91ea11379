"""What is logged of a question."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import math
import pickle

import numpy as np
import pytest

from molt_magic.errors import ProviderError
from molt_magic.log.schema import JSON_COLUMNS
from molt_magic.orchestrator.attempted import attempted
from molt_magic.orchestrator.beforehand import prompt_hash
from molt_magic.orchestrator.considered import Considered
from molt_magic.serial import message_to_json
from molt_magic.types import (
    Attempt,
    Call,
    Candidate,
    Completion,
    ContextAction,
    Decision,
    Message,
    ModelSpec,
    Request,
    Retry,
    Usage,
    Verdict,
)
from tests.test_log import a_decision


def a_candidate(name: str = "cheap", cost: float | None = 4.44e-05, quality: float = 1 / 3, **more: object) -> Candidate:
    return Candidate(ModelSpec(name, "openai", name), cost, quality, quality_low=quality / 2, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "candidates",
    [
        (),
        (a_candidate(), a_candidate("dear", 0.0, n_evidence=12.3456, evidence='3 "near" of 7'), a_candidate("odd", None)),
        (a_candidate('"\\\n日本 \U0001f600', skipped="its key\tis\x00 missing"), a_candidate("whole", 1, 1.0)),
        (a_candidate("half \ud83d"),),
        (a_candidate("dear", math.inf), a_candidate("lost", quality=math.nan)),
        (a_candidate("fitted", np.float64(0.125), np.float64(0.87654321)),),
    ],
)
def test_candidates_are_json(candidates: tuple[Candidate, ...]) -> None:
    values = [
        {
            "model": c.name, "expected_cost_usd": c.expected_cost_usd, "predicted_quality": round(c.predicted_quality, 4),
            "quality_low": round(c.quality_low, 4), "evidence": c.evidence, "n_evidence": round(c.n_evidence, 2),
            "skipped": c.skipped, "eligible": c.name in {"cheap", "dear"},
        }
        for c in candidates
    ]  # fmt: skip
    found = Considered(candidates, {"cheap", "dear"}).json(candidates)
    assert found == json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def test_candidates_that_a_strategy_changes_leaves_out_or_adds_are_written_as_it_hands_them_back() -> None:
    cheap, dear, odd = a_candidate(), a_candidate("dear", 0.2), a_candidate("odd", None)
    before = Considered((cheap, dear), {"cheap", "dear"})
    for after in ((cheap, dear.passed_over("it is dear")), (dear,), (odd, cheap), (), (cheap, dear)):
        assert before.json(after) == Considered(after, {"cheap", "dear"}).json(after)
    assert json.loads(before.json((dear.passed_over("it is dear"),)))[0]["skipped"] == "it is dear"


def test_qualities_are_rounded_as_python_rounds_them() -> None:
    edges = [edge + step * 1e-12 for edge in (0.10005, 0.12345, 0.5, 0.99995, 0.00005, 1.0) for step in (-1000, -1, 0, 1, 1000)]
    for quality in (*edges, *np.random.default_rng(7).random(5000).tolist(), *(k / 20000 for k in range(20001)), -0.0, 2.5, 3):
        candidates = (a_candidate(quality=quality),)
        (found,) = json.loads(Considered(candidates, ()).json(candidates))
        assert repr(found["predicted_quality"]) == repr(round(quality, 4))


def test_attempts_are_json() -> None:
    retry = Retry("one", 'timeout: "late"', 0.5)
    verdict = Verdict(False, 1 / 3, "said\n\ud83d", "judge:x", "judge")
    answer = Completion('a "word"\\\n日本 \ud83d', "cheap-1", Usage(1, 2, 3, 4, 5, 4.44e-05, True), "length")
    call = Call("cheap", (Message("user", "what?"),))
    whole = Attempt(
        0, call, answer, latency_s=1 / 3, ttft_s=0.25, cache="semantic", cache_distance=1e-06, cache_keys=("a", "b"),
        deployment="one", provider="openai", retries=(retry,),
        context=ContextAction("window", 9, 3, "too long"), verdict=verdict,
    )  # fmt: skip
    failed = Attempt(1, call, error=ProviderError("no\tway"))
    first, second = json.loads(attempted((whole, failed), keep_text=True))
    assert first == {
        "index": 0, "model": "cheap", "purpose": "answer", "served_model": "cheap-1", "provider": "openai", "deployment": "one",
        "cache": "semantic", "cache_distance": 1e-06, "cache_keys": ["a", "b"], "latency_s": 1 / 3, "ttft_s": 0.25,
        "input_tokens": 1, "output_tokens": 2, "cached_tokens": 3, "reasoning_tokens": 5, "tokens_estimated": True,
        "cost_usd": 4.44e-05, "finish_reason": "length", "error": None, "verdict": dataclasses.asdict(verdict),
        "retries": [dataclasses.asdict(retry)], "context": "window", "context_reason": "too long", "text": answer.text,
    }  # fmt: skip
    assert list(second) == list(first)
    assert (second["served_model"], second["cost_usd"], second["error"], second["verdict"]) == (
        None,
        0.0,
        "provider: no\tway",
        None,
    )
    assert [each["text"] for each in json.loads(attempted((whole, failed), keep_text=False))] == [None, None]


def test_a_decision_of_json_is_one_like_any_other() -> None:
    plain = a_decision()
    values = {name: value for name, value in vars(plain).items() if name not in JSON_COLUMNS}
    read = Decision.of(values | {f"{name}_json": json.dumps(getattr(plain, name)) for name in JSON_COLUMNS})
    assert set(dir(read)) >= {field.name for field in dataclasses.fields(Decision)}
    assert pickle.loads(pickle.dumps(read)) == plain
    assert copy.deepcopy(read) == dataclasses.replace(read) == read == plain
    assert dataclasses.asdict(read) == dataclasses.asdict(plain)
    assert repr(read) == repr(plain)
    assert read.candidates is read.candidates
    assert isinstance(read.candidates, tuple)
    with pytest.raises(dataclasses.FrozenInstanceError):
        read.status = "error"  # type: ignore[misc]


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
