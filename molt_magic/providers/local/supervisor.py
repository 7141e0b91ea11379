"""Keeps the children: started at their first use, within a memory limit, unloaded when idle, ended with the session."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from molt_magic.errors import MoltError, ServerError
from molt_magic.providers.local.engine import Engine, Plan, resident_bytes

_TICK_S = 1.0  # between two looks for idle children


@dataclass(frozen=True, slots=True)
class Running:
    """A running model, as `LocalProvider.running` lists it."""

    model: str
    pid: int
    port: int
    rss: int | None  # bytes, now
    context: int  # tokens of one call
    calls: int  # in flight
    load_s: float


class Supervisor:
    """The children of one session.

    One thread, the keeper, starts and unloads them, and lives as long as there are any: on Linux a child is ended by the
    system when the thread that started it ends, so the thread of some call would be the wrong one.

    Args:
        memory_bytes: limit over all children; the least recently used idle ones are unloaded to stay within.
        idle_s: an unused child is unloaded after this many seconds.
        wait_s: how long a call waits for others to finish where the limit leaves no room.
        on_progress: told when a model is being loaded, and when it is.
    """

    def __init__(
        self,
        *,
        memory_bytes: int,
        idle_s: float,
        wait_s: float,
        on_progress: Callable[[str, float | None], None] | None = None,
    ) -> None:
        self.memory_bytes = memory_bytes
        self.idle_s = idle_s
        self.wait_s = wait_s
        self.on_progress = on_progress
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._engines: dict[Plan, Engine] = {}
        self._asked: dict[Plan, Future[Engine]] = {}  # to be started, in order
        self._wanted: dict[Plan, int] = {}  # calls that wait for a plan's engine
        self._keeper: threading.Thread | None = None
        self._closed = False
        _ALL.add(self)

    @asynccontextmanager
    async def lease(self, plan: Plan) -> AsyncIterator[Engine]:
        """A running engine for the plan, not unloaded before the block is left. Starts it where it does not run.

        Raises:
            ServerError: it cannot be started, or there is no room for it.
        """
        engine = self._take(plan)
        if engine is None:
            engine = await self._started(plan)
        try:
            yield engine
        finally:
            with self._changed:
                engine.users -= 1
                engine.used = time.monotonic()
                self._changed.notify_all()

    def runs(self, plan: Plan) -> bool:
        """Whether the plan's engine runs now."""
        with self._changed:
            engine = self._engines.get(plan)
            return engine is not None and engine.alive

    def running(self) -> list[Running]:
        """The children that run now."""
        with self._changed:
            engines = [engine for engine in self._engines.values() if engine.alive]
        return [
            Running(
                model=engine.plan.model,
                pid=engine.process.pid,
                port=engine.port,
                rss=resident_bytes(engine.process.pid),
                context=engine.plan.context_tokens,
                calls=engine.users,
                load_s=engine.load_s,
            )
            for engine in engines
        ]

    def close(self) -> None:
        """End every child and wait for it. A later lease is refused."""
        if os.getpid() != self._pid:
            return  # a fork of ours: the children are not its own
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            keeper = self._keeper
        if keeper is not None and keeper is not threading.current_thread():
            keeper.join()

    def _take(self, plan: Plan) -> Engine | None:
        with self._changed:
            if self._closed or os.getpid() != self._pid:
                raise _closed()
            engine = self._engines.get(plan)
            if engine is None or not engine.alive:
                return None
            engine.users += 1
            engine.used = time.monotonic()
            return engine

    async def _started(self, plan: Plan) -> Engine:
        with self._changed:
            self._wanted[plan] = self._wanted.get(plan, 0) + 1
        try:
            while True:
                # shielded: a cancelled call lets the others have what it asked for
                await asyncio.shield(asyncio.wrap_future(self._ask(plan)))
                if (engine := self._take(plan)) is not None:
                    return engine
        finally:
            with self._changed:
                self._wanted[plan] -= 1
                self._changed.notify_all()

    def _ask(self, plan: Plan) -> Future[Engine]:
        with self._changed:
            if self._closed:
                raise _closed()
            if (running := self._engines.get(plan)) is not None and running.alive:
                ready: Future[Engine] = Future()
                ready.set_result(running)
                return ready
            future = self._asked.setdefault(plan, Future())
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name="molt-local", daemon=True)
                self._keeper.start()
            self._changed.notify_all()
            return future

    def _keep(self) -> None:
        while True:
            with self._changed:
                if not (self._asked or self._closed) and self._engines:
                    self._changed.wait(_TICK_S)
                if self._closed or not (self._asked or self._engines):
                    self._keeper = None
                    break
                plan = next(iter(self._asked), None)
            self._unload([engine for engine in self._idle() if time.monotonic() - engine.used >= self.idle_s])
            if plan is not None:
                self._serve(plan)
        self._unload(list(self._engines.values()))
        for future in self._asked.values():
            future.set_exception(_closed())

    def _serve(self, plan: Plan) -> None:
        """Start what was asked for, and tell those who wait."""
        try:
            self._make_room(plan)
            self._tell(f"loading {plan.model}", None)
            engine = Engine.start(plan)
        except _Unwanted:
            with self._changed:
                if not self._wanted.get(plan):  # else someone came just now, and it is tried again
                    self._asked.pop(plan).cancel()
            return
        except BaseException as error:  # noqa: BLE001  # it is for those who wait, and the keeper must live on
            known = error if isinstance(error, MoltError) else _failed(plan, error)
            with self._changed:
                future = self._asked.pop(plan)
            future.set_exception(known)
            return
        with self._changed:
            self._engines[plan] = engine
            future = self._asked.pop(plan)
        future.set_result(engine)
        self._tell(f"loading {plan.model}: done", 1.0)

    def _make_room(self, plan: Plan) -> None:
        """Unload idle engines, the longest unused first, until the plan fits; wait for busy ones."""
        needed = plan.memory_bytes
        if needed > self.memory_bytes:
            raise too_large(plan, self.memory_bytes)
        deadline = time.monotonic() + self.wait_s
        told = False
        while True:
            self._unload([engine for engine in self._engines.values() if not engine.alive])
            taken = sum(engine.memory_bytes() for engine in self._engines.values())
            if taken + needed <= self.memory_bytes:
                return
            if idle := sorted(self._idle(), key=lambda engine: engine.used):
                self._unload(idle[:1])
                continue
            if not told:
                told = True
                self._tell(f"waiting for memory to load {plan.model}", None)
            with self._changed:
                if self._closed:
                    raise _closed()
                if not self._wanted.get(plan):
                    raise _Unwanted
                if time.monotonic() > deadline:
                    raise _no_room(plan, self.memory_bytes)
                self._changed.wait(_TICK_S)

    def _idle(self) -> list[Engine]:
        with self._changed:
            return [e for e in self._engines.values() if not e.users and not self._wanted.get(e.plan)]

    def _unload(self, engines: list[Engine]) -> None:
        for engine in engines:
            with self._changed:
                if engine.users and engine.alive and not self._closed:
                    continue  # taken meanwhile
                if self._engines.get(engine.plan) is engine:
                    del self._engines[engine.plan]
            engine.stop()

    def _tell(self, what: str, fraction: float | None) -> None:
        if self.on_progress is not None:
            with suppress(Exception):  # a view that fails must not take the keeper along, and the children with it
                self.on_progress(what, fraction)


class _Unwanted(Exception):
    """Every call that waited for the engine was cancelled."""


def too_large(plan: Plan, limit: int) -> ServerError:
    """The error for a model that does not fit the memory limit even alone."""
    return ServerError(
        f"{plan.model} needs about {plan.memory_bytes / 1e9:.1f} GB, local.memory_gb allows {limit / 1e9:.1f}.",
        provider="local",
        fix="Raise local.memory_gb, or lower local.context_tokens.",
        retryable=False,
    )


def _no_room(plan: Plan, limit: int) -> ServerError:
    return ServerError(
        f"There is no room for {plan.model}: other models are busy within the {limit / 1e9:.1f} GB of local.memory_gb.",
        provider="local",
        fix="Wait for them, or raise local.memory_gb.",
    )


def _closed() -> ServerError:
    return ServerError("The local engine was closed.", provider="local", fix="Make a new Orchestrator.", retryable=False)


def _failed(plan: Plan, error: BaseException) -> ServerError:
    return ServerError(
        f"The local engine could not be started for {plan.model}: {type(error).__name__}: {error}",
        provider="local",
        fix="Run molt doctor.",
        retryable=False,
    )


_ALL: weakref.WeakSet[Supervisor] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for supervisor in list(_ALL):
        supervisor.close()
