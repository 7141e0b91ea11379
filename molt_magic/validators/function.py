"""A callable of the user's namespace as a check."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from numbers import Real
from typing import Any

from molt_magic.errors import ConfigError
from molt_magic.serial import scalar
from molt_magic.types import Attempt, Verdict
from molt_magic.validators.rules import RuleCheck, accept, refuse, text_of

PASS_SCORE = 0.5  # a function that returns a score in [0, 1] accepts from here


def function_check(name: str, function: Callable[..., Any]) -> RuleCheck:
    """A check that calls the function with the answer's text.

    It may return True or False, a score in [0, 1] (accepted from 0.5), either of them with a reason as a pair, a
    `Verdict`, or None: accepted, for functions that only raise. What it raises is a refusal with the exception as reason.

    Raises:
        ConfigError: a coroutine function, which could not be awaited here.
    """
    if inspect.iscoroutinefunction(function):
        raise ConfigError(f"Validator {name!r} is a coroutine function.", fix="Use a plain function.")

    def rule(attempt: Attempt) -> Verdict:
        return verdict_of(function(text_of(attempt)))

    return RuleCheck(name, rule)


def verdict_of(returned: Any) -> Verdict:
    """What a user's function returned, as a verdict; anything that cannot be read as one is a refusal that says so."""
    if isinstance(returned, Verdict):
        return returned
    if returned is None:
        return accept("raised nothing", None)
    if isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], str):
        found = verdict_of(returned[0])
        return Verdict(found.accepted, found.score, returned[1] or found.reason)
    value = scalar(returned)  # NumPy's own bool and float are neither bool nor float
    if isinstance(value, bool):
        return accept("returned True") if value else refuse("returned False")
    if isinstance(value, Real):
        score = float(value)
        if math.isnan(score) or not 0.0 <= score <= 1.0:
            return refuse(f"returned {score:g}, which is no score in [0, 1]")
        said = f"score {score:.2f}"
        return accept(said, score) if score >= PASS_SCORE else refuse(said, score)
    kind = type(returned).__name__
    return refuse(f"returned a {kind}; return True or False, a score in [0, 1], (bool, reason), a Verdict or None")
