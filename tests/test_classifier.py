"""The task classifier: how often it is right, how honest its probabilities are, and what it does when it cannot know."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from molt_magic.embed import StaticEmbedder
from molt_magic.errors import InputError
from molt_magic.strategies.classifier import MAX_EXAMPLES, RIDGE, TaskClassifier, shipped_examples
from molt_magic.strategies.features import Vocabulary, instruction, terms
from molt_magic.strategies.judged import calibration_error
from molt_magic.strategies.votes import Few
from tests.heldout_prompts import FRESH, HELD_OUT

TASKS = ("classification", "code_generation", "code_review", "research", "simple_qa", "summarization", "translation")
EMBEDDER = StaticEmbedder()


@pytest.fixture(scope="module")
def shipped() -> TaskClassifier:
    return TaskClassifier.load_shipped(EMBEDDER)


def test_at_least_45_examples_of_each_task_ship_and_some_of_none() -> None:
    counted = Counter(task for _, task in shipped_examples())
    assert set(counted) == {*TASKS, None}
    assert min(counted[task] for task in TASKS) >= 45


def test_no_example_ships_twice() -> None:
    texts = [" ".join(text.lower().split()) for text, _ in shipped_examples()]
    assert len(texts) == len(set(texts))


def test_no_held_out_prompt_is_an_example() -> None:
    examples = {" ".join(text.lower().split()) for text, _ in shipped_examples()}
    assert len(HELD_OUT) >= 70
    assert not examples & {" ".join(text.lower().split()) for text, _ in (*HELD_OUT, *FRESH)}


def test_leave_one_out_names_the_task_of_nine_examples_in_ten(shipped: TaskClassifier) -> None:
    judged = [(task, best) for task, best, _ in shipped.leave_one_out() if task is not None]
    assert np.mean([task == best for task, best in judged]) > 0.90  # measured 0.937


@pytest.mark.parametrize(("prompts", "least"), [(HELD_OUT, 0.90), (FRESH, 0.75)], ids=["held out", "fresh"])
def test_it_names_the_task_of_prompts_it_has_not_seen(
    shipped: TaskClassifier, prompts: Sequence[tuple[str, str | None]], least: float
) -> None:
    guesses = [(task, shipped.guess(prompt)) for prompt, task in prompts]
    assert np.mean([guess.task == task for task, guess in guesses]) > least


def test_its_probabilities_are_near_the_share_that_is_right(shipped: TaskClassifier) -> None:
    guesses = shipped.leave_one_out()
    assert calibration_error([p for _, _, p in guesses], [task == best for task, best, _ in guesses]) < 0.08
    all_in = TaskClassifier.load_shipped(EMBEDDER, floor=0.0)
    held_out = [(task, all_in.guess(prompt)) for prompt, task in (*HELD_OUT, *FRESH)]
    assert calibration_error([g.score for _, g in held_out], [g.task == task for task, g in held_out]) < 0.10


def test_it_abstains_on_most_of_what_is_none_of_the_tasks(shipped: TaskClassifier) -> None:
    strange = [prompt for prompt, task in (*HELD_OUT, *FRESH) if task is None]
    assert np.mean([shipped.guess(prompt).task is None for prompt in strange]) > 0.7


def test_it_seldom_abstains_on_what_is_one_of_the_tasks(shipped: TaskClassifier) -> None:
    known = [prompt for prompt, task in (*HELD_OUT, *FRESH) if task is not None]
    assert np.mean([shipped.guess(prompt).task is None for prompt in known]) < 0.15


def test_under_its_floor_it_names_no_task_and_keeps_the_score(shipped: TaskClassifier) -> None:
    strict = TaskClassifier.load_shipped(EMBEDDER, floor=1.0)
    guess = strict.guess("What is the capital of Peru?")
    assert guess.task is None
    assert guess.score == shipped.guess("What is the capital of Peru?").score > 0.8


def test_a_guess_shows_the_examples_it_is_most_like_nearest_first(shipped: TaskClassifier) -> None:
    guess = shipped.guess("Translate 'good morning' into Spanish.")
    likeness = [near for _, _, near in guess.neighbours]
    assert guess.neighbours[0][1] == "translation"
    assert likeness == sorted(likeness, reverse=True)
    assert all(0 <= near <= 1 for near in likeness)


def test_the_votes_for_a_prompt_are_those_of_its_likeness_to_every_example(shipped: TaskClassifier) -> None:
    examples, fitted = shipped_examples(), shipped._fit()
    assert isinstance(fitted, Few)
    prompts = [*(prompt for prompt, _ in (*HELD_OUT, *FRESH)), "\u4f60\u597d", "zzyzx", '"', "?", "{}", "word " * 20_000]
    truth = np.array([[task == label for label in (*fitted.tasks, None)] for _, task in examples], dtype=float)
    alike = fitted.columns.T @ fitted.columns
    likeness = fitted.features.of(EMBEDDER, prompts) @ fitted.columns
    expected = likeness @ np.linalg.solve(alike + RIDGE * np.eye(len(examples)), truth)
    assert np.allclose(fitted.say(EMBEDDER, prompts), expected, atol=1e-6)


def test_the_places_of_terms_are_those_of_the_terms_whatever_was_met_before() -> None:
    prompts, chance = [prompt for prompt, _ in FRESH], random.Random(0)
    odd = (
        "_ __init__ it's x=1; C++ 2nd Who's-who? \u0130stanbul na\u00efve \u4f60\u597d in Rust in Ruby into Welsh 12 13 "
        + "1" * 60
    )
    words = [*odd.split(), "\x1c", *" ".join(prompts).split()]
    texts = ["", *prompts, *(" ".join(chance.choices(words, k=chance.randint(1, 9))) for _ in range(500))]
    known = sorted({term for text in texts[::2] for term in terms(text, text[::-1])}, key=repr)
    vocabulary = Vocabulary(known)
    for opening in texts + texts:
        closing = chance.choice(texts)
        there = set(terms(opening, closing))
        assert vocabulary.places(opening, closing) == [place for place, term in enumerate(known) if term in there], opening


def test_an_instruction_after_long_material_is_found(shipped: TaskClassifier) -> None:
    article = "The harbour was rebuilt after the storm and the ferries sail again to all three islands. " * 30
    assert shipped.guess(f"{article}\n\nSummarise this article in two sentences.").task == "summarization"
    assert shipped.guess(f"{article}\n\nTranslate this into French.").task == "translation"


def test_code_before_a_question_is_material() -> None:
    code = "def f(a):\n    return a + 1"
    assert instruction(f"{code}\n\nWhat is wrong here?") == ("What is wrong here?", "")


def test_a_correction_changes_the_guess_for_that_prompt() -> None:
    classifier = TaskClassifier.load_shipped(EMBEDDER)
    prompt = "Write a limerick about Python code"
    before = classifier.guess(prompt).task
    wanted = "research" if before != "research" else "translation"
    classifier.add([(prompt, wanted)])
    assert classifier.guess(prompt).task == wanted


def test_a_text_given_again_replaces_the_earlier_label() -> None:
    classifier = TaskClassifier(EMBEDDER, [("sum this up", "summarization"), ("who wrote it?", "simple_qa")])
    classifier.add([("sum this up", "research")])
    assert len(classifier) == 2
    assert classifier.tasks == ("research", "simple_qa")


def test_examples_of_the_users_own_tasks_work_alone() -> None:
    rows = [(f"invoice number {n} is unpaid", "finance") for n in range(12)]
    rows += [(f"the server {n} does not answer", "operations") for n in range(12)]
    classifier = TaskClassifier(EMBEDDER, rows)
    assert classifier.guess("invoice 99 was not paid").task == "finance"
    assert classifier.guess("our server is down, no answer").task == "operations"


def test_without_examples_it_abstains() -> None:
    assert TaskClassifier(EMBEDDER).guess("anything").task is None


@pytest.mark.parametrize("prompt", ["", "   ", "\n\n"])
def test_an_empty_prompt_is_no_task(shipped: TaskClassifier, prompt: str) -> None:
    guess = shipped.guess(prompt)
    assert (guess.task, guess.score) == (None, 0.0)


def test_one_task_alone_is_not_certain() -> None:
    assert TaskClassifier(EMBEDDER, [("sum this up", "summarization")]).guess("sum this up").score < 0.95


def test_too_many_examples_are_refused_with_the_limit() -> None:
    with pytest.raises(InputError, match="20,000"):
        TaskClassifier(EMBEDDER, [(f"example {n}", "simple_qa") for n in range(MAX_EXAMPLES + 1)])


def test_a_very_long_prompt_is_guessed_by_its_ends(shipped: TaskClassifier) -> None:
    assert shipped.guess("Summarize the following text.\n\n" + "word " * 400_000).task == "summarization"


TICKETS = [
    *((f"I want my money back for order {n}", "refunds") for n in range(12)),
    *((f"the server {n} does not answer", "operations") for n in range(12)),
    *((f"good morning number {n}", None) for n in range(6)),
]


@pytest.mark.parametrize("columns", [("text", "task"), ("prompt", "label")])
def test_a_data_frame_replaces_what_it_knows(columns: tuple[str, str]) -> None:
    classifier = TaskClassifier.load_shipped(EMBEDDER)
    assert classifier.fit(pd.DataFrame(TICKETS, columns=columns)) is classifier
    assert classifier.tasks == ("operations", "refunds")
    assert classifier.guess("please give me my money back").task == "refunds"


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match=r"no column 'task' or 'label'.*'text', 'intent'"):
        TaskClassifier(EMBEDDER).fit(pd.DataFrame({"text": ["a"], "intent": ["b"]}))


@pytest.mark.parametrize(
    ("examples", "said"),
    [("refunds", "not str"), (["a text alone"], "Example 0"), ([("a", "b"), (3, "b")], "example 1"), ([("a", " ")], "empty")],
)
def test_what_is_no_pair_is_refused_and_changes_nothing(examples: object, said: str) -> None:
    classifier = TaskClassifier(EMBEDDER, TICKETS)
    with pytest.raises(InputError, match=said):
        classifier.add(examples)  # type: ignore[arg-type]
    assert len(classifier) == len(TICKETS)


def test_a_missing_task_in_a_frame_is_none_of_them() -> None:
    frame = pd.DataFrame({"text": ["hello", "hi", "fix it"], "task": [None, float("nan"), "repair"]})
    assert TaskClassifier(EMBEDDER).fit(frame).tasks == ("repair",)
    assert TaskClassifier(EMBEDDER).fit(frame.convert_dtypes()).tasks == ("repair",)


def test_a_report_has_a_row_a_task_and_one_for_all() -> None:
    classifier = TaskClassifier(EMBEDDER, TICKETS)
    asked = [
        ("my money back please, order 99", "refunds"),
        ("the server 99 is not answering", "refunds"),
        ("good morning", None),
    ]
    report = classifier.report(pd.DataFrame(asked, columns=["text", "task"]))
    assert list(report.index) == ["refunds", "none", "overall"]
    assert (report.n.to_list(), report.loc["refunds", "recall"]) == ([2, 1, 3], 0.5)
    assert report.loc["refunds", "confused_with"] == "operations (1)"
    assert report.loc["overall", ["precision", "recall"]].to_list() == [0.5, 0.5]
    assert classifier.confusion(asked).loc["refunds", "operations"] == 1


def test_without_a_frame_a_report_judges_its_own_examples_each_by_the_others(shipped: TaskClassifier) -> None:
    overall = shipped.report().loc["overall"]
    assert overall.n == len(shipped_examples())
    assert overall.precision > 0.9
    assert overall.calibration_error < 0.08


def test_many_examples_are_fitted_and_one_that_is_added_is_believed() -> None:
    things = [f"{a} {b}" for a in ("red", "blue", "old", "new", "big", "small") for b in ("car", "boat", "bike", "hat", "lamp")]
    rows = [(f"please {verb} the {thing} {n}", task) for n in range(25) for thing in things for verb, task in VERBS.items()]
    classifier = TaskClassifier(EMBEDDER).fit(rows)
    assert len(classifier) == 2250
    assert classifier.guess("could you repair my old boat").task == "workshop"
    assert classifier.report().loc["overall", "recall"] > 0.99
    classifier.add([("quantum chromodynamics on the lattice", "physics")])
    assert classifier.guess("quantum chromodynamics on the lattice").task == "physics"


VERBS = {"sell": "shop", "repair": "workshop", "carry": "transport"}
