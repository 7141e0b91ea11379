"""A cluster of four worker processes on this machine, and a server that its workers ask."""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

from molt_magic.config import load_settings
from molt_magic.orchestrator import Orchestrator
from tests import servers
from tests.stress.server import ChatServer

KEY_VAR = "CLUSTER_TEST_KEY"  # set on the workers, and nowhere else
KEY = "sk-canary-7f3a9c1e5b2d8046"
WORKERS = 4

Make = Callable[..., Orchestrator]


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    environment = {KEY_VAR: KEY, "MOLT_HOME": str(tmp_path_factory.mktemp("workers"))}
    with LocalCluster(
        n_workers=WORKERS,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        silence_logs=50,
        env=environment,
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster) as client:
        client.wait_for_workers(WORKERS)
        yield client


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with servers.running(ChatServer(takes_s=0.02)) as server:
        yield server


@pytest.fixture
def orchestrator(tmp_path: Path, server: ChatServer) -> Iterator[Make]:
    """Makes orchestrators over `small` ($1/$2 per Mtok) and `big` ($10/$40), whose key this process does not have."""
    made: list[Orchestrator] = []

    def make(values: Mapping[str, Any] | None = None, *, home: str = "home", **of_models: Any) -> Orchestrator:
        shared = {
            "provider": "openai",
            "base_url": f"{server.url}/v1",
            "context_window": 8000,
            "api_key_env": KEY_VAR,
            **of_models,
        }
        models = {
            "models.small": {**shared, "model": "s", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0},
            "models.big": {**shared, "model": "b", "input_usd_per_mtok": 10.0, "output_usd_per_mtok": 40.0},
        }
        settings = load_settings(cwd=tmp_path, environ=ChainMap({"MOLT_HOME": str(tmp_path / home)}, os.environ))
        settings = settings.with_values({"catalog": "none", "cascade.ladder": ("small", "big"), **models, **(values or {})})
        made.append(Orchestrator(settings=settings))
        return made[-1]

    yield make
    for one in made:
        one.close()
