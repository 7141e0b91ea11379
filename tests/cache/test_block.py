"""Blocks: whatever the guard accepts shares one, and little else does."""

from __future__ import annotations

import itertools
import random
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from molt_magic.bench.questions import questions
from molt_magic.cache import Cache, guard, literal, phrasing, plain, words
from molt_magic.cache.block import block_of, form_of
from molt_magic.cache.text import tidy, words_of
from tests.cache.pairs import SAME, WRONG

_TEXTS = [text for row in (*SAME, *WRONG) for text in row[-2:]]
_SCOPE = "s"


def _is_lost(asked: str, stored: str) -> bool:
    """Whether the guard accepts what is in another block."""
    if block_of(_SCOPE, asked) == block_of(_SCOPE, stored):
        return False
    return guard.same_text(asked, stored) or guard.refusal(asked, stored, verified=True) is None


# -- sentences of words that the guard and the phrasing know, in any order


def _strings(value: object) -> list[str]:
    if isinstance(value, re.Pattern):
        return [value.pattern]
    if isinstance(value, dict):
        return [*_strings(tuple(value)), *_strings(tuple(value.values()))]
    if isinstance(value, tuple | frozenset):
        return [found for each in value for found in _strings(each)]
    return [value] if isinstance(value, str) else []


_KNOWN = sorted(
    {
        word
        for module in (literal, phrasing, plain, words)
        for name, value in vars(module).items()
        if not name.startswith("__")
        for found in _strings(value)
        for word in re.findall(r"[a-z.']+", found.replace("\\b", " ").replace("\\w", " ").replace("\\.", "."))
    }
)
_OTHERS = (
    *("France's", "capital", "dog's", "cats'", "boxes", "parties", "classes", "paintings", "well-known", "US-based", "U.S."),
    *("U.S.A.", "USA", "UK's", "United", "States", "of", "America", "C++", "C#", "foo.bar", "foo.ie", "dies", "1,000", "3.10"),
    *(
        "x2",
        "utf8",
        "three",
        "First",
        "twenty-one",
        "foo_bars",
        "Apple",
        "The",
        "An",
        "Office",
        "naïve",
        "İs",
        "ΑΣ",
        "and",
        "or",
    ),
    *("better", "worse", "losing", "making", "travelling", "pros", "cons", "difference", "of", "kinds", "in", "order", "to"),
)
_BEGIN = (
    "", "how do i ", "how can you ", "what are some good ways to ", "what is the best way of ", "which is better ",
    "which is better to buy ", "where can we ", "what should i do if ", "who are the best ", "why is ", "is ", "write ", "hi, ",
    "can you tell me how ", "In Python, how do I ", "what are some ", "what's the ",
)  # fmt: skip
_END = ("?", "", " please", " Thanks!", ".", " in the world?", " of all time", " ever?")
_INSTEAD = (
    ("what is", "what's"), ("do not", "don't"), ("can not", "cannot"), ("US", "United States"), ("three", "3"),
    ("how do i", "what is the best way to"), ("how can i", "how to"), ("pros and cons", "advantages and disadvantages"),
    ("kind of", "type of"), ("make money", "earn money"), ("in order to", "to"), ("color", "colour"), ("movie", "film"),
    ("which", "what"), ("that ", ""), ("the ", ""), (" on ", " about "), (" in ", " at "), (" in ", " of "), ("some ", ""),
    ("my ", ""), ("first", "1st"), ("good ", "best "), ("lose", "losing"), ("is better ", "is better to buy "), ("-", " "),
    ("1000", "1,000"),
)  # fmt: skip


def _word(rng: random.Random) -> str:
    word = rng.choice(_KNOWN) if rng.random() < 0.6 else rng.choice(_OTHERS)
    word += rng.choice(("", "", "", "", "", "s", "'s", "ing", ",", "-"))
    return rng.choice((word, word, word, word, word.capitalize(), word.upper()))


def _sentence(rng: random.Random) -> str:
    return rng.choice(_BEGIN) + " ".join(_word(rng) for _ in range(rng.randrange(1, 9))) + rng.choice(_END)


def _changed(text: str, rng: random.Random) -> str:
    parts = text.split(" ")
    place = rng.randrange(len(parts))
    match rng.randrange(8):
        case 0 | 1:
            old, new = rng.choice([pair for pair in _INSTEAD if pair[0] in text or pair[1] in text])  # one is ""
            return text.replace(old, new, 1) if old in text else text.replace(new, old, 1)
        case 2:
            parts[place] = parts[place].lower() if rng.random() < 0.5 else parts[place].capitalize()
        case 3:
            parts[place] = parts[place].removesuffix("s") if parts[place].endswith("s") else f"{parts[place]}s"
        case 4:
            return rng.choice(("hi, ", "please ", "tell me ", "ok so ", "can you tell me ")) + text
        case 5:
            return text.rstrip("?.") + rng.choice(_END)
        case 6:
            return rng.choice((text.lower(), text.upper(), text.replace(" ", "  ")))
        case _:
            parts.insert(place, rng.choice(("the", "a", "is", "do", "my", "really", "that", "of", "so")))
    return " ".join(parts)


def _forms(texts: list[str]) -> set[str]:
    return {form_of(part) for text in texts for part in re.findall(r"\w+", text.lower().replace("\u03c2", "\u03c3"))} - {""}


@pytest.mark.parametrize("seed", range(4))
def test_the_plain_form_has_the_words_of_the_text_whatever_are_names(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(1_500):
        text = literal.quiet(tidy(_sentence(rng)))
        forms = _forms([text])
        found = words_of(text)
        is_choice = "or" in forms and not forms.isdisjoint(("better", "worse"))
        if not found or is_choice or re.search(r"U\.[SK]\.\w", text):  # "U.S.A" is one word, "U.S.Army" is none that is written
            continue
        for names in (frozenset[str](), frozenset(word.lower() for word in found if rng.random() < 0.5)):
            (_, *counted), _ = plain.plain_form(plain.bare(text), names, lenient=True)
            assert _forms(counted) == forms, text


@pytest.mark.parametrize("seed", range(4))
def test_sentences_between_which_an_answer_may_pass_are_of_one_block(seed: int) -> None:
    rng = random.Random(seed)
    accepted = 0
    for _ in range(2_000):
        text = rng.choice(_TEXTS) if rng.random() < 0.5 else _sentence(rng)
        one, two = _changed(text, rng), _changed(text, rng)
        assert not _is_lost(one, two), (one, two)
        accepted += guard.refusal(one, two, verified=True) is None
    assert accepted > 400


def test_a_form_has_no_other_form() -> None:
    known = {word + end for word in _KNOWN for end in ("", "s", "es", "ing", "ed", "ies", "ie")}
    assert [word for word in known if form_of(form_of(word)) != form_of(word)] == []


def test_pairs_written_by_hand_between_which_an_answer_may_pass_are_of_one_block() -> None:
    assert [pair for pair in itertools.combinations(_TEXTS, 2) if _is_lost(*pair)] == []


_CHANGES: tuple[Callable[[str], str], ...] = (
    str.lower,
    str.upper,
    str.title,
    lambda text: f"  {text}!",
    lambda text: f"Hi, {text} please",
    lambda text: text.replace(" ", ", "),
    lambda text: f"what is {text}",
    lambda text: f"what's {text}?",
    lambda text: f"What is the {text.lower()}?",
)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40), st.sampled_from(_CHANGES), st.sampled_from(_CHANGES))
@example("define ΑΣ.", str.lower, str.upper)
@example("İspell define", str.lower, str.upper)
@example("\ud83d \x85 x²", str.lower, str.upper)
def test_of_any_text_what_the_guard_accepts_is_of_one_block(
    text: str, change: Callable[[str], str], other: Callable[[str], str]
) -> None:
    forms = (text, change(text), other(text), change(other(text)))
    assert not any(_is_lost(one, two) for one, two in itertools.combinations(forms, 2))


def test_different_questions_are_mostly_of_different_blocks_and_rephrasings_of_one() -> None:
    asked = list(itertools.islice(questions(3), 5_000))
    assert all(block_of(_SCOPE, question.text) == block_of(_SCOPE, question.otherwise) for question in asked)
    assert len({block_of(_SCOPE, question.text) for question in asked}) > 0.99 * len(asked)
    assert block_of("another", asked[0].text) != block_of(_SCOPE, asked[0].text)


def test_prompts_that_differ_in_figures_only_are_of_different_blocks() -> None:
    assert len({block_of(_SCOPE, f"What is row {n} about?") for n in range(1_000)}) == 1_000


def test_a_cache_of_the_first_version_is_brought_forward_with_its_prompts(
    folder: Path, open_cache: Callable[..., Cache]
) -> None:
    before = open_cache()
    before.put("k", {"text": "Paris"}, scope="s", prompt="What is the capital of France?")
    before.close()
    with closing(sqlite3.connect(folder / "cache.db")) as connection, connection:
        connection.execute("DROP INDEX Vector_block")
        connection.execute("ALTER TABLE Vector DROP COLUMN block")
        connection.execute("PRAGMA user_version = 1")
    for _ in range(2):
        after = open_cache()
        assert after.get("k") is not None
        assert after.nearest("s", "what is the capital of France") is not None
        after.put("l", {"text": "Lima"}, scope="s", prompt="What is the capital of Peru?")
        after.close()
