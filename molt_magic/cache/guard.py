"""Refuses a wrong semantic hit.

Vectors call "flights from Oslo to Rome" and "flights from Rome to Oslo" the same. So a near neighbour answers a prompt only
if nothing differs that can change the answer, and almost everything can. The rule is therefore the other way round: both
prompts are brought to a plain form (without politeness, articles, contractions and the frame of the question), and what
remains must agree word for word and in order. Dates, units, names, antonyms and swapped arguments need no lists of their own
for that; the checks before it (code, quotes, signs, numbers, negations, capitals) see what the plain form would blur.

The words are English. A prompt that is not surely English passes only with the same words in the same order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from molt_magic.cache import phrasing
from molt_magic.cache.text import KEPT, WORD, lowered_words_of, tidy, words_of
from molt_magic.cache.words import (
    ABOUT_MEANING,
    ABOUT_WORDS,
    ACRONYMS_TOO,
    AFTER_GREETING,
    AMBIGUOUS_CASE,
    ARTICLE_COUNTS_BEFORE,
    ARTICLES,
    CONTRACTIONS,
    ENGLISH,
    GREETINGS,
    LETTER_FOLLOWS,
    MOVABLE,
    MOVING,
    NEAR_PREPOSITIONS,
    NEGATIONS,
    NOT_PLURAL,
    NUMBER_WORDS,
    OBJECTS,
    PROCEDURES,
    QUESTION_WORDS,
    SPELLINGS,
    STATES,
    SYMMETRIC,
    SYNONYMS,
    TASKS,
    TONE,
    YES_NO,
)

_LONG = 80  # words; beyond, a prompt is a document with a question, and only spacing and punctuation may differ
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`|^[ \t]+\S.*$", re.MULTILINE)
_QUOTED = re.compile(r'"([^"\n]*)"|(?<!\w)\'([^\'\n]+)\'(?!\w)')
_NUMBER = re.compile(r"(?:(?<!\w)\.)?\d(?:[\d.,:/-]*\d)?|[^\W\d_]+(?:-[^\W\d_]+)*")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_ANY_SIGN = re.compile(r"[^\w\s.,;:?]")  # without one of these there is no sign
_SIGN = re.compile(
    r"[^\w\s.,;:!?'\"\-]"  # brackets, operators, currencies, emoji
    r"|(?<![^\W\d_])-(?=\s*\.?\d)|(?<=\d)\s*-|(?<!\S)-+(?=\w)"  # minus, and the dashes of a flag
    r"|(?<=\w)[-+](?![\w+])"  # a charge: Na+
    r"|(?<=\d)[!\"]|(?<=\b[a-z])!|(?<=\w)'(?!\w)"  # factorial, inches, feet, derivative
)
_IDENTIFIER = re.compile(
    r"\w*[a-z]\w*[A-Z]\w*|\w*_\w*|\w*[^\W\d_]\w*\d\w*|\w*\d\w*[^\W\d_]\w*|\w+[./@:&+#]\S+|[A-Z]{2,}\w*|\w+(?:\+\+|#)"
)
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


def refusal(asked: str, stored: str, *, verified: bool = False) -> str | None:
    """Why the answer to `stored` may not answer `asked`; None if it may.

    Args:
        verified: a second embedder is asked too; then synonyms, plurals in questions and words of tone may differ.
    """
    one, two = tidy(asked), tidy(stored)
    if one == two:
        return None
    if verified:
        one, two = quiet(one), quiet(two)
    for what, pick in (("code", _code), ("quoted text", _quoted), ("signs", _signs), ("numbers", numbers)):
        if pick(one) != pick(two):
            return f"{what} differ: {_difference(pick(one), pick(two))}"
    words_one, words_two = words_of(_ungrouped(one)), words_of(_ungrouped(two))
    if _negations(words_one) != _negations(words_two):
        return "a negation differs"
    case = _capitals_differ(words_one, words_two, verified) or _capitals_differ(words_two, words_one, verified)
    if case:
        return f"names or code differ: {case}"
    about = ABOUT_WORDS - (ABOUT_MEANING if verified else set())
    if {word.lower() for word in (*words_one, *words_two)} & about:
        # about language itself: an article or a comma may be the point
        return None if _nearly_literal(one) == _nearly_literal(two) else "it is about words, and words differ"
    if not (_is_english(one) and _is_english(two)):
        return None if _lines(one) == _lines(two) else "the language is not known, and words differ"
    if "\n" in one + two or max(len(words_one), len(words_two)) > _LONG:
        return None if _lines(one) == _lines(two) else "long prompts differ"
    # capitals inside either prompt make a name, of which every word counts ("The Office", "an Apple")
    names = frozenset(word.lower() for words in (words_one, words_two) for word in words[1:] if word[0].isupper())
    plain_one, forms_one = _plain(_bare(one), names, lenient=verified)
    plain_two, forms_two = _plain(_bare(two), names, lenient=verified)
    moving_one, moving_two = Counter(forms_one), Counter(forms_two)
    if plain_one[0] != plain_two[0]:
        return f"the kind of question differs: {plain_one[0]} / {plain_two[0]}"
    if verified and moving_one["be"] == moving_two["be"] and _only_a_preposition(plain_one, plain_two):
        return None
    if Counter(plain_one) != Counter(plain_two) or not _moving_agree(moving_one, moving_two, plain_one[0], verified):
        return f"words differ: {_difference([*plain_one, *moving_one], [*plain_two, *moving_two])}"
    if plain_one == plain_two or _only_sides_changed(plain_one, plain_two):
        return None
    return "the order of the words differs"


def same_text(asked: str, stored: str) -> bool:
    """Whether the two differ at most in spacing and in the shape of quotes."""
    return tidy(asked) == tidy(stored)


# -- what must agree as it stands


def quiet(text: str) -> str:
    """Where all is in capitals, they say nothing."""
    return text.lower() if text.isupper() and text.count(" ") > 1 else text


def _code(text: str) -> list[str]:
    return _FENCED.findall(text) + _CODE.findall(_FENCED.sub(" ", text))


def _quoted(text: str) -> list[str]:
    return [double or single for double, single in _QUOTED.findall(text)]


@lru_cache(maxsize=KEPT)
def _signs(text: str) -> list[str]:
    """Each sign with the word on either side of it, in order: "2 - x" is not "x - 2", even where the words agree."""
    found: list[str] = []
    if text.rstrip("?.").replace(" ", "").isalnum() or _ANY_SIGN.search(text) is None:
        return found
    for sign in _SIGN.finditer(text):
        before, after = re.search(r"(\w*)\s*$", text[: sign.start()][-40:]), re.match(r"\s*(\w*)", text[sign.end() :][:40])
        sides = [side[1] if side else "" for side in (before, after)]
        # of a letter the case counts: the flags -d and -D, the classes \d and \D
        found.append(sign[0].strip().join(side if len(side) == 1 else side.lower() for side in sides))
    return found


def numbers(text: str) -> list[str]:
    """Numbers in their order, "three" as 3; 3.1 and 3.10 are two."""
    found = []
    for token in _NUMBER.findall(_ungrouped(text)):
        if not token[0].isalpha():
            found.append(token)
        else:
            found += [NUMBER_WORDS[part] for part in token.lower().split("-") if part in NUMBER_WORDS and part != "one"]
    return found


def _negations(words: Iterable[str]) -> Counter[str]:
    lowered = (part for word in words for part in _expand(word.lower()))
    return Counter("not" if word.endswith("n't") else word for word in lowered if word in NEGATIONS or word.endswith("n't"))


def _capitals_differ(left: list[str], right: list[str], verified: bool) -> str | None:
    """A word of `left` whose capitals differ in `right` where that can mean something else.

    The first word of a prompt is free, and so are ordinary names for a writer who uses no capitals at all; where a
    second embedder is asked, all words that mean one thing only.
    """
    forms: dict[str, set[str]] = {}
    for word in right:
        forms.setdefault(word.lower(), set()).add(word)
    careful = not verified and any(word[0].isupper() and word != "I" for word in right[1:])
    for index, word in enumerate(left):
        others = forms.get(word.lower())
        if others is None or word in others or word.lower() in ("i", "i'm", "i've", "i'll", "i'd"):
            continue
        opens = index == 0 or word.lower() == right[0].lower()
        if any(_IDENTIFIER.fullmatch(form) for form in (word, *others)) and not (verified and _shouted(word, others)):
            return f"{word} / {min(others)}"
        if word[0].isupper() and not opens and (careful or word.lower() in AMBIGUOUS_CASE):
            return f"{word} / {min(others)}"
    return None


def _shouted(word: str, others: set[str]) -> bool:
    """Whether capitals throughout are the only difference, and the word is one only: GRE and gre, but not WHO and who."""
    plain = word.lower()
    forms = {plain, plain.upper(), plain.capitalize()}
    return plain.isalpha() and len(plain) > 1 and plain not in ACRONYMS_TOO | AMBIGUOUS_CASE and {word, *others} <= forms


# -- the plain form


@lru_cache(maxsize=KEPT)
def core(text: str) -> str:
    """What a prompt asks, for an embedder: without greeting, thanks and wishes ("tell me"), in lower case."""
    sentence = " ".join(part for word in _bare(tidy(text)).lower().rstrip(".!? ").split(" ") for part in _expand(word))
    wish = _WISH.match(sentence)
    return (sentence[wish.end() :] if wish else sentence) or text


def gist(text: str) -> str:
    """The plain form of a short English prompt, for the first embedder: one vector for all its phrasings."""
    plain = quiet(tidy(text))
    words = words_of(plain)
    if "\n" in plain or not 1 < len(words) <= _LONG or not _is_english(plain):
        return core(text)
    names = _NO_NAMES if plain[1:].islower() else frozenset([word.lower() for word in words[1:] if word[0].isupper()])
    (kind, *counted), _ = _plain(_bare(plain), names, lenient=True)
    return " ".join(counted if kind in (*counted[:1], " ".join(counted[:2]), "statement", "yes or no") else [kind, *counted])


def _ungrouped(text: str) -> str:
    if "," not in text:
        return text
    return _GROUPED.sub(lambda match: match[0].replace(",", ""), text)


@lru_cache(maxsize=KEPT)
def _bare(text: str) -> str:
    """Without greeting and thanks; a fronted phrase at its end, 1,000 as 1000."""
    text = _ungrouped(text)
    while (greeting := _GREETING.match(text)) is not None:
        text = text[greeting.end() :]
    if ":" in text or '"' in text or "\n" in text:
        return text  # what stands at the end may be what the prompt is about
    lowered = text.lower()
    if phrasing.has_any(_THANKING, lowered):
        text = _THANKS.sub("", text)
    fronted = _FRONTED.fullmatch(text) if ", " in text else None
    return f"{fronted[2]} {fronted[1][0].lower()}{fronted[1][1:]}{fronted[3]}" if fronted else text


def _lines(text: str) -> list[list[str]]:
    return [WORD.findall(line.lower()) for line in text.splitlines()]


def _expand(word: str) -> list[str]:
    return CONTRACTIONS.get(word, word).split()


def _nearly_literal(text: str) -> str:
    first, *rest = text.lower().rstrip(".!? ").split(maxsplit=1)
    return " ".join([*_expand(first), *rest])


@lru_cache(maxsize=KEPT)
def _is_english(text: str) -> bool:
    return phrasing.is_english(lowered_words_of(_bare(text)))


@lru_cache(maxsize=KEPT)
def _plain(text: str, names: frozenset[str], *, lenient: bool) -> tuple[list[str], list[str]]:
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
        counted = _in_order(counted, names) if names else counted
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
    kept = names if not short and not _signs(text) else None
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


def _only_sides_changed(one: list[str], two: list[str]) -> bool:
    """Whether only the two sides of "difference between X and Y" changed places."""
    if not SYMMETRIC & set(one) or one.count("between") != 1 or one.count("and") != 1:
        return False
    start, middle = one.index("between") + 1, one.index("and")
    return start < middle and two == [*one[:start], *one[middle + 1 :], "and", *one[start:middle]]


def _in_order(tokens: list[str], names: frozenset[str]) -> list[str]:
    """ "India and Pakistan", "Pakistan and India": two names of one word each, joined, in the order of the alphabet."""
    done = list(tokens)
    for i in range(1, len(done) - 1):
        if done[i] in ("and", "or") and {done[i - 1], done[i + 1]} <= names:
            done[i - 1], done[i + 1] = sorted((done[i - 1], done[i + 1]))
    return done


def _only_a_preposition(one: list[str], two: list[str]) -> bool:
    changed = [frozenset(pair) for pair in zip(one, two, strict=False) if pair[0] != pair[1]]
    return len(one) == len(two) and len(changed) == 1 and changed[0] in NEAR_PREPOSITIONS


def _moving_agree(one: Counter[str], two: Counter[str], kind: str, verified: bool) -> bool:
    """In a question with a question word, a `do` that was left out is bad grammar and no other question."""
    if not verified or kind in ("statement", "yes or no") or one["be"] != two["be"]:
        return one == two
    return one["be"] > 0 or kind in ("why", "how", "where", "when") or one == two


def _difference(one: Iterable[str], two: Iterable[str]) -> str:
    extra, lacking = list((Counter(one) - Counter(two)).elements()), list((Counter(two) - Counter(one)).elements())
    if not extra and not lacking:
        return "their order"
    return f"{extra[0] if extra else 'nothing'} / {lacking[0] if lacking else 'nothing'}"
