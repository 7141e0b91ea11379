"""What of a decision's row is known before there is an answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from molt_magic.orchestrator.candidates import foretold
from molt_magic.orchestrator.considered import Considered
from molt_magic.quality import Predicted
from molt_magic.serial import message_to_json
from molt_magic.types import Candidate, Choice, Message, Request

_HASHED = json.JSONEncoder(sort_keys=True, default=str)


Foretell = Callable[[], Mapping[str, Predicted]]


class Beforehand:
    """Made while the answer is waited for, or else when it is needed.

    Args:
        request: what is asked.
        candidates: who could answer.
        eligible: names of the models that the strategy may ask.
        foretell: what is predicted of every model, where nothing is decided by it; None: the candidates have it.
    """

    def __init__(
        self, request: Request, candidates: Sequence[Candidate], eligible: Collection[str], foretell: Foretell | None = None
    ) -> None:
        self._of = (request, candidates, eligible)
        self._foretell = foretell
        self._made: _Made | None = None

    def make(self) -> None:
        """Make it now, if it was not made before."""
        if self._made is None:
            request, candidates, eligible = self._of
            predictions = None if self._foretell is None else self._foretell()
            told = candidates if predictions is None else foretold(candidates, predictions)
            self._made = _Made(prompt_hash(request), Considered(told, eligible), predictions, told)

    def prompt_hash(self) -> str:
        return self._known().prompt_hash

    def considered(self, candidates: Sequence[Candidate]) -> str:
        """JSON: the candidates as `told` handed them back."""
        return self._known().considered.json(candidates)

    def told(self, choice: Choice) -> Choice:
        """The choice with what is predicted of its candidates."""
        if self._foretell is None:
            return choice
        made, (_, before, _) = self._known(), self._of
        assert made.predictions is not None
        # those that the strategy left as they are have been written already
        same = dict(zip(map(id, before), made.told, strict=True))
        candidates = tuple([same.get(id(each)) or foretold([each], made.predictions)[0] for each in choice.candidates])
        predicted = None
        if choice.predicted_quality is not None and choice.attempt is not None:
            predicted = made.predictions[choice.attempt.call.model][0]
        return replace(choice, candidates=candidates, predicted_quality=predicted)

    def _known(self) -> _Made:
        self.make()
        assert self._made is not None
        return self._made


class _Made(NamedTuple):
    prompt_hash: str
    considered: Considered
    predictions: Mapping[str, Predicted] | None
    told: Sequence[Candidate]  # the candidates with them


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
