"""What of a decision's row is known before there is an answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence

from molt_magic.orchestrator.considered import Considered
from molt_magic.serial import message_to_json
from molt_magic.types import Candidate, Message, Request

_HASHED = json.JSONEncoder(sort_keys=True, default=str)


class Beforehand:
    """Made while the answer is waited for, or else when it is needed.

    Args:
        request: what is asked.
        candidates: who could answer.
        eligible: names of the models that the strategy may ask.
    """

    def __init__(self, request: Request, candidates: Sequence[Candidate], eligible: Collection[str]) -> None:
        self._of = (request, candidates, eligible)
        self._made: tuple[str, Considered] | None = None

    def make(self) -> None:
        """Make it now, if it was not made before."""
        if self._made is None:
            request, candidates, eligible = self._of
            self._made = prompt_hash(request), Considered(candidates, eligible)

    def prompt_hash(self) -> str:
        return self._known()[0]

    def considered(self, candidates: Sequence[Candidate]) -> str:
        """JSON: the candidates as the strategy handed them back."""
        return self._known()[1].json(candidates)

    def _known(self) -> tuple[str, Considered]:
        self.make()
        assert self._made is not None
        return self._made


def prompt_hash(request: Request) -> str:
    """SHA-256 over the messages, so that equal questions can be found without storing them."""
    text = ", ".join([_hashed(message) for message in request.messages])
    return hashlib.sha256(f"[{text}]".encode()).hexdigest()


def _hashed(message: Message) -> str:
    """The JSON of a message, names sorted; of text and nothing else, as most are, it is put together here."""
    if not isinstance(message.content, str) or message.tool_calls or message.tool_call_id is not None:
        return _HASHED.encode(message_to_json(message))
    content, role = _HASHED.encode(message.content), _HASHED.encode(message.role)
    return f'{{"content": {content}, "role": {role}, "tool_call_id": null, "tool_calls": []}}'
