"""Keys: read from the environment or a `.env` when they are needed, and refused where they do not belong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from molt_magic.errors import ConfigError

# how keys begin that are in use today: OpenAI, Anthropic, OpenRouter and DeepSeek (sk-), Google (AIza), xAI, Groq, Hugging Face
_KEY = re.compile(
    r"(?<![A-Za-z0-9])(sk-[A-Za-z0-9_-]{8,}|AIza[A-Za-z0-9_-]{20,}|xai-[A-Za-z0-9]{20,}|(gsk|hf)_[A-Za-z0-9]{20,})"
)
_WITH_PASSWORD = re.compile(r"\s*https?://[^/?#\s]*@", re.IGNORECASE)  # an address
REMOVED = "[key removed]"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY_FIELDS = frozenset({"api_key", "apikey", "key", "token", "secret", "password"})


class Secrets:
    """Looks keys up: the environment first, then `.env` files. Holds none, shows none, exports none.

    Args:
        environ: the environment; read anew at each look-up, so that a key set in a cell counts.
        dotenv: `.env` files, the first that has a name wins; they need not exist.
    """

    __slots__ = ("_dotenv", "_environ", "_read")

    def __init__(self, *, environ: Mapping[str, str], dotenv: tuple[Path, ...]) -> None:
        self._environ = environ
        self._dotenv = dotenv
        self._read: dict[Path, tuple[tuple[int, int], dict[str, str | None]]] = {}

    def get(self, name: str) -> str | None:
        """The value of `name`, or None where it is not set or empty."""
        if value := self._environ.get(name, "").strip():
            return value
        for path in self._dotenv:
            if value := (self._values(path).get(name) or "").strip():
                return value
        return None

    def _values(self, path: Path) -> Mapping[str, str | None]:
        try:
            stat = path.stat()
        except OSError:
            return {}
        stamp = (stat.st_mtime_ns, stat.st_size)
        known = self._read.get(path)
        if known is None or known[0] != stamp:
            from dotenv import dotenv_values

            try:
                values = dict(dotenv_values(path))
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"{path.name} in {path.parent} cannot be read ({type(error).__name__}).", fix="Make it readable UTF-8 text."
                ) from None
            self._read[path] = known = (stamp, values)
        return known[1]

    def __repr__(self) -> str:
        return "Secrets(...)"

    def __reduce__(self) -> Any:
        raise TypeError("Secrets are not copied or pickled; build settings anew with load_settings().")


def without_keys(text: str, values: Iterable[str]) -> str:
    """`text` with these secrets, and whatever else looks like a key and holds a digit, taken out."""
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, REMOVED)
    # the digit: a model may well write of `sk-learn-contrib`
    return _KEY.sub(lambda found: REMOVED if any(c.isdigit() for c in found.group()) else found.group(), text)


def looks_like_key(text: str) -> bool:
    """Whether `text` holds something that looks like an API key."""
    return _KEY.search(text) is not None


def refuse_keys(table: Any, where: str, origin: str) -> None:
    """Go through a TOML table and refuse keys in it, without showing them.

    Raises:
        ConfigError: a field for keys, text that looks like one, or an `api_key_env` that is not the name of a variable.
    """
    if isinstance(table, Mapping):
        for name, value in table.items():
            place = f"{where}.{name}" if where else str(name)
            if isinstance(value, str) and str(name).lower() in _KEY_FIELDS:
                raise _refusal(f"{place} in {origin} holds a key.")
            if name == "api_key_env" and isinstance(value, str) and not is_variable_name(value):
                raise _refusal(f"{place} in {origin} must be the name of an environment variable, and this is not one.")
            refuse_keys(value, place, origin)
    elif isinstance(table, list):
        for number, value in enumerate(table):
            refuse_keys(value, f"{where}[{number}]", origin)
    elif isinstance(table, str) and looks_like_key(table):
        raise _refusal(f"{where} in {origin} looks like an API key.")
    elif isinstance(table, str) and _WITH_PASSWORD.match(table):
        raise _refusal(f"{where} in {origin} holds a user name or password.")


def is_variable_name(text: str) -> bool:
    """Whether `text` can be the name of an environment variable, and is not a key in disguise."""
    random = len(text) >= 30 and any(c.islower() for c in text) and any(c.isdigit() for c in text)
    return _VARIABLE.fullmatch(text) is not None and not looks_like_key(text) and not random


def _refusal(what: str) -> ConfigError:
    return ConfigError(
        f"{what} Keys do not belong in a file that is shared and committed.",
        fix='Put the key into an environment variable or a .env file, and its name here: api_key_env = "OPENAI_API_KEY". '
        "If the file was shared, revoke the key.",
    )
