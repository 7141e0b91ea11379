"""Formulas are typeset as they were written; money and what could reach outside are not."""

from __future__ import annotations

import re
import time

import pytest

from molt_magic.views import markdown

OPENED = re.compile(r'<span class="mathjax_process tex2jax_process">(.*?)</span>', re.DOTALL)


@pytest.mark.parametrize(
    "formula",
    [r"$x_1 + y_1$", r"$a*b*c$", r"$2 \times 3$", r"\(a_1*b*c\)", "\\[\n\\frac{1}{n} \\sum_i x_i\n\\]", "$$E = mc^2$$"],
)
def test_formula_reaches_the_typesetter_as_it_was_written(formula: str) -> None:
    assert OPENED.findall(markdown.to_html(f"So {formula} holds.")) == [formula]


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and $6.",
        "US$20-$30 a month",
        "$30 with $x",
        "$5 million, no$w",
        "from `a$b$c` on",
        "```\n$x$\n```",
        r"escaped \$x\$",
        "one $ alone",
    ],
)
def test_money_and_code_stay_text_in_a_closed_answer(text: str) -> None:
    html = markdown.to_html(text)
    assert OPENED.findall(html) == []
    assert html.startswith('<div class="molt-text mathjax_ignore tex2jax_ignore"')


def test_formula_that_could_reach_outside_stays_closed_and_leaves_others_open() -> None:
    assert OPENED.findall(markdown.to_html(r"$\href{https://evil.example}{x}$ and $y$")) == ["$y$"]


def test_markup_in_a_formula_is_text() -> None:
    html = markdown.to_html("$<img src=x onerror=alert(1)>$")
    assert OPENED.findall(html) == ["$&lt;img src=x onerror=alert(1)&gt;$"]


def test_link_that_only_other_readers_see_makes_the_markdown_harmful() -> None:
    assert not markdown.harmless("$a [x](/api/contents/secret) b$")


def test_brackets_without_end_take_no_quadratic_time() -> None:
    started = time.perf_counter()
    markdown.to_html("\\(" * 40_000)
    assert time.perf_counter() - started < 10  # about 1 s; 25 s when each bracket searched to the end
