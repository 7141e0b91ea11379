"""Refuses a wrong semantic hit.

Vectors call "flights from Oslo to Rome" and "flights from Rome to Oslo" the same. So a near neighbour answers a prompt only
if nothing differs that can change the answer, and almost everything can. The rule is therefore the other way round: both
prompts are brought to a plain form (without politeness, articles, contractions and the frame of the question), and what
remains must agree word for word and in order. Dates, units, names, antonyms and swapped arguments need no lists of their own
for that; the checks before it (white space, code, quotes, signs, numbers, negations, capitals) see what the plain form would
blur.

The words are English. A prompt that is not surely English passes only with the same words in the same order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from molt_magic.cache.literal import capitals_differ, code, negations, numbers, quiet, quoted, signs
from molt_magic.cache.plain import LONG, bare, is_english, plain_form
from molt_magic.cache.sides import gives_an_order
from molt_magic.cache.spacing import spacing
from molt_magic.cache.text import WORD, tidy, ungrouped, words_of, written_out
from molt_magic.cache.words import ABOUT_MEANING, ABOUT_WORDS, NEAR_PREPOSITIONS, SYMMETRIC


def refusal(asked: str, stored: str, *, verified: bool = False) -> str | None:
    """Why the answer to `stored` may not answer `asked`; None if it may.

    Args:
        verified: a second embedder is asked too; then synonyms, plurals in questions and words of tone may differ.
    """
    if spacing(asked) != spacing(stored):
        return "white space or characters differ"
    one, two = tidy(asked), tidy(stored)
    if one == two:
        return None
    if verified:
        one, two = quiet(one), quiet(two)
    for what, pick in (("code", code), ("quoted text", quoted), ("signs", signs), ("numbers", numbers)):
        if pick(one) != pick(two):
            return f"{what} differ: {_difference(pick(one), pick(two))}"
    words_one, words_two = words_of(ungrouped(one)), words_of(ungrouped(two))
    if negations(words_one) != negations(words_two):
        return "a negation differs"
    case = capitals_differ(words_one, words_two, verified) or capitals_differ(words_two, words_one, verified)
    if case:
        return f"names or code differ: {case}"
    about = ABOUT_WORDS - (ABOUT_MEANING if verified else set())
    if {word.lower() for word in (*words_one, *words_two)} & about:
        # about language itself: an article or a comma may be the point
        return None if _nearly_literal(one) == _nearly_literal(two) else "it is about words, and words differ"
    if not (is_english(one) and is_english(two)):
        return None if _lines(one) == _lines(two) else "the language is not known, and words differ"
    if "\n" in one + two or max(len(words_one), len(words_two)) > LONG:
        return None if _lines(one) == _lines(two) else "long prompts differ"
    # capitals inside either prompt make a name, of which every word counts ("The Office", "an Apple")
    names = frozenset(word.lower() for words in (words_one, words_two) for word in words[1:] if word[0].isupper())
    plain_one, forms_one = plain_form(bare(one), names, lenient=verified)
    plain_two, forms_two = plain_form(bare(two), names, lenient=verified)
    moving_one, moving_two = Counter(forms_one), Counter(forms_two)
    if plain_one[0] != plain_two[0]:
        return f"the kind of question differs: {plain_one[0]} / {plain_two[0]}"
    if verified and moving_one["be"] == moving_two["be"] and _only_a_preposition(plain_one, plain_two):
        return None
    if Counter(plain_one) != Counter(plain_two) or not _moving_agree(moving_one, moving_two, plain_one[0], verified):
        return f"words differ: {_difference([*plain_one, *moving_one], [*plain_two, *moving_two])}"
    if plain_one == plain_two:
        return None
    if _only_sides_changed(plain_one, plain_two) and not gives_an_order(one, [word.lower() for word in words_one]):
        return None
    return "the order of the words differs"


def same_text(asked: str, stored: str) -> bool:
    """Whether the two differ at most in spacing that decides nothing, and in the shape of quotes."""
    return tidy(asked) == tidy(stored) and spacing(asked) == spacing(stored)


def _lines(text: str) -> list[list[str]]:
    return [WORD.findall(line.lower()) for line in text.splitlines()]


def _nearly_literal(text: str) -> str:
    first, *rest = text.lower().rstrip(".!? ").split(maxsplit=1)
    return " ".join([*written_out(first), *rest])


def _only_sides_changed(one: list[str], two: list[str]) -> bool:
    """Whether only the two sides of "difference between X and Y" changed places."""
    if not SYMMETRIC & set(one) or one.count("between") != 1 or one.count("and") != 1:
        return False
    start, middle = one.index("between") + 1, one.index("and")
    return start < middle and two == [*one[:start], *one[middle + 1 :], "and", *one[start:middle]]


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
