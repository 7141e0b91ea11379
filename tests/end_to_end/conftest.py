"""Servers that were not written here: llama.cpp's own over a real model, and llmock in three dialects."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llmock.pytest_plugin import LLMock

from molt_magic.catalog import Catalog
from molt_magic.config import load_settings
from molt_magic.orchestrator import Orchestrator
from molt_magic.providers import Providers

LLAMA = """
import os, sys
os.environ["GOMP_SPINCOUNT"] = "10000"  # before the import: it spins for its life otherwise, and others want the cores
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel, params.verbosity = sys.argv[1], 4096, 2, -1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""

Ask = Callable[..., Orchestrator]


@pytest.fixture(scope="session")
def smollm() -> Path:
    """The weights of smollm-local, fetched where they are missing."""
    models = os.environ.get("MOLT_MODELS")
    settings = load_settings(cwd=Path("/"), environ={"MOLT_MODELS": models} if models else {})
    providers = Providers(settings)
    try:
        spec = Catalog.load().get("smollm-local")
        providers.pull(spec)
        assert spec.weights is not None
        return settings.models_dir / spec.weights.filename
    finally:
        providers.close()


@pytest.fixture(scope="session")
def llama_url(smollm: Path) -> Iterator[str]:
    """llama.cpp's own server, in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", LLAMA, str(smollm)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield f"{process.stdout.readline().strip()}/v1"
        process.kill()


@pytest.fixture(params=["llama.cpp", "llmock openai", "llmock anthropic", "llmock gemini"])
def over_a_real_server(
    request: pytest.FixtureRequest, llama_url: str, llmock: LLMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Orchestrator]:
    """An orchestrator whose two models are on a real server."""
    monkeypatch.setenv("PEER_KEY", "a-key-of-the-tests")
    if request.param == "llama.cpp":
        table: dict[str, Any] = {"provider": "openai", "model": "smollm", "base_url": llama_url}
    else:
        provider = request.param.split()[1]
        llmock.reply("A median is the middle value.")
        table = {"provider": provider, "model": "gpt-4o", "base_url": llmock.base_url(provider)}
    table |= {"api_key_env": "PEER_KEY", "context_window": 4096, "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
    settings = load_settings(cwd=tmp_path).with_values(
        {
            "catalog": "none",
            "models.small": {**table, "prior_quality": 0.4},
            "models.big": {**table, "prior_quality": 0.8, "output_usd_per_mtok": 20.0},
            "cascade.ladder": ("small", "big"),
            "routes.simple_qa": {"primary": "small", "fallback": "big"},
        }
    )
    with Orchestrator(settings=settings) as orch:
        yield orch
