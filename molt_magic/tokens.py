"""Counting tokens, offline.

Every count is made with OpenAI's `o200k_base` and corrected for the model's family by a measured ratio, so for any family but
`openai` it is an estimate; what the provider says it used overwrites it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING

from molt_magic.errors import InputError, StoreError
from molt_magic.types import Message

if TYPE_CHECKING:
    from tiktoken import Encoding

# tokens of o200k_base -> tokens of the family. Measured on 809 prompts, 2026-11; `openai` is exact for GPT-4o and later.
# `other` is SmolLM2's, on 8,000 characters of English (2,190 to 1,976): small vocabularies need more tokens, and a count that
# is too high only shortens a conversation early, where one that is too low fails.
RATIOS: Mapping[str, float] = MappingProxyType(
    {"openai": 1.0, "claude": 1.135, "claude-4.7": 1.51, "gemini": 0.93, "deepseek": 1.0, "qwen": 1.04, "other": 1.11}
)
_OTHER = RATIOS["other"]

_VOCABULARY_SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"  # as pinned in tiktoken's own sources
# The expression that cuts text into words before byte pairs are merged. It is part of o200k_base's definition (tiktoken,
# `openai_public.py`, MIT): any other gives other tokens. A test holds it against the installed tiktoken.
_PATTERN = "|".join(
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
_SPECIAL: Mapping[str, int] = MappingProxyType({"<|endoftext|>": 199999, "<|endofprompt|>": 200018})

# Text goes to the encoder in windows of this many characters. Measured with tiktoken 0.14.0: a megabyte of spaces overflows the
# stack of its regular expressions (ValueError), one of a single letter takes 1.2 s where windows take 0.13 s.
_WINDOW = 4096
_KEPT = 256  # windows whose length is kept: a prompt is counted for each family, and again before each call
_LEARNED = 512  # characters of a window at most whose words' lengths are kept ...
_REMEMBERED = 4096  # ... and how many of them: the encoder has left the processor's caches whenever it is needed
_SEAM = re.compile(r"(?<=\S) (?=\S)")  # before a single space between words: no token of o200k_base spans it
_BREAKS = ("\n\n", "\n", ". ", " ")  # where a chunk should end, best first

_lock = threading.Lock()
_encoding: Encoding | None = None
_first: dict[str, int] = {}  # how many tokens words are that begin a text ...
_later: dict[str, int] = {}  # ... and those after a space, with it


def count_text(text: str, family: str = "openai") -> int:
    """How many tokens `text` is, for a tokenizer family (a key of `RATIOS`; an unknown one counts as `other`)."""
    return _corrected(_tokens(text), family)


def count_messages(messages: Sequence[Message], family: str = "openai") -> int:
    """How many input tokens a conversation is, with what the chat format adds to it.

    Args:
        messages: the conversation; tool calls count as their JSON, an image as `IMAGE_TOKENS`.
        family: tokenizer family.
    """
    return count_messages_for(messages, [family])[family]


def count_messages_for(messages: Sequence[Message], families: Iterable[str]) -> dict[str, int]:
    """The same for each of some families: the text is cut into tokens once."""
    if not messages:
        return dict.fromkeys(families, 0)
    texts, images, system = [], 0, False
    for message in messages:
        texts.append(_tokens(message.text))
        system = system or message.role == "system"
        if message.tool_calls:
            texts.append(_tokens(json.dumps([dict(call) for call in message.tool_calls], ensure_ascii=False, default=dict)))
        if not isinstance(message.content, str):
            images += sum(part.get("type") != "text" for part in message.content)
    counts = {}
    for family in families:
        ratio, per_message, total, own_system = _COUNTED.get(family, _UNKNOWN)
        if not system:
            total += own_system
        total += per_message * len(messages) + IMAGE_TOKENS * images
        for tokens in texts:
            total += math.ceil(tokens * ratio)
        counts[family] = total
    return counts


def truncate(text: str, max_tokens: int, family: str = "openai") -> str:
    """The longest beginning of `text` that is at most `max_tokens`, cut between tokens, never inside a character."""
    return text[: _reach(text, 0, max_tokens, family)]


def split(text: str, max_tokens: int, family: str = "openai") -> list[str]:
    """`text` in chunks of at most `max_tokens` each; joined they are the text again.

    A chunk ends after a paragraph, line, sentence or word where one ends in its second half.

    Raises:
        InputError: `max_tokens` is so small that a single character does not fit.
    """
    chunks, start = [], 0
    while start < len(text):
        end = _reach(text, start, max_tokens, family)
        if end == start:
            raise InputError(
                f"Text cannot be split into chunks of {max_tokens} tokens.", fix="Allow at least 16 tokens a chunk."
            )
        if end < len(text):
            middle = (start + end) // 2
            found = (at + len(mark) for mark in _BREAKS if (at := text.rfind(mark, middle, end)) >= 0)
            end = next(found, end)
        chunks.append(text[start:end])
        start = end
    return chunks


# Tokens that a chat format adds to every message (its role included), and to open the answer.
# OpenAI: 3 and the role, 3 to open: OpenAI Cookbook, "How to count tokens with tiktoken", num_tokens_from_messages.
# ChatML (Qwen, SmolLM2): `<|im_start|>`, role, newline, `<|im_end|>`, newline; to open, `<|im_start|>assistant`, newline: the
# chat templates in the GGUF files of the catalog. Anthropic, Google and DeepSeek publish none; theirs is taken as OpenAI's.
_OPENAI_FORMAT = (4, 3)
_CHAT_FORMAT: Mapping[str, tuple[int, int]] = MappingProxyType({"qwen": (5, 3), "other": (5, 3)})
# What Qwen2.5's template puts in front of a conversation without a system message: measured, 36 tokens for 7 of text, 2026-11.
_OWN_SYSTEM: Mapping[str, int] = MappingProxyType({"qwen": 21})
# all of it by family, as every question is counted for every family: its ratio, a message, to open, its own system message
_UNKNOWN = (_OTHER, *_OPENAI_FORMAT, 0)
_COUNTED = {
    family: (ratio, *_CHAT_FORMAT.get(family, _OPENAI_FORMAT), _OWN_SYSTEM.get(family, 0)) for family, ratio in RATIOS.items()
}

# An image of 1024 x 1024 in high detail: 85 + 4 tiles of 170, OpenAI's guide to images and vision (GPT-4o). An image's size is
# not looked at, so this is the order of magnitude only.
IMAGE_TOKENS = 765


def _tokens(text: str) -> int:
    """How many tokens of o200k_base `text` is."""
    return _length(text) if len(text) <= _WINDOW else sum(map(_length, _windows(text)))


def _corrected(tokens: int, family: str) -> int:
    return math.ceil(tokens * RATIOS.get(family, _OTHER))


def _reach(text: str, start: int, max_tokens: int, family: str) -> int:
    """The end of the longest piece of `text` from `start` that is at most `max_tokens` of the family."""
    limit = int(max(max_tokens, 0) / RATIOS.get(family, _OTHER))
    end, used = start, 0
    for window, tokens in _encoded(text, start):
        if used + len(tokens) <= limit:
            end, used = end + len(window), used + len(tokens)
            continue
        room = limit - used
        # cut inside this window: fewer tokens until what is left, counted again, fits (a cut may change the last tokens)
        while room > 0:
            kept = window[: len(_get_encoding().decode_bytes(tokens[:room]).decode("utf-8", errors="ignore"))]
            if _corrected(used + len(_encode(kept)), family) <= max_tokens:
                return end + len(kept)
            room -= 1
        break
    return end


def _windows(text: str, start: int = 0) -> Iterator[str]:
    """`text` from `start` in pieces."""
    while start < len(text):
        end = start + _WINDOW
        if end < len(text):
            seams = [match.start() for match in _SEAM.finditer(text, end - 512, end)]
            end = seams[-1] if seams else end
        yield text[start:end]
        start = end


def _encoded(text: str, start: int = 0) -> Iterator[tuple[str, list[int]]]:
    """(window, its tokens) over `text` from `start`."""
    return ((window, _encode(window)) for window in _windows(text, start))


@lru_cache(maxsize=_KEPT)
def _length(window: str) -> int:
    """How many tokens a window is."""
    first, *later = words = window.split(" ")
    try:
        count = _first[first]
        for word in later:
            count += _later[word]
    except KeyError:
        return _learn(words) if len(window) <= _LEARNED and words == window.split() else len(_encode(window))
    return count


def _learn(words: Sequence[str]) -> int:
    """How many tokens words with one space between each two are: those of each, as no token spans a seam. Remembers them."""
    if len(_first) + len(_later) + len(words) > _REMEMBERED:
        _first.clear()
        _later.clear()
    total = _first[words[0]] = len(_encode(words[0]))
    for word in words[1:]:
        if (count := _later.get(word)) is None:
            count = _later[word] = len(_encode(f" {word}"))
        total += count
    return total


def _encode(text: str) -> list[int]:
    return (_encoding or _get_encoding()).encode_ordinary(text)  # a prompt may speak of <|endoftext|>: it is text


def _get_encoding() -> Encoding:
    global _encoding
    if _encoding is None:
        with _lock:
            if _encoding is None:
                _encoding = _load()
    return _encoding


def _load() -> Encoding:
    """Build the encoding from the file that ships; tiktoken's own loader would download it.

    Raises:
        StoreError: the file is damaged.
    """
    import binascii

    import tiktoken

    try:
        raw = gzip.decompress(files("molt_magic").joinpath("data", "o200k_base.tiktoken.gz").read_bytes())
    except (OSError, EOFError) as error:
        raise _damaged(type(error).__name__) from None
    if hashlib.sha256(raw).hexdigest() != _VOCABULARY_SHA256:
        raise _damaged("its sha256 is not the known one")
    fields = raw.split()  # a token in base64 and its rank, 200,000 times
    ranks = dict(zip(map(binascii.a2b_base64, fields[::2]), map(int, fields[1::2]), strict=True))
    return tiktoken.Encoding(name="o200k_base", pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens=dict(_SPECIAL))


def _damaged(why: str) -> StoreError:
    return StoreError(
        f"The token table of molt_magic cannot be used: {why}.", fix="Reinstall: pip install --force-reinstall molt-magic."
    )
