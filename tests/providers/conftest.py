"""Providers over a server of our own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.servers import Server, running

KEY = "0123456789abcdef-like-no-vendors-key"


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as it:
        yield it


def settings(secrets: dict[str, str] | None = None, **network: Any) -> Any:
    """What the providers need of Settings: limits that let tests be quick, and keys that are nowhere else."""
    limits = {"connect_s": 2.0, "first_token_s": 2.0, "total_s": 10.0, "retries": 0, **network}
    cache_dir = Path(os.environ["MOLT_HOME"]) / "cache"
    return SimpleNamespace(network=SimpleNamespace(**limits), secret=(secrets or {}).get, cache_dir=cache_dir)
