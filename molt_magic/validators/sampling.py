"""`agree:k`: self-consistency. More samples of the same model; an answer that most of them give is likelier to be right."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass

from molt_magic.errors import BadRequest
from molt_magic.types import Attempt, Call, Checking, Request, Verdict
from molt_magic.validators.rules import short, text_of
from molt_magic.validators.text import json_text

SAMPLING_TEMPERATURE = 0.7  # samples at 0 are one sample
MAX_SAMPLES = 20


@dataclass(slots=True)
class Agreement:
    """Accepts an answer that more than half of `samples` answers agree on; the score is its share.

    Answers are compared by what they come down to (see `final_answer`), so this is for questions with a short or
    structured answer; two essays never agree. The samples are calls with purpose `judge` (overhead, never shown), at the
    request's temperature or 0.7; a model that refuses a temperature is sampled without one. Samples that fail do not
    count; with none at all the check abstains.
    """

    name: str
    samples: int

    def check(self, request: Request, attempt: Attempt) -> Checking:  # noqa: ARG002  the protocol's signature
        """Ask for `samples` - 1 more answers and compare."""
        own = final_answer(text_of(attempt))
        answers = [own]
        params = dict(attempt.call.params)
        if not params.get("temperature"):
            params["temperature"] = SAMPLING_TEMPERATURE
        for n in range(1, self.samples):
            call = Call(attempt.call.model, attempt.call.messages, "judge", params, attempt.call.schema, n)
            sampled = yield call
            if isinstance(sampled.error, BadRequest) and "temperature" in params and "temperature" not in attempt.call.params:
                params = {key: value for key, value in params.items() if key != "temperature"}
                sampled = yield Call(call.model, call.messages, call.purpose, params, call.schema, n)
            if sampled.ok and not sampled.planned:
                answers.append(final_answer(text_of(sampled)))
        if len(answers) == 1:
            return Verdict(True, None, "no further sample could be had", self.name)
        share = answers.count(own) / len(answers)
        said = f"{answers.count(own)} of {len(answers)} samples agree"
        if share > 0.5:
            return Verdict(True, share, said, self.name)
        most, count = Counter(answers).most_common(1)[0]
        if most != own and count > 1:
            said += f"; {count} say {most!r}"
        return Verdict(False, share, short(said), self.name)


_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
_STATED = re.compile(r"(?:answer|result|solution)\s*(?:is|=|:)\s*\**\s*(.+?)(?:\n|(?<!\d)\.(?:\s|$)|\.\s*$|$)", re.IGNORECASE)


def final_answer(text: str) -> str:
    """What an answer comes down to, for comparing: its JSON in canonical form, else what it states as the answer
    (boxed, or after "answer is"), else all of it; without case, punctuation at the ends, or forms of the same number."""
    try:
        value = json.loads(json_text(text))
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, (dict, list)):
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    stated = _BOXED.findall(text) or _STATED.findall(text)
    words = " ".join((stated[-1] if stated else text).lower().split())
    words = words.strip(" .,;:!?*_`\"'()[]$€£")
    number = words.replace(",", "")
    try:
        return f"{float(number):.12g}" if re.fullmatch(r"-?\d+(?:\.\d+)?", number) else words
    except OverflowError:
        return words
