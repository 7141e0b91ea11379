"""The story of a decision, and the code that asks the same again: what happened is told, and nothing in it comes alive."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molt_magic.types import Decision
from molt_magic.views.decisions import again, story
from tests.views.samples import DECISION, HOSTILE
from tests.views.test_untrusted import alive

ATTEMPT = DECISION.attempts[0]


def told(**changes: Any) -> str:
    return story.html(replace(DECISION, **changes))


def test_story_tells_who_was_considered_and_why_each_was_passed_over() -> None:
    html = told()
    for part in ("passed over: no key", "chosen", "tried", "12 outcomes", "0.90"):
        assert part in html


def test_story_tells_verdicts_retries_and_escalations_in_their_order() -> None:
    html = told()
    order = (
        "refused by arithmetic",
        "refused, so it escalated to big",
        "d failed (rate_limit: slow down), tried again after 500 ms",
    )
    assert [html.index(part) for part in order[:2]] == sorted(html.index(part) for part in order[:2])
    assert order[2] in html


def test_move_after_a_failure_is_a_fallback_and_a_judge_between_is_none() -> None:
    judge = {**ATTEMPT, "index": 1, "purpose": "judge", "model": "big"}
    failed = {**ATTEMPT, "error": "timeout: late", "finish_reason": None}
    html = told(attempts=(failed, judge, {**ATTEMPT, "index": 2, "model": "big"}))
    assert html.count("failed, so it fell back to big") == 1
    assert "escalated" not in html


def test_bars_stand_one_after_the_other_and_stay_on_the_line() -> None:
    attempts = tuple({**ATTEMPT, "index": n, "latency_s": 1.0} for n in range(4))
    html = told(attempts=attempts, latency_s=4.0)
    for start in ("0.00%", "25.00%", "50.00%", "75.00%"):
        assert f"margin-left: {start}; width: 25.00%" in html
    assert "margin-left" in told(attempts=tuple({**a, "latency_s": 0.0} for a in attempts), latency_s=0.0)


def test_cost_of_each_call_is_told_with_its_share_and_an_unknown_one_as_unknown() -> None:
    html = told(
        attempts=(
            {**ATTEMPT, "cost_usd": 0.0025},
            {**ATTEMPT, "index": 1, "cost_usd": None},
            {**ATTEMPT, "index": 2, "cost_usd": 0},
        ),
        cost_usd=0.01,
    )
    assert "$0.0025 (25%)" in html
    assert "unknown" in html


def test_what_cost_more_than_the_best_model_is_not_told_as_a_saving() -> None:
    assert "$0.0050 more than huge" in told(saved_usd=-0.005)
    assert "saved $0.0099 against huge" in told()


def test_context_is_told_before_and_after() -> None:
    html = told(
        context_action="summary",
        context_tokens_before=9000,
        context_tokens_after=3000,
        attempts=({**ATTEMPT, "context_reason": "over 80 % of the window"},),
    )
    for part in ("Before: 9,000 tokens", "After: 3,000 tokens", "over 80 % of the window", "width: 33.3%"):
        assert part in html


def test_cache_hit_error_and_missing_prompt_are_told() -> None:
    hit = {**ATTEMPT, "cache": "semantic", "cache_distance": 0.031}
    html = told(attempts=(hit,), prompt=None, status="error", error="timeout: late", model=None)
    for part in ("from the semantic cache, distance 0.031", "It was not logged", "timeout: late"):
        assert part in html


def test_decision_without_candidates_or_attempts_has_a_story() -> None:
    assert "Why:" in told(candidates=(), attempts=(), cost_usd=None, baseline_model=None, saved_usd=None)


def hostile(text: str) -> Decision:
    """A decision with `text` wherever others may write."""
    verdict = {"accepted": False, "score": 0.0, "reason": text, "validator": text}
    attempt = {**ATTEMPT, "model": text, "error": text, "verdict": verdict, "text": text, "context_reason": text,
               "retries": [{"deployment": text, "error": text, "waited_s": 1.0}]}  # fmt: skip
    second = {**attempt, "index": 1, "model": f"{text}2", "error": None, "finish_reason": text}
    candidate = {**DECISION.candidates[0], "model": text, "evidence": text, "skipped": text}
    names = (
        "task",
        "prompt",
        "model",
        "served_model",
        "deployment",
        "fallback_reason",
        "baseline_model",
        "error",
        "reason",
        "cell_id",
    )
    return replace(
        DECISION, attempts=(attempt, second), candidates=(candidate,), context_action="summary", **dict.fromkeys(names, text)
    )


@pytest.mark.parametrize("text", [*HOSTILE, '" onmouseover="alert(1)', "'><script>alert(1)</script>"])
def test_hostile_text_is_dead_in_the_story(text: str) -> None:
    html = story.html(hostile(text))
    assert alive(html) == []
    assert not any((ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 for c in html + story.title(hostile(text)))


def test_line_of_five_megabytes_is_cut_and_says_so() -> None:
    html = story.html(hostile("x" * 5_000_000))
    assert len(html) < 200_000
    assert "of 5,000,000 characters" in html


def test_text_that_turns_its_direction_around_stays_in_its_box_and_out_of_our_sentences() -> None:
    html = told(prompt="\u202eevil", reason="\u202eevil", model="\u202eevil", error="\u2067evil")
    assert html.count("\u202e") == 1
    assert re.search('<pre dir="auto"[^>]*unicode-bidi: plaintext">\u202eevil</pre>', html)
    assert "\u2067" not in html
    assert "\u202e" not in story.title(replace(DECISION, model="\u202eevil"))


# -- code


def asked(code: str) -> tuple[str, dict[str, Any]]:
    """The prompt and the options of the only call of `route` in some code, as literals."""
    calls = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call) and getattr(n.func, "attr", "") == "route"]
    (call,) = calls
    return ast.literal_eval(call.args[0]), {k.arg or "": ast.literal_eval(k.value) for k in call.keywords}


@given(prompt=st.text(max_size=200) | st.sampled_from([*HOSTILE, "'''\"\"\"\\", "a\r\nb\u2028c\x1cd\n", ""]))
def test_code_holds_the_very_prompt_and_nothing_invisible(prompt: str) -> None:
    code = again.code(replace(DECISION, prompt=prompt))
    assert asked(code)[0] == prompt
    assert all(c.isprintable() or c == "\n" for c in code)


def test_code_asks_as_it_was_asked() -> None:
    assert asked(again.code(DECISION))[1] == {"strategy": "cascade"}, "a task that was guessed is guessed again"
    given_task = replace(DECISION, task_score=None, strategy="arbitrage")
    assert asked(again.code(given_task))[1] == {"strategy": "arbitrage", "task": "simple_qa", "quality": 0.85}
    direct = replace(DECISION, strategy="direct", model='it\'s "big"')
    assert asked(again.code(direct))[1] == {"model": 'it\'s "big"'}


def test_code_takes_a_very_long_prompt_from_the_log_and_says_where_there_is_none() -> None:
    long = again.code(replace(DECISION, prompt="x" * 5_000_000))
    assert f"orch.log.get({DECISION.decision_id!r}).prompt" in long
    assert len(long) < 1000
    assert "not logged" in again.code(replace(DECISION, prompt=None)).splitlines()[5]
    ast.parse(long)
