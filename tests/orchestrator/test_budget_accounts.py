"""Whatever order kernels hold, settle, finish and die in: a budget is overrun by one call at most, and nothing stays held."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from molt_magic.config import BudgetSettings
from molt_magic.errors import BudgetExceeded
from molt_magic.log import DecisionLog
from molt_magic.orchestrator.budget import EXACT_USD, Budget, Hold, Quote
from molt_magic.types import ModelSpec, Prices
from tests.test_log import a_decision

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kernels are forked and killed here")

DAY_USD, SESSION_USD = 1.0, 0.7
NOON = datetime(2026, 3, 1, 12)
SPEC = ModelSpec("m", "openai", "m", prices=Prices(1.0, 2.0))


def a_budget(folder: Path, session: str, log: DecisionLog) -> Budget:
    return Budget(
        limits=lambda: BudgetSettings(session_usd=SESSION_USD, day_usd=DAY_USD),
        session=session,
        log=lambda: log,
        folder=lambda: folder,
        patience_s=lambda: 0.0,
        clock=lambda: NOON,
    )


def kernel(folder: Path, session: str, orders: Connection) -> None:
    """One process with one session: does what it is told until it is killed."""
    log = DecisionLog(folder / "decisions.sqlite")
    budget = a_budget(folder, session, log)
    holds: dict[str, Hold | None] = {}
    while True:
        what, name, *given = orders.recv()
        if what == "reserve":
            wanted = budget.reserve(
                SPEC, Quote(*given), decision_id=name, allowed_usd=None, spent_usd=0.0, waiting=lambda _: None
            )
            try:
                holds[name] = asyncio.run(wanted)
                orders.send(True)
            except BudgetExceeded:
                orders.send(False)
        elif what == "settle":
            budget.settle(holds.pop(name), *given)
            orders.send(None)
        else:
            cost, logged = given
            if logged:
                log.append(a_decision(name, session=session, cost_usd=cost, time=NOON.astimezone(UTC).isoformat()))
            budget.finished(name, cost, unknown=False, logged=logged)
            orders.send(None)


@dataclass
class Question:
    """What should be known of one."""

    session: str
    held: tuple[float, float] | None = None  # estimate and most of the call in flight
    spent: float = 0.0


@dataclass
class Kernel:
    session: str
    process: Any
    orders: Connection
    ended: float = 0.0  # what its finished questions cost
    questions: dict[str, Question] = field(default_factory=dict)


class Accounts(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.kernels: list[Kernel] = []
        self.gone = 0.0  # what kernels had spent that were killed
        self.slack = 0.0  # the most that any call could cost over its estimate
        self.named = 0
        self.reader = a_budget(self.path, "reader", DecisionLog(self.path / "decisions.sqlite"))
        for _ in range(3):
            self.start()

    def start(self) -> None:
        self.named += 1
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(
            target=kernel, args=(self.path, f"s{self.named}", there), daemon=True
        )
        process.start()
        self.kernels.append(Kernel(f"s{self.named}", process, here))

    def tell(self, of: Kernel, *order: Any) -> Any:
        of.orders.send(order)
        assert of.orders.poll(20), f"{order} was not done"
        return of.orders.recv()

    def spent(self) -> float:
        return self.gone + sum(k.ended + sum(q.spent for q in k.questions.values()) for k in self.kernels)

    def reserved(self, kernels: list[Kernel]) -> float:
        return sum(q.held[1] for k in kernels for q in k.questions.values() if q.held is not None)

    def some(self, held: bool) -> list[tuple[Kernel, str]]:
        return [(k, name) for k in self.kernels for name, q in k.questions.items() if (q.held is not None) == held]

    @rule(which=st.integers(0, 2), estimate=st.floats(0.01, 0.3), more=st.floats(1.0, 3.0), same=st.booleans())
    def reserve(self, which: int, estimate: float, more: float, same: bool) -> None:
        of = self.kernels[which]
        idle = [name for name, q in of.questions.items() if q.held is None]
        self.named += 1
        name = idle[0] if same and idle else f"d{self.named}"  # another call of a question, or the first of a new one
        most = estimate * more
        mine = of.ended + sum(q.spent for q in of.questions.values()) + self.reserved([of])
        all_of_them = self.spent() + self.reserved(self.kernels)
        fits = mine + estimate <= SESSION_USD + EXACT_USD and all_of_them + estimate <= DAY_USD + EXACT_USD
        assert self.tell(of, "reserve", name, estimate, most) == fits
        if fits:
            of.questions.setdefault(name, Question(of.session)).held = (estimate, most)
            self.slack = max(self.slack, most - estimate)

    @precondition(lambda self: self.some(held=True))
    @rule(which=st.integers(0, 99), share=st.one_of(st.just(0.0), st.just(1.0), st.floats(0.0, 1.0)))
    def settle(self, which: int, share: float) -> None:
        """0: it failed, or was cancelled before anything had arrived."""
        of, name = (found := self.some(held=True))[which % len(found)]
        question = of.questions[name]
        assert question.held is not None
        cost = question.held[1] * share
        self.tell(of, "settle", name, cost)
        question.held, question.spent = None, question.spent + cost

    @precondition(lambda self: self.some(held=False))
    @rule(which=st.integers(0, 99), logged=st.booleans())
    def finish(self, which: int, logged: bool) -> None:
        of, name = (found := self.some(held=False))[which % len(found)]
        question = of.questions.pop(name)
        self.tell(of, "finish", name, question.spent, logged)
        of.ended += question.spent

    @rule(which=st.integers(0, 2))
    def die(self, which: int) -> None:
        of = self.kernels.pop(which)
        os.kill(of.process.pid, signal.SIGKILL)
        of.process.join(20)
        of.orders.close()
        self.gone += of.ended + sum(q.spent for q in of.questions.values())
        self.start()

    @invariant()
    def what_is_spent_is_known_and_the_limit_holds(self) -> None:
        day = self.reader.accounts()[1]
        assert day.spent_usd == pytest.approx(self.spent())
        assert day.reserved_usd >= self.reserved(self.kernels) - EXACT_USD  # more: of the dead, until somebody looks for room
        assert self.spent() + self.reserved(self.kernels) <= DAY_USD + self.slack + EXACT_USD

    def teardown(self) -> None:
        if not hasattr(self, "kernels"):
            return
        try:
            for of, name in self.some(held=True):
                self.tell(of, "settle", name, 0.0)
                of.questions[name].held = None
            for of, name in self.some(held=False):
                self.tell(of, "finish", name, of.questions[name].spent, True)
            self.tell(self.kernels[0], "reserve", "last", 99.0, 99.0)
            day = self.reader.accounts()[1]
            assert day.reserved_usd == 0.0
            assert day.spent_usd == pytest.approx(self.spent())
        finally:
            for of in self.kernels:
                of.process.kill()
                of.process.join(20)
                of.orders.close()
            self.reader.close()
            self.folder.cleanup()


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
