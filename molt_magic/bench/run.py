"""A run of the bench: what is measured, beside what, in which order."""

from __future__ import annotations

import asyncio
import itertools
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from molt_magic.bench import contenders, imports, machine, peers, server, stores
from molt_magic.bench.questions import questions
from molt_magic.bench.report import Report, Row, Target, Unit
from molt_magic.bench.rounds import Figure, Timed, interleaved, interleaved_flights
from molt_magic.errors import InputError

OVERHEAD = Target(0.5e-3, "over", aim=0.3e-3)
OF_ROUTER = Target(1 / 9, aim=1 / 15)
OF_SDK = Target(1.0)
OF_RATE = Target(0.85, at_least=True)

# name of a row -> modules that it needs
SDK = {"openai SDK": ("openai",)}
LITELLM = {"litellm.completion": ("litellm",), "litellm.Router": ("litellm",)}
BOTH = {"semantic-router + litellm.Router": ("semantic_router", "litellm")}

# peer -> strategies that are judged by what it adds, and how: as they come, and without a cache, as no peer has one here
JUDGED = {
    "litellm.Router": (contenders.STRATEGIES, OF_ROUTER),
    "semantic-router + litellm.Router": (("semantic",), OF_ROUTER),  # the same job: which task, and then a model for it
    "openai SDK": (contenders.STRATEGIES, OF_SDK),
}

PARTS = ("calls", "flights", "imports", "caches")

N = TypeVar("N")
OnProgress = Callable[[str, float | None], None]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int = 20  # of everything that answers at once
    block: int = 20  # calls in a round
    flights: int = 3  # rounds of many calls in flight
    calls: int = 1_000  # in such a round
    at_once: int = 50  # of them in flight
    starts: int = 5  # of every program that imports
    entries: tuple[int, ...] = (1_000, 10_000, 100_000)  # of the cache, growing
    parts: tuple[str, ...] = PARTS  # of the bench
    peers: bool = False  # others beside us, where they are installed
    seed: int = 0  # of the questions and of every order


FULL = Sizes()
QUICK = Sizes(rounds=8, block=10, flights=2, calls=200, starts=2, entries=(1_000, 5_000))


def run(sizes: Sizes = FULL, *, on_progress: OnProgress = lambda _what, _fraction: None) -> Report:
    """Measure, in a temporary folder with settings of its own; nothing of the user's is read or written.

    Args:
        sizes: how much.
        on_progress: told what is measured, and how much of that is done, in [0, 1].

    Raises:
        InputError: it cannot be measured here.
    """
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="molt-bench-", ignore_cleanup_errors=True)))
        facts = machine.facts(str(home))
        stack.enter_context(peers.quiet())
        try:
            url = stack.enter_context(server.running())
        except OSError as error:
            raise InputError(str(error), fix="Run it where a process may be started and may listen on 127.0.0.1.") from None
        bench = _Bench(sizes, url, home, on_progress)
        stack.callback(bench.ours.close)
        rows = list(bench.rows())
    return Report(facts, asdict(sizes), rows)


class _Bench:
    """The stages of one run."""

    def __init__(self, sizes: Sizes, url: str, home: Path, on_progress: OnProgress) -> None:
        self.sizes = sizes
        self.url = url
        self.home = home
        self.on_progress = on_progress
        self.rng = random.Random(sizes.seed)  # noqa: S311  # no secret
        self.ours = contenders.Ours(url, home)
        self._new = (question.text for question in questions(sizes.seed))

    def rows(self) -> Iterator[Row]:
        stages = {"calls": self.calls, "flights": self.flights, "imports": self.imports, "caches": self.caches}
        for part in PARTS:
            if part in self.sizes.parts:
                yield from stages[part]()

    @cached_property
    def litellm(self) -> peers.LiteLLM | None:
        """Made once, where it is wanted and installed: importing it takes seconds."""
        return peers.LiteLLM(self.url) if self.sizes.peers and peers.installed("litellm") else None

    # one call at a time

    def calls(self) -> Iterator[Row]:
        yield from self.routes()
        yield from self.hits()
        if self.sizes.peers:
            yield from self.decisions()

    def routes(self) -> Iterator[Row]:
        """A call of a model: raw, by our strategies, and by peers; whole and streamed."""
        whole: dict[str, contenders.Ask] = {}
        streamed: dict[str, contenders.Ask] = {}
        with ExitStack() as stack:
            raw = stack.enter_context(contenders.raw(self.url))
            whole["raw httpx"], streamed["raw httpx"] = raw["whole"], raw["streamed"]
            for strategy in contenders.STRATEGIES:
                whole[f"route, {strategy}"] = self.ours.routed(strategy)
                whole[uncached(strategy)] = self.ours.routed(strategy, cache=False)
            streamed["route, direct"] = self.ours.routed("direct", stream=True)
            if self.sizes.peers and peers.installed("openai"):
                sdk = stack.enter_context(peers.openai_sdk(self.url))
                whole["openai SDK"], streamed["openai SDK"] = sdk["whole"], sdk["streamed"]
            if self.litellm is not None:
                whole["litellm.completion"] = self.litellm.completion
                whole["litellm.Router"] = self.litellm.router
                if peers.installed("semantic_router"):
                    whole["semantic-router + litellm.Router"] = self.litellm.behind_semantic_router()
            found = self._interleaved(
                "one call at a time",
                {(name, kind): ask for kind, asks in (("whole", whole), ("streamed", streamed)) for name, ask in asks.items()},
                self._new,
            )
        for kind in ("whole", "streamed"):
            base = found["raw httpx", kind]
            for (name, of), took in found.items():
                if of == kind:
                    target = OVERHEAD if name.startswith("route") and kind == "whole" else None
                    over = None if took is base else took.figure.over(base.figure)
                    yield Row(f"a call, {kind}", name, took.figure, cpu=took.cpu, over=over, target=target)
            yield from self._absent(f"a call, {kind}", SDK if kind == "streamed" else {**SDK, **LITELLM, **BOTH})
        yield from shares({name: took.figure for (name, kind), took in found.items() if kind == "whole"})

    def hits(self) -> Iterator[Row]:
        """What needs no model: a question that is in the cache, and a row of the log."""
        ask = self.ours.routed("direct")
        asked = list(itertools.islice(self._new, 200))
        for prompt in asked:
            ask(prompt)
        decision = self.ours.orchestrator("direct-whole").log.last()
        if decision is None:
            raise InputError("What was routed is not in the log.")
        folder = self.home / "log"
        folder.mkdir()
        with stores.appending(folder, decision) as append:
            contending = {"routed exact hit": self.ours.remembered(), "a decision logged": append}
            found = self._interleaved("answers that are there", contending, itertools.cycle(asked))
        for name, took in found.items():
            yield Row("without a model", name, took.figure, cpu=took.cpu)

    def decisions(self) -> Iterator[Row]:
        """Which task a prompt is, of the same examples and vectors."""
        known = peers.Known()
        contending: dict[str, Callable[[str], object]] = {"strategy semantic": peers.our_decision(known)}
        if peers.installed("semantic_router"):
            contending["semantic-router"] = peers.semantic_router(known)
        asked = list(itertools.islice(self._new, 200))
        known.embed(asked)
        group = "a decision, its vector given"
        for name, took in self._interleaved("decisions", contending, itertools.cycle(asked)).items():
            yield Row(group, name, took.figure, cpu=took.cpu)
        yield from self._absent(group, {"semantic-router": ("semantic_router",)})

    # many calls at once

    def flights(self) -> Iterator[Row]:
        yield from asyncio.run(self.in_flight())

    async def in_flight(self) -> list[Row]:
        """Many calls in flight: raw, ours, and peers'."""
        at_once, sizes = self.sizes.at_once, self.sizes
        flights: dict[str, contenders.Fly] = {}
        async with AsyncExitStack() as stack:
            flights["raw httpx.AsyncClient"] = await stack.enter_async_context(contenders.raw_flight(self.url, at_once))
            flights["aroute, direct"] = self.ours.flight(at_once)
            flights["map, direct"] = self.ours.column(at_once)
            if sizes.peers and peers.installed("openai"):
                flights["openai SDK"] = await stack.enter_async_context(peers.openai_flight(self.url, at_once))
            if self.litellm is not None:
                flights["litellm.completion"] = self.litellm.completion_flight(at_once)
                flights["litellm.Router"] = self.litellm.router_flight(at_once)
            found = await interleaved_flights(
                flights,
                self._new,
                rounds=sizes.flights,
                calls=sizes.calls,
                rng=self.rng,
                told=self._told(f"{sizes.calls:,} calls at {at_once} in flight"),
            )
        group = f"{sizes.calls:,} calls at {at_once} in flight"
        rows = [Row(group, name, took.figure, unit="calls/s", cpu=took.cpu) for name, took in found.items()]
        base = found["raw httpx.AsyncClient"]
        rows += self._absent(group, {**SDK, **LITELLM}, unit="calls/s")
        for name, took in found.items():
            if took is not base:
                target = OF_RATE if name in ("aroute, direct", "map, direct") else None
                share = took.figure.share_of(base.figure)
                rows.append(Row("rate as a share of raw httpx's", name, share, unit="share", target=target))
        return rows

    # programs, and stores

    def imports(self) -> Iterator[Row]:
        """Programs that import."""
        home = self.home / "imports"
        home.mkdir()
        told = self._told("programs that import")
        yield from imports.rows(home, rounds=self.sizes.starts, peers=self.sizes.peers, rng=self.rng, told=told)

    def caches(self) -> Iterator[Row]:
        """Lookups in caches of several sizes."""
        lookups = stores.Lookups(
            self.home / "answers", rounds=self.sizes.rounds, block=self.sizes.block, rng=self.rng, seed=self.sizes.seed + 1
        )
        for entries in self.sizes.entries:
            yield from lookups.at(entries, self._told(f"filling the cache up to {entries:,}"))

    # all

    def _interleaved(self, what: str, contending: Mapping[N, Callable[[str], object]], asked: Iterator[str]) -> dict[N, Timed]:
        return interleaved(
            contending,
            asked,
            rounds=self.sizes.rounds,
            block=self.sizes.block,
            rng=self.rng,
            told=self._told(what),
        )

    def _absent(self, group: str, wanted: Mapping[str, tuple[str, ...]], unit: Unit = "s") -> list[Row]:
        """A row for every peer that was asked for and is not there."""
        if not self.sizes.peers:
            return []
        note = f"not installed: {peers.INSTALL}"
        return [Row(group, name, None, unit=unit, note=note) for name, needs in wanted.items() if not peers.installed(*needs)]

    def _told(self, what: str) -> Callable[[float], None]:
        return lambda fraction: self.on_progress(what, fraction)


def uncached(strategy: str) -> str:
    """The row of a strategy that is asked without a cache."""
    return f"route, {strategy}, no cache"


def shares(found: Mapping[str, Figure]) -> Iterator[Row]:
    """What every strategy adds to raw httpx, as a share of what a peer adds; each has the same target.

    Args:
        found: seconds of a whole call, by the name of the row; peers that are not in it judge nothing.
    """
    base = found["raw httpx"]
    for peer, (strategies, target) in JUDGED.items():
        if peer in found:
            added = found[peer].over(base)
            for strategy in strategies:
                for name in (f"route, {strategy}", uncached(strategy)):
                    share = found[name].over(base).share_of(added)
                    yield Row("overhead as a share of", f"{peer}'s: {name}", share, unit="share", target=target)
