"""The workers of a cluster as the coordinator sees them, and what is in flight on each."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Mapping
from typing import Any

from molt_magic.batch.cluster.worker import Order, Reply, Terms
from molt_magic.providers.base import Missing
from molt_magic.types import ModelSpec

_LOCAL_AT_ONCE = 4  # exchanges with local models on one worker: an engine answers two at a time, and two more wait there
_VISIT_BYTES = 4_000_000  # of questions that one visit brings: Dask warns of tasks over 10 MB


class Worker:
    """A worker, as the coordinator sees it."""

    def __init__(self, address: str, missing: Mapping[tuple[str, str], Missing]) -> None:
        self.address = address
        self.missing = missing  # (model, deployment) -> what is missing there
        self.died = False
        self.turn = 0  # the number of the exchange that it was given last
        self.stay = uuid.uuid4().hex[:8]  # a worker that comes back under its old address begins anew
        self.sent: dict[int, Sent] = {}  # in flight
        self.outbox: dict[int, bytes] = {}  # Questions that the next visit brings, by their numbers
        self.drops: list[int] = []  # exchanges that it ends
        self.visits: set[asyncio.Task[Any] | None] = set()
        self.due = False  # a visit begins with the next turn of the loop

    def can(self, spec: ModelSpec) -> bool:
        """Whether it can ask a model, by one deployment at least."""
        names = [d.name for d in spec.deployments] or [spec.name]
        return any((spec.name, name) not in self.missing for name in names)

    def first_missing(self, spec: ModelSpec) -> Missing | None:
        """What is missing to ask a model, as its first deployment says it."""
        return next((missing for (model, _), missing in self.missing.items() if model == spec.name), None)

    def has_room(self, sent: Sent, concurrency: int) -> bool:
        """Whether it can take one more.

        Of exchanges whose worker died it takes one at a time: were it one of them that kills workers, only that one would see a
        second die, and no innocent.
        """
        if len(self.sent) >= concurrency:
            return False
        if sent.suspect and any(other.suspect for other in self.sent.values()):
            return False
        return sent.spec.provider != "local" or sum(s.spec.provider == "local" for s in self.sent.values()) < _LOCAL_AT_ONCE

    def order(self, terms: Terms) -> Order:
        """What the next visit brings; as much as may go at once."""
        asked: list[bytes] = []
        while self.outbox and (not asked or sum(map(len, asked)) < _VISIT_BYTES):
            asked.append(self.outbox.pop(next(iter(self.outbox))))
        drops, self.drops = tuple(self.drops), []
        return Order(terms, tuple(asked), drops)

    def leave(self) -> None:
        """End the visits to it."""
        for task in self.visits:
            if task is not None:
                task.cancel()

    def name_of(self, order: Order) -> str:
        """What a visit is called on Dask's pages."""
        newest = next(reversed(self.sent.values()), None)
        if order.asked and newest is not None:
            return f"molt-exchange-{re.sub(r'[^A-Za-z0-9.]+', '_', newest.spec.name)}"
        return "molt-exchange-end" if order.last else "molt-exchange-answers"


class Sent:
    """An exchange in flight."""

    def __init__(self, number: int, question: bytes, spec: ModelSpec, *, suspect: bool) -> None:
        self.number = number
        self.question = question
        self.spec = spec
        self.suspect = suspect  # its worker died
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()


class Died(Exception):
    """The worker is gone.

    Attributes:
        reached: whether the question was on its way to it.
    """

    def __init__(self, *, reached: bool) -> None:
        super().__init__()
        self.reached = reached


class Signal:
    """Wakes all who wait."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], None] = {}  # whoever came first is woken first

    async def wait(self) -> None:
        waits: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waits] = None
        try:
            await waits
        finally:
            self._waiting.pop(waits, None)

    def tell(self) -> None:
        for waits in self._waiting:
            if not waits.done():
                waits.set_result(None)
