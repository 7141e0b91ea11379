"""The guard: of the pairs in pairs.py, every wrong one is refused and the right ones pass."""

from __future__ import annotations

import time

import pytest

from molt_magic.cache import guard, phrasing, plain
from molt_magic.cache.text import WORD, lowered_words_of, tidy, words_of
from molt_magic.embed import MiniLMEmbedder, StaticEmbedder
from tests.cache.hard_negatives import HARD, PAIRS
from tests.cache.pairs import SAME, WRONG


def _passes(one: str, two: str, *, verified: bool) -> bool:
    return any(guard.refusal(*pair, verified=verified) is None for pair in ((one, two), (two, one)))


def _name(pair: tuple[str, ...]) -> str:
    return " / ".join(part[:40] for part in pair)


@pytest.mark.parametrize("pair", WRONG, ids=_name)
@pytest.mark.parametrize("verified", [True, False])
def test_a_pair_with_different_answers_is_refused_either_way_round(pair: tuple[str, str, str], verified: bool) -> None:
    _, one, two = pair
    assert guard.refusal(one, two, verified=verified)
    assert guard.refusal(two, one, verified=verified)


@pytest.mark.parametrize("pair", SAME, ids=_name)
def test_a_pair_with_the_same_answer_passes_either_way_round(pair: tuple[str, str]) -> None:
    one, two = pair
    assert guard.refusal(one, two, verified=True) is None
    assert guard.refusal(two, one, verified=True) is None


def test_every_hard_negative_is_refused_either_way_round() -> None:
    assert len(HARD) >= 300
    passed = [(one, two) for _, one, two in PAIRS for verified in (True, False) if _passes(one, two, verified=verified)]
    assert passed == []


def test_what_is_embedded_for_the_search_is_one_text_for_all_phrasings() -> None:
    asked = (
        "How do I lose weight?",
        "how can i lose weight",
        "What are some good ways to lose weight?",
        "What is the best way of losing weight?",
        "Hi there, quick question: what should I do to lose my weight? Many thanks",
    )
    assert len({plain.gist(text) for text in asked}) == 1
    assert all(guard.refusal(one, two, verified=True) is None for one in asked for two in asked)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Wie heißt die Hauptstadt von Peru?", "Wie heißt eine Hauptstadt von Peru?"),
        ("Was ist das?", "Was sind das?"),
        ("Quel est le livre du jour ?", "Quel est un livre du jour ?"),
        ("¿Cómo puedo aprender inglés?", "¿Cómo aprendo inglés?"),
        ("北京的天气怎么样?", "北京天气怎么样?"),
        ("Как мне выучить английский?", "Как выучить английский?"),
        ("كيف أتعلم الإنجليزية؟", "كيف يمكنني أن أتعلم الإنجليزية؟"),
    ],
)
def test_in_another_language_only_the_same_words_pass(one: str, two: str) -> None:
    assert guard.refusal(one, two, verified=True)
    assert guard.refusal(one, one.lower().rstrip("?؟ "), verified=True) is None or one[-1] == "؟"


@pytest.mark.parametrize("prompt", [prompt for _, *pair in WRONG for prompt in pair])
def test_a_prompt_passes_for_itself(prompt: str) -> None:
    assert guard.refusal(prompt, prompt) is None
    assert guard.refusal(f"  {prompt}\n", prompt) is None


def test_the_indentation_of_a_first_line_counts_where_it_may_be_code() -> None:
    one, two = "    x = 1\n    y = 2\nDoes it run?", "x = 1\n    y = 2\nDoes it run?"
    assert guard.refusal(one, two, verified=True)
    assert not guard.same_text(one, two)
    assert guard.same_text(f"\n{one}", f"{one}\n")
    assert guard.same_text("    Does it run?", "Does it run?")


@pytest.mark.parametrize("pair", [pair for pair in (*WRONG, *HARD) if tidy(pair[1]) == tidy(pair[2])], ids=_name)
def test_what_differs_only_in_white_space_that_counts_is_not_the_same_text(pair: tuple[str, str, str]) -> None:
    _, one, two = pair
    assert not guard.same_text(one, two)
    assert guard.refusal(one, two, verified=True) == "white space or characters differ"


def test_white_space_is_looked_at_in_a_time_that_grows_with_the_text() -> None:
    for part in ("a", " ", "\t", '"', "'", "`", "a  ", "\n", " \n", "```", "(\u00a0"):
        text = f"string {part * 50_000}  b"
        begun = time.perf_counter()
        guard.same_text(text, f"{text}  c")
        assert time.perf_counter() - begun < 2, part


def test_without_a_second_embedder_a_synonym_or_a_plural_is_refused() -> None:
    assert guard.refusal("What is the biggest city in Peru?", "What is the largest city in Peru?", verified=True) is None
    assert guard.refusal("What is the biggest city in Peru?", "What is the largest city in Peru?")
    assert guard.refusal("What are the best ways to learn chess?", "What is the best way to learn chess?")


def test_the_reason_names_what_differs() -> None:
    assert "60 / 80" in str(guard.refusal("What is 15% of 60?", "What is 15% of 80?"))
    assert "smallest / largest" in str(guard.refusal("The smallest planet?", "The largest planet?"))


def test_a_long_prompt_passes_only_word_for_word() -> None:
    text = "Summarise this: " + " ".join(f"word{i} and" for i in range(60))
    assert guard.refusal(text + "!", text, verified=True) is None
    assert guard.refusal(text.replace("word30 and", "word30 or"), text, verified=True)


@pytest.mark.parametrize(
    "text", ["", " ", "?", "```", "日本の首都は?", "\ud83d", "a" * 50_000, "(" * 5_000, "- " * 3_000, "can you"]
)
def test_odd_texts_are_compared_without_an_error(text: str) -> None:
    assert guard.refusal(text, text) is None
    assert guard.refusal(text, "What is the capital of France?")
    assert isinstance(plain.core(text), str)


def test_the_real_embedders_alone_would_accept_wrong_pairs_and_miss_few_right_ones() -> None:
    """The figures that make the guard necessary; measured 37 of 127, and 33 of 39."""
    static, minilm = StaticEmbedder(), MiniLMEmbedder()

    def near(one: str, two: str) -> bool:
        texts = [plain.core(one), plain.core(two)]
        return all(float(rows[0] @ rows[1]) >= 0.95 for rows in (static.embed(texts), minilm.embed(texts)))

    accepted = [pair for _, *pair in WRONG if near(*pair)]
    assert len(WRONG) >= 60
    assert len(SAME) >= 30
    assert len(accepted) >= 25
    assert sum(near(one, two) and guard.refusal(one, two, verified=True) is None for one, two in SAME) >= 0.8 * len(SAME)


_TEXTS = [text for row in (*SAME, *WRONG) for text in row[-2:]]


def test_words_are_those_that_the_expression_finds() -> None:
    odd = [
        "",
        "...",
        "a.",
        ".a",
        "C++ and C#",
        "it's 3.10, not 3.1!",
        "a_b -x y- x²",
        "na\u00efve \u4f60\u597d?",
        "\x00\t\x85 a",
    ]
    for text in (*_TEXTS, *odd):
        assert words_of(text) == WORD.findall(text)


def test_without_a_word_of_a_phrase_none_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {" ".join(words): words for words in map(lowered_words_of, _TEXTS)}
    found = {sentence: phrasing.question(sentence, words) for sentence, words in asked.items()}
    monkeypatch.setattr(phrasing, "_PHRASED", {word for words in asked.values() for word in words})
    assert found == {sentence: phrasing.question(sentence, words) for sentence, words in asked.items()}
