"""The line to a cluster: what is done with its client, on the client's own loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import pickle
import time
import uuid
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any

import molt_magic
from molt_magic.batch.cluster.crew import Worker
from molt_magic.batch.cluster.worker import Greeting, Order, Reply, Terms, greet, packed, version, visit
from molt_magic.errors import ClusterError, InputError
from molt_magic.types import ModelSpec

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger("molt_magic")

PATIENCE_S = 30.0  # that a worker is waited for where there is none: one that is started anew takes some seconds
LOOK_S = 0.5  # how often it is looked which workers there are
_GREETING_S = 30.0  # that a worker may take to say what it can ask: it loads the package first
_PRIORITY = 10  # before other work that waits on a worker: a visit takes milliseconds


class Line:
    """Asks the scheduler and the workers of a cluster. All that is async here runs on the client's loop, by `start`.

    Args:
        client: of the cluster.
        terms: under which exchanges are made.
        models: that may be asked.

    Raises:
        InputError: `client` is not a Client, or an asynchronous one.
        ClusterError: `distributed` is not installed.
    """

    def __init__(self, client: Client, terms: Terms, models: Sequence[ModelSpec]) -> None:
        _check(client)
        self.client: Any = client  # typed in part only
        self.terms = terms
        self.models = tuple(models)
        self._run = uuid.uuid4().hex[:8]

    def start(self, coro: Any) -> concurrent.futures.Future[Any]:
        """Run a coroutine on the client's loop. Raises ClusterError where that has ended."""
        loop = getattr(self.client.loop, "asyncio_loop", None)
        if self.client.status != "running" or loop is None or loop.is_closed():
            coro.close()
            raise self.broken()
        return asyncio.run_coroutine_threadsafe(coro, loop)

    def broken(self, error: Exception | None = None) -> ClusterError:
        """Why the cluster is out of reach, after an error of Dask's."""
        if self.client.status == "connecting":
            why = "its scheduler does not answer"
        elif self.client.status == "running":
            why = f"it raised {type(error).__name__}"
        else:
            why = "its client is closed"
        return ClusterError(f"The cluster is out of reach: {why}.", fix="Connect again; a run with a name can be resumed.")

    async def present(self) -> list[str]:
        return list(await _awaited(self.client.nthreads()))  # of all that tells the addresses the cheapest, and nobody logs it

    async def hired(self) -> list[Worker]:
        """Every worker, once there are some. Raises ClusterError where one cannot be used."""
        since = time.monotonic()
        while not (found := await self.present()):
            if time.monotonic() - since > PATIENCE_S:
                raise no_workers()
            await asyncio.sleep(LOOK_S)
        try:
            there = await _awaited(self.client.run_on_scheduler(version))  # it unpickles what it hands on
        except (ImportError, AttributeError) as lacking:
            raise _other_version("The scheduler", lacking) from None
        if there != molt_magic.__version__:
            raise _other_version("The scheduler", there)
        met = await self.greeted(found)
        hired = [worker for worker in met if isinstance(worker, Worker)]
        for unusable in met:
            if isinstance(unusable, Silent) and hired:
                logger.warning("%s", unusable)
            elif isinstance(unusable, ClusterError):
                raise unusable
        return hired

    async def greeted(self, addresses: list[str]) -> list[Worker | ClusterError]:
        """What workers say of themselves."""
        return await asyncio.gather(*(self._greeted_one(address) for address in addresses))

    async def _greeted_one(self, address: str) -> Worker | ClusterError:
        terms, models = packed(self.terms), packed(self.models)
        try:
            async with asyncio.timeout(_GREETING_S):
                said = await _awaited(self.client.run(greet, terms, models, workers=[address], on_error="return"))
        except (OSError, TimeoutError) as error:
            return _met(address, error)
        return _met(address, said.get(address))

    async def visited(self, worker: Worker, order: Order) -> tuple[Reply, ...]:
        """A visit as a task of Dask; on the client's loop."""
        key = f"{worker.name_of(order)}-{uuid.uuid4().hex}"
        terms: dict[str, Any] = {"workers": [worker.address], "allow_other_workers": False, "pure": False, "retries": 0}
        future = self.client.submit(visit, f"{self._run}-{worker.stay}", packed(order), key=key, priority=_PRIORITY, **terms)
        try:
            replies: tuple[Reply, ...] = pickle.loads(await future)  # noqa: S301  # Dask's own way of sending
            return replies
        finally:
            future.release()


class Silent(ClusterError):
    """A worker does not answer: the run goes on without it."""


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


def _met(address: str, said: object) -> Worker | ClusterError:
    """A worker by its greeting, or why it cannot be used."""
    where = f"The worker {address}"
    if not isinstance(said, bytes):
        if isinstance(said, ImportError | AttributeError):
            return _other_version(where, said)
        return Silent(f"{where} does not answer ({type(said).__name__}).", fix="Look at its log.")
    greeting: Greeting = pickle.loads(said)  # noqa: S301  # Dask's own way of sending
    if greeting.version != molt_magic.__version__:
        return _other_version(where, greeting.version)
    if greeting.error is not None:
        return ClusterError(f"{where} cannot be used: {greeting.error.message}", fix=greeting.error.fix)
    return Worker(address, greeting.missing)


def _other_version(where: str, found: object) -> ClusterError:
    what = f"molt_magic {found}" if isinstance(found, str) else f"no molt_magic that fits ({type(found).__name__}: {found})"
    return ClusterError(
        f"{where} has {what}, and here is {molt_magic.__version__}.",
        fix="Install the same version there, in the environment that it is started from.",
    )


def no_workers() -> ClusterError:
    """There is nobody who could ask."""
    message = f"The cluster has had no workers for {PATIENCE_S:g} s."
    return ClusterError(message, fix="Start some: dask worker tcp://scheduler:8786, or cluster.scale(4).")


async def _awaited(given: Any) -> Any:
    """What a method of the client gives on the client's own loop: an awaitable."""
    return await given if isinstance(given, Awaitable) else given
