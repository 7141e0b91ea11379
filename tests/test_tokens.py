"""Counting tokens without a network."""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molt_magic import tokens
from molt_magic.errors import InputError, StoreError
from molt_magic.tokens import RATIOS, count_messages, count_text, split, truncate
from molt_magic.types import Message

TEXT = "Reading a table is easy; reading it twice is a habit.\n\nSo: name the columns, and say what 1.5 of them means. " * 40


def test_the_table_that_ships_is_o200k_base() -> None:
    raw = gzip.decompress(files("molt_magic").joinpath("data", "o200k_base.tiktoken.gz").read_bytes())
    assert hashlib.sha256(raw).hexdigest() == "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
    assert len(raw.splitlines()) == 199_998


def test_the_definition_is_tiktokens_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from tiktoken_ext import openai_public

    pinned = {}
    monkeypatch.setattr(
        openai_public, "load_tiktoken_bpe", lambda url, expected_hash: pinned.setdefault("sha256", expected_hash) and {}
    )
    theirs = openai_public.o200k_base()
    ours = tokens._get_encoding()
    assert theirs["pat_str"] == ours._pat_str
    assert theirs["special_tokens"] == ours._special_tokens
    assert pinned["sha256"] == tokens._VOCABULARY_SHA256


def test_a_text_has_the_tokens_it_had() -> None:
    """Pinned from tiktoken 0.14.0: a changed table, expression or encoder shows."""
    assert tokens._encode("Hello how are you") == [13225, 1495, 553, 481]


def test_windows_do_not_change_the_count_of_ordinary_text() -> None:
    assert len(TEXT) > tokens._WINDOW
    assert count_text(TEXT) == len(tokens._get_encoding().encode(TEXT))


@pytest.mark.parametrize("family", sorted(RATIOS))
def test_a_count_is_corrected_for_its_family_and_rounded_up(family: str) -> None:
    plain = count_text(TEXT)
    assert plain * RATIOS[family] <= count_text(TEXT, family) < plain * RATIOS[family] + 1


def test_an_unknown_family_counts_as_other() -> None:
    assert count_text(TEXT, "nobody") == count_text(TEXT, "other")


def test_nothing_is_no_tokens() -> None:
    assert (count_text(""), count_messages([]), truncate("", 5), split("", 5)) == (0, 0, "", [])


def test_a_special_token_in_a_prompt_is_text() -> None:
    assert count_text("<|endoftext|>") > 1


def test_a_lone_surrogate_is_counted() -> None:
    assert count_text("a\ud800b") > 0
    assert "".join(split("a\ud800b " * 50, 16)) == "a\ud800b " * 50


@pytest.mark.parametrize("unit", ["a", " ", "\n", "=", "\u4f60", "\U0001f600", "aB3_"])
def test_a_megabyte_without_a_word_boundary_is_counted_in_seconds(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    began = time.perf_counter()
    assert count_text(text) > 0
    assert time.perf_counter() - began < 10  # measured 0.2 s; the encoder alone refuses the spaces


def test_counting_grows_with_the_length() -> None:
    assert count_text("a" * 400_000) == pytest.approx(2 * count_text("a" * 200_000), rel=0.01)


def test_messages_cost_their_text_and_their_frame() -> None:
    messages = [Message("system", "Be brief."), Message("user", "Hi there")]
    text = count_text("Be brief.") + count_text("Hi there")
    assert count_messages(messages) == text + 2 * 4 + 3


def test_qwens_own_system_message_is_counted_where_there_is_none() -> None:
    """Measured with llama.cpp and Qwen2.5-Coder-0.5B: 36 and 26 tokens of prompt."""
    question = Message("user", "What is the capital of France?")
    assert count_messages([question], "qwen") == pytest.approx(36, abs=2)
    assert count_messages([Message("system", "Answer in one short sentence."), question], "qwen") == pytest.approx(26, abs=2)


def test_tool_calls_and_images_are_counted() -> None:
    plain = Message("user", "look")
    image = Message("user", ({"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:..."}}))
    assert count_messages([image]) == count_messages([plain]) + tokens.IMAGE_TOKENS
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    assert count_messages([Message("assistant", "", tool_calls=(call,))]) > count_messages([Message("assistant", "")]) + 15


@pytest.mark.parametrize("family", sorted(RATIOS))
@pytest.mark.parametrize("limit", [0, 1, 17, 300, 5000])
def test_truncated_text_is_a_beginning_that_fits(family: str, limit: int) -> None:
    cut = truncate(TEXT, limit, family)
    assert TEXT.startswith(cut)
    assert count_text(cut, family) <= limit
    assert count_text(TEXT, family) <= limit or count_text(cut, family) >= limit - 3  # and it is not needlessly short


@settings(max_examples=30, deadline=None)
@given(text=st.text(max_size=400), limit=st.integers(min_value=16, max_value=60))
def test_chunks_fit_and_are_the_text_again(text: str, limit: int) -> None:
    chunks = split(text, limit)
    assert "".join(chunks) == text
    assert all(0 < count_text(chunk) <= limit for chunk in chunks)


def test_a_character_is_never_divided() -> None:
    text = "\U0001f9d1\u200d\U0001f680" * 30
    assert "".join(split(text, 16)) == text
    assert "\ufffd" not in "".join(split(text, 16))


def test_chunks_end_where_sentences_do() -> None:
    assert all(chunk.endswith((". ", "\n\n", "\n", " ")) for chunk in split(TEXT, 50)[:-1])


def test_chunks_too_small_for_a_character_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be split into chunks of 0 tokens"):
        split("text", 0)


def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_encoding", None)
    tokens._length.cache_clear()
    tokens._first.clear()
    tokens._later.clear()


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["How", "how", "it's", "2013?", "a.\nB", "", "\u3000", "\x85", "<|endoftext|>"]),
            st.text(max_size=6),
        )
    )
)
@settings(max_examples=500)
def test_words_that_were_met_count_as_in_their_text(words: list[str]) -> None:
    text = " ".join(words)
    for _ in range(2):
        tokens._length.cache_clear()
        assert count_text(text) == sum(len(tokens._encode(window)) for window in tokens._windows(text))


def test_only_so_many_words_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_REMEMBERED", 8)
    for n in range(20):
        text = f"one more{n} than {n}"
        assert count_text(text) == len(tokens._encode(text))
        assert len(tokens._first) + len(tokens._later) <= 8


def test_many_threads_may_count_at_once_from_a_cold_start(monkeypatch: pytest.MonkeyPatch) -> None:
    _forget(monkeypatch)
    loads, counts = [], []
    load = tokens._load
    monkeypatch.setattr(tokens, "_load", lambda: loads.append(1) or load())
    threads = [threading.Thread(target=lambda: counts.append(count_text(TEXT))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert counts == [count_text(TEXT)] * 8


def test_a_damaged_table_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_VOCABULARY_SHA256", "0" * 64)
    _forget(monkeypatch)
    with pytest.raises(StoreError, match="sha256 is not the known one"):
        count_text("x")
