"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("molt-magic", "httpx", "numpy", "hnswlib", "onnxruntime", "ipython", "openai", "litellm", "semantic-router")
_SYNCS = 20


def facts(folder: str) -> dict[str, Any]:
    """The machine as it is before anything runs.

    Args:
        folder: where the bench keeps its files; how long the disk takes there is one of the facts.
    """
    return {
        "cpus": os.cpu_count(),
        "load": load(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "fsync_s": fsync_s(folder),
        "versions": versions(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def load() -> float | None:
    """Processes that wanted to run in the last minute; None where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def versions() -> Mapping[str, str | None]:
    """Of what takes part; None: it is not installed."""
    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def fsync_s(folder: str) -> float:
    """Seconds that 4 kB take to be safe on this disk, median."""
    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_SYNCS):
            file.write(b"x" * 4096)
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - started)
    return statistics.median(took)
