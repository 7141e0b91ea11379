"""Orchestrators over the faults: three ways to stand before one."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from molt_magic.orchestrator import Orchestrator
from tests.faults.catalogue import Fault
from tests.faults.server import World
from tests.faults.server import world as running_world

KEY = "0123456789abcdef-like-no-vendors-key"
PROVIDERS = ("openai", "anthropic", "gemini")
PATIENCE = {"connect_s": 8.0, "first_token_s": 8.0, "total_s": 15.0, "retries": 1}
PRICES = {"first": (1.0, 2.0), "second": (10.0, 20.0), "third": (30.0, 60.0)}  # USD per Mtok, input and output


@dataclass(frozen=True)
class Stand:
    """An orchestrator in front of a faulty model `first`.

    `several`: `second` and `third` answer. `two deployments`: and so does another deployment of `first`. `alone`: nobody else.
    """

    kind: str
    provider: str  # of `first` and `second`
    orch: Orchestrator
    world: World

    def face(self, fault: Fault) -> None:
        """Put a fault before it, by configuration. This closes what the providers held."""
        then = fault.then or "second"
        route = {"primary": "first"} if self.kind == "alone" else {"primary": "first", "fallback": then}
        self.orch.configure(
            {
                "models.first": self._first(self.world.bad(fault, self.provider)),
                "routes.simple_qa": route,
                **{f"network.{name}": value for name, value in {**PATIENCE, **fault.network}.items()},
            }
        )

    def _first(self, url: str) -> Mapping[str, Any]:
        table = model("first", self.provider, url)
        if self.kind == "two deployments":
            key = {"api_key_env": table.pop("api_key_env")}
            bad = {"name": "bad", "base_url": table.pop("base_url"), "weight": 1000.0, **key}
            fine = {"name": "fine", "base_url": self.world.good("fine", self.provider), "weight": 0.001, **key}
            table["deployments"] = [bad, fine]
        return table


def model(name: str, provider: str, url: str) -> dict[str, Any]:
    """A model's table."""
    into, out = PRICES[name]
    return {
        "provider": provider,
        "model": f"gpt-4o-{name}",
        "base_url": url,
        "api_key_env": "FAULT_KEY",
        "input_usd_per_mtok": into,
        "output_usd_per_mtok": out,
        "context_window": {"first": 8000, "second": 4000, "third": 32_000}[name],
        "prior_quality": {"first": 0.9, "second": 0.8, "third": 0.7}[name],
    }


def _toml(models: list[Mapping[str, Any]], names: list[str]) -> str:
    lines = ['catalog = "none"', "quality = 0.99"]  # nothing is surely so good: arbitrage asks the best first
    for name, table in zip(names, models, strict=True):
        lines += [f"[models.{name}]", *(f"{key} = {value!r}" for key, value in table.items())]
    lines += ["[cascade]", f"ladder = {names!r}", "[routes.simple_qa]", 'primary = "first"']
    return "[defaults]\n" + "\n".join(lines) + "\n"


@pytest.fixture(scope="package")
def world() -> Iterator[World]:
    with running_world() as it:
        yield it


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the state of these tests is, and their key; no proxy stands between them and the servers."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("faults")
        patch.setenv("MOLT_HOME", str(home / "state"))
        patch.setenv("FAULT_KEY", KEY)
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            patch.delenv(name)
        yield home


@pytest.fixture(scope="package")
def stands(world: World, home: Path) -> Iterator[list[Stand]]:
    """One orchestrator by a molt.toml for each way to stand and each provider, each with a state of its own."""
    made: list[Stand] = []
    for number, provider in enumerate(PROVIDERS):
        other = PROVIDERS[(number + 1) % 3]
        for kind, names in [
            ("several", ["first", "second", "third"]),
            ("two deployments", ["first", "second", "third"]),
            ("alone", ["first"]),
        ]:
            folder = home / f"{provider}-{kind.replace(' ', '-')}"
            folder.mkdir()
            tables = [
                model(name, other if name == "third" else provider, world.good(name, other if name == "third" else provider))
                for name in names
            ]
            (folder / "molt.toml").write_text(_toml(tables, names))
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("MOLT_HOME", str(folder / "state"))
                made.append(Stand(kind, provider, Orchestrator.from_config(folder / "molt.toml"), world))
    yield made
    for stand in made:
        stand.orch.close()


def settled(holds: Callable[[], bool], within_s: float = 5.0) -> bool:
    """Whether something holds soon."""
    until = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def tasks_of(orch: Orchestrator) -> set[str]:
    """What runs on an orchestrator's event loop."""
    shared = orch._loop._shared
    return set() if shared is None else {repr(task) for task in asyncio.all_tasks(shared.loop)}


def sockets_to(world: World) -> list[Any]:
    """The open sockets of this process that lead to the servers."""
    held = psutil.Process().net_connections(kind="inet")
    return [each for each in held if each.raddr and each.raddr.port in world.ports]
