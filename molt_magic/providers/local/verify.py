"""Whether a weights file is the one it should be, hashed once and remembered."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from molt_magic.errors import WeightsError
from molt_magic.files import make_folder
from molt_magic.types import Weights

_CHUNK = 1 << 22


def file_of(weights: Weights, directory: Path) -> Path:
    """Where the file is, or will be: the user's own `path`, or `filename` in the weights folder.

    Raises:
        WeightsError: `filename` would lie outside the folder.
    """
    if weights.path is not None:
        return Path(weights.path).expanduser().absolute()
    name = weights.filename
    if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise WeightsError(f"{name!r} is not the name of a file.", fix='Set filename = "model.gguf".')
    return directory / name


def present(weights: Weights, directory: Path) -> Path | None:
    """The file, where it is there in its full size; None otherwise. Cheap: the content is not looked at."""
    path = file_of(weights, directory)
    try:
        size = path.stat().st_size if path.is_file() else 0
    except OSError:
        return None
    expected = weights.bytes or size
    return path if size and size == expected else None


def verified(weights: Weights, directory: Path, *, hashing: Callable[[float], None] | None = None) -> Path:
    """The file, its sha256 checked: now, or at an earlier time if neither size nor modification time changed since.

    A file of ours that is not what it should be is deleted; one that the user named with `path` is left alone.

    Args:
        weights: what it must be. Without `sha256` only a `path` is taken, on the user's word.
        directory: the weights folder; also remembers what was checked.
        hashing: told the fraction done; what it raises ends the check.

    Raises:
        WeightsError: the file is missing or has another hash.
    """
    path = file_of(weights, directory)
    if present(weights, directory) is None:
        raise WeightsError(f"{path.name} is not there in its full size.", fix="Run molt models pull for its model.")
    if weights.sha256 is None:
        if weights.path is None:
            raise WeightsError(f"{path.name} has no sha256 to check it by.", fix="Add sha256 to the model's table.")
        return path
    note = _note_of(weights, path, directory)
    if _remembered(note) != _state(path, weights.sha256):
        before = _state(path, weights.sha256)
        if digest(path, hashing) != weights.sha256.lower():
            raise _wrong(weights, path, note)
        _remember(note, before)  # the state before hashing: a change meanwhile is not taken for checked
    return path


def digest(path: Path, hashing: Callable[[float], None] | None = None) -> str:
    """The sha256 of a file, in lower-case hex; `hashing` is told the fraction done."""
    total = path.stat().st_size or 1
    hashed = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hashed.update(chunk)
            done += len(chunk)
            if hashing is not None:
                hashing(done / total)
    return hashed.hexdigest()


def settle(weights: Weights, part: Path, directory: Path, *, hashing: Callable[[float], None] | None = None) -> Path:
    """Make a fetched file the real one, after its sha256 was checked.

    Raises:
        WeightsError: another hash; the fetched file is deleted.
    """
    path = file_of(weights, directory)
    if weights.sha256 is None:
        raise WeightsError(f"{path.name} has no sha256 to check it by.", fix="Add sha256 to the model's table.")
    if digest(part, hashing) != weights.sha256.lower():
        raise _wrong(weights, part, None)
    part.replace(path)
    _remember(_note_of(weights, path, directory), _state(path, weights.sha256))
    return path


def _wrong(weights: Weights, path: Path, note: Path | None) -> WeightsError:
    if weights.path is not None:
        return WeightsError(
            f"{path.name} does not have the configured sha256.", fix="Check path and sha256, or fetch it again."
        )
    path.unlink(missing_ok=True)
    if note is not None:
        note.unlink(missing_ok=True)
    return WeightsError(
        f"{weights.filename} does not have the sha256 it should have and was deleted.",
        fix="Run molt models pull for its model.",
    )


def _note_of(weights: Weights, path: Path, directory: Path) -> Path:
    if weights.path is None:
        return directory / f"{path.name}.sha256"
    place = hashlib.sha256(str(path).encode()).hexdigest()[:16]  # files of one name in several folders
    return directory / f"{path.name}.{place}.sha256"


def _state(path: Path, sha256: str) -> dict[str, object]:
    found = path.stat()
    return {"sha256": sha256.lower(), "size": found.st_size, "mtime_ns": found.st_mtime_ns}


def _remembered(note: Path) -> object:
    try:
        return json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _remember(note: Path, state: dict[str, object]) -> None:
    make_folder(note.parent)
    beside = note.with_name(f"{note.name}.{os.getpid()}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(state, file)
    beside.replace(note)
