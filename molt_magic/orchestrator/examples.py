"""The user's labelled examples: a line of JSON each, appended under a lock, read by every kernel that classifies."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from molt_magic.errors import StoreError
from molt_magic.files import make_folder
from molt_magic.lock import locked
from molt_magic.serial import half_at

logger = logging.getLogger("molt_magic")

Example = tuple[str, str | None]  # (text, task)

NOTICED_S = 0.05  # after which it is seen that another kernel has added some
VERSION = 1  # of a line; the first is not written down


class KeptExamples:
    """Keeps examples in a file; what stands there is read once, and then what was appended.

    Args:
        path: the file; made (0600) with the first example. None: nothing is read.
        unkept: says why nothing is written, asked at every `keep`; None: it is.
    """

    def __init__(self, path: Path | None, *, unkept: Callable[[], str | None] = lambda: None) -> None:
        self.path = path
        self.unkept = unkept
        self._read, self._lines = 0, 0  # bytes and lines of the file that were taken in
        self._missing = False  # it was, when it was looked for last
        self._until = 0.0  # monotonic seconds: until then it is not looked for again
        self._told = False  # that it cannot be read

    def keep(self, examples: Sequence[Example]) -> None:
        """Write examples down, on disk when this returns. Raises StoreError."""
        if (why := self.unkept()) is not None or self.path is None:
            logger.warning("%d examples are kept for this session only: %s", len(examples), why)
            return
        lines = "".join(json.dumps({"text": text, "task": task}, ensure_ascii=False) + "\n" for text, task in examples)
        try:
            make_folder(self.path.parent)
            with locked(self.path.with_name(self.path.name + ".lock"), waiting=lambda: None):
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
                with os.fdopen(descriptor, "r+b") as file:
                    end = file.seek(0, os.SEEK_END)
                    if end and (file.seek(end - 1), file.read(1))[1] != b"\n":  # a writer died in the middle of a line
                        lines = "\n" + lines
                    file.write(lines.encode())
                    file.flush()
                    os.fsync(descriptor)
        except OSError as error:
            raise StoreError(
                f"The examples cannot be written to {self.path}: {error.strerror or error}.",
                fix="Make that folder writable, or set MOLT_HOME to one that is.",
            ) from error

    def news(self) -> list[Example]:
        """The examples that were written since this was asked last, if that is NOTICED_S ago. A damaged line is skipped, with a
        warning that names it."""
        if self.path is None or (now := time.monotonic()) < self._until:
            return []
        self._until = now + NOTICED_S
        try:
            if self._missing and not os.access(self.path, os.F_OK):  # an error takes three times as long to make
                return []
            size, self._missing = self.path.stat().st_size, False
            if size == self._read:
                return []
            if size < self._read:  # somebody has tidied it up
                self._read, self._lines = 0, 0
            with self.path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except FileNotFoundError:
            self._missing = True
            return []
        except OSError as error:
            level = logging.DEBUG if self._told else logging.WARNING  # it is asked for with every prompt
            logger.log(level, "your examples in %s cannot be read: %s", self.path, error.strerror or error)
            self._told = True
            return []
        whole, _, _ = new.rpartition(b"\n")  # what follows is being written
        found = []
        for line in whole.split(b"\n") if whole else []:
            self._lines += 1
            if not line.strip():
                continue
            try:
                found.append(_example(line))
            except ValueError as error:
                logger.warning("line %d of %s %s and is skipped", self._lines, self.path, error)
        self._read += len(whole) + 1 if whole else 0
        return found


def _example(line: bytes) -> Example:
    """The example of a line. Raises ValueError, which says what the line is instead."""
    try:
        row = json.loads(line)
        text, task, version = row["text"], row["task"], row.get("version", VERSION)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("is no example") from None
    if version != VERSION:
        raise ValueError(f"was written by a newer molt_magic (version {version}, this one knows {VERSION})")
    if not isinstance(text, str) or not isinstance(task, str | None):
        raise ValueError("is no example")
    if half_at(f"{text}{task}") is not None:
        raise ValueError("holds half of a character (a lone surrogate)")
    return text, task
