"""Rule checks: what can be said of an answer's text without asking anybody."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from molt_magic.errors import ConfigError
from molt_magic.types import Attempt, Checking, Request, Verdict
from molt_magic.validators.text import json_text, parse_json, python_code

Rule = Callable[[Attempt], Verdict]

REASON_CHARS = 200


@dataclass(slots=True)  # not frozen: the protocol's name is a plain attribute
class RuleCheck:
    """A check that asks for no calls. An exception of its rule is a refusal with the exception as its reason."""

    name: str
    rule: Rule
    quick: bool = False  # takes microseconds whatever the answer is: nothing else need go on meanwhile

    def check(self, request: Request, attempt: Attempt) -> Checking:  # noqa: ARG002  the protocol's signature
        """The rule's verdict on the attempt's answer."""
        yield from ()
        try:
            found = self.rule(attempt)
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a user's function raises must not end the cell
            return Verdict(False, 0.0, said_by(error), self.name)
        return Verdict(found.accepted, found.score, found.reason, self.name, found.source)


def text_of(attempt: Attempt) -> str:
    return attempt.completion.text if attempt.completion is not None else ""


def accept(reason: str, score: float | None = 1.0) -> Verdict:
    return Verdict(True, score, reason)


def refuse(reason: str, score: float | None = 0.0) -> Verdict:
    return Verdict(False, score, short(reason))


def short(reason: str) -> str:
    line = " ".join(reason.split())
    return line if len(line) <= REASON_CHARS else f"{line[: REASON_CHARS - 1]}…"


def said_by(error: BaseException) -> str:
    """An exception in one line."""
    message = str(error)
    return short(f"{type(error).__name__}: {message}" if message else type(error).__name__)


# That an answer has the asked form says something of its quality only where the form is the point (JSON, code, a pattern);
# not being empty, long or a refusal does not, and gives no score. What such a check refuses is bad all the same; but its
# refusals alone are no sample of the answers.
UNSCORED = frozenset({"nonempty", "refusal", "length"})


def nonempty(attempt: Attempt) -> Verdict:
    if attempt.completion is not None and attempt.completion.tool_calls:
        return accept("calls a tool", None)  # an answer that wants something first has no text yet
    return accept("not empty", None) if text_of(attempt).strip() else refuse("empty answer")


def is_json(attempt: Attempt) -> Verdict:
    try:
        parse_json(text_of(attempt))
    except ValueError as error:
        return refuse(f"not JSON: {error}")
    return accept("is JSON")


def is_python(attempt: Attempt) -> Verdict:
    try:
        python_code(text_of(attempt))
    except SyntaxError as error:
        return refuse(f"not Python: {error.msg} (line {error.lineno})")
    except ValueError as error:
        return refuse(str(error))
    return accept("parses as Python")


# An answer that declines says so in its first words. Apostrophes are made straight before the match.
_CANNOT = r"can(?:no|')t(?! help (?:but|\w+ing)\b)"  # "I can't help but like it" declines nothing
_NOT = rf"(?:{_CANNOT}|unable|not able|won't)"
_DECLINES = re.compile(
    rf"^\W*(?:(?:i'?m|i am) (?:really |very |so )?(?:sorry|afraid)\b[^.!\n]{{0,40}}?{_NOT}"
    rf"|(?:sorry|i apologi[sz]e|unfortunately)\b[^.!\n]{{0,40}}?\bi(?:'m| am)? ?{_NOT}"
    rf"|i(?: (?:{_CANNOT}|won't|will not|must decline to|do not feel comfortable)|(?: am|'m) (?:unable|not able) to)"
    r" ?(?:assist|help|provide|comply|answer|fulfil|do that|do this|engage|discuss|create|write|generate)"
    rf"|as an ai(?: language)?(?: model| assistant)?,? (?:i|my)\b[^.\n]{{0,40}}?(?:{_NOT}|don't|do not)"
    r"|(?:es tut mir leid|tut mir leid|leider)\b[^.!\n]{0,30}?\bkann ich\b"
    r"|(?:je suis d\u00e9sol\u00e9e?|d\u00e9sol\u00e9e?)\b[^.!\n]{0,30}?\bje ne (?:peux|suis) pas\b"
    r"|lo siento\b[^.!\n]{0,30}?\bno puedo\b)",
    re.IGNORECASE,
)


def is_no_refusal(attempt: Attempt) -> Verdict:
    completion = attempt.completion
    if completion is not None and completion.finish_reason == "content_filter":
        return refuse("stopped by a content filter")
    found = _DECLINES.match(text_of(attempt)[:400].replace("\u2019", "'"))
    return refuse(f"declines: {found[0].strip()!r}") if found else accept("does not decline", None)


_RANGE = re.compile(r"(\d*)-(\d*)\s*(words|chars)?$")


def length(spec: str) -> Rule:
    """`MIN-MAX` words (split at white space), either side may be left out; `MIN-MAXchars` counts characters."""
    match = _RANGE.match(spec.strip())
    low, high = (int(match[1] or 0), int(match[2]) if match[2] else None) if match else (0, None)
    if match is None or not (match[1] or match[2]) or (high is not None and high < low):
        raise ConfigError(
            f"Validator length:{spec} has no range.",
            fix="Write length:MIN-MAX in words, or length:MIN-MAXchars, e.g. length:1-50.",
        )
    unit = "characters" if match[3] == "chars" else "words"

    def rule(attempt: Attempt) -> Verdict:
        text = text_of(attempt).strip()
        n = len(text) if unit == "characters" else len(text.split())
        if n < low or (high is not None and n > high):
            return refuse(f"{n} {unit}, wanted {low} to {'any' if high is None else high}")
        return accept(f"{n} {unit}", None)

    return rule


def confidence(threshold: float) -> Rule:
    """The geometric mean of the tokens' probabilities reaches the threshold; without log-probabilities it abstains."""

    def rule(attempt: Attempt) -> Verdict:
        logprobs = attempt.completion.logprobs if attempt.completion is not None else None
        if not logprobs:
            return accept("no log-probabilities", None)
        mean = math.exp(sum(logprobs) / len(logprobs))
        if math.isnan(mean):
            return accept("no usable log-probabilities", None)
        score = min(1.0, mean)
        said = f"confidence {score:.2f}, wanted {threshold:.2f}"
        return accept(said, score) if score >= threshold else refuse(said, score)

    return rule


def schema(name: str, wanted: Any) -> Rule:
    """The answer's JSON (a fenced block is taken too) follows a JSON schema or is accepted by a pydantic model class.

    References to other documents are not fetched; a schema that needs one refuses every answer and says so.
    """
    if isinstance(wanted, type) and callable(getattr(wanted, "model_validate_json", None)):
        return _pydantic(wanted)
    if not isinstance(wanted, Mapping):
        raise ConfigError(
            f"Validator schema:{name}: {name!r} is a {type(wanted).__name__}.",
            fix="Give a pydantic model class or a JSON schema as a dict.",
        )
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    kind = validator_for(wanted, default=Draft202012Validator)
    try:
        kind.check_schema(wanted)
    except SchemaError as error:
        what = f"Validator schema:{name} is not a JSON schema: {short(error.message)}"
        raise ConfigError(what, fix="Mend the schema.") from None
    # an empty registry: the library's own would fetch remote references over the network
    validator = kind(wanted, registry=Registry())

    def rule(attempt: Attempt) -> Verdict:
        try:
            value = parse_json(text_of(attempt))
        except ValueError as error:
            return refuse(f"not JSON: {error}")
        problem = next(iter(validator.iter_errors(value)), None)
        if problem is None:
            return accept(f"follows {name}")
        return refuse(f"{problem.json_path}: {problem.message}")

    return rule


def _pydantic(model: Any) -> Rule:
    def rule(attempt: Attempt) -> Verdict:
        try:
            model.model_validate_json(json_text(text_of(attempt)))
        except ValueError as error:  # pydantic's ValidationError is one; its first problem says enough
            errors = getattr(error, "errors", None)
            problems = errors() if callable(errors) else []
            if not problems:
                return refuse(str(error))
            where = ".".join(str(part) for part in problems[0]["loc"]) or "answer"
            return refuse(f"{where}: {problems[0]['msg']}")
        return accept(f"is a {model.__name__}")

    return rule
