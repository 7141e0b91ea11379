"""Paths for people."""

from __future__ import annotations

from pathlib import Path


def at_home(path: Path) -> str:
    """The path with `~` for the home folder: a notebook that is passed on need not tell whose it is."""
    return f"~/{path.relative_to(Path.home()).as_posix()}" if path.is_relative_to(Path.home()) else str(path)
