"""Refuses a wrong semantic hit.

Vectors call "flights from Oslo to Rome" and "flights from Rome to Oslo" the same. So a near neighbour answers a prompt only
if nothing that can change the answer differs. What can: almost everything. The rule is therefore the other way round: both
prompts are brought to a plain form (politeness, articles, contractions, the frames of a question), and what then remains must
agree word for word and in order. Numbers, dates, units, negations, names, antonyms and swapped arguments need no lists of
their own for that; the checks before it (code, quotes, signs, numbers, case) are for what the plain form would blur.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from itertools import pairwise

from molt_magic.cache.words import (
    ABOUT_WORDS,
    AMBIGUOUS_CASE,
    ARTICLE_COUNTS_BEFORE,
    CONTRACTIONS,
    DROPPED,
    GREETINGS,
    MOVABLE,
    NEGATIONS,
    NOT_PLURAL,
    NUMBER_WORDS,
    PROCEDURES,
    QUESTION_WORDS,
    SPELLINGS,
    SYMMETRIC,
    SYNONYMS,
    TASKS,
    THANKS,
    TONE,
)

_LONG = 80  # words; beyond, a prompt is a document with a question and only its spacing may differ
_PLAIN_QUOTES = str.maketrans({"‘": "'", "’": "'", "‚": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"'})
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`|^[ \t]+\S.*$", re.MULTILINE)
_QUOTED = re.compile(r'"([^"\n]*)"|(?<!\w)\'([^\'\n]+)\'(?!\w)')
_NUMBER = re.compile(r"\d(?:[\d.,:/-]*\d)?")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
# What joins letters into an identifier, a path, an address or a hyphenated word belongs to the word.
_WORD = re.compile(r"\w+(?:['.\-_/@:&+#]+\w+)*(?:\+\+|#)?")
_SIGNS = re.compile(r"[^\w\s.,;:!?'\"\-]|(?<![^\W\d_])-(?=\s*\d)|(?<=\d)\s*-")
_IDENTIFIER = re.compile(r"\w*[a-z]\w*[A-Z]\w*|\w*_\w*|\w*[^\W\d_]\w*\d\w*|\w*\d\w*[^\W\d_]\w*|\w+[./@:&+#]\S+|[A-Z]{2,}\w*|\w+(?:\+\+|#)")
_SYNONYM = {word: row.split()[0] for row in SYNONYMS for word in row.split()}

_ME = frozenset("i we one someone somebody".split())
_WISHES = (
    "tell me", "let me know", "i want to know", "i would like to know", "i'd like to know", "do you know", "i wonder",
    "i was wondering", "i am wondering", "i need to know", "explain", "explain to me", "explain me", "show me", "teach me",
)  # fmt: skip
_HOW_TO = ("what way to", "what ways to", "what steps to", "which way to", "what method to", "steps to", "way to")


def refusal(asked: str, stored: str, *, verified: bool = False) -> str | None:
    """Why the answer to `stored` may not answer `asked`; None if it may.

    Args:
        verified: a second embedder will be asked too; then synonyms, plurals of questions and words of tone may differ.
    """
    one, two = _tidy(asked), _tidy(stored)
    if one == two:
        return None
    for what, pick in (("code", _code), ("quoted text", _quoted), ("signs", _signs), ("numbers", _numbers)):
        if pick(one) != pick(two):
            return f"{what} differ: {_first_difference(pick(one), pick(two))}"
    words_one, words_two = _words(one), _words(two)
    if Counter(_negations(words_one)) != Counter(_negations(words_two)):
        return "a negation differs"
    case = _case_differs(words_one, words_two)
    if case:
        return f"names or code differ: {case}"
    if max(len(words_one), len(words_two)) > _LONG:
        return None if _lower(words_one) == _lower(words_two) else "long prompts differ"
    lenient = verified and not ABOUT_WORDS & (set(_lower(words_one)) | set(_lower(words_two)))
    plain_one, plain_two = _plain(words_one, one, lenient), _plain(words_two, two, lenient)
    if plain_one[:1] != plain_two[:1] and {*plain_one[:1], *plain_two[:1]} & (QUESTION_WORDS | {_YES_NO}):
        if not (_is_rotation(plain_one, plain_two)):
            return f"the kind of question differs: {_first_difference(plain_one, plain_two)}"
    if Counter(plain_one) != Counter(plain_two):
        return f"words differ: {_first_difference(sorted(plain_one), sorted(plain_two))}"
    if plain_one == plain_two or _is_rotation(plain_one, plain_two) or _is_symmetric(plain_one, plain_two):
        return None
    return "the order of the words differs"


def is_same_text(asked: str, stored: str) -> bool:
    """Whether the two differ at most in spacing and typographic quotes."""
    return _tidy(asked) == _tidy(stored)


# -- what must agree as it stands


def _tidy(text: str) -> str:
    """One form of the same text. Not NFKC, which would make x² an x2; indentation is kept, since it may be code."""
    text = unicodedata.normalize("NFC", text).translate(_PLAIN_QUOTES)
    text = "".join(sign for sign in text if unicodedata.category(sign) != "Cf" or sign == "\u200d")
    lines = (line.rstrip() for line in text.strip().splitlines())
    return "\n".join(re.sub(r"(?<=\S)[ \t\u00a0]+", " ", line) for line in lines if line)


def _code(text: str) -> list[str]:
    fenced = _FENCED.findall(text)
    return fenced + _CODE.findall(_FENCED.sub(" ", text))


def _quoted(text: str) -> list[str]:
    return [double or single for double, single in _QUOTED.findall(text)]


def _signs(text: str) -> list[str]:
    return [sign.strip() for sign in _SIGNS.findall(text)]


def _numbers(text: str) -> list[str]:
    found = []
    for match in re.finditer(rf"{_NUMBER.pattern}|[^\W\d_]+(?:-[^\W\d_]+)*", text):
        token = match[0]
        if token[0].isdigit():
            found.append(token.replace(",", "") if _GROUPED.fullmatch(token) else token)
        else:
            found += [NUMBER_WORDS[part] for part in token.lower().split("-") if part in NUMBER_WORDS and part != "one"]
    return found


def _negations(words: list[str]) -> list[str]:
    return [word for word in _expand(_lower(words)) if word in NEGATIONS or word.endswith("n't")]


def _case_differs(one: list[str], two: list[str]) -> str | None:
    """A word whose capitals differ where that can mean something else; the first word of a sentence is free."""
    for left, right in ((one, two), (two, one)):
        others: dict[str, set[str]] = {}
        for word in right:
            others.setdefault(word.lower(), set()).add(word)
        careful = any(word[0].isupper() and word != "I" for word in right[1:])  # the other writer uses capitals at all
        for index, word in enumerate(left):
            forms = others.get(word.lower())
            if forms is None or word in forms or word in ("I", "i"):
                continue
            if _IDENTIFIER.fullmatch(word) or any(_IDENTIFIER.fullmatch(form) for form in forms):
                return f"{word} / {min(forms)}"
            starts = index == 0 or right[0].lower() == word.lower() or word.lower() in _FUNCTION_WORDS
            if not starts and word[0].isupper() and (careful or word.lower() in AMBIGUOUS_CASE):
                return f"{word} / {min(forms)}"
    return None


# -- the plain form

_YES_NO = "<yes or no>"
_HOW = "how"
_FUNCTION_WORDS = DROPPED | QUESTION_WORDS | GREETINGS | TASKS | frozenset("can could would if in on at for using with i".split())
_VERBS_OF_YES_NO = frozenset("is are am was were do does did can could should would will may might must has have had shall".split())


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(_FENCED.sub(" ", text)) if word]


def _lower(words: list[str]) -> list[str]:
    return [word.lower() for word in words]


def _expand(words: list[str]) -> list[str]:
    return [part for word in words for part in CONTRACTIONS.get(word, word).split()]


def _plain(words: list[str], text: str, lenient: bool) -> list[str]:
    words = _possessives(words)
    names = {word for index, word in enumerate(words) if index and word[0].isupper()}
    tokens = _unframed(_expand(_lower(words)))
    kind = _opening(tokens, text)
    tokens = kind + [
        "was" if token == "were" else NUMBER_WORDS.get(token, token)
        for token, following in pairwise([*tokens, ""])
        if token not in DROPPED or (token in ("a", "an") and following in ARTICLE_COUNTS_BEFORE)
    ]
    tokens = ["1" if token == "one" else token.replace(",", "") for token in tokens]
    if lenient:
        lowered_names = {name.lower() for name in names}
        question = bool(kind) or tokens[:1] != [] and tokens[0] in QUESTION_WORDS
        tokens = [_gentle(token, question) if token not in lowered_names else token for token in tokens if token not in TONE]
    return tokens


def _gentle(token: str, question: bool) -> str:
    token = SPELLINGS.get(token, token)
    token = _SYNONYM.get(token, token)
    # In an instruction the number is part of the order ("write a poem", "write poems"); in a question it rarely is.
    if question and len(token) > 3 and token.endswith("s") and not token.endswith(("ss", "us", "is")) and token not in NOT_PLURAL:
        token = token[:-1]
        token = SPELLINGS.get(token, token)
        token = _SYNONYM.get(token, token)
    return token


def _possessives(words: list[str]) -> list[str]:
    """ "France's capital" as "capital of France", for a single word or a run of capitalised ones."""
    done: list[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        owner = word[:-2]
        if word.endswith("'s") and word.lower() not in CONTRACTIONS and index + 1 < len(words):
            run = [owner]
            while len(done) > 1 and owner[0].isupper() and done[-1][0].isupper():
                run.insert(0, done.pop())
            done += [words[index + 1], "of", *run]
            index += 2
        else:
            done.append(word)
            index += 1
    return done


def _unframed(tokens: list[str]) -> list[str]:
    """Without greeting, politeness and the wish around a question."""
    while tokens and tokens[0] in GREETINGS:
        tokens = tokens[1:]
    while tokens and tokens[-1] in THANKS and (tokens[-1] != "you" or tokens[-2:] == ["thank", "you"]):
        tokens = tokens[:-2] if tokens[-1] == "you" else tokens[:-1]
    if len(tokens) > 3 and tokens[0] in ("can", "could", "would", "will") and tokens[1] == "you":
        rest = tokens[3:] if tokens[2] in ("please", "kindly") else tokens[2:]
        if rest and rest[0] in TASKS:
            tokens = rest
    for wish in sorted(_WISHES, key=len, reverse=True):
        part = wish.split()
        rest = tokens[len(part) :]
        if tokens[: len(part)] == part and rest and rest[0] in QUESTION_WORDS:
            return rest
    return tokens


def _opening(tokens: list[str], text: str) -> list[str]:
    """Take the opening of a question off `tokens`, in place, and give its plain form."""
    bare = [token for token in tokens if token not in ("a", "the", "is", "are")]
    for frame in _HOW_TO:
        part = frame.split()
        if bare[: len(part)] == part and len(bare) > len(part):
            tokens[:] = bare[len(part) :]
            return [_HOW, "to"]
    if tokens[:1] == ["how"] and len(tokens) > 2:
        if tokens[1] == "to":
            tokens[:] = tokens[2:]
            return [_HOW, "to"]
        anyone = tokens[2] in _ME or (tokens[2] == "you" and len(tokens) > 4 and tokens[3] in PROCEDURES)
        if tokens[1] in ("do", "does", "can", "could", "would") and anyone and len(tokens) > 3:
            tokens[:] = tokens[3:]
            return [_HOW, "to"]
    if tokens[:1] and tokens[0] in _VERBS_OF_YES_NO:
        if tokens[0] in DROPPED and "?" not in text and tokens[0] in ("do", "be"):
            return []  # an order: "do the dishes"
        return [_YES_NO]
    return []


# -- orders that mean the same


def _is_rotation(one: list[str], two: list[str]) -> bool:
    """Whether a phrase of place or means moved between the front and the end ("in Python, how ...")."""
    if len(one) != len(two):
        return False
    for front, back in ((one, two), (two, one)):
        if front and front[0] in MOVABLE:
            for cut in range(2, min(len(front) - 1, 6)):
                moved = front[cut:] + front[:cut]
                kinds = _YES_NO if moved[:1] and moved[0] in _VERBS_OF_YES_NO else None
                plain = _reopened(moved)
                if back in (moved, plain) or (kinds and back == [_YES_NO, *moved]):
                    return True
    return False


def _reopened(tokens: list[str]) -> list[str]:
    rest = list(tokens)
    return _opening(rest, "?") + rest


def _is_symmetric(one: list[str], two: list[str]) -> bool:
    """Whether only the two sides of "difference between X and Y" changed places."""
    if not SYMMETRIC & set(one) or one.count("between") != 1 or one.count("and") != 1:
        return False
    start, middle = one.index("between") + 1, one.index("and")
    if not start < middle:
        return False
    return two == [*one[:start], *one[middle + 1 :], "and", *one[start:middle]]


def _first_difference(one: list[str], two: list[str]) -> str:
    extra, lacking = list((Counter(one) - Counter(two)).elements()), list((Counter(two) - Counter(one)).elements())
    if not extra and not lacking:
        return "their order"
    return f"{extra[0] if extra else 'nothing'} / {lacking[0] if lacking else 'nothing'}"
