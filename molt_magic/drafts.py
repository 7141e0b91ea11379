"""Files that are written aside and put in place whole: a reader sees the old one or the new one, whenever the writer dies."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ABANDONED_S = 3600.0  # a draft this old belongs to nobody: its writer was killed


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new empty file beside `path`, for the owner only, which takes its place on disk when the block ends without an error.

    Drafts that killed writers left behind are removed. Raises OSError.
    """
    if "\0" in str(path):
        raise FileNotFoundError(errno.ENOENT, "a name cannot have a NUL in it", str(path))
    prefix = f".{path.name}."
    sweep(path.parent, prefix)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=".part")
    os.close(descriptor)
    draft = Path(name)
    try:
        yield draft
        with draft.open("rb+") as written:
            os.fsync(written.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def sweep(folder: Path, prefix: str) -> None:
    """Remove the drafts in a folder that begin with `prefix` and were abandoned."""
    with suppress(OSError):
        for draft in folder.iterdir():
            if draft.name.startswith(prefix) and draft.name.endswith(".part"):
                with suppress(OSError):
                    if time.time() - draft.stat().st_mtime > ABANDONED_S:
                        draft.unlink()
