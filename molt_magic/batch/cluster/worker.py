"""What runs on a worker of a Dask cluster: exchanges with models, many at a time.

A task that waited for one model's answer would hold a thread for seconds and cost more than the answer is worth. So a worker
keeps exchanges going on an event loop of its own, and the coordinator *visits* it: one short-lived task brings what is to be
asked and takes what was answered meanwhile. While there is nothing to take a visit waits, without a place in the pool of
threads, until something is answered or the next visit comes. The more is under way, the more a visit carries.

Keys come from the worker's own environment (or its `.env`), and weights from its own disk.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from types import MappingProxyType
from typing import Any, TypeVar

import molt_magic
from molt_magic.config import Settings, load_settings
from molt_magic.config.schema import NetworkSettings
from molt_magic.errors import MoltError, ServerError, Unauthorized
from molt_magic.providers import Missing, Providers
from molt_magic.providers.balancing import deployments_of
from molt_magic.types import Call, Completion, Deployment, ModelSpec

logger = logging.getLogger("molt_magic")

T = TypeVar("T")

WAIT_S = 20.0  # that a visit waits for an answer, at most
_GONE_S = 3 * WAIT_S  # without a visit after which nobody will come: the coordinator was killed


@dataclass(frozen=True, slots=True)
class Terms:
    """What the coordinator decides for the exchanges of its run; all else is the worker's own."""

    network: NetworkSettings
    context_tokens: int  # of a local model

    def settings(self) -> Settings:
        """The worker's settings under these terms. Raises ConfigError."""
        own = load_settings()
        return replace(own, network=self.network, local=replace(own.local, context_tokens=self.context_tokens))


@dataclass(frozen=True, slots=True)
class Question:
    """One exchange to be made."""

    number: int
    spec: ModelSpec
    deployment: Deployment
    call: Call


@dataclass(frozen=True, slots=True)
class Order:
    """What a visit brings."""

    terms: Terms
    asked: tuple[bytes, ...] = ()  # Questions, as `packed`
    dropped: tuple[int, ...] = ()  # numbers of exchanges that are to be ended
    last: bool = False  # nothing more will come


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one exchange: a completion or an error; neither where it was dropped."""

    number: int
    completion: Completion | None
    error: Exception | None
    streamed: str  # the text that was streamed
    ttft_s: float | None  # from the question to the first text; None: nothing was streamed
    took_s: float


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a worker says of itself."""

    version: str
    missing: Mapping[tuple[str, str], Missing]  # (model, deployment) -> what is missing there to ask it
    error: MoltError | None = None  # why nothing can be asked there


def packed(record: object) -> bytes:
    """A record as it travels. Raises what pickle raises for parameters that are no plain data."""
    buffer = BytesIO()
    _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(record)
    return buffer.getvalue()


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, MappingProxyType):  # of which pickle knows nothing
            return _proxy, (dict(value),)
        return NotImplemented


def _proxy(values: dict[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(values)


# what the coordinator runs


def version() -> str:
    """Run on the scheduler: of its molt_magic."""
    return molt_magic.__version__


async def greet(terms: bytes, models: bytes) -> bytes:
    """Run on a worker, beside its tasks: its Greeting, packed; `models` is a tuple of ModelSpec."""
    asked = pickle.loads(terms), pickle.loads(models)  # noqa: S301  # Dask's own way of sending
    try:
        missing = dict(await asyncio.to_thread(_desk().lacking, *asked))
    except MoltError as error:
        return packed(Greeting(molt_magic.__version__, {}, error))
    return packed(Greeting(molt_magic.__version__, missing))


def visit(run: str, order: bytes) -> bytes:
    """Run on a worker, as a task: take the Order, return what was answered, a packed tuple of Reply."""
    from distributed import get_worker, secede

    worker = get_worker().address
    secede()  # type: ignore[no-untyped-call]
    return packed(_desk().visited(run, worker, pickle.loads(order)))  # noqa: S301


# the one desk of a process

_lock = threading.Lock()
_made: _Desk | None = None


def _desk() -> _Desk:
    global _made
    with _lock:
        if _made is None:
            _made = _Desk()
        return _made


class _Desk:
    """Keeps a loop, and what exchanges are made with, for as long as the process lives; local engines end with it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="molt-magic-worker", daemon=True)
        self._thread.start()
        self._providers: dict[Terms, Providers] = {}
        self._runs: dict[tuple[str, str], _Run] = {}

    def lacking(self, terms: Terms, models: Sequence[ModelSpec]) -> list[tuple[tuple[str, str], Missing]]:
        """What is missing to ask models here, deployment by deployment. Raises ConfigError."""
        providers = self.providers(terms)
        looked = (
            (spec, each, providers.missing(replace(spec, deployments=(each,))))
            for spec in models
            for each in deployments_of(spec)
        )
        return [((spec.name, each.name), missing) for spec, each, missing in looked if missing is not None]

    def visited(self, run: str, worker: str, order: Order) -> tuple[Reply, ...]:
        """Take an order, return what was answered."""
        return self._wait(self._visited(run, worker, order))

    async def _visited(self, run: str, worker: str, order: Order) -> tuple[Reply, ...]:
        self._clear()
        known = self._runs.get((run, worker))
        if known is None:
            known = self._runs[run, worker] = _Run(self.providers(order.terms), worker)
        if order.last:
            del self._runs[run, worker]
        return await known.visited(order)

    def _clear(self) -> None:
        """End the runs of coordinators that were killed."""
        now = time.monotonic()
        for key, run in list(self._runs.items()):
            if now - run.seen > _GONE_S:
                del self._runs[key]
                run.end()

    def providers(self, terms: Terms) -> Providers:
        """What exchanges are made with under these terms. Raises ConfigError."""
        with _lock:
            if terms not in self._providers:
                self._providers[terms] = Providers(terms.settings())
            return self._providers[terms]

    def _wait(self, coro: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coro, self._loop).result()


class _Run:
    """The exchanges of one run on one worker."""

    def __init__(self, providers: Providers, worker: str) -> None:
        self.seen = time.monotonic()  # when it was last visited
        self._providers = providers
        self._worker = worker
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._dropped: set[int] = set()  # before they came: visits may overtake each other
        self._answered: list[Reply] = []
        self._visit: asyncio.Event | None = None  # ends the visit that waits

    async def visited(self, order: Order) -> tuple[Reply, ...]:
        """Begin and end exchanges, and return what was answered since the last visit."""
        self.seen = time.monotonic()
        self._wake()
        for number in order.dropped:
            self._drop(number)
        for question in order.asked:
            self._begin(pickle.loads(question))  # noqa: S301
        if order.last:
            self.end()
        elif not self._answered and self._under_way:
            waits = self._visit = asyncio.Event()
            try:
                async with asyncio.timeout(WAIT_S):
                    await waits.wait()
            except TimeoutError:
                pass
            finally:
                self.seen = time.monotonic()
                if self._visit is waits:
                    self._visit = None
        answered, self._answered = self._answered, []
        return tuple(answered)

    def end(self) -> None:
        """End every exchange."""
        for task in self._under_way.values():
            task.cancel()

    def _begin(self, question: Question) -> None:
        if question.number in self._dropped:
            self._dropped.remove(question.number)
            return
        task = asyncio.get_running_loop().create_task(self._exchange(question))
        self._under_way[question.number] = task

    def _drop(self, number: int) -> None:
        task = self._under_way.get(number)
        if task is not None:
            task.cancel()
        elif all(reply.number != number for reply in self._answered):
            self._dropped.add(number)

    def _wake(self) -> None:
        if self._visit is not None:
            self._visit.set()
            self._visit = None

    async def _exchange(self, question: Question) -> None:
        begun = time.perf_counter()
        pieces: list[str] = []
        ttft_s: float | None = None

        def heard(text: str) -> None:
            nonlocal ttft_s
            if ttft_s is None:
                ttft_s = time.perf_counter() - begun
            pieces.append(text)

        completion: Completion | None = None
        error: Exception | None = None
        try:
            completion = await self._ask(question, heard)
        except asyncio.CancelledError:
            pass  # what had arrived is handed over
        except MoltError as failed:
            failed.__traceback__ = failed.__context__ = failed.__cause__ = None  # their frames hold the request, and so the key
            error = failed
        except Exception as bug:  # noqa: BLE001  # the coordinator must hear of it
            error = self._unforeseen(bug)
        text = "".join(pieces)
        if completion is not None and completion.text == text:
            text = completion.text  # the same object travels once
        self._answered.append(Reply(question.number, completion, error, text, ttft_s, time.perf_counter() - begun))
        del self._under_way[question.number]
        self._wake()

    async def _ask(self, question: Question, heard: Callable[[str], None]) -> Completion:
        spec, deployment = question.spec, question.deployment
        missing = self._providers.missing(replace(spec, deployments=(deployment,)))
        if missing is None:
            return await self._providers.complete(spec, deployment, question.call, on_delta=heard)
        message = f"{spec.name} cannot be asked on the worker {self._worker}: {missing.reason}."
        if spec.provider == "local":
            raise ServerError(message, provider="local", fix=f"On its machine: {missing.fix}.", retryable=False)
        fix = f"There, before the worker is started: {missing.fix}."
        raise Unauthorized(message, provider=spec.provider, fix=fix)

    def _unforeseen(self, bug: Exception) -> MoltError:
        """What the coordinator is told of a bug: never its message, which may hold the request, and so a key."""
        at = traceback.extract_tb(bug.__traceback__)[-1]
        logger.error("an exchange failed with %s in %s, line %s", type(bug).__name__, at.name, at.lineno)
        where = f"{type(bug).__name__} in {at.name}, line {at.lineno}"
        return MoltError(f"An exchange on the worker {self._worker} failed ({where}).", fix="This is a bug: please report it.")
