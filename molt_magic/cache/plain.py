"""The plain form of a prompt: without what may differ between two prompts of one answer.

That is politeness, articles, contractions and the frame of the question. Where a second embedder is asked too (`lenient`),
it is also one form for the phrasings, spellings and synonyms of the same.
"""

from __future__ import annotations

import re
from functools import lru_cache

from molt_magic.cache import phrasing
from molt_magic.cache.literal import quiet, signs
from molt_magic.cache.sides import in_order
from molt_magic.cache.text import KEPT, lowered_words_of, tidy, ungrouped, words_of, written_out
from molt_magic.cache.words import (
    AFTER_GREETING,
    ARTICLE_COUNTS_BEFORE,
    ARTICLES,
    CONTRACTIONS,
    ENGLISH,
    GREETINGS,
    LETTER_FOLLOWS,
    MOVABLE,
    MOVING,
    NOT_PLURAL,
    NUMBER_WORDS,
    OBJECTS,
    PROCEDURES,
    QUESTION_WORDS,
    SPELLINGS,
    STATES,
    SYNONYMS,
    TASKS,
    TONE,
    YES_NO,
)

LONG = 80  # words; beyond, a prompt is a document with a question, and only spacing and punctuation may differ
_FRONTED = re.compile(rf"((?:{'|'.join(MOVABLE.split())}) [^,.?!;:\n]{{1,60}}), ([^.?!\n]+)([.?!]*)", re.IGNORECASE)
_ASKING = "|".join(sorted(AFTER_GREETING))
_GREETING = re.compile(rf"(?:{GREETINGS})[,!.:]* (?=(?:{_ASKING})\b)", re.IGNORECASE)
_THANKING = ("plea", "thank", "cheer")  # what the words of thanks have; no `s`, which has other forms that a pattern knows
_THANKS = re.compile(
    r"(?:[,.?!;]\s*|(?= please[.!?\s]*$)(?<!say)(?<!word) )(?:please[,.?!]? )?"
    r"(?:please|(?:many )?thanks|thank you|cheers)(?: very much| so much| in advance)?[.!?\s]*$",
    re.IGNORECASE,
)
_ANY_TASK, _ANY_QUESTION = "|".join(sorted(TASKS)), "|".join(sorted(QUESTION_WORDS))
_ANY_STATE, _ANY_PROCEDURE = "|".join(sorted(STATES)), "|".join(sorted(PROCEDURES))
_WISH = re.compile(
    rf"(?:(?:can|could|would|will) you (?:please |kindly )?(?=(?:{_ANY_TASK})\b)|(?:can|could) you (?:please )?give me )?"
    r"(?:(?:please )?(?:tell me|let me know|show me|teach me|explain to me|explain|do you know|i wonder|i was wondering"
    rf"|i am wondering|i want to know|i need to know|i would like to know) (?=(?:{_ANY_QUESTION})\b))?"
)
_WISHING = {"can", "could", "would", "will", "please", "tell", "let", "show", "teach", "explain", "do", "i"}  # one begins it
_HOW_TO = re.compile(
    rf"(?:how to|how (?:do|can|does) (?:i|one|someone) (?!(?:{_ANY_STATE})\b)(?=\w+ \w)"
    rf"|how (?:do|can) (?:you|we) (?=(?:{_ANY_PROCEDURE}) \w)"
    r"|what (?:is|are) (?:the |a |some )?(?:ways?|methods?|steps) to)\b ?"
)
_PLURAL = re.compile(r"(\w{2,}[^sui'])s")
_CONTRACTED = frozenset(CONTRACTIONS)
_NAMED_ARTICLES = frozenset(article.capitalize() for article in ARTICLES)
_CANONICAL = {**NUMBER_WORDS, "were": "was", "an": "a"}
_AGREES = {"has": "have"}  # with its subject, whose number may differ too
_SLIGHT = ARTICLES | MOVING.keys()
_NO_NAMES: frozenset[str] = frozenset()
_SYNONYM = {word: row.split()[0] for row in SYNONYMS for word in row.split()}


@lru_cache(maxsize=KEPT)
def core(text: str) -> str:
    """What a prompt asks, for an embedder: without greeting, thanks and wishes ("tell me"), in lower case."""
    sentence = " ".join(part for word in bare(tidy(text)).lower().rstrip(".!? ").split(" ") for part in written_out(word))
    wish = _WISH.match(sentence)
    return (sentence[wish.end() :] if wish else sentence) or text


def gist(text: str) -> str:
    """The plain form of a short English prompt, for the first embedder: one vector for all its phrasings."""
    plain = quiet(tidy(text))
    words = words_of(plain)
    if "\n" in plain or not 1 < len(words) <= LONG or not is_english(plain):
        return core(text)
    names = _NO_NAMES if plain[1:].islower() else frozenset([word.lower() for word in words[1:] if word[0].isupper()])
    (kind, *counted), _ = plain_form(bare(plain), names, lenient=True)
    return " ".join(counted if kind in (*counted[:1], " ".join(counted[:2]), "statement", "yes or no") else [kind, *counted])


@lru_cache(maxsize=KEPT)
def bare(text: str) -> str:
    """Without greeting and thanks; a fronted phrase at its end, 1,000 as 1000."""
    text = ungrouped(text)
    while (greeting := _GREETING.match(text)) is not None:
        text = text[greeting.end() :]
    if ":" in text or '"' in text or "\n" in text:
        return text  # what stands at the end may be what the prompt is about
    lowered = text.lower()
    if phrasing.has_any(_THANKING, lowered):
        text = _THANKS.sub("", text)
    fronted = _FRONTED.fullmatch(text) if ", " in text else None
    return f"{fronted[2]} {fronted[1][0].lower()}{fronted[1][1:]}{fronted[3]}" if fronted else text


@lru_cache(maxsize=KEPT)
def is_english(text: str) -> bool:
    """Whether it is surely English."""
    return phrasing.is_english(lowered_words_of(bare(text)))


@lru_cache(maxsize=KEPT)
def plain_form(text: str, names: frozenset[str], *, lenient: bool) -> tuple[list[str], list[str]]:
    """The kind of question and the words that count, in order; and the forms of be and do that occur."""
    named = phrasing.countries(text) if lenient else text
    words, lowered = words_of(named), lowered_words_of(named)
    if "'s" in text:
        words = _possessives(words)
        lowered = " ".join(words).lower().split(" ")
    if not _NAMED_ARTICLES.isdisjoint(words):
        lowered = [f"={word}" if i and words[i] in _NAMED_ARTICLES else word for i, word in enumerate(lowered)]
    if not _CONTRACTED.isdisjoint(lowered):
        lowered = " ".join([CONTRACTIONS.get(word, word) for word in lowered]).split(" ")
    sentence = " ".join(lowered)
    wish = _WISH.match(sentence) if lowered[0] in _WISHING else None
    sentence = sentence[wish.end() :] if wish else sentence
    asked, rest = phrasing.question(sentence, lowered) if lenient else _instruction(sentence)
    tokens = lowered if rest and rest is sentence and not wish else rest.split()
    kind = asked or _kind(tokens)
    moving = [MOVING[token] for token in tokens if token in MOVING]
    counted = [_CANONICAL.get(token, token) for token in _without_articles(tokens, kind, text, names, lenient)]
    if lenient:
        gently = _gentle_told if kind == "statement" else gentle
        counted = [token if token in names else gently(token) for token in counted if token not in TONE]
        counted = in_order(counted, names, text, lowered) if names else counted
    return [kind, *counted], moving


def _instruction(sentence: str) -> tuple[str | None, str]:
    how_to = _HOW_TO.match(sentence)
    if how_to is None or (" you " in how_to[0] and re.search(r"\b(?:my|me|our|us)\b", sentence)):
        return None, sentence  # "how can you help me" names who does it
    return "how to", sentence[how_to.end() :]


def _kind(tokens: list[str]) -> str:
    first, second = tokens[0] if tokens else "", tokens[1] if len(tokens) > 1 else ""
    if first in QUESTION_WORDS:
        return f"how {second}" if first == "how" and second not in MOVING else first
    if first in YES_NO and not (first == "do" and second in OBJECTS):
        return "yes or no"
    return "statement"


def _without_articles(tokens: list[str], kind: str, text: str, names: frozenset[str], lenient: bool) -> list[str]:
    """The words but for forms of be and do, and for articles that decide nothing."""
    if ARTICLES.isdisjoint(tokens):
        return [token for token in tokens if token not in MOVING]
    # "what is the time", "what is time": of a short question the article may be half; in a formula `a` is a variable
    short = kind in QUESTION_WORDS and _substance(tokens) <= 3
    kept = names if not short and not signs(text) else None
    return [
        token
        for place, token in enumerate(tokens)
        if token not in _SLIGHT or (token in ARTICLES and not _may_go(tokens, place, kept, names, lenient))
    ]


def _substance(tokens: list[str]) -> int:
    return len([token for token in tokens if token not in _SLIGHT])


def _may_go(tokens: list[str], place: int, kept: frozenset[str] | None, names: frozenset[str], lenient: bool) -> bool:
    """Whether the article at this place decides nothing. (Forms of be and do may all go, and are counted apart.)

    `kept` are the words before which an article counts; None: before every word.
    """
    before, after = tokens[place - 1] if place else "", tokens[place + 1] if place + 1 < len(tokens) else ""
    if before in LETTER_FOLLOWS or after in ARTICLE_COUNTS_BEFORE:
        return False
    if kept is not None and after and after not in kept:
        return True
    short = kept is None and (before, tokens[place]) != ("are", "the")
    return lenient and _is_noun_phrase(tokens[place + 1 :], names, short=short)


def _is_noun_phrase(rest: list[str], names: frozenset[str], *, short: bool) -> bool:
    """Of more than one word: "what is (the) interquartile range", "(the) Indian army", "(the) CEO of WhatsApp".

    But neither "the time" nor "the matter"; nor "an Apple", "the Office".
    """
    if rest and rest[0] in names:
        second = rest[1] if len(rest) > 1 else ""
        return second.isalpha() and second not in ENGLISH and second not in MOVING and second not in YES_NO
    return short and _substance(rest) > 1


@lru_cache(maxsize=2048)
def _gentle_told(token: str) -> str:
    for step in (SPELLINGS, _SYNONYM, _AGREES):
        token = step.get(token, token)
    return token


@lru_cache(maxsize=2048)
def gentle(token: str) -> str:
    """One form of a word of a question, for its number, its spellings and its synonyms."""
    token = _gentle_told(token)
    # In an instruction the number is part of the order ("write a poem", "write poems"); in a question it rarely is.
    if token not in NOT_PLURAL:
        token = _singular(token)
        for step in (SPELLINGS, _SYNONYM):
            token = step.get(token, token)
    return token


def _singular(token: str) -> str:
    many = _PLURAL.fullmatch(token)
    one = many[1] if many else token
    if many and one.endswith(("xe", "tche", "she", "rche", "nche", "oache", "eache")):
        return one[:-1]
    return f"{one[:-2]}y" if len(one) > 3 and one.endswith("ie") else one  # parties, party; movies, movie


def _possessives(words: list[str]) -> list[str]:
    """ "France's capital" as "capital of France": the owner is a word, or a run of capitalised ones."""
    done: list[str] = []
    rest = iter(words)
    for word in rest:
        owned = next(rest, None) if word.endswith("'s") and word.lower() not in CONTRACTIONS else None
        if owned is None:
            done.append(word)
            continue
        owner = [word[:-2]]
        while len(done) > 1 and word[0].isupper() and done[-1][0].isupper():
            owner.insert(0, done.pop())
        done += [owned, "of", *owner]
    return done
