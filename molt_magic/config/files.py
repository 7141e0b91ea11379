"""Finding and reading `molt.toml` and `[tool.molt]`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from molt_magic.config.schema import KEYS, SECTIONS
from molt_magic.config.secrets import refuse_keys
from molt_magic.errors import ConfigError, UnknownName

FILE = "molt.toml"
PYPROJECT = "pyproject.toml"


def find_upwards(name: str, start: Path) -> Path | None:
    """The file `name` in `start` or the nearest of its parents."""
    return next((folder / name for folder in (start, *start.parents) if is_file(folder / name)), None)


def is_file(path: Path) -> bool:
    """Whether there is such a file, as far as we may look: before Python 3.14 `Path.is_file` raises where we may not."""
    try:
        return path.is_file()
    except OSError:
        return False


def read_table(path: Path) -> dict[str, Any]:
    """What `path` says to us: all of a `molt.toml`, `[tool.molt]` of a `pyproject.toml`.

    Raises:
        ConfigError: unreadable, not TOML (with the line), or a key in it.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # -sig: editors on Windows begin a file with a byte order mark
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist.", fix="Check the path, or leave it out for the defaults.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start}).", fix="Save it as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", fix="Make it a readable file.") from None
    if path.name == PYPROJECT and "molt" not in text:  # another project's file: what is wrong with it is not ours to say
        return {}
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{path} is not valid TOML: {error}.", fix='Text needs quotes, names one "=": strategy = "arbitrage".'
        ) from None
    if path.name == PYPROJECT:
        tool = table.get("tool", {})
        table = tool.get("molt", {}) if isinstance(tool, dict) else {}
        if not isinstance(table, dict):
            raise ConfigError(f"tool.molt in {path} must be a table.", fix="Write [tool.molt.defaults] and settings under it.")
    refuse_keys(table, "", str(path))
    return table


def settings_in(table: Mapping[str, Any], origin: str) -> Iterator[tuple[str, Any]]:
    """The settings of a file as (dotted key, value); a model or a route is one value.

    Raises:
        ConfigError: an unknown section or setting, with the nearest that exists.
    """
    known = (*SECTIONS, "models", "routes")
    for section, content in table.items():
        if section not in known:
            settings = {key.split(".", 1)[1]: key for key in reversed(KEYS)}  # of two with one name, [defaults] is meant
            if section in settings:  # a setting outside its section
                home, _, name = settings[section].partition(".")
                raise ConfigError(
                    f"{section} in {origin} stands outside its section.", fix=f"Put it under [{home}]: {name} = ..."
                )
            raise ConfigError(f"Unknown section [{section}] in {origin}.", fix=UnknownName("section", section, known).fix)
        if section == "cassette" and isinstance(content, str):  # the short form
            yield "cassette.file", content
            continue
        if not isinstance(content, Mapping):
            raise ConfigError(f"{section} in {origin} must be a section.", fix=f"Write [{section}] and its settings under it.")
        for name, value in content.items():
            key = f"{section}.{name}"
            if section in ("models", "routes"):
                if not isinstance(value, Mapping):
                    raise ConfigError(f"{key} in {origin} must be a table.", fix=f"Write [{key}] and its fields under it.")
            elif key not in KEYS:
                names = [k.split(".", 1)[1] for k in KEYS if k.startswith(section + ".")]
                raise ConfigError(
                    f"Unknown setting {name!r} in [{section}] of {origin}.", fix=UnknownName("setting", name, names).fix
                )
            yield key, value
