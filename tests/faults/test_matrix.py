"""Every fault, before every strategy, asked synchronously and asynchronously: the right next step, and the right row.

What is crossed: fault x strategy x way of asking, with other models to go to and with none, the dialect going round; fault x
dialect with a second deployment, which lies below the strategies.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from molt_magic import errors
from molt_magic.result import Result
from tests.faults.catalogue import FAULTS, Fault
from tests.faults.conftest import KEY, PRICES, PROVIDERS, Stand, settled, sockets_to, tasks_of
from tests.faults.server import World
from tests.providers.dialects import WIRES

STRATEGIES = ("rule", "semantic", "arbitrage", "cascade")
KINDS = {kind.kind: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.MoltError)}
MOST_S = 25.0  # any answer, or any error, is there by then, on a busy machine too; nothing here needs more than 5
GOOD = "Hello wörld"


@dataclass
class Cell:
    """One question before one fault."""

    stand: Stand
    fault: Fault
    strategy: str
    awaited: bool
    prompt: str = ""
    result: Any = None
    error: errors.MoltError | None = None
    took_s: float = 0.0
    heard: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        how = "aroute" if self.awaited else "route"
        return f"{self.fault.name}, {self.stand.kind}, {self.stand.provider}, {self.strategy}, {how}"

    async def ask(self) -> None:
        options: Any = {"strategy": self.strategy, "on_event": lambda event: self.heard.append(event.text)}
        if self.strategy == "rule":
            options["task"] = "simple_qa"
        begun = time.monotonic()
        try:
            if self.awaited:
                self.result = await self.stand.orch.aroute(self.prompt, **options)
            else:
                self.result = await asyncio.to_thread(self.stand.orch.route, self.prompt, **options)
        except errors.MoltError as error:
            self.error, self.result = error, error.result
        self.took_s = time.monotonic() - begun

    def asked(self, whom: str) -> int:
        """How often a model (`bad`: the faulty deployment) was asked this question."""
        return self.stand.world.main.counts[whom, self.prompt]

    def row(self) -> dict[str, Any]:
        assert isinstance(self.result, Result)
        (row,) = self.stand.orch.log.to_frame(ids=[self.result.decision.decision_id]).to_dict("records")
        return {str(key): value for key, value in row.items()}

    def check(self) -> None:
        """All that must be so of this cell."""
        row = self.row()
        assert self.took_s < MOST_S
        assert KEY not in f"{row} {self.error!r} {self.error} {self.result!r}"
        assert row["strategy"] == self.strategy
        assert row["cache"] == "miss"
        first = row["attempts"][0]
        assert first["model"] == "first"
        switched = self.stand.kind == "two deployments" and self.fault.elsewhere and self.fault.then is not None
        if switched:
            self._another_deployment(row, first)
            return
        assert first["error"].startswith(f"{self.fault.kind}: "), first["error"]
        self._tries(first)
        if self.fault.then is None:
            self._kept(row, first)
        elif self.stand.kind == "alone":
            self._raised(row)
        else:
            self._another_model(row)

    def _tries(self, first: dict[str, Any]) -> None:
        """Asked again where that may help, as often as the settings allow, never more; and not before the time."""
        retries = {"retries": 1, **self.fault.network}["retries"] if self.fault.retried else 0
        made = first["retries"]
        assert len(made) == retries, made
        for retry in made:
            assert retry["error"].startswith(f"{self.fault.kind}: ")
            assert retry["waited_s"] >= self.fault.waits_s
        if self.fault.where == "server":
            assert self.asked("bad") == retries + 1

    def _another_deployment(self, row: dict[str, Any], first: dict[str, Any]) -> None:
        assert self.error is None
        assert (row["status"], row["model"], row["deployment"], row["fallbacks"]) == ("ok", "first", "fine", 0)
        (retry,) = first["retries"]
        assert (retry["deployment"], retry["waited_s"]) == ("bad", 0.0)
        assert retry["error"].startswith(f"{self.fault.kind}: ")
        assert self.asked("fine") == 1
        if self.fault.where == "server":
            assert self.asked("bad") == 1
        self._answered(row, "first")

    def _another_model(self, row: dict[str, Any]) -> None:
        assert self.error is None
        assert (row["status"], row["model"], row["fallbacks"], row["n_attempts"]) == ("ok", self.fault.then, 1, 2)
        assert row["fallback_reason"] == f"first: {self.fault.kind}"
        assert row["error"] is None
        others = {name: self.asked(name) for name in ("second", "third")}
        assert others == {"second": 0, "third": 0, self.fault.then: 1}
        self._answered(row, str(self.fault.then))

    def _answered(self, row: dict[str, Any], model: str) -> None:
        """The answer is the good one's alone, and costs what its tokens cost."""
        into, out = PRICES[model]
        assert self.result.text == "".join(self.heard) == GOOD
        assert (row["input_tokens"], row["output_tokens"]) == (20, 10)
        assert row["cost_usd"] == pytest.approx((20 * into + 10 * out) / 1e6)

    def _raised(self, row: dict[str, Any]) -> None:
        """The error of its kind, with a fix, and the failed result and its row with it."""
        assert type(self.error) is KINDS[self.fault.kind]
        assert self.error.fix
        assert self.error.decision_id == row["decision_id"]
        assert self.error.__cause__ is None
        assert row["status"] == ("interrupted" if self.fault.kind == "interrupted" else "error")
        assert row["error"].startswith(f"{self.fault.kind}: ")
        assert (row["fallbacks"], row["cost_usd"], row["output_tokens"]) == (0, 0.0, 0)
        assert self.result.text == "".join(self.heard) == ""

    def _kept(self, row: dict[str, Any], first: dict[str, Any]) -> None:
        """The text that the user has seen stays, is marked, is paid for, and nobody else is asked."""
        assert type(self.error) is errors.StreamInterrupted
        assert self.result.text == "".join(self.heard)
        assert self.result.text.startswith(self.fault.text)
        assert len(self.result.text) < 5_000_000
        assert (row["status"], row["model"], row["fallbacks"], row["n_attempts"]) == ("interrupted", "first", 0, 1)
        assert (first["finish_reason"], first["tokens_estimated"]) == ("interrupted", True)
        assert row["output_tokens"] > 0
        assert row["cost_usd"] == pytest.approx((row["input_tokens"] * 1.0 + row["output_tokens"] * 2.0) / 1e6)
        assert sum(self.asked(name) for name in ("second", "third", "fine")) == 0


def cells(stands: list[Stand], fault: Fault) -> list[Cell]:
    """The cells of a fault. The dialect goes round with the fault, the strategy and the way of asking."""
    by = {(stand.kind, stand.provider): stand for stand in stands}
    turn = FAULTS.index(fault)
    found = []
    crossed = [("rule", True), ("cascade", False)] if fault.heavy else list(itertools.product(STRATEGIES, (True, False)))
    for number, (strategy, awaited) in enumerate(crossed):
        for shift, kind in enumerate(("several", "alone")):
            found.append(Cell(by[kind, PROVIDERS[(turn + number + shift) % 3]], fault, strategy, awaited))
    for number, provider in enumerate(PROVIDERS[:1] if fault.heavy else PROVIDERS):
        strategy = ("rule", "arbitrage", "cascade")[(turn + number) % 3]
        found.append(Cell(by["two deployments", provider], fault, strategy, (turn + number) % 2 == 0))
    for number, cell in enumerate(found):
        cell.prompt = f"What is the capital of France? ({fault} {number})"
    return found


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_met_with_the_right_next_step(fault: Fault, stands: list[Stand], world: World) -> None:
    for stand in stands:
        stand.face(fault)
    asked = cells(stands, fault)
    cached = [stored(stand) for stand in stands if stand.kind == "alone"]

    async def all_at_once() -> None:
        await asyncio.gather(*(cell.ask() for cell in asked))

    asyncio.run(all_at_once())
    for cell in asked:
        try:
            cell.check()
        except (AssertionError, ValueError) as error:
            error.add_note(str(cell))
            raise
    assert not world.other_host.asked, "a redirect was followed"
    assert all(settled(lambda stand=stand: not tasks_of(stand.orch)) for stand in stands), "a task is left"
    assert settled(lambda: world.open == 0), "a server still holds a connection"
    assert settled(lambda: not sockets_to(world)), "a socket is left"
    assert cached == [stored(stand) for stand in stands if stand.kind == "alone"], "what failed or broke off was cached"


def stored(stand: Stand) -> int:
    """How many answers are in the cache."""
    assert stand.orch.cache is not None
    return int(stand.orch.cache.stats()["entries"])


def test_every_dialect_meets_every_fault(stands: list[Stand]) -> None:
    for fault in FAULTS:
        met = {cell.stand.provider for cell in cells(stands, fault)}
        assert len(met) == len(WIRES), fault


def test_no_key_is_left_in_any_file(stands: list[Stand], home: Path) -> None:
    """The log, the caches and whatever else is kept, after all that."""
    gc.collect()  # what was left open and forgotten warns now, and a warning is an error
    kept = [path for path in home.rglob("*") if path.is_file()]
    assert any(path.suffix.startswith(".db") or "log" in path.name for path in kept)
    assert not [path for path in kept if KEY.encode() in path.read_bytes()]
