"""What a setting may be: a record per section, a line per setting with its default and its limits, and one reader of values."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from molt_magic.errors import ConfigError


def _limits(*, default: Any, at_least: float | None = None, at_most: float | None = None, one_of: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"at_least": at_least, "at_most": at_most, "one_of": one_of})


# the names of molt_magic.strategies, a layer above this one
STRATEGIES = ("rule", "semantic", "arbitrage", "cascade", "direct")


@dataclass(frozen=True, slots=True)
class Defaults:
    """`[defaults]`: what a request has when it does not say."""

    strategy: str = _limits(default="arbitrage", one_of=STRATEGIES)
    quality: float = _limits(default=0.85, at_least=0, at_most=1)  # threshold of predicted quality, in [0, 1]
    catalog: str = _limits(default="shipped", one_of=("shipped", "none"))  # none: only the models of the file
    model: str | None = None  # the model of `direct` and of an abstention; None: the best available
    judge: str | None = None  # the model that grades; None: chosen among the available


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """`[cache]`: answers kept on disk."""

    enabled: bool = True
    semantic: bool = True  # also answer prompts that mean the same
    ttl_seconds: float = _limits(default=600.0, at_least=0)
    semantic_distance: float = _limits(default=0.05, at_least=0, at_most=1)  # cosine distance: 1 - cosine similarity
    max_bytes: int = _limits(default=1_000_000_000, at_least=1_000_000)


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """`[context]`: what happens to a conversation that outgrows its window."""

    mode: str = _limits(default="summary", one_of=("summary", "window", "memory", "off"))
    trigger: float = _limits(default=0.8, at_least=0.05, at_most=1)  # share of the window (less the answer's) that sets it off
    keep_turns: int = _limits(default=10, at_least=1)  # the last turns are kept as they are
    max_tokens: int | None = _limits(default=None, at_least=64)  # caps every model's window; None: the model's own
    summary_model: str | None = None  # None: the cheapest available


@dataclass(frozen=True, slots=True)
class EmbedSettings:
    """`[embed]`: what turns prompts into vectors."""

    provider: str = _limits(default="static", one_of=("static", "openai"))  # openai: any OpenAI-compatible endpoint
    model: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None  # the name of a variable, never a key


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """`[local]`: llama.cpp in a child process."""

    memory_gb: float = _limits(default=8.0, at_least=0.25)  # over all running local models
    context_tokens: int = _limits(default=4096, at_least=256)
    threads: int | None = _limits(default=None, at_least=1)  # None: the engine's own choice
    idle_seconds: float = _limits(default=600.0, at_least=0)  # an unused model is unloaded after


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """`[network]`: patience, in seconds, and retries of one deployment."""

    connect_s: float = _limits(default=10.0, at_least=0.01)
    first_token_s: float = _limits(default=60.0, at_least=0.01)
    total_s: float = _limits(default=600.0, at_least=0.01)  # of one answer
    # of a whole question: its retries, waits, other models and judges too; None: no limit. Half as long again as one answer may
    # take, so that a question whose first answer hangs until `total_s` still gets one from another model
    deadline_s: float | None = _limits(default=900.0, at_least=0.01)
    retries: int = _limits(default=2, at_least=0, at_most=20)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`[log]`: the decision log."""

    enabled: bool = True
    prompts: bool = True  # False: the hash of a prompt is kept, its text is not


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """`[budget]`: what may be spent, USD. None: there is no limit."""

    call_usd: float | None = _limits(default=None, at_least=0)  # on one call of a model: an answer, a judge, a summary each
    session_usd: float | None = _limits(default=None, at_least=0)
    day_usd: float | None = _limits(default=None, at_least=0)  # a calendar day, of all sessions and kernels of this machine
    allow_unknown_prices: bool = False  # under any limit a model whose price is not known is not asked, unless this is true


@dataclass(frozen=True, slots=True)
class ArbitrageSettings:
    """`[arbitrage]`: how it trades quality for cost; with neither, by the threshold of `defaults.quality`."""

    within: float | None = _limits(default=None, at_least=0, at_most=1)  # the cheapest this far below the prompt's own best
    price: float | None = _limits(default=None, at_least=0)  # argmax(quality - price * cost), in 1/USD
    promise: str | None = None  # file of a calibrated policy, which then decides (`%route calibrate --keep`)


def _no_ladders() -> Mapping[str, tuple[str, ...]]:
    return types.MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CascadeSettings:
    """`[cascade]`: how it climbs."""

    ladder: tuple[str, ...] | None = None  # catalog names, cheap to dear; None: the one that ships
    ladders: Mapping[str, tuple[str, ...]] = field(default_factory=_no_ladders)  # of tasks that have one of their own
    price: float | None = _limits(default=None, at_least=0)  # quality for a dollar, 1/USD: a rung above must gain its cost


@dataclass(frozen=True, slots=True)
class ExplorationSettings:
    """`[exploration]`: now and then another model is asked first, so that what it would have done becomes known."""

    share: float = _limits(default=0.0, at_least=0, at_most=1)  # of the questions; 0: never
    session_usd: float | None = _limits(default=None, at_least=0)  # what explored questions may cost a session; None: no limit


@dataclass(frozen=True, slots=True)
class CassetteSettings:
    """`[cassette]`, or `cassette = "answers.jsonl"` for short: answers kept beside the notebook.

    The variable `MOLT_CASSETTE` (record, replay or off) is stronger than `mode`, wherever that is set: what a notebook
    says is for people, and CI has the last word.
    """

    file: str | None = None  # relative to the working folder; None: no cassette, or answers.jsonl where MOLT_CASSETTE wants one
    mode: str = _limits(default="record", one_of=("record", "replay", "off"))


SECTIONS: Mapping[str, type[Any]] = types.MappingProxyType(
    {
        "defaults": Defaults,
        "cache": CacheSettings,
        "context": ContextSettings,
        "embed": EmbedSettings,
        "local": LocalSettings,
        "network": NetworkSettings,
        "log": LogSettings,
        "budget": BudgetSettings,
        "cassette": CassetteSettings,
        "arbitrage": ArbitrageSettings,
        "cascade": CascadeSettings,
        "exploration": ExplorationSettings,
    }
)

LADDER = "cascade.ladder"
LADDERS = "cascade.ladders"

KEYS: tuple[str, ...] = tuple(f"{name}.{f.name}" for name, section in SECTIONS.items() for f in fields(section))

NOTHING = frozenset({"", "none", "not set"})  # "not set" is how `%route config` shows it
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def read_value(key: str, value: Any, *, origin: str, parse: bool) -> Any:
    """The value of one setting in its own type.

    Args:
        key: dotted, one of `KEYS`.
        value: as found.
        origin: where it was found, for the error.
        parse: whether text is read as the setting's type (environment, `%config`) or must already be of it (TOML).

    Raises:
        ConfigError: the value is of the wrong type or outside its limits.
    """
    if key == LADDER:
        return _ladder(key, value, origin=origin, parse=parse)
    if key == LADDERS:
        return _ladders(value, origin=origin, parse=parse)
    section, _, name = key.partition(".")
    cls = SECTIONS[section]
    kinds = typing.get_args(hint) if isinstance(hint := typing.get_type_hints(cls)[name], types.UnionType) else (hint,)
    if parse and isinstance(value, str) and type(None) in kinds and value.strip().lower() in NOTHING:
        value = None
    if value is None:
        if type(None) in kinds:
            return None
        raise ConfigError(f"{key} in {origin} has no value.", fix="Give one, or leave the setting out for its default.")
    kind = next(k for k in kinds if k is not type(None))
    found = _as_kind(kind, value, parse=parse)
    if found is None:
        wanted = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[kind]
        raise ConfigError(f"{key} in {origin} must be {wanted}, not {_shown(value)}.")
    limits = next(f for f in fields(cls) if f.name == name).metadata
    _check_limits(key, found, limits, origin)
    return found


def _check_limits(key: str, value: Any, limits: Mapping[str, Any], origin: str) -> None:
    if isinstance(value, str) and not value.strip():
        raise ConfigError(f"{key} in {origin} is empty.", fix="Give a value, or leave the setting out for its default.")
    if (one_of := limits.get("one_of")) and value not in one_of:
        raise ConfigError(f"{key} in {origin} is {_shown(value)}.", fix=f"It may be: {', '.join(one_of)}.")
    low, high = limits.get("at_least"), limits.get("at_most")
    if (low is not None and value < low) or (high is not None and value > high):
        span = f"between {low:g} and {high:g}" if high is not None else f"at least {low:g}"
        raise ConfigError(f"{key} in {origin} is {value:g}.", fix=f"It must be {span}.")


def _as_kind(kind: type[Any], value: Any, *, parse: bool) -> Any:
    """`value` as bool, int, float or str; None when it is not one."""
    if parse and isinstance(value, str) and kind is not str:
        text = value.strip().lower().replace("_", "")
        if kind is bool:
            return True if text in _TRUE else False if text in _FALSE else None
        try:
            value = float(text) if kind is float else int(text)
        except ValueError:
            return None
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else None
    if kind is int and isinstance(value, bool):
        return None  # bool is an int in Python, not in a configuration
    return value if isinstance(value, kind) else None


def _ladders(value: Any, *, origin: str, parse: bool) -> Mapping[str, tuple[str, ...]]:
    if value is None or (parse and isinstance(value, str) and value.strip().lower() in NOTHING):
        return _no_ladders()
    if parse and isinstance(value, str) and ":" in value:  # sums: a, b; prose: c
        value = {task.strip(): rungs for task, _, rungs in (part.partition(":") for part in value.split(";"))}
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"{LADDERS} in {origin} must be a table of ladders by task.", fix='Like: [cascade.ladders], simple_qa = ["gpt-5"].'
        )
    found = {task: _ladder(f"{LADDERS}.{task}", rungs, origin=origin, parse=parse) for task, rungs in value.items()}
    return types.MappingProxyType({task: rungs for task, rungs in found.items() if rungs is not None})


def _ladder(key: str, value: Any, *, origin: str, parse: bool) -> tuple[str, ...] | None:
    if value is None or (parse and isinstance(value, str) and value.strip().lower() in NOTHING):
        return None
    if parse and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(v, str) and v for v in value):
        raise ConfigError(f"{key} in {origin} must be a list of model names.", fix='Like: ladder = ["qwen-local", "gpt-5"].')
    if len(set(value)) != len(value):
        raise ConfigError(f"{key} in {origin} names a model twice.", fix="Name each rung once, cheap to dear.")
    return tuple(value)


def _shown(value: Any) -> str:
    """A value in an error: short, so that nothing long or secret ends up in a traceback."""
    text = repr(value)
    return text if len(text) <= 24 else f"{text[:12]}... ({type(value).__name__})"
