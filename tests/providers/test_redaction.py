"""A key is taken out of texts and streams, in every disguise, and nothing else is."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molt_magic.providers.redaction import REMOVED, redaction_of
from molt_magic.types import Completion
from tests.secrets.hostile import DISGUISES, EVERY_KEY, KEYS, disguised, traces

KEY = KEYS["OPENAI_API_KEY"]
PROSE = "Keys begin with sk-proj- or sk-ant-api03-, and a skill is no secret. Ask twice; 2 and 2 are 4. "


def streamed(text: str, cuts: list[int], key: str = KEY) -> list[str]:
    heard: list[str] = []
    stream = redaction_of(key).stream(heard.append)
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    for start, end in pairwise(edges):
        stream(text[start:end])
    stream.end()
    return heard


@pytest.mark.parametrize("key", EVERY_KEY)
@pytest.mark.parametrize("disguise", DISGUISES)
def test_every_disguise_is_removed_and_what_is_around_it_stays(key: str, disguise: str) -> None:
    found = redaction_of(key).text(f"before ({DISGUISES[disguise](key)}) after")
    assert traces(found, (key,)) == []
    assert found.startswith("before (")
    assert found.endswith(") after")
    assert REMOVED in found


@given(st.lists(st.integers(0, 10_000), max_size=40), st.sampled_from(EVERY_KEY))
@settings(max_examples=60, deadline=None)
def test_a_stream_cut_anywhere_shows_no_more_than_the_whole_text_does(cuts: list[int], key: str) -> None:
    text = f"{PROSE}({disguised(key)}) {PROSE}"
    shown = "".join(streamed(text, cuts, key))
    assert traces(shown, (key,)) == []
    assert shown.startswith(PROSE)
    assert shown.endswith(PROSE)


@given(st.lists(st.text(min_size=1, max_size=9), max_size=30))
@settings(max_examples=60, deadline=None)
def test_a_stream_without_a_key_arrives_whole(pieces: list[str]) -> None:
    heard: list[str] = []
    stream = redaction_of(KEY).stream(heard.append)
    for piece in pieces:
        stream(piece)
    stream.end()
    assert "".join(heard) == "".join(pieces)


def test_ordinary_words_are_not_kept_back() -> None:
    words = [f"{word} " for word in PROSE.split(" ")]
    heard: list[str] = []
    stream = redaction_of(KEY).stream(heard.append)
    for number, word in enumerate(words, 1):
        stream(word)
        if "sk-proj" not in word:
            assert len("".join(heard)) == len("".join(words[:number]))


@pytest.mark.parametrize("key", [None, "", "x", "none", "ollama", "EMPTY", "not-needed", "password"])
def test_a_placeholder_is_no_secret(key: str | None) -> None:
    text = "Use ollama, none is not-needed; EMPTY x password."
    assert redaction_of(key).text(text) == text
    assert not redaction_of(key)


def test_a_long_placeholder_goes_only_where_it_is_whole() -> None:
    redaction = redaction_of("sk-no-key-required")
    assert redaction.text("no key required, says --api-key sk-no-key-required") == f"no key required, says --api-key {REMOVED}"


def test_a_short_key_with_a_digit_goes_where_it_is_whole() -> None:
    assert redaction_of("hunter22").text("hunter2 is not Hunter22") == f"hunter2 is not {REMOVED}"


def test_prose_about_keys_stays() -> None:
    for key in EVERY_KEY:
        assert redaction_of(key).text(PROSE * 20) == PROSE * 20


def test_names_and_tool_calls_of_a_completion_are_cleaned() -> None:
    said = Completion(
        text="4",
        model=KEY,
        tool_calls=({"id": KEY, "function": {"name": KEY, "arguments": f'{{"{KEY}": 1}}'}},),
    )
    assert traces(repr(redaction_of(KEY).completion(said))) == []


def test_a_redaction_does_not_show_its_key() -> None:
    redaction = redaction_of(KEY)
    assert traces(repr(redaction) + repr(redaction.stream(print))) == []
