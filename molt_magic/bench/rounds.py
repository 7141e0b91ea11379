"""Contenders side by side, and what the rounds say.

A machine is never quiet, so nothing is measured after something else: in every round each contender gets a block of calls, in
an order drawn anew, with the same prompts. What the machine does meanwhile hits all alike, and a difference is taken within its
round, where both sides had the same luck.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
N = TypeVar("N")  # what contenders are called by

_PAUSE_S = 0.01  # before a block: what the one before left to its threads is not billed to the next


@dataclass(frozen=True, slots=True)
class Figure:
    """One number a round: seconds, calls a second, or a share."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third, over the rounds."""
        if len(self.rounds) < 2:
            return self.rounds[0], self.rounds[0]
        first, _, third = statistics.quantiles(self.rounds, n=4, method="inclusive")
        return first, third

    def over(self, base: Figure) -> Figure:
        """What this takes beyond `base`, round by round."""
        return Figure(tuple(own - other for own, other in zip(self.rounds, base.rounds, strict=True)))

    def share_of(self, base: Figure) -> Figure | None:
        """This as a share of `base`, round by round; None where `base` was never above 0, as a difference in noise may be."""
        pairs = zip(self.rounds, base.rounds, strict=True)
        shares = tuple(own / other for own, other in pairs if other > 0)
        return Figure(shares) if shares else None


@dataclass(frozen=True, slots=True)
class Timed:
    """What a contender took."""

    figure: Figure  # seconds a call, or calls a second
    cpu: Figure  # seconds a call in which this process, all its threads, had a processor: what a busy machine changes least


def interleaved(
    contenders: Mapping[N, Callable[[T], object]],
    questions: Iterator[T],
    *,
    rounds: int,
    block: int,
    rng: random.Random,
    told: Callable[[float], None] = lambda _share: None,
) -> dict[N, Timed]:
    """Seconds a call of each contender, a number a round: the median of its block, and the mean of the processors' time.

    Args:
        contenders: what is called, by name.
        questions: what they are called with; of every block's the first is asked beforehand and not timed.
        rounds: how many; one more goes before, to warm up.
        block: calls a contender gets in a round.
        rng: draws the order.
        told: of the share that is done, after each round.
    """
    found: dict[N, list[tuple[float, float]]] = {name: [] for name in contenders}
    order = list(contenders)
    with _own_garbage_only():
        for number in range(rounds + 1):
            asked = [next(questions) for _ in range(block + 1)]
            rng.shuffle(order)
            for name in order:
                took = _block(contenders[name], asked)
                if number:
                    found[name].append(took)
            told(number / rounds)
    return _timed(found)


@contextmanager
def _own_garbage_only() -> Iterator[None]:
    """What is there already is not looked through for garbage: a peer's hundred thousand objects would slow everybody down."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _block(call: Callable[[T], object], asked: Sequence[T]) -> tuple[float, float]:
    gc.collect()  # another's garbage
    time.sleep(_PAUSE_S)
    call(asked[0])
    took = []
    cpu = time.process_time()
    for question in asked[1:]:
        started = time.perf_counter()
        call(question)
        took.append(time.perf_counter() - started)
    return statistics.median(took), (time.process_time() - cpu) / len(took)


def _timed(found: Mapping[N, Sequence[tuple[float, float]]]) -> dict[N, Timed]:
    return {
        name: Timed(Figure(tuple(took for took, _ in rounds)), Figure(tuple(cpu for _, cpu in rounds)))
        for name, rounds in found.items()
    }


async def interleaved_flights(
    contenders: Mapping[N, Callable[[Sequence[T]], Awaitable[Any]]],
    questions: Iterator[T],
    *,
    rounds: int,
    calls: int,
    rng: random.Random,
    told: Callable[[float], None] = lambda _share: None,
) -> dict[N, Timed]:
    """Calls a second of each contender, which is given all the questions of a round at once; a number a round.

    The arguments are those of `interleaved`. A tenth of a round goes before, to warm up.
    """
    found: dict[N, list[tuple[float, float]]] = {name: [] for name in contenders}
    order = list(contenders)
    with _own_garbage_only():
        for number in range(rounds + 1):
            asked = [next(questions) for _ in range(calls if number else max(1, calls // 10))]
            rng.shuffle(order)
            for name in order:
                gc.collect()
                time.sleep(_PAUSE_S)  # noqa: ASYNC251  # nothing else is to run
                started, cpu = time.perf_counter(), time.process_time()
                await contenders[name](asked)
                took = time.perf_counter() - started, time.process_time() - cpu
                if number:
                    found[name].append((len(asked) / took[0], took[1] / len(asked)))
            told(number / rounds)
    return _timed(found)
