"""Exchanges with models on the workers of a Dask cluster.

Everything else stays where `Orchestrator.map` was called: strategy, cache, budgets, limits, cooldowns, retries, log. So what a
run decides, costs and logs is the same with a cluster as without, and when a worker dies only what was in flight on it is asked
again, once, on another.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import logging
import pickle
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from molt_magic.batch.cluster import line
from molt_magic.batch.cluster.crew import Died, Sent, Signal, Worker
from molt_magic.batch.cluster.line import LOOK_S, Line, no_workers
from molt_magic.batch.cluster.worker import Order, Question, Reply, Terms, packed
from molt_magic.config import Settings
from molt_magic.errors import BadRequest, ClusterError, ConnectionFailed
from molt_magic.providers.base import Heard, Missing
from molt_magic.types import Call, Completion, Deployment, ModelSpec

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger("molt_magic")

_FAREWELL_S = 2.0  # what dropped exchanges are waited for, which hand over what had arrived


class Cluster:
    """Performs exchanges on the workers of a Dask cluster, for one run: an `Exchanger`.

    Used as a context manager around the run, from code that is not async::

        with Cluster(client, settings=parts.settings, models=parts.catalog.models, concurrency=16) as cluster:
            ...  # ask `cluster.places` questions at once, each with `asked.exchanger = cluster`

    Entering it looks whether all of it can be used, and raises where it cannot. Where the workers are lost in the midst of a
    run and none comes back, questions fail with ClusterError: there is no point in asking on.

    Workers are given what they can ask: one without a key or weights is passed over for that model. A model that no worker
    can ask is `missing`, and so no candidate.

    Args:
        client: of the cluster. It is not closed.
        settings: of the orchestrator: its time limits hold on the workers.
        models: the catalog's.
        concurrency: exchanges in flight on each worker, at most.

    Raises:
        InputError: `client` is not a Client, or an asynchronous one.
        ClusterError: `distributed` is not installed, there are no workers, or they have another molt_magic.
    """

    def __init__(self, client: Client, *, settings: Settings, models: Mapping[str, ModelSpec], concurrency: int) -> None:
        self.concurrency = concurrency
        self._line = Line(client, Terms(settings.network, settings.local.context_tokens), tuple(models.values()))
        self._numbers = itertools.count(1)
        self._workers: dict[str, Worker] = {}
        self._missing: dict[str, Missing | None] = {}  # of models, on the workers there are now
        self._passed_over: set[str] = set()  # addresses of workers that cannot be used
        self._lost: ClusterError | None = None  # why nothing can be asked any more
        self._loop: asyncio.AbstractEventLoop | None = None  # that of the run
        self._watching: asyncio.Task[None] | None = None
        self._welcoming: asyncio.Task[None] | None = None
        self._room = Signal()

    def __enter__(self) -> Cluster:
        found = self._line.start(self._line.hired())
        try:
            while not found.done():
                concurrent.futures.wait([found], 0.1)  # in short steps, so that an interrupt is seen
            hired = found.result()
        except KeyboardInterrupt:
            found.cancel()
            raise
        except (OSError, RuntimeError) as error:  # what Dask raises where a connection breaks
            raise self._line.broken(error) from None
        self._workers = {worker.address: worker for worker in hired}
        self._missing.clear()
        self._tell_gaps()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._loop is not None and self._loop.is_running():
            with suppress(TimeoutError, concurrent.futures.CancelledError):
                asyncio.run_coroutine_threadsafe(self._ended(), self._loop).result(_FAREWELL_S)

    @property
    def places(self) -> int:
        """How many exchanges can be in flight at once, on the workers there are now."""
        return self.concurrency * len(self._workers)

    @property
    def workers(self) -> tuple[str, ...]:
        """The addresses of the workers there are now."""
        return tuple(self._workers)

    # what an Exchanger does

    def missing(self, spec: ModelSpec) -> Missing | None:
        """What is missing on every worker to ask a model; None where one can ask it."""
        if spec.name not in self._missing:
            self._missing[spec.name] = self._look(spec)
        return self._missing[spec.name]

    def _look(self, spec: ModelSpec) -> Missing | None:
        if any(worker.can(spec) for worker in self._workers.values()):
            return None
        found = next((worker.first_missing(spec) for worker in self._workers.values()), None)
        if found is None:
            return None  # there are no workers just now: that is told when it is asked
        reason = f"on none of the {len(self._workers)} workers can it be asked: {found.reason}"
        return Missing(reason, f"on the workers' machines: {found.fix}")

    async def complete(self, spec: ModelSpec, deployment: Deployment, call: Call, *, on_delta: Heard) -> Completion:
        """Ask once, on the least busy worker; once more on another where that worker dies.

        Raises:
            ProviderError: as the exchange ended there; ConnectionFailed where the worker died, twice.
            ClusterError: there are no workers any more.
        """
        self._begin()
        number = next(self._numbers)
        try:
            question = packed(Question(number, spec, deployment, call))
        except (pickle.PicklingError, TypeError, AttributeError) as odd:
            message = f"The parameters cannot be sent to a worker ({type(odd).__name__}: {odd})."
            raise BadRequest(message, provider=spec.provider, fix="Give plain numbers, text, lists and dicts.") from None
        died: list[str] = []
        while True:
            sent = Sent(number, question, spec, suspect=bool(died))
            worker = await self._place(spec, deployment, sent)
            try:
                reply = await self._asked(worker, sent, on_delta)
            except Died as death:
                died += [worker.address] if death.reached else []
                if len(died) > 1:
                    raise self._died_twice(spec, died) from None
                continue
            if reply.streamed:
                on_delta(reply.streamed, ago_s=max(0.0, reply.took_s - (reply.ttft_s or 0.0)))
            if reply.error is not None:
                raise reply.error
            if reply.completion is None:
                raise ConnectionFailed(
                    f"The worker {worker.address} dropped the call.", provider=spec.provider, fix="Ask again."
                )
            return reply.completion

    # one exchange

    async def _place(self, spec: ModelSpec, deployment: Deployment, sent: Sent) -> Worker:
        """The least busy worker that can ask this, once it has room. Raises ClusterError."""
        since: float | None = None  # when there was no worker at all
        while True:
            if self._lost is not None:
                raise ClusterError(self._lost.message, fix=self._lost.fix)  # one each: it tells of its decision
            able = [w for w in self._workers.values() if (spec.name, deployment.name) not in w.missing]
            free = [w for w in able or self._workers.values() if w.has_room(sent, self.concurrency)]
            if free:
                worker = min(free, key=lambda w: (len(w.sent), w.turn))
                worker.turn = sent.number
                worker.sent[sent.number] = sent
                return worker
            if self._workers:
                since = None
            elif since is None:
                since = time.monotonic()
            elif time.monotonic() - since > line.PATIENCE_S:
                self._lose(no_workers())
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._room.wait()

    async def _asked(self, worker: Worker, sent: Sent, on_delta: Heard) -> Reply:
        """Have it asked by a worker. Raises Died, CancelledError once what had arrived was handed over."""
        worker.outbox[sent.number] = sent.question
        self._soon(worker)
        try:
            return await asyncio.shield(sent.reply)
        except asyncio.CancelledError:
            if worker.outbox.pop(sent.number, None) is not None:
                raise  # it never went
            worker.drops.append(sent.number)
            self._soon(worker)
            with suppress(TimeoutError, Died):
                async with asyncio.timeout(_FAREWELL_S):
                    arrived = await asyncio.shield(sent.reply)
                    if arrived.streamed:
                        on_delta(arrived.streamed, ago_s=max(0.0, arrived.took_s - (arrived.ttft_s or 0.0)))
            raise
        finally:
            worker.sent.pop(sent.number, None)
            self._room.tell()

    def _died_twice(self, spec: ModelSpec, died: list[str]) -> ConnectionFailed:
        return ConnectionFailed(
            f"The workers {' and '.join(died)} died while they asked {spec.name} this.",
            provider=spec.provider,
            fix="Look at the workers' logs (memory?); a run with a name asks such rows again when it is resumed.",
            retryable=False,
        )

    # visits to a worker

    def _soon(self, worker: Worker) -> None:
        """Visit a worker, after this turn of the loop: what is asked in it goes together."""
        if not worker.due:
            worker.due = True
            asyncio.get_running_loop().call_soon(self._visit, worker)

    def _visit(self, worker: Worker) -> None:
        worker.due = False
        news = bool(worker.outbox or worker.drops)
        if worker.died or len(worker.visits) > 1 or not (news or (worker.sent and not worker.visits)):
            return  # of two visits one is on its way back: what there is to bring goes with the next
        order = worker.order(self._line.terms)
        task = asyncio.get_running_loop().create_task(self._visited(worker, order))
        worker.visits.add(task)

    async def _visited(self, worker: Worker, order: Order) -> None:
        try:
            replies = await asyncio.wrap_future(self._line.start(self._line.visited(worker, order)))
        except Exception as error:  # noqa: BLE001  # whatever Dask raises: what was under way there is out of reach
            logger.warning("a visit to the worker %s failed: %s: %s", worker.address, type(error).__name__, error)
            self._bury(worker)
            return
        finally:
            worker.visits.discard(asyncio.current_task())
        for reply in replies:
            sent = worker.sent.get(reply.number)
            if sent is not None and not sent.reply.done():
                sent.reply.set_result(reply)
        if worker.sent or worker.outbox or worker.drops:
            self._soon(worker)

    # who is there

    def _begin(self) -> None:
        """Watch the workers, from the first question on."""
        if self._watching is None:
            self._loop = asyncio.get_running_loop()
            self._watching = self._loop.create_task(self._watch())

    async def _watch(self) -> None:
        """Look again and again which workers there are; a scheduler that is not reached may come back."""
        reached = time.monotonic()
        while self._lost is None:
            await asyncio.sleep(LOOK_S)
            try:
                there = await asyncio.wrap_future(self._line.start(self._line.present()))
                reached = time.monotonic()
                for address in [address for address in self._workers if address not in there]:
                    self._bury(self._workers[address])
                self._passed_over.intersection_update(there)
                new = [a for a in there if a not in self._workers and a not in self._passed_over]
                if new and (self._welcoming is None or self._welcoming.done()):
                    self._welcoming = asyncio.create_task(self._welcome(new))  # one that hangs must not hide a death
            except Exception as error:  # noqa: BLE001  # whatever Dask raises
                if self._line.client.status != "connecting" or time.monotonic() - reached > line.PATIENCE_S:
                    self._lose(self._line.broken(error))
            self._room.tell()

    async def _welcome(self, addresses: list[str]) -> None:
        """Take in workers that have come."""
        try:
            met = await asyncio.wrap_future(self._line.start(self._line.greeted(addresses)))
        except Exception as error:  # noqa: BLE001  # whatever Dask raises: they are looked for again
            logger.warning("new workers could not be asked what they can do: %s", type(error).__name__)
            return
        for worker in met:
            if isinstance(worker, ClusterError):
                logger.warning("%s", worker)
            else:
                self._workers[worker.address] = worker
        self._missing.clear()
        self._passed_over.update(address for address in addresses if address not in self._workers)
        self._room.tell()

    def _bury(self, worker: Worker) -> None:
        """A worker is gone: what was in flight on it has to be asked elsewhere."""
        if self._workers.get(worker.address) is worker:
            del self._workers[worker.address]
        worker.died = True
        worker.leave()
        for sent in worker.sent.values():
            if not sent.reply.done():
                sent.reply.set_exception(Died(reached=sent.number not in worker.outbox))
        self._missing.clear()
        self._room.tell()

    def _lose(self, why: ClusterError) -> None:
        """Nothing can be asked any more."""
        self._lost = self._lost or why
        for worker in list(self._workers.values()):
            self._bury(worker)
        self._room.tell()

    async def _ended(self) -> None:
        """The run is over."""
        for task in (self._watching, self._welcoming):
            if task is not None:
                task.cancel()
        farewell = [worker for worker in self._workers.values() if not worker.died]
        with suppress(Exception):  # the run is over anyway
            visits = [self._line.start(self._line.visited(worker, Order(self._line.terms, last=True))) for worker in farewell]
            await asyncio.wait([asyncio.wrap_future(one) for one in visits], timeout=_FAREWELL_S / 2)
        for worker in farewell:
            worker.leave()

    def _tell_gaps(self) -> None:
        """Say which models some workers can ask and others cannot."""
        for spec in self._line.models:
            without = [worker for worker in self._workers.values() if not worker.can(spec)]
            if without and len(without) < len(self._workers):
                names = ", ".join(worker.address for worker in without)
                why = without[0].first_missing(spec)
                logger.warning("%s is not asked by the workers %s: %s", spec.name, names, why.reason if why else "")
