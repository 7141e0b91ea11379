"""JSON schemas, made to fit what each vendor's structured output accepts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_NESTED = ("properties", "$defs", "definitions")  # mappings of schemas
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")  # lists of schemas

# Anthropic's structured outputs, 2026-11: what else a schema says is refused, so it is told to the model in words
_ANTHROPIC_KEEPS = frozenset(
    {"type", "required", "enum", "const", "description", "title", "format", "$ref", "additionalProperties", "items"}
)
_ANTHROPIC_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})


def name_of(schema: Mapping[str, Any]) -> str:
    """A name that OpenAI accepts for a schema: its title where that fits."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", str(schema.get("title") or "answer"))[:64]


def is_strict(schema: Any) -> bool:
    """Whether OpenAI's strict mode takes it: every object closed, every property required."""
    if not isinstance(schema, Mapping):
        return True
    if "properties" in schema or schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            return False
        if set(schema.get("required", ())) != set(schema.get("properties", ())):
            return False
    return all(is_strict(inner) for inner in _inner(schema))


def can_close(schema: Any) -> bool:
    """Whether every object of it may be closed without forbidding what it means to allow (a map of any keys)."""
    if not isinstance(schema, Mapping):
        return True
    if schema.get("additionalProperties") not in (None, False) or "patternProperties" in schema:
        return False
    if schema.get("type") == "object" and "properties" not in schema:
        return False
    return all(can_close(inner) for inner in _inner(schema))


def closed(schema: Any) -> Any:
    """The schema as Anthropic takes it: objects closed, the rest of its rules moved into the description."""
    if not isinstance(schema, Mapping):
        return schema
    kept: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _NESTED:
            kept[key] = {name: closed(inner) for name, inner in value.items()}
        elif key in _LISTS and key != "prefixItems":
            kept["anyOf" if key == "oneOf" else key] = [closed(inner) for inner in value]
        elif key == "items":
            kept[key] = closed(value)
        elif (key == "format" and value not in _ANTHROPIC_FORMATS) or (key not in _ANTHROPIC_KEEPS and key != "$schema"):
            told[key] = value
        elif key != "$schema":
            kept[key] = value
    if "properties" in kept:
        kept["additionalProperties"] = False
    if told:
        kept["description"] = f"{kept.get('description', '')} {json.dumps(told, ensure_ascii=False)}".strip()
    return kept


def instruction(schema: Mapping[str, Any]) -> str:
    """What to tell a model whose API takes no schema."""
    text = json.dumps(schema, ensure_ascii=False)
    return f"Answer with one JSON value and nothing else. It must follow this JSON schema:\n{text}"


def _inner(schema: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = []
    for key in _NESTED:
        found += list(schema.get(key, {}).values())
    for key in _LISTS:
        found += list(schema.get(key, ()))
    if "items" in schema:
        found.append(schema["items"])
    return found
