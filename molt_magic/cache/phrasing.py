"""One phrasing for the ways in which English asks the same question.

"How can I lose weight?", "What are some good ways to lose weight?" and "What is the best way of losing weight?" are one
question. Only the frame is touched, at the beginning of a question, and words that carry no meaning of their own there;
whatever else a question says stays as it is. Used only where a second embedder is asked too.
"""

from __future__ import annotations

import re

from molt_magic.cache.words import (
    COMMON_VERBS,
    CONTRACTIONS,
    ENGLISH,
    ENGLISH_OPENINGS,
    OTHER_LANGUAGES,
    PROCEDURES,
    QUESTION_WORDS,
    STATES,
)

_ANYONE = "i|you|one|someone|somebody|anyone|a person"
_ASIDE = "best |good |great |possible |effective |most effective |some of |one of |some |a |any |the |few "
_WAYS = "ways?|methods?|steps|tips|techniques"
_ANY_STATE, _ANY_PROCEDURE = "|".join(sorted(STATES)), "|".join(sorted(PROCEDURES | COMMON_VERBS))
_NO_STATE = rf"(?!(?:{_ANY_STATE})\b(?! (?:if|when|whether)\b))"
_HOW_TO = re.compile(
    r"(?:how to"
    rf"|how (?:do|does|can|could|should|would(?! you)) (?:{_ANYONE})(?: can)? {_NO_STATE}(?=\w+ \w)"
    rf"|how (?:can|could|should) we {_NO_STATE}(?!become\b)(?=\w+ \w)"  # "how can we become friends" is about two
    rf"|how (?:i|you|one) (?:can|could|should) {_NO_STATE}(?=\w+ \w)"
    rf"|how (?:do|will) (?:we (?!become\b)|i )(?=(?:{_ANY_PROCEDURE}) \w)"
    rf"|how (?:(?:i|you|one) )?(?:(?:can|do|could|should) )?(?=(?:{_ANY_PROCEDURE}) \w)"
    rf"|(?:what|which) (?:is|are|would be) (?:{_ASIDE})*(?:{_WAYS})"
    rf" (?:(?:by which |in which |that )?(?:{_ANYONE}|we) can|to|for (?=\w+ing\b)|of (?=\w+ing\b)|on (?=\w+ing\b))"
    rf"|what (?:should|can|could|must|do(?= i)) (?:{_ANYONE}|we) do (?:in order )?to)\b ?"
)
_BETTER = re.compile(r"^(?:which|what|who) is (better|worse)(?::| to \w+)? ((?:(?! or ).)+) or ((?:(?! or ).)+)$")
_PLACES = re.compile(r" (?=(?:in|for|on|at|under|during)\b)")
_BEST_LAST = re.compile(
    r"^(?:which|what) ((?!is |are )\w+(?: (?!is |are )\w+){0,2}) (?:is|are) (?:the )?best((?: (?:for|in|to|at|under)\b.*)?)$"
)
_WHERE = re.compile(
    rf"where (?:(?:can|could) (?:{_ANYONE}|we) (?=\w)"
    rf"|(?:do|does) (?:i|one|someone|a person) (?=(?:{_ANY_PROCEDURE}|buy|put|watch|report|renew|see)\b))"
)
_WHAT_IF = re.compile(rf"what (?:should|can|could|must|do(?= i)) (?:{_ANYONE}|we) do (?=(?:if|when)\b)")
_LIST = re.compile(
    r"(what (?:is|are)) (?:the )?(?:some|any|a few|few)(?: of)?(?: the)? "
    # "what are some prime numbers" wants a list, "what are prime numbers" a definition
    r"(?=.*\w (?:of|for|in|to|about|from|on|with|that|which|best|most|your|you)\b|(?:best|most|your)\b)"
)
_GOOD = re.compile(
    r"what (?:is|are) (?:the )?(?:some|any)(?: of)?(?: the)? (?:really |very )?(?:good|great|best|top) "
    r"|what are (?:the )?(?:top|best) "
)
_TAIL = re.compile(r" (?:in the world|in this world|of all time|of all times|out there|ever)\b")
_PERFECT = re.compile(r"\b(you|i|one|someone) (?:have|had) (?=\w+(?:ed|en)\b|had\b|read\b|heard\b|done\b|got\b|met\b)")
_TOP = re.compile(r"\b(?:best|worst|most|least|the \w{2,}est)\b")
_PERSONS = {
    "i": "i", "me": "i", "my": "i", "myself": "i", "mine": "i", "you": "you", "your": "you", "yourself": "you",
    "yours": "you", "we": "we", "us": "we", "our": "we", "ourselves": "we", "one": "one", "oneself": "one",
}  # fmt: skip
_AS_I = {
    "you": "i", "one": "i", "we": "i", "us": "me", "your": "my", "our": "my",
    "yourself": "myself", "ourselves": "myself", "oneself": "myself", "yours": "mine",
}  # fmt: skip
_COUNTRIES = (
    (
        ("US", "U.S", "nited"),
        re.compile(r"\b(?:U\.S\.A\b\.?|U\.S\b\.?|USA\b|US\b(?! dollars?\b)|[Uu]nited [Ss]tates(?: of [Aa]merica)?\b)"),
        "United-States",
    ),
    (("UK", "U.K", "nited"), re.compile(r"\b(?:U\.K\b\.?|UK\b|[Uu]nited [Kk]ingdom\b)"), "United-Kingdom"),
)
_OF_WHAT = "purpose|procedure|process|reason|scope|solution|requirement|criteria|use|need|topic|syllabus"
_OF = re.compile(rf"\b({_OF_WHAT})(s?) (?:for|on)\b")
_TYPE = re.compile(r"\b(kind|sort)(s?) of\b")
_PHRASES = (  # what there must be for the pattern to match, which is sooner seen
    ("pros and cons", re.compile(r"\bpros and cons\b"), "advantages and disadvantages"),
    ("money", re.compile(r"\b(make|making|makes) (?=(?:more |some |extra |easy |quick )?money\b)"), "earn "),
    ("in order to", re.compile(r"\bin order to\b"), "to"),
    ("differ", re.compile(r"\bdiffer(?:ence|ences) of (?=.* and )"), "difference between "),
    ("kind", _TYPE, r"type\2 of"),
    ("sort", _TYPE, r"type\2 of"),
    ("whom", re.compile(r"\bwhom\b"), "who"),
    ("which one ", re.compile(r"^which one (?=is|are)"), "which "),
    ("that ", re.compile(r"\bthat (?=(?:i|you|he|she|it|they|we|one|people|someone)\b)"), ""),
    (" any ", re.compile(r"\b(there|have|has) any (?=\w)"), r"\1 "),
    (" there ", re.compile(r"\b(are|is) there (?:a|an|some) (?=\w)"), r"\1 there "),
    ("-", re.compile(r"(?<=[a-z]{2})-(?=[a-z]{2})"), " "),
    (" for", _OF, r"\1\2 of"),
    (" on", _OF, r"\1\2 of"),
)
# one of these words is in what matches any of them
_PHRASED = {word for one in _OF_WHAT.split("|") for word in (one, f"{one}s")} | {
    "pros", "money", "order", "difference", "differences", "kind", "kinds", "sort", "sorts", "whom", "which", "that", "any",
    "there",
}  # fmt: skip


def is_english(lowered: list[str]) -> bool:
    """Whether a prompt, its words in lower case, is surely English: words that only English has, and more of them than words
    of other languages."""
    if lowered[0] in ENGLISH_OPENINGS and OTHER_LANGUAGES.isdisjoint(lowered):
        return True
    others = len([word for word in lowered if word in OTHER_LANGUAGES])
    known = sum([1 + (word in QUESTION_WORDS or word == "the") for word in lowered if word in ENGLISH or word in CONTRACTIONS])
    return known >= 2 and known > others


def countries(text: str) -> str:
    """The two countries of many names under one each."""
    if "U" not in text and "nited" not in text:
        return text
    for hints, pattern, name in _COUNTRIES:
        if has_any(hints, text):
            text = pattern.sub(name, text)
    return text


def has_any(hints: tuple[str, ...], text: str) -> bool:
    """Whether there is one of these in it: quicker to see than that a pattern which needs one does not match."""
    for hint in hints:  # noqa: SIM110  # a generator would take longer than the look
        if hint in text:
            return True
    return False


def question(sentence: str, words: list[str]) -> tuple[str | None, str]:
    """A sentence in lower case, one space between its words, or some of them: its kind if it is one of those above, and what
    is asked."""
    if not (_PHRASED.isdisjoint(words) and sentence.replace(" ", "").isalnum()):  # else none of them matches
        for hint, pattern, instead in _PHRASES:
            if hint in sentence:
                sentence = pattern.sub(instead, sentence)
    if not sentence.startswith(("how", "wh")):
        return None, sentence  # no pattern below begins otherwise
    if (asked := _HOW_TO.match(sentence)) is not None:
        rest = _anyone(_infinitive(sentence[asked.end() :]), asked[0])
        return "how to", _by_place(rest)
    if "best" in sentence:
        sentence = _BEST_LAST.sub(r"what are best \1\2", sentence, count=1)
    better = _BETTER.match(sentence)
    if better is not None:
        sides = sorted(re.sub(r"^(?:an?|the) ", "", side) for side in better.groups()[1:])
        return f"which is {better[1]}", " or ".join(sides)
    if (asked := _WHERE.match(sentence)) is not None:
        return None, f"where can i {_anyone(sentence[asked.end() :], asked[0])}"
    if (asked := _WHAT_IF.match(sentence)) is not None:
        return None, f"what can i do {_anyone(sentence[asked.end() :], asked[0])}"
    if sentence.startswith("which "):
        sentence = f"what {sentence[6:]}"
    if sentence.startswith(("what ", "who ")):
        if has_any(("good", "great", "best", "top"), sentence):
            sentence = _GOOD.sub("what are best ", sentence, count=1)
        if has_any(("some", "any", "few"), sentence):
            sentence = _LIST.sub(r"\1 ", sentence, count=1)
        if "st" in sentence and _TOP.search(sentence):
            sentence = _by_place(_PERFECT.sub(r"\1 ", _TAIL.sub("", sentence)))
    if sentence.startswith("why "):
        sentence = re.sub(r"\b(?:so|very) (?=\w)(?!that\b|many\b|much\b|few\b|little\b|long\b)", "", sentence)
    return None, sentence


def _infinitive(rest: str) -> str:
    """ "losing weight" as "lose weight", for the verbs that are known; any other stays as it is."""
    first, *others = rest.split(" ", 1)
    return " ".join([infinitive(first), *others])


def infinitive(word: str) -> str:
    """ "lose" of "losing" and of any verb that is known; other words as they are."""
    if not word.endswith("ing"):
        return word
    stem = word[:-3]
    return next((verb for verb in (stem, f"{stem}e", stem[:-1]) if verb in COMMON_VERBS or verb in PROCEDURES), word)


def _by_place(rest: str) -> str:
    """ "in Bangalore for beginners" and "for beginners in Bangalore": what is said beside the matter, in one order."""
    matter, *beside = _PLACES.split(rest)
    simple = all(len(part.split()) <= 4 for part in beside)
    return " ".join([matter, *(sorted(beside) if simple else beside)])


def _anyone(rest: str, frame: str) -> str:
    """In instructions "you", "one" and "I" are anyone, as long as there is only one person in the question."""
    words = rest.split(" ")
    asking, told = ({_PERSONS[word] for word in part if word in _PERSONS} for part in (frame.split(), words))
    if len(asking | told) <= 1:
        # and whose it is makes no other procedure: "improve (my) English", "acne on (my) nose"
        return re.sub(r"\bmy (?!own\b)", "", " ".join(_AS_I.get(word, word) for word in words))
    return " ".join([*sorted(asking), rest])
