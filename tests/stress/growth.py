"""What becomes slower as the log and the cache grow: small and large side by side, in one run.

    python -m tests.stress.growth --rows 1000000 --out growth.json

prints what each thing takes with little and with much (medians), and the ratio of the two, also of processor time. A million
rows need 4 GB in the temporary folder and some minutes before anything is measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from molt_magic.bench import server
from molt_magic.bench.questions import Question, questions
from molt_magic.bench.rounds import Timed, interleaved
from molt_magic.cache import Cache
from molt_magic.embed import StaticEmbedder
from molt_magic.orchestrator import Orchestrator
from tests.stress.kernel import settings_for
from tests.stress.kill import ROOT, environment
from tests.stress.long_log import lengthen

FEW = 5_000  # decisions of the small log
TAUGHT = 50_000  # ... of one that has taught all that a fit holds: 10,000 outcomes, see quality/outcomes.py
JUDGED = 5  # one decision in so many has an outcome, until there are as many as a fit holds
FRAME = 10_000  # decisions as a frame
STRATEGIES = ("direct", "arbitrage")
_FRAME = f"""
from pathlib import Path
from molt_magic.log import DecisionLog
DecisionLog(Path("data/decisions.sqlite")).to_frame({FRAME})
"""
_LOOK = "import sys; from tests.stress.growth import look; look(sys.argv[1])"


@dataclass(frozen=True, slots=True)
class Grown:
    """What something takes with little and with much, seconds."""

    what: str
    small: float
    large: float
    small_cpu: float | None = None  # the processors' time, which a busy machine changes least
    large_cpu: float | None = None

    @property
    def ratio(self) -> float:
        return self.large / self.small

    @property
    def cpu_ratio(self) -> float | None:
        return self.large_cpu / self.small_cpu if self.small_cpu and self.large_cpu else None

    def __str__(self) -> str:
        cpu = "" if self.cpu_ratio is None else f"{self.cpu_ratio:>8.2f}"
        return f"{self.what:<76}{1000 * self.small:>12.3f} ms{1000 * self.large:>12.3f} ms{self.ratio:>8.2f}{cpu}"


def _grown(what: str, small: Timed, large: Timed) -> Grown:
    return Grown(what, small.figure.median, large.figure.median, small.cpu.median, large.cpu.median)


def run(rows: int, answers: int, folder: Path, *, rounds: int = 9) -> Iterator[Grown]:
    """Measure with logs of FEW, of TAUGHT and of `rows` decisions, and caches of a thousand and of `answers` entries."""
    with server.running() as url:
        empty, small, taught, large = folder / "empty", folder / "small", folder / "taught", folder / "large"
        for home, size in ((small, min(FEW, rows)), (taught, min(TAUGHT, rows)), (large, rows)):
            begin(home, url)
            lengthen(home / "data" / "decisions.sqlite", decisions=size, outcomes=min(size, TAUGHT) // JUDGED)
            fit(home, url)
        yield from new_kernels(small, large, url, rounds=rounds)
        # apart: what was learned is looked at for every question, and grows until a fit holds as much as it may
        asked = questions(seed=3)
        yield from routed({"small": empty, "large": small}, url, asked, rounds=rounds, by="nothing learned, something")
        yield from routed({"small": small, "large": taught}, url, asked, rounds=rounds, by="something, as much as a fit holds")
        yield from routed({"small": taught, "large": large}, url, asked, rounds=rounds, by="as much learned, a longer log")
        few, many = folder / "few", folder / "many"
        for home, size in ((few, min(1_000, answers)), (many, answers)):
            begin(home, url)
            fill(home, url, size)
        yield from opened(few, many, url, rounds=rounds)
        yield from routed({"small": few, "large": many}, url, asked, rounds=rounds, by="cache")
        yield from kept(few, many, url, rounds=rounds)


# -- what is measured


def look(url: str) -> None:
    """What a new kernel looks at first, a line each: what it takes after the imports, which take what they take."""
    logging.basicConfig(level=logging.WARNING)
    began = time.perf_counter()
    with an_orchestrator(url) as orch:
        import httpx  # noqa: F401
        import pandas as pd  # noqa: F401

        import molt_magic.cache.neighbours  # noqa: F401

        orch.embedder.embed(["words"])
        imported = time.perf_counter()

        def timed(what: str, do: Callable[[], object], *, since: float | None = None) -> None:
            start = time.perf_counter()
            do()
            print(json.dumps([what, time.perf_counter() - (since or start)]), flush=True)

        timed("what is in the log is learned from", orch._parts.learning.catch_up, since=imported)
        timed("the first question", lambda: orch.route("What is it that grows?", strategy="direct", model="small"))
        timed("another one", lambda: orch.route("What is it that shrinks?", strategy="direct", model="small"))
        timed("budgets", orch.budgets)
        timed("totals by model", orch.log.totals)
        timed("totals of a session", lambda: orch.log.totals(session=orch.session))
        timed(f"a frame of the last {FRAME:,}", lambda: orch.log.to_frame(FRAME))
    print(json.dumps(["of these, imports", imported - began]))


def new_kernels(small: Path, large: Path, url: str, *, rounds: int) -> Iterator[Grown]:
    """What new kernels look at first, over the small log and over the large one."""
    seconds: dict[str, dict[Path, list[float]]] = defaultdict(lambda: defaultdict(list))
    whole = f"Python, imports and a frame of the last {FRAME:,}"
    for n in range(rounds + 1):
        for home in random.sample([small, large], 2):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", _FRAME], env=environment(home), cwd=home, check=True)
            took = time.perf_counter() - began
            child = subprocess.run(
                [sys.executable, "-c", _LOOK, url], env=environment(home), cwd=ROOT, check=True, capture_output=True, text=True
            )
            lines = [*map(json.loads, child.stdout.splitlines()), [whole, took]]
            for what, second in lines if n else ():  # the first warms up the files
                seconds[what][home].append(second)
    for what, of in seconds.items():
        yield Grown(f"new kernel, log: {what}", median(of[small]), median(of[large]))


def routed(homes: Mapping[str, Path], url: str, asked: Iterator[Question], *, rounds: int, by: str) -> Iterator[Grown]:
    """New questions to a server on this machine that answers at once, one after another."""
    with ExitStack() as held:
        orchs = {name: held.enter_context(an_orchestrator(url, home)) for name, home in homes.items()}
        overhead: dict[tuple[str, str], list[float]] = defaultdict(list)

        def asking(name: str, strategy: str) -> Callable[[object], object]:
            def ask(_: object) -> None:
                result = orchs[name].route(next(asked).text, strategy=strategy, model="small" if strategy == "direct" else None)
                if not result.cached:  # as it is where it says what another one said
                    overhead[name, strategy].append(result.decision.overhead_ms / 1000.0)

            return ask

        contenders = {(name, strategy): asking(name, strategy) for name in orchs for strategy in STRATEGIES}
        # each has questions of its own: what one asked is in the cache of the other that shares its home
        found = interleaved(contenders, itertools.count(), rounds=rounds, block=12, rng=random.Random(0))
    for strategy in STRATEGIES:
        yield _grown(f"question, {by}: {strategy}", found["small", strategy], found["large", strategy])
        small, large = (median(overhead[name, strategy]) for name in ("small", "large"))
        yield Grown(f"question, {by}: {strategy}, of that overhead", small, large)


def opened(few: Path, many: Path, url: str, *, rounds: int) -> Iterator[Grown]:
    """The first semantic lookup of a process, the index read from the disk."""
    seconds: dict[Path, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for home in (few, many):
            cache, scope, _ = cache_of(home, url)
            asked = next(questions(seed=2)).otherwise  # of what `fill` stored: else there is nothing to look for
            began = time.perf_counter()
            cache.nearest(scope, asked)
            seconds[home].append(time.perf_counter() - began)
            cache.close()
    yield Grown("cache: opened, first semantic lookup", median(seconds[few]), median(seconds[many]))


def kept(few: Path, many: Path, url: str, *, rounds: int) -> Iterator[Grown]:
    """Lookups and puts of the cache itself."""
    with ExitStack() as held:
        caches, scopes, values = {}, {}, {}
        for name, home in (("small", few), ("large", many)):
            caches[name], scopes[name], values[name] = cache_of(home, url)
            held.callback(caches[name].close)

        stored = itertools.cycle(itertools.islice(questions(seed=2), 1_000))

        def doing(name: str, what: str) -> Callable[[Question], object]:
            cache, scope, value = caches[name], scopes[name], values[name]
            return {
                "exact get": lambda _: cache.get(next(stored).text),
                "semantic lookup in vain": lambda q: cache.nearest(scope, q.text),
                "semantic hit": lambda _: cache.nearest(scope, next(stored).otherwise),
                "put": lambda q: cache.put(q.text, value, scope=scope, prompt=q.text),
            }[what]

        names = ("exact get", "semantic lookup in vain", "semantic hit", "put")
        contenders = {(name, what): doing(name, what) for name in caches for what in names}
        found = interleaved(contenders, questions(seed=7), rounds=rounds, block=100, rng=random.Random(0))
    for what in names:
        yield _grown(f"cache: {what}", found["small", what], found["large", what])


# -- what it is measured on


def an_orchestrator(url: str, home: Path | None = None) -> Orchestrator:
    """One whose state is in `home`; None: in MOLT_HOME."""
    settings = settings_for(url, environ=os.environ if home is None else environment(home))
    return Orchestrator(settings=settings.with_values({"exploration.share": 0.0, "cache.ttl_seconds": 86_400}))


def begin(home: Path, url: str) -> None:
    """Some real decisions, half of them marked."""
    asked = questions(seed=1)
    with an_orchestrator(url, home) as orch:
        for n in range(40):
            strategy = STRATEGIES[n % 2]
            result = orch.route(next(asked).text, strategy=strategy, model="small" if strategy == "direct" else None)
            if n % 4 < 2:
                orch.feedback(result.decision.decision_id, float(n % 8 < 6))


def fit(home: Path, url: str) -> None:
    """What a kernel does in a thread some seconds after its start, once and for all that follow."""
    with an_orchestrator(url, home) as orch:
        orch._parts.learning.catch_up()
        until = time.monotonic() + 300
        while not (orch.settings.data_dir / "quality.npz").exists() and time.monotonic() < until:
            time.sleep(0.2)


def cache_of(home: Path, url: str) -> tuple[Cache, str, dict[str, Any]]:
    """The cache of questions that are asked directly, their scope, and an answer that was kept."""
    settings = settings_for(url, environ=environment(home))
    embedder = StaticEmbedder()
    cache = Cache(
        settings.cache_dir / "answers",
        ttl_seconds=86_400,
        max_bytes=settings.cache.max_bytes,
        semantic=True,
        semantic_distance=settings.cache.semantic_distance,
        embedder=lambda: embedder,
        verifier=lambda: None,
    )
    row = cache._store.row(1)  # the first question of `begin`
    assert row is not None
    entry = cache.get(row.key)
    assert entry is not None
    return cache, row.scope, dict(entry.value)


def fill(home: Path, url: str, answers: int) -> None:
    """Keep answers to so many other questions; the index is built before this returns."""
    cache, scope, value = cache_of(home, url)
    asked = questions(seed=2)
    for _ in range(answers):
        question = next(asked)
        cache.put(question.text, value, scope=scope, prompt=question.text)
    cache.settle()
    cache.close()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--answers", type=int, default=100_000)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--out", type=Path)
    chosen = arguments.parse_args()
    grown = []
    with tempfile.TemporaryDirectory() as temporary:
        for each in run(chosen.rows, chosen.answers, Path(temporary), rounds=chosen.rounds):
            print(each, flush=True)
            grown.append({**asdict(each), "ratio": each.ratio, "cpu_ratio": each.cpu_ratio})
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(grown, indent=1), encoding="utf-8")
