"""A deployment's limits, and a question's deadline, on the way of a call."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from molt_magic.errors import OutOfTime, RateLimited, ServerError, TimedOut
from molt_magic.providers.base import Served
from molt_magic.types import Completion, Deployment, Usage
from tests.providers.world import DONE, World

pytestmark = pytest.mark.anyio


def steps(served: Served) -> list[tuple[str, str, str]]:
    return [(step.deployment, step.step, step.error) for step in served.retries]


# requests and tokens a minute


async def test_a_deployment_at_its_limit_is_passed_over_for_another() -> None:
    world = World((1.0, 1e-9), requests_per_minute=3)
    for _ in range(6):
        served = await world.perform()
    assert world.asked == ["d0"] * 3 + ["d1"] * 3
    assert world.waits == []
    assert steps(served) == [("d0", "passed over", "at its limit of 3 requests a minute")]


async def test_where_all_are_at_their_limit_a_call_waits_for_the_first_that_is_not() -> None:
    world = World((1.0, 1e-9), requests_per_minute=2)
    for _ in range(4):
        await world.perform()
        world.time += 10
    served = await world.perform()
    assert served.completion is DONE
    assert [round(wait) for wait in world.waits] == [22]  # the first was 40 s ago, and a minute has two seconds more
    assert steps(served)[-1] == ("d0", "waited", "at its limit of 2 requests a minute")
    assert round(served.retries[-1].waited_s) == 22


async def test_no_minute_has_more_requests_than_are_allowed() -> None:
    world = World(requests_per_minute=5)
    asked: list[float] = []
    for _ in range(40):
        await world.perform()
        asked.append(world.time)
        world.time += 1.5
    assert all(late - early >= 60 for early, late in zip(asked, asked[5:], strict=False))
    assert world.time - 1000 < 8 * 62 + 10  # and no more waiting than that takes


async def test_tokens_are_counted_by_estimate_before_a_call_and_by_what_it_took_after() -> None:
    world = World(tokens_per_minute=1000)
    world.script["d0"] = [Completion("text", "m", Usage(input_tokens=100, output_tokens=100))]
    for _ in range(5):  # 600 are expected each time, 200 are taken
        await world.perform(tokens=lambda: 600)
        if len(world.asked) == 3:
            assert world.waits == []
    assert len(world.waits) == 1
    assert 60 < world.waits[0] < 63


async def test_a_call_larger_than_a_minutes_tokens_has_a_minute_of_its_own() -> None:
    world = World(tokens_per_minute=1000)
    for _ in range(2):
        assert (await world.perform(tokens=lambda: 5000)).completion is DONE
    assert [round(wait) for wait in world.waits] == [62]


async def test_calls_that_wait_are_served_in_the_order_in_which_they_came() -> None:
    world = World(requests_per_minute=1)
    times: dict[int, float] = {}
    released: list[asyncio.Event] = []
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        released.append(event := asyncio.Event())
        await event.wait()

    async def call(number: int) -> None:
        async def ask(deployment: Deployment) -> Completion:
            times[number] = waits[number - 1] if number else 0.0
            return DONE

        await world.balancer.perform(world.spec, ask, lambda: False)

    world.balancer.sleep = sleep
    tasks = []
    for number in range(4):
        tasks.append(asyncio.create_task(call(number)))
        while len(times) + len(waits) < number + 1:
            await asyncio.sleep(0)
    assert [round(wait) for wait in waits] == [62, 124, 186]
    for event in released:
        event.set()
    await asyncio.gather(*tasks)


async def test_a_wait_for_a_limit_that_would_pass_the_deadline_is_not_begun() -> None:
    world = World(requests_per_minute=1)
    await world.perform()
    served = await world.perform(deadline_s=30.0)
    assert isinstance(served.error, RateLimited)
    assert "1 request a minute" in served.error.message
    assert (world.waits, world.asked) == ([], ["d0"])
    assert (await world.perform(deadline_s=90.0)).completion is DONE


async def test_a_cancelled_wait_leaves_its_place_to_others() -> None:
    world = World(requests_per_minute=1)
    await world.perform()
    begun = asyncio.Event()

    async def forever(seconds: float) -> None:
        begun.set()
        await asyncio.Event().wait()

    own, world.balancer.sleep = world.balancer.sleep, forever
    task = asyncio.create_task(world.perform())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    world.balancer.sleep = own
    await world.perform()
    assert [round(wait) for wait in world.waits] == [62]


# calls at once


async def test_no_more_calls_run_at_once_than_are_allowed_and_the_others_wait_their_turn() -> None:
    world = World((1.0, 1.0), max_concurrent=2)
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    order: list[int] = []

    async def call(number: int) -> Served:
        async def ask(deployment: Deployment) -> Completion:
            order.append(number)
            running[deployment.name] += 1
            most[deployment.name] = max(most[deployment.name], running[deployment.name])
            await asyncio.sleep(0.002)
            running[deployment.name] -= 1
            return DONE

        return await world.balancer.perform(world.spec, ask, lambda: False)

    served = await asyncio.gather(*(call(number) for number in range(40)))
    assert all(one.completion is DONE for one in served)
    assert most == {"d0": 2, "d1": 2}
    assert order == list(range(40))


async def test_a_failed_or_cancelled_call_gives_its_place_back() -> None:
    world = World(retries=0, max_concurrent=1)
    world.script["d0"] = [ServerError("down"), DONE]
    await world.perform()

    async def forever(deployment: Deployment) -> Completion:
        await asyncio.Event().wait()
        return DONE

    task = asyncio.create_task(world.balancer.perform(world.spec, forever, lambda: False))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await world.perform()).completion is DONE


async def test_who_waits_for_a_place_beyond_the_deadline_is_told_so() -> None:
    world = World(max_concurrent=1)
    gate = asyncio.Event()

    async def slow(deployment: Deployment) -> Completion:
        await gate.wait()
        return DONE

    task = asyncio.create_task(world.balancer.perform(world.spec, slow, lambda: False))
    await asyncio.sleep(0.01)
    waiting = asyncio.create_task(world.perform(deadline_s=0.05))
    await asyncio.sleep(0.01)
    world.time += 1
    served = await waiting
    assert isinstance(served.error, OutOfTime)
    assert world.asked == []
    gate.set()
    assert (await task).completion is DONE


# the deadline


async def test_a_retry_whose_wait_would_pass_the_deadline_is_not_made() -> None:
    world = World(retries=20)
    world.script["d0"] = [error := ServerError("down")]
    served = await world.perform(deadline_s=3.0)
    assert served.error is error
    assert 0 < sum(world.waits) < 3.0


async def test_what_a_server_asks_for_is_not_waited_for_beyond_the_deadline() -> None:
    world = World()
    world.script["d0"] = [RateLimited("slow", retry_after_s=30.0)]
    await world.perform(deadline_s=20.0)
    assert (world.asked, world.waits) == (["d0"], [])


async def test_a_call_that_runs_is_cut_at_the_deadline_and_the_fix_names_what_to_raise() -> None:
    world = World((1.0, 1.0))

    async def forever(deployment: Deployment) -> Completion:
        await asyncio.Event().wait()
        return DONE

    world.ask = forever  # type: ignore[method-assign]
    served = await world.perform(deadline_s=0.02)
    assert isinstance(served.error, TimedOut)
    assert "Raise the deadline." in str(served.error)
    assert world.balancer.cooling(world.spec) is None


async def test_nothing_is_asked_after_the_deadline() -> None:
    world = World()
    served = await world.perform(deadline_s=-1.0)
    assert isinstance(served.error, OutOfTime)
    assert (served.deployment, world.asked) == (None, [])
