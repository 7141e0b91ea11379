"""Answers that are there already: on the cassette, or in the log. Nothing is asked of anybody, nothing is paid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from molt_magic.errors import NotRecorded
from molt_magic.log import DecisionLog
from molt_magic.orchestrator.serving import Serves
from molt_magic.providers.base import Missing, Served
from molt_magic.providers.cassette import NobodyAsked, Tape, key_of, replayed
from molt_magic.types import Call, Completion, ModelSpec, Usage

_DECISION = "decision "
_USAGE = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")


class Recorded(NobodyAsked):
    """Serves one question from what is recorded.

    An answer on the cassette is one to exactly this call. One in the log is the newest that the model gave to the same
    messages, whatever its parameters were: the log does not keep them.

    Args:
        tape: the cassette, where there is one.
        log: the decision log, where it is on.
        prompt_hash: of the question, as the log has it.
        otherwise: who says whether a model without a recorded answer could be asked.
    """

    def __init__(self, *, tape: Tape | None, log: DecisionLog | None, prompt_hash: str, otherwise: Serves) -> None:
        self._tape = tape
        self._logged: dict[str, tuple[str, Mapping[str, Any]]] = {}  # model -> decision's id and the attempt
        for decision_id, attempt in reversed(log.answers(prompt_hash) if log is not None else []):
            self._logged[attempt["model"]] = (decision_id, attempt)
        self._otherwise = otherwise

    def missing(self, spec: ModelSpec) -> Missing | None:
        """A model whose answer is recorded can be asked without a key."""
        return None if spec.name in self._logged else self._otherwise.missing(spec)

    async def perform(self, spec: ModelSpec, call: Call, *, on_delta: Callable[[str], None], **_terms: object) -> Served:
        """The recorded answer. Raises NotRecorded."""
        recording = self._tape.find(key_of(call)) if self._tape is not None else None
        if recording is not None:
            return replayed(recording, on_delta)
        found = self._logged.get(spec.name) if call.purpose == "answer" and call.sample == 0 else None
        if found is None:
            what = "no answer to this prompt" if call.purpose == "answer" else f"no {call.purpose} of this"
            raise NotRecorded(f"{spec.name} has {what} in the log or on a cassette.", fix="Ask it live once.")
        decision_id, attempt = found
        on_delta(attempt["text"])
        usage = Usage(**{name: attempt[name] for name in _USAGE})
        completion = Completion(attempt["text"], attempt["served_model"] or spec.model, usage, attempt["finish_reason"])
        return Served(completion, None, _DECISION + decision_id, ttft_s=attempt["ttft_s"], latency_s=attempt["latency_s"])


def source_of(deployment: str | None) -> str | None:
    """The id of the logged decision that an answer came from, by its attempt's `deployment`; None: from elsewhere."""
    return deployment.removeprefix(_DECISION) if deployment is not None and deployment.startswith(_DECISION) else None
