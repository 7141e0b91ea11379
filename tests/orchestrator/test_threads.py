"""Conversations: what a question of a thread is sent of the turns before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from molt_magic.orchestrator import Orchestrator
from molt_magic.providers.base import Served
from molt_magic.types import Call, Message, ModelSpec
from tests.conftest import MakeOrchestrator
from tests.scripted import ScriptedProviders

ANIMALS = ("zebra", "otter", "camel", "tiger", "panda", "koala", "goose", "whale", "horse", "eagle", "moose", "hyena", "llama")
FACT = "Every morning the {} is given {} apples, and its keeper signs for them in the large green book at the gate."


TOOL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "sunny"}
Spoken = list[tuple[str, str]]


def sent(orch: Orchestrator) -> str:
    """All that the last call was sent."""
    return "\n".join(message.text for message in orch.providers.calls[-1].messages)  # type: ignore[attr-defined]


def turns(orch: Orchestrator) -> Spoken:
    """Role and text of what the last call was sent."""
    return [(message.role, message.text) for message in orch.providers.calls[-1].messages]  # type: ignore[attr-defined]


@pytest.fixture
def recalling(orchestrator: MakeOrchestrator) -> Orchestrator:
    """One whose thread "t" has a fact of each animal in a cell of its name, most of which can only be recalled."""
    few = {"context.mode": "memory", "context.max_tokens": 800, "context.keep_turns": 1}
    orch = orchestrator({"small": "Noted."}, values=few)
    for animal in ANIMALS:
        ask(orch, FACT.format(animal, 3), animal)
    return orch


def ask(orch: Orchestrator, prompt: Any, cell_id: str | None = None, **options: Any) -> None:
    orch.route(prompt, model="small", thread="t", cell_id=cell_id, cache=False, **options)


class TestRecall:
    def test_a_fact_of_an_older_turn_is_sent(self, recalling: Orchestrator) -> None:
        ask(recalling, "How many apples is the otter given?")
        assert "User: " + FACT.format("otter", 3) in sent(recalling)

    def test_nothing_of_a_thread_that_was_reset_is_sent(self, recalling: Orchestrator) -> None:
        recalling.threads.reset("t")
        for animal in ANIMALS:
            ask(recalling, f"In the evening the {animal} sleeps near the old wall, where the wind is not so strong, till six.")
        ask(recalling, "How many apples is the otter given?")
        assert "the otter sleeps" in sent(recalling)
        assert "is given 3 apples" not in sent(recalling)

    def test_a_turn_that_was_replaced_is_sent_as_it_is_now(self, recalling: Orchestrator) -> None:
        ask(recalling, "How many apples is the otter given?", "last")
        ask(recalling, FACT.format("otter", 777), "otter")
        ask(recalling, "How many apples is the otter given?", "last")
        assert FACT.format("otter", 777) in sent(recalling)
        assert FACT.format("otter", 3) not in sent(recalling)

    def test_an_early_cell_asked_again_is_sent_nothing_of_later_turns(self, recalling: Orchestrator) -> None:
        ask(recalling, "How many apples is the llama given?", "llama")
        ask(recalling, "How many apples is the moose given?", "hyena")
        ask(recalling, "How many apples is the hyena given?", "moose")
        assert "From the earlier part" in sent(recalling)
        assert FACT.format("moose", 3) not in sent(recalling)
        assert FACT.format("hyena", 3) not in sent(recalling)


class CallsTool(ScriptedProviders):
    """Models that call a tool when they are asked for the weather."""

    async def perform(self, spec: ModelSpec, call: Call, *, on_delta: Callable[[str], None], **terms: object) -> Served:
        served = await super().perform(spec, call, on_delta=on_delta, **terms)
        if call.messages[-1].text != "weather?" or served.completion is None:
            return served
        completion = replace(served.completion, text="", finish_reason="tool_calls", tool_calls=(TOOL,))
        return replace(served, completion=completion)


@pytest.fixture
def calling(orchestrator: MakeOrchestrator) -> Iterator[Orchestrator]:
    """One whose model calls a tool when it is asked for the weather."""
    settings = orchestrator({"small": "ok"}).settings
    orch = Orchestrator(settings=settings, providers=CallsTool({"small": "ok"}))  # type: ignore[arg-type]
    yield orch
    orch.close()


class TestRecording:
    def test_all_messages_of_a_prompt_belong_to_its_turn(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "ok"})
        ask(orch, "Hello.")
        prompt = [("system", "Be brief."), ("user", "My name is Ada."), ("assistant", "Hi Ada"), ("user", "And I am 36.")]
        ask(orch, [{"role": role, "content": text} for role, text in prompt])
        ask(orch, "Who am I?", system="Be kind.")
        hello = [("user", "Hello."), ("assistant", "ok")]
        assert turns(orch) == [
            ("system", "Be kind."),
            *hello,
            *prompt[1:],
            ("assistant", "ok"),
            ("user", "Who am I?"),
        ]
        assert len(orch.threads.messages("t")) == 8

    def test_a_cell_asked_again_replaces_all_messages_of_its_turn(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "ok"})
        several = [Message("user", "I am Ada."), Message("assistant", "Hi Ada"), Message("user", "And I am 36.")]
        ask(orch, "Hello.", "c0")
        ask(orch, several, "c1")
        ask(orch, "Who am I?", "c2")
        ask(orch, "I am Bob.", "c1")
        ask(orch, "Who am I?", "c2")
        said = [text for _, text in turns(orch)]
        assert said == ["Hello.", "ok", "I am Bob.", "ok", "Who am I?"]
        assert [m.text for m in orch.threads.messages("t")] == [*said, "ok"]

    def test_the_same_record_asked_twice_is_two_turns(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "ok"})
        again = [Message("user", "Continue.")]
        for _ in range(3):
            ask(orch, again)
        assert len(orch.threads.messages("t")) == 6

    def test_questions_under_way_at_once_each_keep_their_own(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "ok"}, delay_s=0.05)
        under_way = [orch.submit(f"Question {n}", model="small", thread="t") for n in range(3)]
        for asking in under_way:
            asking.result(5)
        said = [m.text for m in orch.threads.messages("t") if m.role == "user"]
        assert sorted(said) == ["Question 0", "Question 1", "Question 2"]

    def test_a_thread_reset_while_a_question_is_under_way_keeps_only_that_turn(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "ok"}, delay_s=0.2)
        ask(orch, "Hello.")
        asking = orch.submit("And now?", model="small", thread="t")
        orch.threads.reset("t")
        asking.result(5)
        assert [m.text for m in orch.threads.messages("t")] == ["And now?", "ok"]

    def test_the_identity_of_a_cell_may_be_anything(self, orchestrator: MakeOrchestrator) -> None:
        orch = orchestrator({"small": "ok"})
        for _ in range(2):
            ask(orch, "Hello.", [5])  # type: ignore[arg-type]
        assert len(orch.threads.messages("t")) == 2


class TestToolCalls:
    def test_a_call_is_sent_with_the_result_that_answers_it(self, calling: Orchestrator) -> None:
        ask(calling, "weather?")
        ask(calling, [RESULT, {"role": "user", "content": "So?"}])
        ask(calling, "And tomorrow?")
        messages = calling.providers.calls[-1].messages  # type: ignore[attr-defined]
        assert [m.role for m in messages] == ["user", "assistant", "tool", "user", "assistant", "user"]
        assert messages[1].tool_calls == (TOOL,)
        assert messages[2].tool_call_id == "c1"
        assert calling.threads.messages("t")[:5] == messages[:5]

    def test_a_call_that_nobody_answered_is_not_sent_once_the_conversation_went_on(self, calling: Orchestrator) -> None:
        for prompt in ("weather?", "Never mind.", "Hello?"):
            ask(calling, prompt)
        sent = [call.messages for call in calling.providers.calls[1:]]  # type: ignore[attr-defined]
        assert [[m.tool_calls for m in messages if m.role == "assistant"] for messages in sent] == [[()], [(), ()]]

    def test_a_result_whose_call_was_replaced_is_not_sent(self, calling: Orchestrator) -> None:
        ask(calling, "weather?", "c1")
        ask(calling, [RESULT, {"role": "user", "content": "So?"}], "c2")
        ask(calling, "Hello.", "c1")
        ask(calling, "And now?", "c3")
        assert turns(calling) == [
            ("user", "Hello."),
            ("assistant", "ok"),
            ("user", "So?"),
            ("assistant", "ok"),
            ("user", "And now?"),
        ]
