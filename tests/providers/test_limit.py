"""Limits in time, all of which share a loop's timer."""

from __future__ import annotations

import asyncio

import pytest

from molt_magic.transport import limit


async def asleep(seconds: float, within: float) -> None:
    with limit(within):
        await asyncio.sleep(seconds)


def test_one_ends_in_time_whose_timer_was_set_for_another_that_is_gone() -> None:
    async def run() -> float:
        loop = asyncio.get_running_loop()
        await asleep(0, 0.02)
        begun = loop.time()
        with pytest.raises(TimeoutError):
            await asleep(5, 0.05)
        return loop.time() - begun

    assert 0.05 <= asyncio.run(run()) < 1


def test_many_end_each_at_its_own_time() -> None:
    async def run() -> list[int]:
        ended: list[int] = []

        async def one(number: int) -> None:
            with pytest.raises(TimeoutError):
                await asleep(5, 0.02 * number)
            ended.append(number)

        await asyncio.gather(*[one(number) for number in (3, 1, 4, 2, 5)])
        return ended

    assert asyncio.run(run()) == [1, 2, 3, 4, 5]


def test_a_second_loop_of_the_same_thread_has_its_own() -> None:
    for _ in range(2):
        with pytest.raises(TimeoutError):
            asyncio.run(asleep(5, 0.01))


def test_what_it_raises_is_told_beforehand() -> None:
    async def run() -> None:
        with limit(0.01, lambda: LookupError("too slow")):
            await asyncio.sleep(5)

    with pytest.raises(LookupError, match="too slow"):
        asyncio.run(run())
