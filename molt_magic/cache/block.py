"""The block of a prompt: what it must share with another one for the guard to let the answer pass between them.

Record linkage calls it blocking. A prompt that is alone in its block cannot be answered by any other, so there is nothing to
embed and nothing to look for. That is mostly so, and seen by one look into the store.

A block is made of the words that the guard compares in the end, each in the one form of all it takes for the same, and of the
figures in their order. What the guard may drop, put in or exchange (`_FRAME`) is left out, and so is the order.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from molt_magic.cache.literal import numbers, quiet
from molt_magic.cache.phrasing import infinitive
from molt_magic.cache.plain import gentle
from molt_magic.cache.text import tidy
from molt_magic.cache.words import ARTICLES, CONTRACTIONS, MOVING, NEAR_PREPOSITIONS, NUMBER_WORDS, TONE

REMEMBERED = 64  # prompts that may be asked for at the same time: an answer that was not found is stored soon after

# Words of what guard and phrasing take for a frame: greetings, thanks, wishes, persons, the beginnings of questions, countries.
_FRAME = (
    "hi hello hey hiya good morning afternoon evening there all team everyone please kindly okay ok so um uh er yeah just a"
    " quick silly stupid simple one question i am was wondering sorry to bother you but many thanks thank cheers very much in"
    " advance"
    " can could would will give me tell let know show teach explain do wonder want need like"
    " how does should we must what which who whom is are be where why someone somebody anyone person"
    " best great top possible effective most some of any the few way method step tip technique by that for on order"
    " have had between ever this world time times out really"
    " my myself mine your yourself yours us our ourselves oneself"
    " u s a k usa uk united states america kingdom"
)
# Of two words that stand for one another in some phrase, the one that stands for both.
_SAME = {"make": "earn", "kind": "type", "sort": "type", "pro": "advantage", "con": "disadvantage"}
_SPELLED = frozenset([word for word, value in NUMBER_WORDS.items() if value[0].isdigit()])

_PART = re.compile(r"\w+")  # of what the guard calls a word: it changes some words, or the whole parts of others
_FIGURE = re.compile(r"\d")
_NO_FIGURE = re.compile(r"\D+")
_ASCII = [chr(byte) for byte in range(128)]
_PARTS = "".join([char.lower() if _PART.match(char) else " " for char in _ASCII]).encode().ljust(256)
_NO_FIGURES = "".join([char for char in _ASCII if not char.isdigit()]).encode()


@lru_cache(maxsize=REMEMBERED)
def block_of(scope: str, prompt: str) -> int:
    """The number of the block that a prompt is in, among those of its scope."""
    text = quiet(tidy(prompt))
    if text.isascii():
        encoded = text.encode()
        parts = set(encoded.translate(_PARTS).decode().split())
        figures = encoded.translate(None, _NO_FIGURES).decode()
    else:
        # which of the two small sigmas it is depends on what follows
        parts = set(_PART.findall(text.lower().replace("\u03c2", "\u03c3")))
        figures = _NO_FIGURE.sub("", text)
    if "_" in text or not _SPELLED.isdisjoint(parts):
        figures = _NO_FIGURE.sub("", "".join(numbers(text)))
    words = {form_of(part) for part in parts} - {""}
    if "or" in words and not words.isdisjoint(("better", "worse")):
        words = set()  # "which is better to buy, a or b": there the guard drops a word that may be any
    told = f"{scope}\n{figures}\n{' '.join(sorted(words))}"
    digest = hashlib.blake2b(told.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)  # as SQLite has them


@lru_cache(maxsize=2048)
def form_of(part: str) -> str:
    """The one form of a word, or of a part of one, and of all that the guard takes for it; none of what may come and go."""
    if _FIGURE.search(part):
        return ""
    form = _one_form(part)
    return "" if form in _dropped() else form


def _one_form(word: str) -> str:
    form = ""
    while form != word:
        form = word
        word = gentle(word)
        word = f"{word[:-2]}y" if word.endswith("ie") else word
        word = infinitive(_SAME.get(word, word))
    return form


@lru_cache(maxsize=1)
def _dropped() -> frozenset[str]:
    near = [word for pair in NEAR_PREPOSITIONS for word in pair]
    words = [_FRAME, *CONTRACTIONS, *CONTRACTIONS.values(), *ARTICLES, *MOVING, *near, *TONE, *_SPELLED]
    return frozenset([_one_form(part) for part in _PART.findall(" ".join(words))])
