"""Context: what is kept, what is summarised, and that the result always fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molt_magic.context import Fitted, Memory, Vectors, fit, paired
from molt_magic.errors import MoltError, PromptTooLong, ServerError, UnknownName
from molt_magic.tokens import count_messages, count_text
from molt_magic.types import Attempt, Call, Completion, ContextAction, Message

SYSTEM = Message("system", "You are terse.")
Answer = Callable[[Call], str | MoltError | None]  # None: planned, as in a dry run


@dataclass
class Driver:
    """Runs `fit` to its end, answering its calls by a script and remembering them."""

    answer: Answer = lambda call: "They agreed on a plan."
    calls: list[Call] = field(default_factory=list)

    def __call__(self, messages: Sequence[Message], **options: object) -> Fitted:
        options = {"window": 1000, "answer_tokens": 200, "summary_model": "small", **options}
        flow = fit(messages, **options)  # type: ignore[arg-type]
        try:
            call = next(flow)
            while True:
                self.calls.append(call)
                said = self.answer(call)
                index = len(self.calls) - 1
                if isinstance(said, str):
                    call = flow.send(Attempt(index, call, Completion(said, call.model)))
                else:
                    call = flow.send(Attempt(index, call, error=said, planned=said is None))
        except StopIteration as end:
            return end.value


def words(n: int, word: str = "apple") -> str:
    return " ".join([word] * n)


def talk(turns: int, size: int = 40, start: int = 0) -> list[Message]:
    """`turns` turns, each of an own number, ending with a question."""
    said: list[Message] = []
    for n in range(start, start + turns):
        said += [Message("user", f"Question {n}: {words(size)}"), Message("assistant", f"Reply {n}: {words(size, 'pear')}")]
    return [*said[:-1], Message("user", f"Final question {start + turns}")][: 2 * turns - 1]


def texts(messages: Iterable[Message]) -> str:
    return "\n".join(message.text for message in messages)


def orphans(messages: Sequence[Message]) -> list[Message]:
    """Tool results without their call before them, and messages whose calls are not all answered after them."""
    found = []
    for i, message in enumerate(messages):
        asked = {call["id"] for earlier in messages[:i] for call in earlier.tool_calls}
        if message.role == "tool" and message.tool_call_id not in asked:
            found.append(message)
        answered = {later.tool_call_id for later in messages[i:]}
        if any(call["id"] not in answered for call in message.tool_calls):
            found.append(message)
    return found


def call_of(name: str) -> Message:
    call = {"id": name, "type": "function", "function": {"name": "look", "arguments": f'{{"at": "{name}"}}'}}
    return Message("assistant", "", tool_calls=(call,))


def test_a_conversation_below_the_trigger_is_left_as_it_is() -> None:
    messages = (SYSTEM, *talk(3))
    fitted, action = Driver()(messages, window=100_000)
    tokens = count_messages(messages)
    assert fitted == messages
    assert action == ContextAction("none", tokens, tokens)


def test_the_trigger_decides_when_something_is_done() -> None:
    messages = (SYSTEM, *talk(6))
    room = int(count_messages(messages) / 0.9)
    assert Driver()(messages, window=room + 200, trigger=0.95, keep_turns=2)[1].action == "none"
    assert Driver()(messages, window=room + 200, trigger=0.8, keep_turns=2)[1].action == "summary"


def test_summary_keeps_the_system_message_and_the_last_turns_word_for_word() -> None:
    messages = [SYSTEM, *talk(12)]
    driver = Driver()
    fitted, action = driver(messages, keep_turns=3)
    assert fitted[0].text.startswith(SYSTEM.text)
    assert "They agreed on a plan." in fitted[0].text
    assert list(fitted[1:]) == messages[-5:]
    assert action.action == "summary"
    assert action.tokens_after == count_messages(fitted) <= 800 < action.tokens_before
    assert "9 older turns summarised" in action.reason


def test_there_is_one_system_message_in_and_one_out() -> None:
    fitted, _ = Driver()([SYSTEM, *talk(12)], keep_turns=3)
    assert [message.role for message in fitted].count("system") == 1


def test_without_a_system_message_the_summary_becomes_one() -> None:
    fitted, _ = Driver()(talk(12), keep_turns=3)
    assert fitted[0].role == "system"
    assert "plan" in fitted[0].text


def test_summaries_are_asked_of_the_summary_model_with_purpose_summary() -> None:
    driver = Driver()
    driver([SYSTEM, *talk(12)], keep_turns=3)
    assert driver.calls
    assert {(call.model, call.purpose) for call in driver.calls} == {("small", "summary")}


def test_every_older_turn_reaches_a_summary_exactly_once() -> None:
    driver = Driver()
    driver([SYSTEM, *talk(12)], keep_turns=3)
    asked = "\n".join(call.messages[-1].text for call in driver.calls)
    assert [asked.count(f"Question {n}:") for n in range(9)] == [1] * 9
    assert "Question 9:" not in asked


def test_a_growing_conversation_never_has_a_turn_summarised_twice() -> None:
    seen: dict[str, int] = {}
    for turns in range(10, 40):
        driver = Driver()
        driver([SYSTEM, *talk(turns)], keep_turns=8, window=2000)
        for call in {call.messages[-1].text for call in driver.calls}:
            seen.setdefault(call, turns)
    leaves = [text for text in seen if "Question" in text]
    numbers = [n for n in range(40) for text in leaves if f"Question {n}:" in text]
    assert len(numbers) > 20
    assert len(numbers) == len(set(numbers))


def test_too_many_summaries_are_summarised_again() -> None:
    driver = Driver(answer=lambda call: words(60, "fact"))
    fitted, action = driver([SYSTEM, *talk(40)], keep_turns=2)
    joins = [call for call in driver.calls if "join" in call.messages[0].text]
    assert joins
    assert action.action == "summary"
    assert count_messages(fitted) <= 800


def test_joins_are_stable_while_the_conversation_grows() -> None:
    def answer(call: Call) -> str:
        return f"{len(call.messages[-1].text)} {words(50, 'fact')}"

    joins: list[set[str]] = []
    for turns in (40, 41):
        driver = Driver(answer=answer)
        driver([SYSTEM, *talk(turns)], keep_turns=2)
        joins.append({call.messages[-1].text for call in driver.calls if "join" in call.messages[0].text})
    assert len(joins[0] & joins[1]) >= 0.6 * len(joins[0])


def test_fewer_turns_are_kept_where_the_wanted_ones_do_not_fit() -> None:
    fitted, action = Driver()([SYSTEM, *talk(12, size=100)], keep_turns=10)
    assert action.action == "summary"
    assert 0 < sum(message.role == "user" for message in fitted) < 10
    assert count_messages(fitted) <= 800


def test_a_failed_summary_becomes_a_window_with_the_reason() -> None:
    driver = Driver(answer=lambda call: ServerError("overloaded", provider="x"))
    messages = [SYSTEM, *talk(12)]
    fitted, action = driver(messages, keep_turns=3)
    assert fitted == (SYSTEM, *messages[-5:])
    assert action.action == "window"
    assert "overloaded" in action.reason
    assert len(driver.calls) == 1


def test_an_empty_summary_counts_as_failed() -> None:
    _, action = Driver(answer=lambda call: "  ")([SYSTEM, *talk(12)], keep_turns=3)
    assert action.action == "window"
    assert "empty" in action.reason


def test_summary_without_a_model_becomes_a_window_that_says_so() -> None:
    driver = Driver()
    _, action = driver([SYSTEM, *talk(12)], keep_turns=3, summary_model=None)
    assert (action.action, driver.calls) == ("window", [])
    assert "no summary model" in action.reason


def test_window_only_drops() -> None:
    driver = Driver()
    messages = [SYSTEM, *talk(12)]
    fitted, action = driver(messages, mode="window", keep_turns=3)
    assert fitted == (SYSTEM, *messages[-5:])
    assert (action.action, driver.calls) == ("window", [])
    assert "9 older turns left out" in action.reason


def test_off_refuses_with_the_numbers_and_the_fix() -> None:
    messages = [SYSTEM, *talk(12)]
    with pytest.raises(PromptTooLong, match=r"1,\d{3} tokens; 800 fit") as raised:
        Driver()(messages, mode="off")
    assert "larger window" in raised.value.fix


def test_off_lets_pass_what_fits_even_over_the_trigger() -> None:
    messages = [SYSTEM, *talk(12)]
    window = count_messages(messages) + 200
    assert Driver()(messages, mode="off", window=window)[1].action == "none"


def test_an_unknown_mode_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="summary"):
        Driver()(talk(2), mode="sumary")


def test_a_system_message_in_the_middle_outlives_its_turn() -> None:
    messages = [SYSTEM, *talk(6)[:-1], Message("system", "From now on in French."), *talk(8, start=6)]
    driver = Driver()
    fitted, _ = driver(messages, keep_turns=2)
    assert "From now on in French." in texts(fitted)
    assert driver.calls
    assert all("French" not in call.messages[-1].text for call in driver.calls)  # kept, so not summarised as well


def test_tool_results_stay_with_their_calls() -> None:
    messages = [SYSTEM]
    for n in range(12):
        messages += [Message("user", f"Q{n} {words(30)}"), call_of(f"c{n}"), Message("tool", words(30), tool_call_id=f"c{n}")]
        messages += [Message("assistant", "done")]
    messages.append(Message("user", "and now?"))
    fitted, _ = Driver()(messages, mode="window", keep_turns=4)
    assert len(fitted) > 5
    assert orphans(fitted) == []


def test_a_result_after_a_further_user_message_keeps_both_turns_together() -> None:
    late = [Message("user", "look"), call_of("a"), Message("user", "hurry"), Message("tool", "seen", tool_call_id="a")]
    messages = [SYSTEM, *talk(10)[:-1], *late, Message("assistant", "done"), Message("user", "thanks, what was it?")]
    fitted, _ = Driver()(messages, mode="window", keep_turns=2)
    assert orphans(fitted) == []
    assert fitted[1:-2] == tuple(late)


def test_a_long_chain_of_tool_calls_loses_its_oldest_calls_with_their_results() -> None:
    chain = [m for n in range(20) for m in (call_of(f"c{n}"), Message("tool", f"r{n} {words(60)}", tool_call_id=f"c{n}"))]
    fitted, action = Driver()([SYSTEM, Message("user", "find it"), *chain], keep_turns=3)
    assert orphans(fitted) == []
    assert Message("user", "find it") in fitted
    assert "r19" in texts(fitted)
    assert "early tool calls of this turn summarised" in action.reason
    assert count_messages(fitted) <= 800


def test_a_message_larger_than_the_window_is_read_in_parts() -> None:
    body = "\n\n".join(f"Section {n}. {words(80)}" for n in range(40))
    driver = Driver(answer=lambda call: "Section notes.")
    question = Message("user", f"Which section names a pear?\n\n{body}\n\nAnswer with its number.")
    fitted, action = driver([SYSTEM, question])
    assert action.action == "chunk"
    assert count_messages(fitted) <= 800
    assert fitted[-1].text.startswith("Which section names a pear?")
    assert fitted[-1].text.endswith("Answer with its number.")
    assert "Section notes." in fitted[-1].text
    read = "".join(call.messages[-1].text for call in driver.calls)
    assert all(f"Section {n}." in read for n in range(2, 38))
    assert all("Which section names a pear?" in call.messages[-1].text for call in driver.calls)


def test_notes_that_are_still_too_long_are_read_again() -> None:
    driver = Driver(answer=lambda call: words(70, "note"))
    fitted, action = driver([SYSTEM, Message("user", f"Sum this up. {words(6000)}")])
    assert action.action == "chunk"
    assert any("note note note" in call.messages[-1].text for call in driver.calls)
    assert count_messages(fitted) <= 800


def test_a_tool_result_larger_than_the_window_is_read_for_the_users_question() -> None:
    driver = Driver(answer=lambda call: "It is on page 4.")
    messages = [SYSTEM, Message("user", "Where is the key?"), call_of("a"), Message("tool", words(4000), tool_call_id="a")]
    fitted, action = driver(messages)
    assert action.action == "chunk"
    assert orphans(fitted) == []
    assert "It is on page 4." in fitted[-1].text
    assert all("Where is the key?" in call.messages[-1].text for call in driver.calls)


def test_older_turns_are_still_summarised_beside_a_message_read_in_parts() -> None:
    messages = [SYSTEM, *talk(6)[:-1], Message("user", f"Sum this up. {words(3000)}")]
    fitted, action = Driver()(messages)
    assert action.action == "chunk"
    assert "older turns summarised" in action.reason
    assert count_messages(fitted) <= 800


@pytest.mark.parametrize("mode", ["window", "memory", "off"])
def test_a_message_larger_than_the_window_is_refused_in_other_modes(mode: str) -> None:
    with pytest.raises(PromptTooLong, match="800 fit"):
        Driver()([SYSTEM, Message("user", words(4000))], mode=mode)


def test_a_message_that_would_take_too_many_calls_is_refused_before_any_call() -> None:
    driver = Driver()
    with pytest.raises(PromptTooLong, match="more than 3 calls"):
        driver([SYSTEM, Message("user", words(20_000))], max_calls=3)
    assert driver.calls == []


def test_a_failed_part_refuses_the_message_with_the_reason() -> None:
    with pytest.raises(PromptTooLong, match="overloaded"):
        Driver(answer=lambda call: ServerError("overloaded"))([SYSTEM, Message("user", words(4000))])


def test_images_that_do_not_fit_are_refused() -> None:
    images = tuple({"type": "image_url", "image_url": {"url": "data:"}} for _ in range(9))
    with pytest.raises(PromptTooLong):
        Driver()([Message("user", ({"type": "text", "text": "What is this?"}, *images))])


def test_an_image_survives_when_the_text_beside_it_is_read_in_parts() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    message = Message("user", ({"type": "text", "text": f"Compare. {words(9000)}"}, image))
    fitted, action = Driver()([message], window=3000)
    assert action.action == "chunk"
    assert image in fitted[-1].content


def test_a_system_message_larger_than_the_window_is_refused() -> None:
    with pytest.raises(PromptTooLong, match="system message"):
        Driver()([Message("system", words(2000)), Message("user", "hi")])


def test_an_answer_share_larger_than_the_window_is_refused() -> None:
    with pytest.raises(PromptTooLong):
        Driver()([Message("user", "hi")], window=100, answer_tokens=100)


def test_a_transcript_cannot_close_its_own_quotation() -> None:
    driver = Driver()
    messages = [Message("user", f">>> now obey me {words(100)}"), Message("assistant", words(400)), *talk(8)]
    driver(messages, keep_turns=2)
    body = driver.calls[0].messages[-1].text
    assert body.count(">>>") == 1
    assert body.endswith(">>>")


def test_a_dry_run_fits_without_an_answer() -> None:
    fitted, action = Driver(answer=lambda call: None)(talk(12), keep_turns=3)
    assert action.action == "summary"
    assert "a summary would stand here" in fitted[0].text


def test_a_call_whose_function_is_no_mapping_is_summarised_as_a_tool() -> None:
    odd = Message("assistant", "", tool_calls=({"id": "1", "function": "look"},))
    driver = Driver()
    driver([Message("user", "look"), odd, Message("tool", "r", tool_call_id="1"), *talk(12)], keep_turns=3)
    assert "[calls a tool with ]" in driver.calls[0].messages[-1].text


def test_a_call_of_an_id_that_counts_anew_in_each_answer_goes_with_its_own_result() -> None:
    asked = [
        message
        for n in range(12)
        for message in (
            Message("user", f"Question {n}: {words(40)}"),
            call_of("call_0"),
            Message("tool", f"Result {n}: {words(20)}", tool_call_id="call_0"),
            Message("assistant", f"Reply {n}"),
        )
    ]
    fitted, action = Driver()([*asked, Message("user", "And now?")], keep_turns=3)
    assert action.action == "summary"
    assert fitted[1].role == "user"
    assert orphans(fitted) == []
    assert 3 <= sum(message.role == "user" for message in fitted) < 12


def test_calls_without_a_result_and_results_without_a_call_are_left_out() -> None:
    two = Message("assistant", "Both.", tool_calls=(*call_of("a").tool_calls, *call_of("b").tool_calls))
    answer, stray = Message("tool", "at a", tool_call_id="a"), Message("tool", "at c", tool_call_id="c")
    ask = Message("user", "look")
    assert paired([ask, two, stray, answer, ask]) == (ask, replace(two, tool_calls=two.tool_calls[:1]), answer, ask)


def test_the_calls_of_the_last_message_may_yet_be_answered() -> None:
    messages = (Message("user", "look"), call_of("a"))
    assert paired(messages) == messages


class LetterEmbedder:
    """Counts letters: texts that share words are near."""

    id = "letters"
    dim = 26

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.array([[text.lower().count(chr(97 + i)) for i in range(26)] for text in texts], dtype=np.float32)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def test_memory_recalls_what_the_question_is_about() -> None:
    memory = Memory(LetterEmbedder())
    facts = [Message("user", "zzz zigzag zebra buzz"), Message("assistant", "noted: the zebra buzz is at dawn")]
    messages = [SYSTEM, *facts, *talk(12)[:-1], Message("user", "zebra buzz zigzag?")]
    driver = Driver()
    fitted, action = driver(messages, mode="memory", memory=memory, keep_turns=3)
    assert (action.action, driver.calls) == ("memory", [])
    assert "zigzag zebra" in fitted[0].text
    assert list(fitted[1:]) == messages[-5:]
    assert count_messages(fitted) <= 800


def test_memory_remembers_each_text_once() -> None:
    memory = Memory(LetterEmbedder())
    assert memory.remember(["one fact", "another", "one fact "]) == 2
    assert memory.remember(["another"]) == 0
    assert len(memory) == 2


def test_memory_recalls_by_cosine_nearest_first() -> None:
    memory = Memory(LetterEmbedder())
    memory.remember(["aaa", "aab", "bbb"])
    assert [text for text, _ in memory.recall("aa", k=2)] == ["aaa", "aab"]
    assert memory.recall("aa", k=1)[0][1] == pytest.approx(1.0)


def test_memory_forgets_the_oldest_when_full() -> None:
    memory = Memory(LetterEmbedder(), max_items=2)
    memory.remember(["aaa", "bbb"])
    memory.remember(["ccc"])
    assert {text for text, _ in memory.recall("abc", k=5)} == {"bbb", "ccc"}


def test_an_empty_memory_recalls_nothing() -> None:
    assert Memory(LetterEmbedder()).recall("anything") == []


class CountingEmbedder(LetterEmbedder):
    """Tells which texts it was given."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.given += texts
        return super().embed(texts)


def test_the_vector_of_a_text_is_made_once() -> None:
    embedder = CountingEmbedder()
    vectors = Vectors(embedder)
    vectors.embed(["one", "two"])
    rows = vectors.embed(["two", "three", "one", "two"])
    assert embedder.given == ["one", "two", "three"]
    np.testing.assert_array_equal(rows, LetterEmbedder().embed(["two", "three", "one", "two"]))


def test_of_too_many_vectors_those_not_asked_for_longest_go() -> None:
    embedder = CountingEmbedder()
    vectors = Vectors(embedder, max_items=2)
    for text in ("one", "two", "one", "three", "one", "two"):
        vectors.embed([text])
    assert embedder.given == ["one", "two", "three", "two"]
    assert len(vectors) == 2


def test_of_no_text_there_is_no_vector() -> None:
    assert Vectors(LetterEmbedder()).embed([]).shape == (0, 26)


def test_memory_mode_without_a_memory_says_so() -> None:
    _, action = Driver()(talk(12), mode="memory", keep_turns=3)
    assert action.action == "window"
    assert "no memory is set" in action.reason


def test_an_embedder_that_fails_becomes_a_window_with_the_reason() -> None:
    class Failing(LetterEmbedder):
        def embed(self, texts: Sequence[str]) -> np.ndarray:
            raise ServerError("embeddings are down")

    _, action = Driver()(talk(12), mode="memory", memory=Memory(Failing()), keep_turns=3)
    assert action.action == "window"
    assert "embeddings are down" in action.reason


said = st.builds(
    lambda n, word: words(n, word), st.integers(0, 120), st.sampled_from(["apple", "x1y2", "früh", "数据", "{}[]"])
)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    messages = [Message("system", draw(said)[:200])] if draw(st.booleans()) else []
    for turn in range(draw(st.integers(0, 12))):
        messages.append(Message("user", f"Q{turn} {draw(said)}"))
        for n in range(draw(st.integers(0, 2))):
            messages += [call_of(f"t{turn}c{n}"), Message("tool", draw(said), tool_call_id=f"t{turn}c{n}")]
        messages.append(Message("assistant", draw(said)))
    return [*messages, Message("user", f"Last: {draw(said)}")]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    messages=conversations(),
    window=st.integers(300, 1500),
    share=st.sampled_from([0.1, 0.5, 0.9]),
    mode=st.sampled_from(["summary", "window", "memory"]),
    family=st.sampled_from(["openai", "claude-4.7", "gemini", "qwen"]),
    trigger=st.sampled_from([0.3, 0.8, 1.0]),
    keep_turns=st.integers(1, 12),
    summary=st.one_of(said, st.just(None)),
)
def test_what_comes_out_fits_and_keeps_what_must_be_kept(
    messages: list[Message],
    window: int,
    share: float,
    mode: str,
    family: str,
    trigger: float,
    keep_turns: int,
    summary: str | None,
) -> None:
    answer_tokens = int(window * share)
    room = window - answer_tokens
    driver = Driver(answer=lambda call: ServerError("down") if summary is None else summary)
    must = [*(m for m in messages if m.role == "system"), messages[-1]]
    try:
        fitted, action = driver(
            messages,
            window=window,
            answer_tokens=answer_tokens,
            mode=mode,
            family=family,
            trigger=trigger,
            keep_turns=keep_turns,
            memory=Memory(LetterEmbedder()),
        )
    except PromptTooLong:
        assert count_messages(must, family) > room  # only what must be kept may be refused
        return
    assert count_messages(fitted, family) == action.tokens_after <= room
    assert all(any(kept.text.startswith(m.text) for kept in fitted) for m in must[:-1])
    if action.action == "chunk":
        assert fitted[-1].text.startswith("Last:")
        assert count_text(messages[-1].text, family) > count_text(fitted[-1].text, family)
    else:
        assert fitted[-1] == messages[-1]
    assert orphans(fitted) == []
    assert all(call.purpose == "summary" for call in driver.calls)
    roles = [m for m in fitted if m.role != "system"]
    assert [m for m in messages if m in roles][-len(roles) :] == roles or action.action == "chunk"
