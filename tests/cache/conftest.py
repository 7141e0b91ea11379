from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from molt_magic.cache import Cache
from tests.cache.embedders import ConstantEmbedder, WordEmbedder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "answers"


@pytest.fixture
def open_cache(folder: Path) -> Iterator[Callable[..., Cache]]:
    """Opens caches on one folder; they are closed at the end."""
    opened: list[Cache] = []

    def make(**changes: Any) -> Cache:
        given: dict[str, Any] = {
            "ttl_seconds": 600,
            "max_bytes": 50_000_000,
            "semantic": True,
            "semantic_distance": 0.05,
            "embedder": WordEmbedder,
            "verifier": ConstantEmbedder,
        }
        cache = Cache(changes.pop("directory", folder), **(given | changes))
        opened.append(cache)
        return cache

    yield make
    for cache in opened:
        cache.close()


@pytest.fixture
def cache(open_cache: Callable[..., Cache]) -> Cache:
    return open_cache()
