"""Which deployment is asked, when one cools down, and how a call is tried again."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from molt_magic.errors import (
    BadRequest,
    ConnectionFailed,
    ContextTooLong,
    MalformedAnswer,
    ModelNotFound,
    MoltError,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    ServerError,
    StreamInterrupted,
    TimedOut,
    Unauthorized,
)
from molt_magic.types import Completion, Deployment, ModelSpec
from tests.providers.world import DONE, World, in_flight

pytestmark = pytest.mark.anyio


async def test_a_failure_that_passes_is_retried_with_growing_jittered_waits() -> None:
    world = World(retries=4)
    world.script["d0"] = [ServerError("1"), ServerError("2"), ServerError("3"), ServerError("4"), DONE]
    served = await world.perform()
    assert served.completion is DONE
    assert len(served.retries) == 4
    for wait, full in zip(world.waits, (0.5, 1.0, 2.0, 4.0), strict=True):
        assert full * 0.75 <= wait <= full
    assert [retry.error for retry in served.retries] == [
        "server_error: 1",
        "server_error: 2",
        "server_error: 3",
        "server_error: 4",
    ]
    assert [retry.waited_s for retry in served.retries] == world.waits


async def test_retries_end_and_the_last_error_is_returned() -> None:
    world = World(retries=2)
    world.script["d0"] = [ServerError("1"), ServerError("2"), last := ServerError("3")]
    served = await world.perform()
    assert (served.completion, served.error, len(world.asked)) == (None, last, 3)


async def test_no_retries_means_one_try() -> None:
    world = World(retries=0)
    world.script["d0"] = [ServerError("1")]
    await world.perform()
    assert (world.asked, world.waits) == (["d0"], [])


async def test_a_wait_is_never_shorter_than_the_server_asked_for() -> None:
    world = World()
    world.script["d0"] = [RateLimited("1", retry_after_s=30.0), DONE]
    assert (await world.perform()).completion is DONE
    assert 30.0 <= world.waits[0] < 31.0


@pytest.mark.parametrize("error", [BadRequest("no"), ContextTooLong("no"), Unauthorized("no"), QuotaExceeded("no")])
async def test_what_does_not_pass_is_not_retried_at_the_same_deployment(error: ProviderError) -> None:
    world = World()
    world.script["d0"] = [error]
    served = await world.perform()
    assert (served.error, world.asked) == (error, ["d0"])


async def test_a_server_may_forbid_or_ask_for_a_retry() -> None:
    world = World()
    world.script["d0"] = [ServerError("no", retryable=False)]
    await world.perform()
    assert world.asked == ["d0"]
    world.script["d0"] = [BadRequest("again", retryable=True), DONE]
    assert (await world.perform()).completion is DONE


async def test_nothing_is_tried_again_once_text_was_shown() -> None:
    world = World((1.0, 1.0))
    error = StreamInterrupted("broke", partial=DONE)
    world.script = {"d0": [error], "d1": [error]}
    served = await world.perform(started=lambda: True)
    assert (served.error, len(world.asked), served.retries) == (error, 1, ())


async def test_another_deployment_takes_over_at_once() -> None:
    world = World((1.0, 1.0))
    world.script = {"d0": [ServerError("down")], "d1": [ServerError("down")]}
    served = await world.perform()
    assert sorted(world.asked[:2]) == ["d0", "d1"]
    assert served.retries[0].waited_s == 0.0
    assert all(retry.waited_s > 0 for retry in served.retries[1:])
    assert len(world.asked) == 4  # each once, then two retries


@pytest.mark.parametrize(
    "error", [Unauthorized("bad key"), QuotaExceeded("no money"), RateLimited("slow"), ServerError("down")]
)
async def test_another_key_or_endpoint_is_asked_where_one_fails(error: ProviderError) -> None:
    world = World((1.0, 1e-9))
    world.script = {"d0": [error]}
    served = await world.perform()
    assert (served.completion, served.deployment, world.asked) == (DONE, "d1", ["d0", "d1"])


@pytest.mark.parametrize("error", [BadRequest("no"), ContextTooLong("no")])
async def test_what_every_deployment_would_refuse_is_asked_once(error: ProviderError) -> None:
    world = World((1.0, 1.0))
    world.script = {"d0": [error], "d1": [error]}
    await world.perform()
    assert len(world.asked) == 1
    assert world.balancer.cooling(world.spec) is None


async def test_a_failing_deployment_is_passed_over_until_it_has_cooled_down() -> None:
    world = World((1.0, 1e-9))
    world.script = {"d0": [RateLimited("slow", retry_after_s=60.0), DONE]}
    await world.perform()
    world.asked.clear()
    await world.perform()
    assert world.asked == ["d1"]
    world.time += 61
    await world.perform()
    assert world.asked == ["d1", "d0"]


def cooling(world: World) -> set[str]:
    return set(world.balancer.cooldowns(world.spec))


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("429", status=429),
        Unauthorized("401", status=401),
        QuotaExceeded("402", status=402),
        ModelNotFound("404", status=404),
        TimedOut("408", status=408),
        ServerError("503, and come back", status=503, retry_after_s=20.0),
    ],
    ids=lambda error: error.message,
)
async def test_what_says_something_of_the_deployment_cools_it_down_at_once(error: ProviderError) -> None:
    world = World((1.0, 1e-9))
    world.script["d0"] = [error]
    await world.perform()
    assert cooling(world) == {"d0"}


@pytest.mark.parametrize(
    "error",
    [
        ServerError("500", status=500),
        ConnectionFailed("refused"),
        TimedOut("silent"),
        MalformedAnswer("a web page"),
        StreamInterrupted("broke off"),
    ],
    ids=lambda error: error.message,
)
async def test_another_failure_cools_down_with_the_fifth_request_of_a_minute_and_until_then_only_this_call_moves_on(
    error: ProviderError,
) -> None:
    world = World((1.0, 1e-9))
    world.script["d0"] = [error]
    for number in range(1, 6):
        world.asked.clear()
        served = await world.perform()
        assert (served.deployment, world.asked) == ("d1", ["d0", "d1"])
        assert cooling(world) == (set() if number < 5 else {"d0"})


async def test_half_of_a_minutes_requests_may_fail() -> None:
    world = World((1.0, 1e-9), retries=0)
    world.script["d0"] = [DONE, ServerError("down")] * 4 + [ServerError("down")]
    for _ in range(8):
        await world.perform()
    assert cooling(world) == set()
    await world.perform()  # five of nine
    assert cooling(world) == {"d0"}


async def test_failures_that_are_over_a_minute_ago_do_not_count() -> None:
    world = World((1.0, 1e-9))
    world.script["d0"] = [ServerError("down")]
    for _ in range(20):
        await world.perform()
        world.time += 16
    assert cooling(world) == set()


async def test_many_calls_that_fail_together_are_one_failure() -> None:
    world = World((1.0, 1.0))
    gates = {"d0": asyncio.Event(), "d1": asyncio.Event()}

    async def ask(deployment: Deployment) -> Completion:
        await gates[deployment.name].wait()
        if deployment.name == "d0":
            raise RateLimited("slow")
        return DONE

    tasks = [asyncio.create_task(world.balancer.perform(world.spec, ask, lambda: False)) for _ in range(10)]
    await asyncio.sleep(0)
    assert in_flight(world) == [5, 5]
    gates["d0"].set()
    while in_flight(world) != [0, 10]:
        await asyncio.sleep(0)
    gates["d1"].set()
    await asyncio.gather(*tasks)
    assert [round(c.length) for c in world.balancer.cooldowns(world.spec).values()] == [5]


async def test_a_call_that_was_under_way_when_its_deployment_cooled_down_does_not_end_the_cooldown() -> None:
    world = World((1.0, 1e-9))
    gate = asyncio.Event()

    async def slow(deployment: Deployment) -> Completion:
        await gate.wait()
        return DONE

    tasks = [asyncio.create_task(world.balancer.perform(world.spec, slow, lambda: False)) for _ in range(2)]
    while in_flight(world) != [1, 1]:
        await asyncio.sleep(0)
    world.time += 1
    world.script["d0"] = [RateLimited("slow", retry_after_s=60.0)]
    await world.perform()
    world.time += 1
    gate.set()
    assert {served.deployment for served in await asyncio.gather(*tasks)} == {"d0", "d1"}
    assert cooling(world) == {"d0"}


async def test_the_log_tells_which_deployments_were_passed_over_and_why() -> None:
    world = World((1.0, 1e-9))
    world.script["d0"] = [RateLimited("slow", retry_after_s=60.0)]
    await world.perform()
    world.time += 48
    served = await world.perform()
    assert [(step.deployment, step.step, step.error) for step in served.retries] == [
        ("d0", "passed over", "cooling down for 12 s more (rate_limit)")
    ]


async def test_cooldowns_grow_with_failures_in_a_row_and_end_with_a_success() -> None:
    world = World((1.0, 1.0), retries=0)
    world.script = {"d0": [RateLimited("slow")], "d1": [RateLimited("slow")]}
    for length in (5, 10, 20, 40):
        await world.perform()
        assert [round(c.length) for c in world.balancer.cooldowns(world.spec).values()] == [length, length]
        world.time += 1000
    world.script = {}
    for _ in range(20):
        await world.perform()
    world.script = {"d0": [RateLimited("slow")], "d1": [RateLimited("slow")]}
    await world.perform()
    assert [round(c.length) for c in world.balancer.cooldowns(world.spec).values()] == [5, 5]


async def test_a_models_only_deployment_never_cools_down() -> None:
    world = World(retries=0)
    world.script["d0"] = [RateLimited("slow", retry_after_s=100.0)]
    await world.perform()
    assert world.balancer.cooling(world.spec) is None
    world.script["d0"] = [DONE]
    assert (await world.perform()).completion is DONE
    assert world.waits == []


async def test_a_model_all_of_whose_deployments_cool_down_says_why_and_for_how_long() -> None:
    world = World((1.0, 1.0), retries=0)
    world.script = {"d0": [RateLimited("slow", retry_after_s=60.0)], "d1": [Unauthorized("bad key")]}
    await world.perform()
    said = world.balancer.cooling(world.spec)
    assert said is not None
    assert "60 s" in said
    assert "rate_limit" in said
    world.time += 60
    assert world.balancer.cooling(world.spec) is None


async def test_a_call_to_a_model_that_asked_to_be_left_alone_waits_for_it() -> None:
    world = World((1.0, 1.0), retries=0)
    world.script = {name: [RateLimited("slow", retry_after_s=seconds)] for name, seconds in (("d0", 50.0), ("d1", 40.0))}
    await world.perform()
    world.waits.clear()
    world.script = {}
    served = await world.perform()
    assert (served.deployment, world.waits) == ("d1", [40.0])
    assert [(step.deployment, step.step, step.waited_s) for step in served.retries] == [("d1", "waited", 40.0)]


async def test_a_call_to_a_model_that_asked_for_too_long_a_wait_fails_at_once() -> None:
    world = World((1.0, 1.0), retries=0)
    world.script = {name: [RateLimited("slow", retry_after_s=500.0, retryable=False)] for name in ("d0", "d1")}
    await world.perform()
    world.asked.clear()
    world.waits.clear()
    served = await world.perform()
    assert isinstance(served.error, RateLimited)
    assert served.error.retry_after_s == 500.0
    assert "cooling down" in served.error.message
    assert (world.asked, world.waits) == ([], [])


async def test_no_try_is_started_after_the_time_is_up() -> None:
    world = World(retries=20, total_s=0.4)
    world.script["d0"] = [ServerError("down")]
    await world.perform()
    assert world.asked == ["d0"]


async def test_calls_one_after_the_other_spread_by_weight() -> None:
    world = World((3.0, 1.0))
    for _ in range(400):
        await world.perform()
    share = Counter(world.asked)["d0"] / 400
    assert 0.68 < share < 0.82


async def test_calls_at_once_go_to_the_least_busy_for_its_weight() -> None:
    world = World((3.0, 1.0))
    gate = asyncio.Event()

    async def slow(deployment: Deployment) -> Completion:
        world.asked.append(deployment.name)
        await gate.wait()
        return DONE

    tasks = [asyncio.create_task(world.balancer.perform(world.spec, slow, lambda: False)) for _ in range(40)]
    while len(world.asked) < 40:
        await asyncio.sleep(0)
    assert abs(Counter(world.asked)["d0"] - 30) <= 1
    gate.set()
    await asyncio.gather(*tasks)
    assert in_flight(world) == [0, 0]


async def test_a_cancelled_call_is_not_retried_and_leaves_nothing_in_flight() -> None:
    world = World((1.0, 1.0))

    async def forever(deployment: Deployment) -> Completion:
        world.asked.append(deployment.name)
        await asyncio.Event().wait()
        return DONE

    task = asyncio.create_task(world.balancer.perform(world.spec, forever, lambda: False))
    while not world.asked:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(world.asked) == 1
    assert in_flight(world) == [0, 0]
    assert world.balancer.cooling(world.spec) is None


async def test_an_error_that_is_no_providers_passes_through() -> None:
    world = World()
    world.script["d0"] = [MoltError("weights are missing")]
    with pytest.raises(MoltError, match="weights are missing"):
        await world.perform()
    assert world.asked == ["d0"]


async def test_a_model_without_deployments_has_one() -> None:
    world = World()
    world.spec = ModelSpec("plain", "openai", "m")
    assert (await world.perform()).deployment == "plain"
