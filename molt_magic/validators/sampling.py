"""`agree:k`: self-consistency. More samples of the same model; an answer that most of them give is likelier to be right."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from molt_magic.errors import BadRequest
from molt_magic.types import Attempt, Call, Checking, Request, Verdict
from molt_magic.validators.rules import short, text_of
from molt_magic.validators.text import json_text

SAMPLING_TEMPERATURE = 0.7  # samples at 0 are one sample
MAX_SAMPLES = 20


@dataclass(slots=True)
class Agreement:
    """Accepts an answer that more than half of `samples` answers agree on; the score is its share.

    Answers are compared by what they come down to (see `final`), so this is for questions with a short or
    structured answer; two essays never agree. The samples are calls with purpose `judge` (overhead, never shown), at the
    request's temperature or 0.7; a model that refuses a temperature is sampled without one. Samples that fail do not
    count; with none at all the check abstains.
    """

    name: str
    samples: int

    def check(self, request: Request, attempt: Attempt) -> Checking:  # noqa: ARG002  the protocol's signature
        """Ask for `samples` - 1 more answers and compare."""
        own = final(text_of(attempt))
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
                answers.append(final(text_of(sampled)))
        if len(answers) == 1:
            return Verdict(True, None, "no further sample could be had", self.name)
        if not own.text:
            return nothing_to_compare(attempt, self.name)
        agreeing = sum(own.same(answer) for answer in answers)
        share = agreeing / len(answers)
        said = f"{agreeing} of {len(answers)} samples agree"
        if share > 0.5:
            return Verdict(True, share, said, self.name)
        most, count = Counter(answers).most_common(1)[0]
        if most.text and not most.same(own) and count > 1:
            said += f"; {count} say {str(most)!r}"
        return Verdict(False, share, short(said), self.name)


def nothing_to_compare(attempt: Attempt, name: str) -> Verdict:
    """What is said of an answer that comes down to nothing: one that calls a tool has none yet, any other is refused."""
    if attempt.completion is not None and attempt.completion.tool_calls:
        return Verdict(True, None, "calls a tool", name)
    return Verdict(False, 0.0, "there is nothing to compare", name)


_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
_STATED = re.compile(r"(?:answer|result|solution)\s*(?:is|=|:)\s*\**\s*(.+?)(?:\n|(?<!\d)\.(?:\s|$)|\.\s*$|$)", re.IGNORECASE)
_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
_CURRENCIES = "$€£"
_ENDS = f" .,;:!?*_`\"'()[]{_CURRENCIES}"

# Of what begins in the line that seems to state the answer, this is only the beginning.
_OPENS = re.compile(r"(?:```|~~~)[^`\n]*$|\\\[\s*$|\\begin\{")
_ITEM = re.compile(r"\s*(?:(?:[-*+\u2022>]|\d+[.)])\s|\|)")
# Said of an answer that comes only now.
_REMARK = re.compile(
    r"(?:(?:quite|very|rather|fairly|pretty|actually|really|relatively) )*"
    r"(?:straightforward|simple|easy|clear|obvious|trivial|as follows|the following|(?:given |shown )?(?:below|here))"
)


@dataclass(frozen=True, slots=True)
class Final:
    """What an answer comes down to, and the currency signs that it stands beside."""

    text: str
    currency: str = ""

    def __str__(self) -> str:
        return f"{self.currency}{self.text}"

    def same(self, other: Final) -> bool:
        """Whether two answers agree: nothing agrees on nothing, and an amount without a currency is one of any."""
        differ = self.currency and other.currency and self.currency != other.currency
        return bool(self.text) and self.text == other.text and not differ


def final_answer(text: str) -> str:
    """What an answer comes down to, as `final` says it, without a currency."""
    return final(text).text


def final(text: str) -> Final:
    """What an answer comes down to: its JSON in canonical form, else what it states as the answer (boxed, or after
    "answer is"), else all of it; without case, punctuation at the ends, or forms of the same number. Empty: nothing."""
    try:
        value = json.loads(json_text(text))
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, (dict, list)):
        return Final(json.dumps(value, sort_keys=True, ensure_ascii=False))
    return _stated(text) or _plain(text)


def _stated(text: str) -> Final | None:
    """The last answer that a text states; None where it states none, or what stands there is no answer by itself."""
    boxed = _BOXED.findall(text)
    if boxed:
        return _usable(_plain(boxed[-1]))
    found = None
    for found in _STATED.finditer(text):  # noqa: B007  the last is wanted
        pass
    if found is None or _OPENS.match(found[1]) or _listed(text, found):
        return None
    stated = _plain(found[1])
    if _REMARK.fullmatch(stated.text) and text[found.end() :].strip():
        return None
    return _usable(stated)


def _usable(stated: Final) -> Final | None:
    return stated if stated.text else None


def _listed(text: str, found: re.Match[str]) -> bool:
    """Whether what is stated is the first of a list or a table below the line that announces it."""
    line = text.rfind("\n", 0, found.start(1)) + 1
    return line > found.start() and _ITEM.match(text, line) is not None


def _plain(text: str) -> Final:
    words = " ".join(text.lower().split())
    bare = words.strip(_ENDS)
    if not _NUMBER.fullmatch(bare):
        return Final(bare)
    before, _, after = words.partition(bare)
    signs = {sign for sign in _CURRENCIES if (sign in before) != (sign in after)}  # $5$ is typeset, not dollars
    return Final(_canonical(bare), "".join(sorted(signs)))


def _canonical(number: str) -> str:
    """One form for a number: whole ones exactly, others to twelve digits."""
    value = Decimal(number.replace(",", ""))
    whole = value.to_integral_value()
    return f"{whole:f}" if value == whole else f"{float(value):.12g}"
