"""The settings in force, and the search that builds them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from molt_magic.config.files import FILE, PYPROJECT, find_upwards, is_file, read_table, settings_in
from molt_magic.config.schema import (
    KEYS,
    NOTHING,
    SECTIONS,
    ArbitrageSettings,
    BudgetSettings,
    CacheSettings,
    CascadeSettings,
    CassetteSettings,
    ContextSettings,
    Defaults,
    EmbedSettings,
    ExplorationSettings,
    LocalSettings,
    LogSettings,
    NetworkSettings,
    read_value,
)
from molt_magic.config.secrets import Secrets, refuse_keys
from molt_magic.errors import ConfigError, UnknownName

if TYPE_CHECKING:
    from platformdirs.api import PlatformDirsABC


def _empty() -> Mapping[str, Any]:
    return MappingProxyType({})


_TAPE_VARIABLE = "MOLT_CASSETTE"  # over all other places: a notebook names the tape, who runs it says what to do with it
_TAPE_MODE = "cassette.mode"
_VARIABLES: Mapping[str, str] = MappingProxyType(
    {"MOLT_" + key.removeprefix("defaults.").replace(".", "_").upper(): key for key in KEYS if key != _TAPE_MODE}
)
_OTHER_VARIABLES = ("MOLT_HOME", "MOLT_MODELS", _TAPE_VARIABLE)
DEFAULT_TAPE = "answers.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be configured, validated. Made by `load_settings`; changed by `with_values`."""

    defaults: Defaults = field(default_factory=Defaults)
    cache: CacheSettings = field(default_factory=CacheSettings)
    context: ContextSettings = field(default_factory=ContextSettings)
    embed: EmbedSettings = field(default_factory=EmbedSettings)
    local: LocalSettings = field(default_factory=LocalSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    log: LogSettings = field(default_factory=LogSettings)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    cassette: CassetteSettings = field(default_factory=CassetteSettings)
    arbitrage: ArbitrageSettings = field(default_factory=ArbitrageSettings)
    cascade: CascadeSettings = field(default_factory=CascadeSettings)
    exploration: ExplorationSettings = field(default_factory=ExplorationSettings)
    tape_mode: str | None = None  # what MOLT_CASSETTE says, over `cassette.mode`
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=_empty)  # name -> its table, read by the catalog
    routes: Mapping[str, Mapping[str, str]] = field(default_factory=_empty)  # task -> {primary, fallback}
    data_dir: Path  # the decision log, learned quality
    cache_dir: Path  # answers
    models_dir: Path  # weights
    source: tuple[Path, ...] = ()  # files read, strongest first
    origins: Mapping[str, str] = field(
        default_factory=_empty, compare=False, repr=False
    )  # dotted key -> where its value came from
    secrets: Secrets = field(default_factory=lambda: Secrets(environ=os.environ, dotenv=()), compare=False, repr=False)

    @property
    def tape(self) -> tuple[str, Path] | None:
        """What is done with a cassette (`record` or `replay`), and its file; None: nothing."""
        mode = self.tape_mode or self.cassette.mode
        file = self.cassette.file or (DEFAULT_TAPE if self.tape_mode else None)
        return None if mode == "off" or file is None else (mode, Path(file).expanduser().absolute())

    def secret(self, name: str) -> str | None:
        """The value of the environment variable `name`, else of `.env`; None where neither has it."""
        return self.secrets.get(name)

    def with_values(self, values: Mapping[str, Any], *, origin: str = "%config") -> Settings:
        """These settings with some of them changed.

        Args:
            values: dotted key (`cache.ttl_seconds`, `strategy`, `models.cheap`) -> value; text is read as the setting's type.
            origin: where the values come from, for errors and `origins`.

        Raises:
            UnknownName: no such setting.
            ConfigError: a wrong value, or a key among them.
        """
        return _apply(self, [(_full_key(key), value) for key, value in values.items()], origin=origin, parse=True)

    def flat(self) -> dict[str, Any]:
        """Every setting as dotted key -> value, without keys or models: what `%route config` shows."""
        return {key: getattr(getattr(self, key.split(".")[0]), key.split(".")[1]) for key in KEYS}


def load_settings(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Find, read and check the settings.

    Args:
        path: the file to read instead of searching (a `molt.toml`, or a `pyproject.toml` with `[tool.molt]`).
        environ: the environment: `MOLT_*` settings, `MOLT_HOME`, `MOLT_MODELS`, and later the keys.
        cwd: the folder where the search begins; the working folder by default. Its parents follow, then the user's
            config folder (`MOLT_HOME` where that is set).
        overrides: dotted key -> value, over everything else.

    Raises:
        ConfigError: a file, variable or value is wrong; the message names it.
        UnknownName: an override that does not exist.
    """
    start = (cwd or Path.cwd()).expanduser().absolute()
    home = _folder(environ, "MOLT_HOME")
    files = [path.expanduser().absolute()] if path is not None else _search(start, home)
    project = next((f.parent for f in files if f.parent in (start, *start.parents)), start)
    dotenv = tuple(folder / ".env" for folder in (start, *start.parents) if folder.is_relative_to(project))
    data, cache, models = _folders(environ, home)
    settings = Settings(
        data_dir=data,
        cache_dir=cache,
        models_dir=models,
        source=tuple(files),
        secrets=Secrets(environ=environ, dotenv=dotenv),
    )
    for file in reversed(files):
        found = list(settings_in(read_table(file), str(file)))
        settings = _apply(settings, found, origin=str(file), parse=False)
    for variable, key, text in _from_environment(environ):
        settings = _apply(settings, [(key, text)], origin=f"the environment ({variable})", parse=True)
    if forced := environ.get(_TAPE_VARIABLE, "").strip().lower():
        mode = read_value(_TAPE_MODE, forced, origin=f"the environment ({_TAPE_VARIABLE})", parse=True)
        settings = replace(settings, tape_mode=mode)
    return settings.with_values(overrides, origin="the given values") if overrides else settings


def _search(start: Path, home: Path | None) -> list[Path]:
    """The files in force, strongest first."""
    found = find_upwards(FILE, start)
    if found is None:
        own = (home or _platform().user_config_path) / FILE
        found = own if is_file(own) else None
    files = [found] if found is not None else []
    pyproject = find_upwards(PYPROJECT, start)
    if pyproject is not None and read_table(pyproject):
        files.append(pyproject)
    return files


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """(variable, dotted key, text) of every `MOLT_*` setting.

    A variable that is nearly one of ours is a mistake and is refused; any other is another program's.
    """
    for variable, text in sorted(environ.items()):
        if not variable.startswith("MOLT_") or variable in _OTHER_VARIABLES or not text.strip():
            continue
        key = _VARIABLES.get(variable)
        if key is None:
            if close := get_close_matches(variable, list(_VARIABLES), n=1, cutoff=0.85):
                raise ConfigError(f"Unknown environment variable {variable}.", fix=f"Did you mean {close[0]}?")
            continue
        yield variable, key, text


def _apply(settings: Settings, values: list[tuple[str, Any]], *, origin: str, parse: bool) -> Settings:
    sections: dict[str, dict[str, Any]] = {}
    changes: dict[str, Any] = {}
    for key, value in values:
        section, _, name = key.partition(".")
        if section in ("models", "routes"):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{key} in {origin} must be a table of fields.", fix=f"Look at [{section}] in the README.")
            refuse_keys(value, key, origin)
            known = changes.get(section, getattr(settings, section))
            changes[section] = MappingProxyType({**known, name: MappingProxyType(dict(value))})
        else:
            if isinstance(value, str) and not (parse and value.strip().lower() in NOTHING):
                refuse_keys({name: value}, section, origin)
            sections.setdefault(section, {})[name] = read_value(key, value, origin=origin, parse=parse)
    for section, found in sections.items():
        changes[section] = replace(getattr(settings, section), **found)
    origins = MappingProxyType({**settings.origins, **{key: origin for key, _ in values}})
    return replace(settings, **changes, origins=origins)


def _full_key(key: str) -> str:
    """`strategy` -> `defaults.strategy`; a key that exists stays as it is."""
    if key in KEYS or (key.partition(".")[0] in ("models", "routes") and key.partition(".")[2]):
        return key
    if f"defaults.{key}" in KEYS:
        return f"defaults.{key}"
    raise UnknownName("setting", key, [k.removeprefix("defaults.") for k in KEYS])


def _folder(environ: Mapping[str, str], variable: str) -> Path | None:
    text = environ.get(variable, "").strip()
    return Path(text).expanduser().absolute() if text else None


def _platform() -> PlatformDirsABC:
    from platformdirs import PlatformDirs

    return PlatformDirs("molt-magic", appauthor=False)


def _folders(environ: Mapping[str, str], home: Path | None) -> tuple[Path, Path, Path]:
    """Where data, answers and weights live; nothing is created here."""
    if home is not None:
        data, cache, models = home / "data", home / "cache", home / "models"
    else:
        platform = _platform()
        data, cache = platform.user_data_path, platform.user_cache_path
        models = cache / "models"
    return data, cache, _folder(environ, "MOLT_MODELS") or models


assert set(SECTIONS) <= set(Settings.__dataclass_fields__)  # a section without a field would be read and lost
