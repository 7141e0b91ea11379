"""The static rich result: the answer, one line under it, the candidates folded away."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from molt_magic.errors import TimedOut, UnknownName
from molt_magic.views import answer
from tests.views.samples import DECISION, REFUSED, result


def test_line_says_model_strategy_cost_saving_latency_cache_and_why() -> None:
    plain = answer.bundle(result())["text/plain"]
    assert plain == (
        "Four.\n\n[big · cascade (simple_qa) · cost $0.0011 · saved $0.0099 (90%) against huge · 1.1 s · cache: miss"
        " · small was refused: it is not 4]"
    )


def test_unknown_cost_is_said_to_be_unknown() -> None:
    plain = answer.bundle(result(cost_usd=None, saved_usd=None))["text/plain"]
    assert "cost unknown" in plain
    assert "saved unknown against huge" in plain


def test_dearer_than_the_baseline_is_said() -> None:
    assert "$0.0010 more than huge" in answer.bundle(result(saved_usd=-0.001))["text/plain"].replace("$0.001 ", "$0.0010 ")


def test_answer_of_the_best_model_saves_nothing_against_itself() -> None:
    assert "· saved $0 ·" in answer.bundle(result(saved_usd=0.0, baseline_model="big"))["text/plain"]


def test_semantic_hit_says_its_distance() -> None:
    assert "cache: semantic, distance 0.031" in answer.bundle(result(cache="semantic", cache_distance=0.031))["text/plain"]


def test_details_hold_captioned_tables_with_scoped_headers() -> None:
    html = answer.bundle(result())["text/html"]
    assert "<details" in html
    assert re.findall(r"<caption[^>]*>([^<]+)</caption>", html) == ["Candidates", "Attempts"]
    assert html.count('scope="col"') == 5 + 8
    assert html.count('scope="row"') == 3 + 2


def test_html_has_no_ids_and_no_script_and_takes_its_colours_from_the_theme() -> None:
    html = answer.bundle(result())["text/html"]
    assert " id=" not in html
    assert "<script" not in html
    assert not re.search(r"(?<![-\w])(?:color|background)\s*:", html)  # borders only, through Jupyter's variable
    assert "var(--jp-border-color2" in html


def test_money_is_not_taken_for_a_formula() -> None:
    html = answer.bundle(result())["text/html"]
    assert '<div class="molt-line mathjax_ignore tex2jax_ignore"' in html


def test_tables_say_who_was_chosen_tried_and_passed_over_in_words() -> None:
    html = answer.bundle(result())["text/html"]
    for word in (
        "chosen",
        "tried",
        "passed over: no key",
        "refused by arithmetic: it is not 4",
        "after 1 retry",
        "(estimated)",
    ):
        assert word in html


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("best_effort", "Best effort: no check accepted"),
        ("interrupted", "Interrupted: this is what had arrived"),
        ("planned", "Plan: nothing was called"),
    ],
)
def test_what_is_not_a_plain_answer_says_so_in_every_medium(status: str, says: str) -> None:
    shown = answer.bundle(result("Half an", status=status))
    assert all(says in part for part in shown.values())


def test_failure_shows_its_error() -> None:
    shown = answer.bundle(result("", error=TimedOut("No first token in 60 s."), status="error"))
    assert all("Failed: No first token in 60 s" in part.replace("\\", "") for part in shown.values())


def test_plan_shows_its_calls_without_folding() -> None:
    shown = answer.bundle(result("", status="planned"))
    assert "<details open" in shown["text/html"]
    assert "Planned calls" in shown["text/plain"]
    assert "would cost about $0.0011" in shown["text/plain"]
    assert "would save $0.0099" in shown["text/plain"]
    assert "Candidates and planned calls" in shown["text/html"]


def test_planned_calls_claim_no_outcome_time_or_verdict() -> None:
    verdict = {**REFUSED, "accepted": True, "reason": "would be checked by json"}
    planned = {**DECISION.attempts[0], "finish_reason": "planned", "verdict": verdict}
    plain = answer.bundle(result("", status="planned", attempts=(planned,)))["text/plain"]
    assert re.search(r"#  Model  For +Check +Tokens +Cost\n", plain)
    assert "would be checked by json" in plain
    assert "accepted by" not in plain


def test_interruption_is_said_once() -> None:
    half = result("Half an")
    decision = replace(half.decision, status="interrupted", error="interrupted: Cancelled by the user.")
    shown = answer.bundle(replace(half, decision=decision))
    assert "Interrupted: this is what had arrived. Cancelled by the user." in shown["text/plain"]


def test_endless_words_and_wide_tables_stay_inside_the_cell() -> None:
    assert "overflow-wrap: break-word; overflow-x: auto" in answer.show("word" * 200)["text/html"]


@pytest.mark.parametrize(
    ("form", "text"), [("text", "a b"), ("code", "a b"), ("markdown", "```\na b\n```"), ("markdown", "    a b")]
)
def test_code_wraps_between_words_where_jupyter_would_break_them(form: str, text: str) -> None:
    assert re.search(r'<pre [^>]*style="white-space: pre-wrap; word-break: normal;', answer.show(text, form)["text/html"])


def test_table_in_an_answer_is_aligned_as_it_says_and_else_left() -> None:
    html = answer.show("| a | b |\n|---|--:|\n| 1 | 2 |")["text/html"]
    assert re.findall(r'<t[hd] style="text-align:(\w+)">', html) == ["left", "right"] * 2


def test_code_format_shows_the_code_alone() -> None:
    text = "Here:\n\n```python\ndef f():\n    return 1\n```\n\nIt returns 1."
    shown = answer.bundle(result(text), "code")
    assert shown["text/plain"].startswith("def f():\n    return 1\n\n[")
    assert "It returns" not in shown["text/html"]
    assert shown["text/markdown"].startswith("```python\ndef f()")


def test_json_format_indents_what_parses() -> None:
    assert answer.bundle(result('```json\n{"a":[1]}\n```'), "json")["text/plain"].startswith('{\n  "a": [\n    1\n  ]\n}')


def test_json_format_shows_what_does_not_parse_as_it_came() -> None:
    assert answer.bundle(result("{broken"), "json")["text/plain"].startswith("{broken")


def test_text_format_draws_no_markdown() -> None:
    assert "**a**" in answer.bundle(result("**a**"), "text")["text/html"]


def test_unknown_format_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="markdown"):
        answer.bundle(result(), "markdwn")


@pytest.mark.parametrize("form", answer.FORMATS)
def test_answer_of_megabytes_is_cut_and_says_by_how_much(form: str) -> None:
    for shown in (answer.bundle(result("x" * 5_000_000), form), answer.show("x" * 5_000_000, form)):
        for text in shown.values():
            assert len(text) < 1.1 * answer.SHOWN
            assert "4,900,000 more characters" in text
