"""Validators: what says whether an answer may be kept.

`build` turns what a user writes (names, callables, checks) into `Check`s. No check ever raises for a bad answer: what goes
wrong in one is a refusal of the answer with the reason, or, where the check could not do its work (a judge that failed,
no log-probabilities), an abstention that accepts without a score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from molt_magic.errors import ConfigError, UnknownName
from molt_magic.types import Check
from molt_magic.validators.arithmetic import arithmetic
from molt_magic.validators.execute import executable
from molt_magic.validators.function import function_check
from molt_magic.validators.judge import Judge
from molt_magic.validators.pattern import regex
from molt_magic.validators.rules import (
    RuleCheck,
    accept,
    confidence,
    is_json,
    is_no_refusal,
    is_python,
    length,
    nonempty,
    schema,
)
from molt_magic.validators.sampling import MAX_SAMPLES, Agreement
from molt_magic.validators.second import Second

__all__ = ["FORMS", "Spec", "build", "may_take_long"]

Spec = str | Callable[..., Any] | Check

# name -> what may follow it; what help and completion show
FORMS: Mapping[str, str] = {
    "nonempty": "",
    "json": "",
    "schema": ":NAME",
    "regex": ":PATTERN",
    "python": "",
    "tests": ":NAME",
    "arithmetic": "",
    "refusal": "",
    "length": ":MIN-MAX",
    "confidence": "[:THRESHOLD]",
    "agree": "[:K]",
    "second": ":MODEL",
    "judge": "[:MODEL]",
    "learned": "[:THRESHOLD]",
}
_PLAIN = {"nonempty": nonempty, "json": is_json, "python": is_python, "refusal": is_no_refusal, "arithmetic": arithmetic}
_QUICK = frozenset({"nonempty", "refusal"})

CONFIDENCE_THRESHOLD = 0.7  # a starting point, not calibrated: what a probability means differs between models
AGREE_SAMPLES = 3
LEARNED_THRESHOLD = 0.85  # of the example in an error

# makes a check by what was learned of answers, of its name and its threshold; None: the quality that the question asks for
MakesLearned = Callable[[str, float | None], Check]


def build(
    specs: Sequence[Spec],
    *,
    namespace: Mapping[str, Any],
    judge_model: str | None,
    judge_threshold: float = 0.7,
    models: Iterable[str] | None = None,
    learned: MakesLearned | None = None,
) -> tuple[Check, ...]:
    """Checks for what the user wrote.

    Args:
        specs: a name of `FORMS` with its argument, the name of a callable in the namespace, a callable, or a Check. The
            names of `FORMS` go before names of the namespace.
        namespace: where callables, schemas and tests are looked up.
        judge_model: the judge where `judge` names none; None: such a judge abstains and says so.
        judge_threshold: mark in [0, 1] from which a judge accepts.
        models: catalog names, to refuse an unknown judge at once; None: not checked here.
        learned: makes what `learned` stands for; None: nothing is learned here, and such a check abstains and says so.

    Raises:
        UnknownName: no such validator, or no such name in the namespace.
        ConfigError: an argument that is missing or wrong.
    """
    known = None if models is None else tuple(models)
    return tuple(_check(spec, namespace, judge_model, judge_threshold, known, learned or _abstaining) for spec in specs)


def may_take_long(checks: Iterable[Check]) -> bool:
    """Whether one of these checks (a user's function, a subprocess, an expression over all of an answer) may take seconds:
    it belongs into a thread of its own, which costs a fifth of a millisecond a step."""
    return any(not (isinstance(check, RuleCheck) and check.quick) for check in checks)


def _abstaining(name: str, threshold: float | None) -> Check:  # noqa: ARG001  the shape of MakesLearned
    return RuleCheck(name, lambda _: accept("nothing is learned of answers outside of an orchestrator", None))


def _check(
    spec: Spec,
    namespace: Mapping[str, Any],
    judge_model: str | None,
    judge_threshold: float,
    models: Sequence[str] | None,
    learned: MakesLearned,
) -> Check:
    if not isinstance(spec, str):
        if callable(getattr(spec, "check", None)) and isinstance(getattr(spec, "name", None), str):
            return spec  # type: ignore[return-value]  # a Check by its shape, which is what the protocol asks for
        if callable(spec):
            return function_check(getattr(spec, "__name__", type(spec).__name__), spec)
        raise ConfigError(
            f"A validator cannot be a {type(spec).__name__}.", fix="Give a name, a function of the answer's text, or a Check."
        )
    name, colon, argument = spec.strip().partition(":")
    if name in _PLAIN:
        if colon:
            raise ConfigError(f"Validator {name!r} takes no argument (got {argument!r}).", fix=f"Write {name}.")
        return RuleCheck(name, _PLAIN[name], quick=name in _QUICK)
    match name:
        case "schema":
            return RuleCheck(spec, schema(argument, _named(argument, namespace, spec)))
        case "tests":
            return RuleCheck(spec, executable(argument, _named(argument, namespace, spec)))
        case "regex":
            if not argument:
                raise _incomplete(name)
            return RuleCheck(spec, regex(argument))
        case "length":
            return RuleCheck(spec, length(argument), quick=True)
        case "confidence":
            return RuleCheck(spec, confidence(_number(spec, argument, CONFIDENCE_THRESHOLD, 0.0, 1.0)), quick=True)
        case "agree":
            samples = _number(spec, argument, AGREE_SAMPLES, 2, MAX_SAMPLES)
            if samples != int(samples):
                raise ConfigError(f"Validator {spec}: {argument} is no whole number.", fix=f"Write {name}:3.")
            return Agreement(spec, int(samples))
        case "second":
            if not argument:
                raise _incomplete(name)
            if models is not None and argument not in models:
                raise UnknownName("model", argument, models)
            return Second(spec, argument)
        case "judge":
            if argument and models is not None and argument not in models:
                raise UnknownName("model", argument, models)
            return Judge(spec, argument or judge_model, judge_threshold)
        case "learned":
            return learned(spec, _number(spec, argument, LEARNED_THRESHOLD, 0.0, 1.0) if colon else None)
    return function_check(spec, _function(spec.strip(), namespace))


def _number(spec: str, argument: str, default: float, low: float, high: float) -> float:
    if not argument and ":" not in spec:
        return default
    try:
        value = float(argument)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        name = spec.partition(":")[0]
        raise ConfigError(
            f"Validator {spec}: {argument or 'nothing'!r} is no number from {low:g} to {high:g}.",
            fix=f"Write {name}:{default:g}.",
        )
    return value


def _incomplete(name: str) -> ConfigError:
    return ConfigError(f"Validator {name!r} needs an argument.", fix=f"Write {name}{FORMS[name]}.")


def _named(name: str, namespace: Mapping[str, Any], spec: str) -> Any:
    if not name:
        raise _incomplete(spec.partition(":")[0])
    if name not in namespace:
        raise UnknownName(f"name in validator {spec!r}: no variable", name, _visible(namespace))
    return namespace[name]


def _function(name: str, namespace: Mapping[str, Any]) -> Callable[..., Any]:
    found = namespace.get(name)
    if callable(found):
        return found  # type: ignore[no-any-return]  # the user's own object
    if name in namespace:
        raise ConfigError(
            f"Validator {name!r} is a {type(found).__name__}.", fix="Give a function that takes the answer's text."
        )
    functions = [n for n in _visible(namespace) if callable(namespace[n]) and not isinstance(namespace[n], type)]
    raise UnknownName("validator", name, [*FORMS, *functions])


def _visible(namespace: Mapping[str, Any]) -> list[str]:
    return [name for name in namespace if not name.startswith("_")]
