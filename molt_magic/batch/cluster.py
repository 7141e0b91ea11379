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
import re
import time
import uuid
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

import molt_magic
from molt_magic.batch.worker import Greeting, Order, Question, Reply, Terms, greet, packed, version, visit
from molt_magic.config import Settings
from molt_magic.errors import BadRequest, ClusterError, ConnectionFailed, InputError
from molt_magic.providers.base import Heard, Missing
from molt_magic.types import Call, Completion, Deployment, ModelSpec

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger("molt_magic")

_LOCAL_AT_ONCE = 4  # exchanges with local models on one worker: an engine answers two at a time, and two more wait there
PATIENCE_S = 30.0  # that a worker is waited for where there is none: one that is started anew takes some seconds
_LOOK_S = 0.5  # how often it is looked which workers there are
_GREETING_S = 30.0  # that a worker may take to say what it can ask: it loads the package first
_FAREWELL_S = 2.0  # what dropped exchanges are waited for, which hand over what had arrived
_VISIT_BYTES = 4_000_000  # of questions that one visit brings: Dask warns of tasks over 10 MB
_PRIORITY = 10  # before other work that waits on a worker: a visit takes milliseconds


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
        _check(client)
        self.client: Any = client  # typed in part only
        self.concurrency = concurrency
        self._terms = Terms(settings.network, settings.local.context_tokens)
        self._models = tuple(models.values())
        self._run = uuid.uuid4().hex[:8]
        self._numbers = itertools.count(1)
        self._workers: dict[str, _Worker] = {}
        self._missing: dict[str, Missing | None] = {}  # of models, on the workers there are now
        self._passed_over: set[str] = set()  # addresses of workers that cannot be used
        self._lost: ClusterError | None = None  # why nothing can be asked any more
        self._loop: asyncio.AbstractEventLoop | None = None  # that of the run
        self._watching: asyncio.Task[None] | None = None
        self._room = _Signal()

    def __enter__(self) -> Cluster:
        found = self._on_client(self._hired())
        try:
            while not found.done():
                concurrent.futures.wait([found], 0.1)  # in short steps, so that an interrupt is seen
            hired = found.result()
        except KeyboardInterrupt:
            found.cancel()
            raise
        except (OSError, RuntimeError) as error:  # what Dask raises where a connection breaks
            raise _out_of_reach(self.client, error) from None
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
            sent = _Sent(number, question, spec, suspect=bool(died))
            worker = await self._place(spec, deployment, sent)
            try:
                reply = await self._asked(worker, sent, on_delta)
            except _Died as death:
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

    async def _place(self, spec: ModelSpec, deployment: Deployment, sent: _Sent) -> _Worker:
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
            elif time.monotonic() - since > PATIENCE_S:
                self._lose(_no_workers(PATIENCE_S))
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._room.wait()

    async def _asked(self, worker: _Worker, sent: _Sent, on_delta: Heard) -> Reply:
        """Have it asked by a worker. Raises _Died, CancelledError once what had arrived was handed over."""
        worker.outbox[sent.number] = sent.question
        self._soon(worker)
        try:
            return await asyncio.shield(sent.reply)
        except asyncio.CancelledError:
            if worker.outbox.pop(sent.number, None) is not None:
                raise  # it never went
            worker.drops.append(sent.number)
            self._soon(worker)
            with suppress(TimeoutError, _Died):
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

    def _soon(self, worker: _Worker) -> None:
        """Visit a worker, after this turn of the loop: what is asked in it goes together."""
        if not worker.due:
            worker.due = True
            asyncio.get_running_loop().call_soon(self._visit, worker)

    def _visit(self, worker: _Worker) -> None:
        worker.due = False
        news = bool(worker.outbox or worker.drops)
        if worker.died or len(worker.visits) > 1 or not (news or (worker.sent and not worker.visits)):
            return  # of two visits one is on its way back: what there is to bring goes with the next
        order = worker.order(self._terms)
        task = asyncio.get_running_loop().create_task(self._visited(worker, order))
        worker.visits.add(task)

    async def _visited(self, worker: _Worker, order: Order) -> None:
        try:
            replies = await asyncio.wrap_future(self._on_client(self._sent(worker, order)))
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

    async def _sent(self, worker: _Worker, order: Order) -> tuple[Reply, ...]:
        """A visit as a task of Dask; on the client's loop."""
        key = f"{worker.name_of(order)}-{uuid.uuid4().hex}"
        terms: dict[str, Any] = {"workers": [worker.address], "allow_other_workers": False, "pure": False, "retries": 0}
        future = self.client.submit(visit, f"{self._run}-{worker.stay}", packed(order), key=key, priority=_PRIORITY, **terms)
        try:
            replies: tuple[Reply, ...] = pickle.loads(await future)  # noqa: S301  # Dask's own way of sending
            return replies
        finally:
            future.release()

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
            await asyncio.sleep(_LOOK_S)
            try:
                there = await asyncio.wrap_future(self._on_client(self._present()))
                reached = time.monotonic()
                for address in [address for address in self._workers if address not in there]:
                    self._bury(self._workers[address])
                self._passed_over.intersection_update(there)
                new = [a for a in there if a not in self._workers and a not in self._passed_over]
                if new:
                    await self._welcome(new)
            except Exception as error:  # noqa: BLE001  # whatever Dask raises
                if self.client.status != "connecting" or time.monotonic() - reached > PATIENCE_S:
                    self._lose(_out_of_reach(self.client, error))
            self._room.tell()

    async def _welcome(self, addresses: list[str]) -> None:
        for worker in await asyncio.wrap_future(self._on_client(self._greeted(addresses))):
            if isinstance(worker, ClusterError):
                logger.warning("%s", worker)
            else:
                self._workers[worker.address] = worker
        self._missing.clear()
        self._passed_over.update(address for address in addresses if address not in self._workers)

    def _bury(self, worker: _Worker) -> None:
        """A worker is gone: what was in flight on it has to be asked elsewhere."""
        if self._workers.get(worker.address) is worker:
            del self._workers[worker.address]
        worker.died = True
        worker.leave()
        for sent in worker.sent.values():
            if not sent.reply.done():
                sent.reply.set_exception(_Died(reached=sent.number not in worker.outbox))
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
        if self._watching is not None:
            self._watching.cancel()
        farewell = [worker for worker in self._workers.values() if not worker.died]
        with suppress(Exception):  # the run is over anyway
            visits = [self._on_client(self._sent(worker, Order(self._terms, last=True))) for worker in farewell]
            await asyncio.wait([asyncio.wrap_future(one) for one in visits], timeout=_FAREWELL_S / 2)
        for worker in farewell:
            worker.leave()

    # what is done on the client's loop

    def _on_client(self, coro: Any) -> concurrent.futures.Future[Any]:
        """Run a coroutine on the client's loop. Raises ClusterError where that has ended."""
        loop = getattr(self.client.loop, "asyncio_loop", None)
        if self.client.status != "running" or loop is None or loop.is_closed():
            coro.close()
            raise _out_of_reach(self.client, None)
        return asyncio.run_coroutine_threadsafe(coro, loop)

    async def _present(self) -> list[str]:
        return list(await _awaited(self.client.nthreads()))  # of all that tells the addresses the cheapest, and nobody logs it

    async def _hired(self) -> list[_Worker]:
        """Every worker, once there are some. Raises ClusterError where one cannot be used."""
        since = time.monotonic()
        while not (found := await self._present()):
            if time.monotonic() - since > PATIENCE_S:
                raise _no_workers(PATIENCE_S)
            await asyncio.sleep(_LOOK_S)
        try:
            there = await _awaited(self.client.run_on_scheduler(version))  # it unpickles what it hands on
        except (ImportError, AttributeError) as lacking:
            raise _other_version("The scheduler", lacking) from None
        if there != molt_magic.__version__:
            raise _other_version("The scheduler", there)
        met = await self._greeted(found)
        hired = [worker for worker in met if isinstance(worker, _Worker)]
        for unusable in met:
            if isinstance(unusable, _Silent) and hired:
                logger.warning("%s", unusable)
            elif isinstance(unusable, ClusterError):
                raise unusable
        return hired

    async def _greeted(self, addresses: list[str]) -> list[_Worker | ClusterError]:
        """What workers say of themselves."""
        return await asyncio.gather(*(self._greeted_one(address) for address in addresses))

    async def _greeted_one(self, address: str) -> _Worker | ClusterError:
        terms, models = packed(self._terms), packed(self._models)
        try:
            async with asyncio.timeout(_GREETING_S):
                said = await _awaited(self.client.run(greet, terms, models, workers=[address], on_error="return"))
        except (OSError, TimeoutError) as error:
            return _met(address, error)
        return _met(address, said.get(address))

    def _tell_gaps(self) -> None:
        """Say which models some workers can ask and others cannot."""
        for spec in self._models:
            without = [worker for worker in self._workers.values() if not worker.can(spec)]
            if without and len(without) < len(self._workers):
                names = ", ".join(worker.address for worker in without)
                why = without[0].first_missing(spec)
                logger.warning("%s is not asked by the workers %s: %s", spec.name, names, why.reason if why else "")


def _check(client: object) -> None:
    """Raises InputError, ClusterError."""
    try:
        from distributed import Client
    except ImportError:
        raise ClusterError("distributed is not installed.", fix="pip install 'molt-magic[dask]'") from None
    if not isinstance(client, Client):
        raise InputError(
            f"client must be a dask.distributed.Client, not {type(client).__name__}.",
            fix='from dask.distributed import Client; client = Client("tcp://scheduler:8786")',
        )
    if client.asynchronous:
        raise InputError("The client is an asynchronous one.", fix="Make it without asynchronous=True.")


def _met(address: str, said: object) -> _Worker | ClusterError:
    """A worker by its greeting, or why it cannot be used."""
    where = f"The worker {address}"
    if not isinstance(said, bytes):
        if isinstance(said, ImportError | AttributeError):
            return _other_version(where, said)
        return _Silent(f"{where} does not answer ({type(said).__name__}).", fix="Look at its log.")
    greeting: Greeting = pickle.loads(said)  # noqa: S301  # Dask's own way of sending
    if greeting.version != molt_magic.__version__:
        return _other_version(where, greeting.version)
    if greeting.error is not None:
        return ClusterError(f"{where} cannot be used: {greeting.error.message}", fix=greeting.error.fix)
    return _Worker(address, greeting.missing)


def _other_version(where: str, found: object) -> ClusterError:
    what = f"molt_magic {found}" if isinstance(found, str) else f"no molt_magic that fits ({type(found).__name__}: {found})"
    return ClusterError(
        f"{where} has {what}, and here is {molt_magic.__version__}.",
        fix="Install the same version there, in the environment that it is started from.",
    )


def _no_workers(waited_s: float) -> ClusterError:
    message = f"The cluster has had no workers for {waited_s:g} s."
    return ClusterError(message, fix="Start some: dask worker tcp://scheduler:8786, or cluster.scale(4).")


def _out_of_reach(client: Client, error: Exception | None) -> ClusterError:
    if client.status == "connecting":
        why = "its scheduler does not answer"
    elif client.status == "running":
        why = f"it raised {type(error).__name__}"
    else:
        why = "its client is closed"
    return ClusterError(f"The cluster is out of reach: {why}.", fix="Connect again; a run with a name can be resumed.")


async def _awaited(given: Any) -> Any:
    """What a method of the client gives on the client's own loop: an awaitable."""
    return await given if isinstance(given, Awaitable) else given


class _Worker:
    """A worker, as the coordinator sees it."""

    def __init__(self, address: str, missing: Mapping[tuple[str, str], Missing]) -> None:
        self.address = address
        self.missing = missing  # (model, deployment) -> what is missing there
        self.died = False
        self.turn = 0  # the number of the exchange that it was given last
        self.stay = uuid.uuid4().hex[:8]  # a worker that comes back under its old address begins anew
        self.sent: dict[int, _Sent] = {}  # in flight
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

    def has_room(self, sent: _Sent, concurrency: int) -> bool:
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


class _Sent:
    """An exchange in flight."""

    def __init__(self, number: int, question: bytes, spec: ModelSpec, *, suspect: bool) -> None:
        self.number = number
        self.question = question
        self.spec = spec
        self.suspect = suspect  # its worker died
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()


class _Silent(ClusterError):
    """A worker does not answer: the run goes on without it."""


class _Died(Exception):
    """The worker is gone.

    Attributes:
        reached: whether the question was on its way to it.
    """

    def __init__(self, *, reached: bool) -> None:
        super().__init__()
        self.reached = reached


class _Signal:
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
