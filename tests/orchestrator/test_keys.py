"""Keys of calls: what is in a user's cache is found again by every later version."""

from __future__ import annotations

import pytest

from molt_magic.errors import InputError
from molt_magic.orchestrator.keys import call_key
from molt_magic.serial import canonical_key
from molt_magic.types import Call, Deployment, Message, ModelSpec

SPEC = ModelSpec("m", "openai", "gpt", deployments=(Deployment("b", "http://b"), Deployment("a"), Deployment("c", "http://a")))
TOOL = {"id": "1", "function": {"name": "f", "arguments": "{}"}}
CALLS = [
    Call("m", (Message("user", "What is it?"),)),
    Call("m", (Message("system", 'Be "short"\\\n'), Message("user", "\u00e9\U0001f600\u2028\x00")), params={"stream": False}),
    Call("m", (Message("user", ({"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "u"}})),), sample=2),
    Call(
        "m", (Message("assistant", "", (TOOL,)), Message("tool", "3", (), "1")), schema={"type": "object", "b": 1.0, "a": (1,)}
    ),
    Call("m", (Message("user", ""),), params={"temperature": 1.0, "stop": ("a", "b")}, schema={}),
]


@pytest.mark.parametrize("call", CALLS)
def test_it_is_the_canonical_key_of_all_that_shapes_an_answer(call: Call) -> None:
    messages = [[m.role, m.content, m.tool_calls, m.tool_call_id] for m in call.messages]
    model = ["m", "openai", "gpt", ["", "http://a", "http://b"]]
    parts = ["call", model, messages, call.params, call.schema, call.sample]
    assert call_key(call, SPEC) == canonical_key(parts)  # type: ignore[arg-type]  # it takes a list as well


def test_what_is_no_data_is_refused() -> None:
    with pytest.raises(InputError):
        call_key(Call("m", (Message("user", "x"),), params={"top_p": float("nan")}), SPEC)
