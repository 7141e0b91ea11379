"""Keys of the exact cache: equal for equal data, whatever its order and kind of container."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from typing import Any

from molt_magic.errors import InputError


def canonical_key(parts: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over the canonical JSON of `parts`: sorted names, no spaces, 1.0 as 1, sets sorted.

    Raises:
        InputError: a part is not data (a function, bytes, NaN).
    """
    try:
        text = json.dumps(_canonical(parts), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise InputError(f"A parameter cannot be part of a cache key: {error}.", fix="Pass plain data.") from error
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _canonical(part: Any) -> Any:
    if part is None or isinstance(part, (str, bool, int)):
        return part
    if isinstance(part, float):
        return int(part) if part.is_integer() else part
    if isinstance(part, Mapping):
        if not all(isinstance(name, str) for name in part):
            raise InputError("A parameter has a name that is not text.", fix="Use text for the names.")
        return {name: _canonical(value) for name, value in part.items()}
    if isinstance(part, Set):
        return sorted((_canonical(item) for item in part), key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(part, Sequence) and not isinstance(part, (bytes, bytearray)):
        return [_canonical(item) for item in part]
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return {field.name: _canonical(getattr(part, field.name)) for field in dataclasses.fields(part)}
    raise InputError(f"A parameter of type {type(part).__name__} cannot be part of a cache key.", fix="Pass plain data.")
