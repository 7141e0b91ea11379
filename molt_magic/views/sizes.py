"""How large the stores are, and what bounds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from molt_magic.errors import MoltError

if TYPE_CHECKING:
    from molt_magic.orchestrator import Orchestrator

PRUNE = "%route log --prune DAYS"


@dataclass(frozen=True, slots=True)
class Size:
    """One store."""

    name: str
    said: str  # how large it is, and what bounds it; or what is wrong with it
    fix: str = ""  # where something is wrong


def sizes(orch: Orchestrator) -> Iterator[Size]:
    """Every store that there is. Nothing is made by looking."""
    settings = orch.settings
    if settings.log.enabled:
        yield log(orch)
    if orch.cache is not None:
        yield cache(orch)
    for name, path, bound in (
        ("learned quality", settings.data_dir / "quality.npz", "every fit replaces it"),
        ("examples", settings.data_dir / "examples.jsonl", "the ones that you add"),
        ("cassette", settings.tape[1] if settings.tape is not None else None, "a line for each different call"),
    ):
        if path is not None and path.is_file():
            yield Size(name, f"{megabytes(path.stat().st_size)}; {bound}")
    if count := len(orch.runs):
        said = f"{count} run{'s' if count != 1 else ''}, {megabytes(orch.runs.bytes)}"
        yield Size("runs", f"{said}; each stays until you say orch.runs.forget(NAME)")


def log(orch: Orchestrator) -> Size:
    """The decision log."""
    if not orch.log.path.exists():
        return Size("log", "empty")
    try:
        found = orch.log.stats()
    except MoltError as error:
        return Size("log", error.message, error.fix)
    count = f"{found['decisions']:,} decision{'s' if found['decisions'] != 1 else ''}"
    return Size("log", f"{count}, {megabytes(found['bytes'])}; it grows until you say {PRUNE}")


def cache(orch: Orchestrator) -> Size:
    """The cache of answers."""
    assert orch.cache is not None
    most = f"of at most {megabytes(orch.cache.max_bytes)}"
    if orch.cassette is None and not (orch.cache.directory / "cache.db").exists():
        return Size("cache", f"empty, {most}")
    found = orch.cache.stats()
    if found["trouble"]:
        return Size("cache", str(found["trouble"]), "Answers go on without it.")
    return Size("cache", f"{found['entries']:,} entries, {megabytes(found['bytes'])} {most}; the oldest go first")


def megabytes(size: int) -> str:
    """Bytes for people: MB with what precision helps."""
    return f"{size / 1e6:,.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.0f} kB"
