"""The deadline around what runs: as `asyncio.timeout`, in the question's own words."""

from __future__ import annotations

import asyncio
import time

import pytest

from molt_magic.errors import OutOfTime
from molt_magic.providers.base import until
from molt_magic.types import Deadline


def within(seconds: float) -> Deadline:
    return Deadline(time.monotonic() + seconds, seconds, "the deadline")


async def asleep(seconds: float, *limits: tuple[float, str]) -> None:
    """Sleep within the first limit, within the second and so on."""
    if not limits:
        await asyncio.sleep(seconds)
        return
    with until(within(limits[0][0]), limits[0][1]):
        await asleep(seconds, *limits[1:])


def test_what_runs_beyond_it_is_ended_and_the_error_says_what_was_wanted() -> None:
    with pytest.raises(OutOfTime, match="were over before small had answered"):
        asyncio.run(asleep(5, (0.01, "small had answered")))


def test_what_begins_after_it_ends_at_its_first_wait() -> None:
    with pytest.raises(OutOfTime):
        asyncio.run(asleep(5, (-1, "it")))


def test_of_two_the_nearer_one_ends_it() -> None:
    with pytest.raises(OutOfTime, match="before inner"):
        asyncio.run(asleep(5, (5, "outer"), (0.01, "inner")))
    with pytest.raises(OutOfTime, match="before outer"):
        asyncio.run(asleep(5, (0.01, "outer"), (5, "inner")))


def test_who_was_ended_may_go_on() -> None:
    async def run() -> int:
        with pytest.raises(OutOfTime):
            await asleep(5, (0.01, "it"))
        await asyncio.sleep(0.01)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert asyncio.run(run()) == 0


def test_what_ends_in_time_is_left_alone() -> None:
    async def run() -> str:
        await asleep(0, (0.02, "it"))
        with until(None, "it"):
            await asyncio.sleep(0.04)
        return "done"

    assert asyncio.run(run()) == "done"


def test_its_own_errors_pass() -> None:
    async def run() -> None:
        with until(within(5), "it"):
            raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        asyncio.run(run())


def test_an_inner_limit_that_saw_the_end_first_tells_the_outer_one() -> None:
    async def run() -> None:
        with until(within(0.01), "it"):
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                raise TimeoutError from None

    with pytest.raises(OutOfTime):
        asyncio.run(run())


def test_who_is_cancelled_at_the_same_moment_stays_cancelled() -> None:
    async def run() -> None:
        task = asyncio.ensure_future(asleep(5, (0.01, "it")))
        await asyncio.sleep(0)
        time.sleep(0.02)  # its limit ends it in the loop's next turn
        asyncio.get_running_loop().call_soon(task.cancel)
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())
