"""Folders and files that nobody but the user may read, whatever the umask is; and what is in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, 0700; one that is there stays as it is. Raises OSError."""
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def create(path: Path) -> BinaryIO:
    """An empty file to write to, made 0600 where it is not there. Raises OSError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def sizes_in(folder: Path) -> Iterator[tuple[str, int]]:
    """Name and bytes of every file in a folder and below. What comes and goes meanwhile, as others work there, is left out, and
    so is what cannot be read."""
    for above, _, names in os.walk(folder):  # `Path.rglob` raises where a folder goes
        for name in names:
            try:
                size = Path(above, name).stat().st_size
            except OSError:
                continue
            yield name, size
