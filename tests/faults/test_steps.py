"""Next steps that need a situation of their own: nobody better is left, or the first few are all down."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from molt_magic import errors
from molt_magic.providers import Providers
from tests.faults.catalogue import FAULTS, Fault
from tests.faults.conftest import KEY, PROVIDERS, Stand, model
from tests.faults.server import World
from tests.providers.conftest import settings
from tests.providers.dialects import WIRES, Heard, call

BY_NAME = {fault.name: fault for fault in FAULTS}


def stand_of(stands: list[Stand], kind: str, provider: str = "openai") -> Stand:
    return next(stand for stand in stands if (stand.kind, stand.provider) == (kind, provider))


@pytest.mark.parametrize(
    ("name", "kind"), [("context too long", errors.ContextTooLong), ("content filtered", errors.ContentFiltered)]
)
def test_a_fallback_that_cannot_do_better_is_not_asked(
    name: str, kind: type[errors.ProviderError], stands: list[Stand], world: World
) -> None:
    """The second model's window is smaller, and it is of the same provider, whose filter would refuse again."""
    stand = stand_of(stands, "several")
    stand.face(BY_NAME[name])
    stand.orch.configure({"routes.simple_qa": {"primary": "first", "fallback": "second"}})
    prompt = f"What is the capital of Norway? ({name})"
    with pytest.raises(kind) as caught:
        stand.orch.route(prompt, strategy="rule", task="simple_qa")
    assert world.main.counts["second", prompt] == 0
    decision = caught.value.result.decision
    assert (decision.status, decision.fallbacks, decision.n_attempts) == ("error", 0, 1)


@pytest.mark.parametrize("name", ["401", "402", "404", "429 for an hour"])
def test_with_no_deployment_left_the_next_model_is_asked(name: str, stands: list[Stand], world: World) -> None:
    stand = stand_of(stands, "two deployments", "anthropic")
    stand.face(BY_NAME[name])
    url, table = world.bad(BY_NAME[name], "anthropic"), model("first", "anthropic", "")
    key = {"api_key_env": table.pop("api_key_env")}
    table.pop("base_url")
    table["deployments"] = [{"name": f"bad-{n}", "base_url": f"{url}/{n}", **key} for n in range(3)]
    stand.orch.configure({"models.first": table})
    prompt = f"What is the capital of Sweden? ({name})"
    result = stand.orch.route(prompt, strategy="cascade")
    assert (result.text, result.model, result.decision.fallbacks) == ("Hello wörld", "second", 1)
    assert world.main.counts["bad", prompt] == 3
    assert len(result.attempts[0].retries) == 2


def test_when_all_models_fail_each_is_named_with_its_own_reason(stands: list[Stand], world: World) -> None:
    stand = stand_of(stands, "several", "gemini")
    stand.face(BY_NAME["401"])
    for name, fault in (("second", "404"), ("third", "400")):
        provider = stand.orch.catalog.get(name).provider
        stand.orch.configure({f"models.{name}": model(name, provider, world.bad(BY_NAME[fault], provider))})
    try:
        with pytest.raises(errors.NoAnswer) as caught:
            stand.orch.route("What is the capital of Finland?", strategy="arbitrage")
    finally:
        for name in ("second", "third"):
            provider = stand.orch.catalog.get(name).provider
            stand.orch.configure({f"models.{name}": model(name, provider, world.good(name, provider))})
    assert [(who, why.kind) for who, why in caught.value.failures] == [
        ("first", "bad_key"),
        ("second", "unknown_model"),
        ("third", "bad_request"),
    ]
    row = stand.orch.log.to_frame(ids=[caught.value.decision_id or ""]).iloc[0]
    assert (row["status"], row["fallbacks"], row["n_attempts"], row["cost_usd"]) == ("error", 2, 3, 0.0)
    assert row["error"].startswith("no_answer: ")


# an answer that is asked for whole meets these as other kinds than a stream does
WHOLE = {"empty stream": "malformed", "204": "malformed"}
NOT_OF_STREAMS = [f for f in FAULTS if f.kind != "interrupted" or f.name in WHOLE]
ONLY_STREAMS = ("silence before the first token", "dropped before the first token", "garbage before the first token")


@pytest.mark.parametrize("ends_by_time", [False, True])
def test_an_answer_that_is_asked_for_whole_meets_the_same_faults(
    ends_by_time: bool, world: World, home: Any, stands: list[Stand]
) -> None:
    """All of them at once, in every dialect, below the strategies."""
    faults = [
        fault
        for fault in NOT_OF_STREAMS
        if (fault.kind == "timeout" and fault.name != "408") == ends_by_time
        and fault.name not in ONLY_STREAMS
        and not fault.heavy
        and "pings" not in fault.name
        and not fault.name.startswith("an error before")
    ]
    assert len(faults) >= (5 if ends_by_time else 40)
    limits = {"connect_s": 1.0, "total_s": 2.0} if ends_by_time else {"connect_s": 20.0, "total_s": 40.0}

    async def one(providers: Providers, fault: Fault, provider: str) -> None:
        wire = next(wire for wire in WIRES if wire.provider == provider)
        served = await providers.perform(wire.spec(world.bad(fault, provider)), call(stream=False), on_delta=Heard())
        assert served.completion is None, fault
        assert served.error is not None
        assert served.error.kind == WHOLE.get(fault.name, fault.kind), (fault.name, provider, served.error)
        assert served.error.retryable == (fault.retried or (ends_by_time and not served.error.status)), fault.name
        assert KEY not in f"{served.error!r} {served.error}"

    async def all_at_once() -> None:
        providers = Providers(settings({"THE_KEY": KEY}, retries=0, **limits))
        try:
            await asyncio.gather(*(one(providers, fault, provider) for fault in faults for provider in PROVIDERS))
        finally:
            await providers.aclose()

    asyncio.run(all_at_once())
    assert not world.other_host.asked
