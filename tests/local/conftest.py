"""The smallest real model, fetched once, and providers over it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from molt_magic.catalog import Catalog
from molt_magic.config import load_settings
from molt_magic.providers.local import LocalProvider
from molt_magic.providers.local.weights import pull
from molt_magic.transport import Transport
from molt_magic.types import Call, Message, ModelSpec

MakeLocal = Callable[..., LocalProvider]


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The weights folder of the user or the machine, with the smallest model in it."""
    folder = load_settings(cwd=Path("/"), environ=dict(os.environ)).models_dir
    weights = Catalog.load().get("smollm-local").weights
    assert weights is not None
    pull(weights, folder)
    return folder


@pytest.fixture
def smollm() -> ModelSpec:
    return Catalog.load().get("smollm-local")


@pytest.fixture
async def make_local(models_dir: Path) -> AsyncIterator[MakeLocal]:
    made: list[LocalProvider] = []

    def make(**values: Any) -> LocalProvider:
        on_progress = values.pop("on_progress", None)
        settings = load_settings(
            cwd=Path("/"),
            environ={"MOLT_HOME": os.environ["MOLT_HOME"], "MOLT_MODELS": str(models_dir)},
            overrides={f"local.{name}": value for name, value in {"context_tokens": 512, **values}.items()},
        )
        provider = LocalProvider(settings, transport=Transport(), on_progress=on_progress)
        made.append(provider)
        return provider

    yield make
    for provider in made:
        await provider.aclose()
        await provider.transport.aclose()


def ask(text: str, **params: Any) -> Call:
    """A call to the smallest model, greedy and short unless it says otherwise."""
    params = {"temperature": 0, "max_tokens": 8, **params}
    return Call(model="smollm-local", messages=(Message("user", text),), params=params)
