"""What is nearest to a call that is on no tape: what a miss tells, so that its cause can be seen."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Any

from molt_magic.providers.cassette.tape import Recording, params_of
from molt_magic.serial import canonical_key, message_to_json
from molt_magic.types import Call

_COMPARED = 2_000  # characters of a prompt
_SHOWN = 80  # characters of a prompt in an error
_ALIKE = 0.3  # under this ratio two prompts have nothing to do with each other


def nearest(call: Call, recorded: Iterable[Recording]) -> str:
    """A sentence on the recorded call that is most like `call`: what of it differs, or its prompt."""
    found = list(recorded)
    if not found:
        return "Nothing is recorded yet."
    asked = canonical_key({"messages": [message_to_json(message) for message in call.messages]})
    same = [each for each in found if _messages_key(each) == asked]
    if mine := [each for each in same if each.model == call.model]:
        return f"The same prompt is recorded with {_difference(params_of(call), mine[0].params)}."
    if same:
        return f"The same prompt is recorded for {', '.join(sorted({each.model for each in same}))} only."
    prompt = next((message.text for message in reversed(call.messages) if message.role == "user"), "")[:_COMPARED]
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(prompt)

    def alike(recording: Recording) -> float:
        matcher.set_seq1(recording.prompt[:_COMPARED])
        return matcher.quick_ratio() + (0.001 if recording.model == call.model else 0.0)  # of equals, the same model's

    best = max(found, key=alike)
    if alike(best) < _ALIKE:
        return f"No prompt among the {len(found)} recorded ones is like it."
    text = " ".join(best.prompt.split())
    if text == " ".join(prompt.split()):
        return f"Its last message is recorded for {best.model} after other ones (another system prompt, or another history)."
    return f"The nearest recorded prompt, for {best.model}: {text if len(text) <= _SHOWN else text[: _SHOWN - 3] + '...'!r}."


def _messages_key(recording: Recording) -> str:
    full = [{"tool_calls": [], "tool_call_id": None, **message} for message in recording.messages]
    return canonical_key({"messages": full})


def _difference(asked: Any, recorded: Any) -> str:
    names = sorted({*asked, *recorded})
    told = [
        f"{name} {recorded[name]!r}" if name in recorded else f"no {name}"
        for name in names
        if asked.get(name) != recorded.get(name)
    ]
    return ", ".join(told) or "another schema or sample"
