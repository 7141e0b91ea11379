"""A decision explained: words, and the same as a figure with words of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from molt_magic.views import listings
from molt_magic.views.explain import Explained, explained
from molt_magic.views.figures.canvas import Picture
from molt_magic.views.figures.decision import decision as drawn
from tests.views.samples import DECISION, HOSTILE
from tests.views.test_untrusted import alive


def picture(**changes: Any) -> Picture:
    found = drawn(replace(DECISION, **changes))
    assert found is not None
    return found


def test_page_is_the_words_and_the_picture() -> None:
    page = explained(DECISION)
    assert page.to_plain().startswith("Decision 0123456789abcdef, 2026-11-02 10:00:00 UTC")
    assert "small was refused: it is not 4" in page.to_plain()
    assert page.picture is not None


def test_picture_says_what_it_shows() -> None:
    alt = picture().alt
    assert "Threshold of predicted quality 0.85." in alt
    assert "big: predicted 0.90 (at least 0.20), expected $0.0010, chosen." in alt
    assert "other: predicted 0.50 (at least 0.20), cost unknown, passed over: no key." in alt
    assert "Attempt 1, answer by small: ✗ refused, 200 ms, $0.00010: it is not 4." in alt
    assert "Attempt 2, answer by big: 200 ms, cost unknown." in alt


def test_accepted_failed_and_cached_attempts_are_told_apart() -> None:
    plain = DECISION.attempts[1]
    accepted = {**plain, "verdict": {"accepted": True, "score": 1.0, "reason": "it is 4", "validator": "arithmetic"}}
    failed = {**plain, "error": "rate_limit: slow down"}
    alt = picture(attempts=(accepted, failed, {**plain, "cache": "semantic"})).alt
    assert "✓ accepted, 200 ms, cost unknown: it is 4" in alt
    assert "✗ failed, 200 ms, cost unknown: rate_limit: slow down" in alt
    assert "from the semantic cache" in alt


def test_decision_without_attempts_is_drawn_by_its_candidates() -> None:
    without = picture(attempts=(), model=None, status="error", error="no_answer: nobody could")
    assert without.size[1] < picture().size[1]
    assert "Attempt" not in without.alt


def test_model_that_could_not_answer_is_drawn_and_listed_by_why_alone() -> None:
    unable = {**DECISION.candidates[2], "predicted_quality": None, "quality_low": None, "evidence": "not assessed"}
    shown = picture(candidates=(*DECISION.candidates[:2], unable))
    assert "other: passed over: no key." in shown.alt
    assert shown.size == picture().size
    listed = listings.candidates(replace(DECISION, candidates=(unable,)))
    assert listed.rows == [("other", "", "", "not assessed", "passed over: no key")]


def test_decision_without_candidates_is_drawn_by_its_attempts() -> None:
    assert "predicted" not in picture(candidates=(), quality_threshold=None).alt


def test_decision_with_neither_has_words_only() -> None:
    assert explained(replace(DECISION, candidates=(), attempts=())).picture is None


def test_plan_is_drawn_without_a_time_line() -> None:
    planned = tuple({**a, "latency_s": 0.0, "verdict": None} for a in DECISION.attempts)
    assert "Attempt 1, answer by small: $0.00010." in picture(status="planned", attempts=planned).alt


def test_very_many_candidates_are_cut_and_the_rest_counted() -> None:
    many = tuple({**DECISION.candidates[0], "model": f"m{i}"} for i in range(30))
    assert "6 more are not drawn." in picture(candidates=many).alt
    assert picture(candidates=many[:20]).size[1] > picture().size[1]


@pytest.mark.parametrize("text", [*HOSTILE, "$x^2$ $", "long" * 500, ""])
def test_hostile_names_and_reasons_are_dead(text: str) -> None:
    candidates = ({**DECISION.candidates[0], "model": text, "skipped": text},)
    attempts = ({**DECISION.attempts[0], "model": text, "error": text, "purpose": "judge"},)
    page = explained(replace(DECISION, candidates=candidates, attempts=attempts, model=text))
    assert isinstance(page, Explained)
    assert page.picture is not None
    assert alive(page.to_html()) == []
    html = page.picture.html()
    assert [found for found in alive(html) if found != "img" and not found.startswith("img src=data:image/png")] == []
