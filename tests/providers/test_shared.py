"""What the kernels of a machine tell each other of deployments: real processes, a real file, real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from molt_magic.config import load_settings
from molt_magic.errors import RateLimited
from molt_magic.orchestrator import Orchestrator
from molt_magic.providers.balancing import Balancer, Shared
from molt_magic.providers.balancing.cooldown import Cooldown
from molt_magic.providers.balancing.limits import Full, Place
from molt_magic.providers.balancing.shared import Busy
from molt_magic.types import Completion, Deployment, ModelSpec
from molt_magic.views import listings
from tests.servers import Answer, Asked, Server, as_json, running

pytestmark = pytest.mark.anyio

KERNEL = """
import asyncio, json, os, sys, time
from types import SimpleNamespace
from pathlib import Path
from molt_magic.providers import Providers
from molt_magic.types import *

job = json.loads(sys.argv[1])
network = SimpleNamespace(connect_s=2.0, first_token_s=5.0, total_s=20.0, retries=0)
providers = Providers(SimpleNamespace(network=network, secret=os.environ.get, cache_dir=Path(job["cache"])))
spec = ModelSpec("m", "openai", "m", deployments=tuple(Deployment(**d) for d in job["deployments"]))
call = Call("m", (Message("user", "Hi"),))

async def ask(deadline_s=10.0):
    deadline = Deadline(time.monotonic() + deadline_s, deadline_s, "the deadline")
    served = await providers.perform(spec, call, on_delta=lambda text: None, deadline=deadline)
    steps = [[s.deployment, s.step, s.error] for s in served.retries]
    return {"at": time.monotonic(), "by": served.deployment, "error": served.error and served.error.kind, "steps": steps}

async def main():
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        word, *rest = json.loads(line)
        if word == "ask":  # at once
            print(json.dumps(await asyncio.gather(*(ask(rest[1]) for _ in range(rest[0])))), flush=True)
        else:  # until another deployment than rest[0] is asked first
            while True:
                cooling = providers.resting(spec)
                if any(text.startswith(rest[0]) for text in cooling):
                    break
                await asyncio.sleep(0.01)
            print(json.dumps([time.monotonic(), cooling]), flush=True)

asyncio.run(main())
"""


class Kernel:
    """Another process that asks through the same cache folder."""

    def __init__(self, cache: Path, deployments: list[dict[str, Any]]) -> None:
        job = json.dumps({"cache": str(cache), "deployments": deployments})
        self.process = subprocess.Popen(
            [sys.executable, "-c", KERNEL, job], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, *words: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def said(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


class Model(Server):
    """Answers, or refuses what is asked under one path."""

    refused = ""

    def choose(self, asked: Asked) -> Answer:
        if self.refused and asked.path.startswith(self.refused):
            return as_json(429, {"error": {"message": "slow down"}}, {"retry-after": "30"})
        message = {"role": "assistant", "content": "Hello."}
        usage = {"prompt_tokens": 5, "completion_tokens": 5}
        return as_json(200, {"model": "m", "choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})


def kernels(count: int, cache: Path, *deployments: dict[str, Any]) -> list[Kernel]:
    made = [Kernel(cache, list(deployments)) for _ in range(count)]
    assert [kernel.said() for kernel in made] == ["ready"] * count
    return made


def test_a_cooldown_that_one_kernel_learned_is_seen_by_seven_others_within_a_second(tmp_path: Path) -> None:
    with running(Model()) as server:
        server.refused = "/a/"
        bad, good = ({"name": name, "base_url": f"{server.url}/{name}", "weight": w} for name, w in (("a", 1), ("b", 1e-9)))
        made = kernels(8, tmp_path / "cache", bad, good)
        try:
            for other in made[1:]:
                other.tell("wait", "a")
            made[0].tell("ask", 1, 10.0)
            [first] = made[0].said()
            assert (first["by"], first["steps"][0][:2]) == ("b", ["a", "failed"])
            for other in made[1:]:
                at, cooling = other.said()
                assert at - first["at"] < 1.0
                assert "rate_limit" in cooling[0]
            asked = len(server.asked)
            for other in made[1:]:
                other.tell("ask", 1, 10.0)
            answers = [other.said()[0] for other in made[1:]]
            assert all(answer["by"] == "b" and answer["steps"][0][:2] == ["a", "passed over"] for answer in answers)
            assert not any(one.path.startswith("/a/") for one in server.asked[asked:])
        finally:
            for kernel in made:
                kernel.end()


def test_a_limit_of_requests_holds_over_four_kernels(tmp_path: Path) -> None:
    with running(Model()) as server:
        made = kernels(4, tmp_path / "cache", {"name": "a", "base_url": server.url, "requests_per_minute": 10})
        try:
            for kernel in made:
                kernel.tell("ask", 5, 5.0)
            ends = [end for kernel in made for end in kernel.said()]
            assert len(server.asked) == 10
            assert sorted(str(end["error"]) for end in ends) == ["None"] * 10 + ["rate_limit"] * 10
        finally:
            for kernel in made:
                kernel.end()


def test_a_limit_of_calls_at_once_holds_over_kernels_and_a_killed_one_leaves_its_places(tmp_path: Path) -> None:
    with running(Model()) as server:
        made = kernels(2, tmp_path / "cache", {"name": "a", "base_url": server.url, "max_concurrent": 2})
        held = Answer([], hold=True)
        server.choose = lambda asked: held  # type: ignore[method-assign]
        try:
            made[0].tell("ask", 2, 20.0)
            while len(server.asked) < 2:
                time.sleep(0.01)
            made[1].tell("ask", 1, 0.3)
            assert [end["error"] for end in made[1].said()] == ["deadline"]
            assert len(server.asked) == 2
            made[0].end()
            del server.choose
            made[1].tell("ask", 2, 5.0)
            assert [end["error"] for end in made[1].said()] == [None, None]
        finally:
            for kernel in made:
                kernel.end()


def cooldown(length: float = 60.0, *, began: float | None = None) -> Cooldown:
    now = time.monotonic() if began is None else began
    return Cooldown(now, length, now + length, "rate_limit")


LIMITS = Deployment("d", requests_per_minute=2)


def reserve(shared: Shared) -> Place | Full:
    return shared.reserve("d", LIMITS, tokens=0, latest=0.0, lease_s=60.0)


def test_the_file_is_made_with_the_first_word_and_for_the_user_only(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "deployments.sqlite"
    shared = Shared(path)
    assert shared.news() is None
    assert not path.exists()
    shared.cool("d", cooldown())
    files = [path, *path.parent.glob("*-wal"), *path.parent.glob("*-shm")]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_success_ends_a_cooldown_for_all(tmp_path: Path) -> None:
    one, other = Shared(tmp_path / "f"), Shared(tmp_path / "f")
    one.cool("d", known := cooldown())
    assert other.news() == {"d": known}
    one.end("d", known)
    time.sleep(0.25)
    assert other.news() == {}


def test_of_two_cooldowns_the_longer_one_stays(tmp_path: Path) -> None:
    one, other = Shared(tmp_path / "f"), Shared(tmp_path / "f")
    one.cool("d", long := cooldown(60.0))
    other.cool("d", cooldown(5.0))
    assert Shared(tmp_path / "f").news() == {"d": long}


def test_what_was_written_before_the_machine_began_anew_does_not_count(tmp_path: Path) -> None:
    before = Shared(tmp_path / "f", clock=lambda: 1_000_000.0)
    before.cool("d", cooldown(60.0, began=1_000_000.0))
    assert all(isinstance(reserve(before), Place) for _ in range(2))
    before.close()
    after = Shared(tmp_path / "f", clock=lambda: 100.0)
    assert after.news() == {}
    assert isinstance(reserve(after), Place)


def test_a_file_that_others_removed_is_made_anew(tmp_path: Path) -> None:
    shared = Shared(tmp_path / "cache" / "f")
    reserve(shared)
    for file in (tmp_path / "cache").iterdir():
        file.unlink()
    reserve(shared)
    assert isinstance(reserve(Shared(tmp_path / "cache" / "f")), Place)
    assert isinstance(reserve(shared), Full)  # two were taken, one by each


def test_a_call_that_ends_after_all_was_closed_gives_its_place_back_and_leaves_the_file_closed(tmp_path: Path) -> None:
    shared, limits = Shared(tmp_path / "f"), Deployment("d", max_concurrent=1)
    place = shared.reserve("d", limits, tokens=0, latest=0.0, lease_s=60.0)
    assert isinstance(place, Place)
    shared.close()
    shared.leave(place, tokens=None)
    assert not list(tmp_path.glob("*-wal"))  # the last connection takes the journal along
    assert isinstance(shared.reserve("d", limits, tokens=0, latest=0.0, lease_s=60.0), Place)


def test_a_damaged_file_is_begun_anew_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "f").write_bytes(b"no database at all" * 500)
    shared = Shared(tmp_path / "f")
    with caplog.at_level(logging.WARNING):
        shared.cool("d", known := cooldown())
        shared.catch_up()
    assert len(caplog.records) == 1
    assert Shared(tmp_path / "f").news() == {"d": known}


async def ask_once(balancer: Balancer, spec: ModelSpec) -> float:
    async def done(deployment: Deployment) -> Completion:
        return Completion("text", "m")

    begun = time.monotonic()
    served = await balancer.perform(spec, done, lambda: False)
    assert served.error is None
    return time.monotonic() - begun


LIMITED = ModelSpec("m", "openai", "m", deployments=(Deployment("d", max_concurrent=1), Deployment("e", max_concurrent=1)))


async def test_where_no_file_can_be_made_the_kernel_goes_on_by_itself_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    balancer = Balancer(retries=0, total_s=10.0, shared=Shared(tmp_path / "file" / "f"))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await ask_once(balancer, LIMITED)
    assert len(caplog.records) == 1
    assert "for this kernel alone" in caplog.text


async def test_a_process_that_hangs_with_the_file_locked_is_left_to_itself_after_a_second(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    balancer = Balancer(retries=0, total_s=10.0, shared=Shared(tmp_path / "f"))
    await ask_once(balancer, LIMITED)
    hung = sqlite3.connect(tmp_path / "f", isolation_level=None)
    hung.execute("BEGIN IMMEDIATE")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    with caplog.at_level(logging.WARNING):
        assert await ask_once(balancer, LIMITED) < 3.0
        assert await ask_once(balancer, LIMITED) < 0.5
    ticking.cancel()
    hung.close()
    assert ticks > 20  # other streams went on meanwhile
    assert len(caplog.records) == 1


async def test_a_cooldown_that_could_not_be_written_is_written_a_little_later(tmp_path: Path) -> None:
    path = tmp_path / "f"
    balancer = Balancer(retries=0, total_s=10.0, shared=Shared(path))
    balancer.shared.cool("other", cooldown())
    busy = sqlite3.connect(path, isolation_level=None)
    busy.execute("BEGIN IMMEDIATE")
    spec = ModelSpec("m", "openai", "m", deployments=(Deployment("a"), Deployment("b")))

    async def fails(deployment: Deployment) -> Completion:
        raise RateLimited("slow", retry_after_s=60.0)

    await balancer.perform(spec, fails, lambda: False)
    busy.execute("ROLLBACK")
    busy.close()
    await asyncio.sleep(0.2)
    assert len(Shared(path).news() or {}) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_opens_the_file_for_itself(tmp_path: Path) -> None:
    shared = Shared(tmp_path / "f")
    reserve(shared)
    child = os.fork()
    if child == 0:
        try:
            reserve(shared)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert isinstance(reserve(shared), Full)


def test_a_busy_file_is_said_to_be_busy_within_some_milliseconds(tmp_path: Path) -> None:
    shared = Shared(tmp_path / "f")
    reserve(shared)
    busy = sqlite3.connect(tmp_path / "f", isolation_level=None)
    busy.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    with pytest.raises(Busy):
        reserve(shared)
    assert time.monotonic() - begun < 0.2
    busy.close()


def test_the_doctor_and_the_list_of_models_say_which_deployments_cool_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(Model()) as server:
        server.refused = "/a/"
        deployments = [{"base_url": f"{server.url}/{name}", "name": name, "weight": w} for name, w in (("a", 1), ("b", 0.001))]
        table = {"provider": "openai", "model": "m", "deployments": deployments, "context_window": 8000}
        settings = load_settings(cwd=tmp_path).with_values({"catalog": "none", "models.m": table})
        with Orchestrator(settings=settings) as one, Orchestrator(settings=settings) as other:
            result = one.route("Hello?", model="m")
            assert "a failed (rate_limit" in result.explain()
            cooling = r"cooling down for \d+ s more \(rate_limit\)"
            assert re.search(f"a is {cooling}", listings.readiness(other.readiness()).to_plain())
            assert re.search(rf"a was passed over \({cooling}\)", other.route("And you?", model="m").explain())
