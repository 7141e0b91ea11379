"""A run on four workers is the same run as in one process; and stays it when a worker dies."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
import pytest
from distributed import Client

from molt_magic.batch.cluster import Cluster
from molt_magic.result import Result
from tests import servers
from tests.cluster.conftest import KEY, KEY_VAR, Make
from tests.stress.server import ChatServer, _answer, _reply

PROMPTS = pd.Series([f"What is {i} times {i}?" for i in range(30)], index=[f"row {i}" for i in range(30)])
CONCURRENCY = 4
SAME = ["text", "model", "strategy", "status", "cost_usd", "cache", "error"]
LOGGED = ["prompt", "strategy", "model", "served_model", "provider", "deployment", "n_attempts", "escalations", "cache"]
LOGGED += [
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "overhead_cost_usd",
    "quality",
    "quality_source",
    "status",
    "error",
    "reason",
]


def answer_to(prompt: str) -> str:
    return _reply([{"role": "user", "content": prompt}])


def logged(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[LOGGED].sort_values("prompt", ignore_index=True)


def test_frame_and_log_are_those_of_one_process(client: Client, orchestrator: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    far, near = orchestrator(home="far"), orchestrator(home="near")
    options = {"strategy": "cascade", "validate": "judge:big", "temperature": 0.5}
    there = far.map(PROMPTS, client=client, concurrency=CONCURRENCY, **options)
    monkeypatch.setenv(KEY_VAR, KEY)  # one process needs it here
    here = near.map(PROMPTS, concurrency=CONCURRENCY, **options)
    pd.testing.assert_frame_equal(there[SAME], here[SAME])
    assert set(there["model"]) == {"small", "big"}
    pd.testing.assert_frame_equal(logged(far.log.to_frame()), logged(near.log.to_frame()))
    assert far.log.to_frame()["ttft_s"].gt(0.01).all()  # as the worker heard it


def test_worker_that_is_killed_costs_only_what_was_in_flight_on_it(
    client: Client, orchestrator: Make, server: ChatServer
) -> None:
    orch = orchestrator({"cache.enabled": False})
    pids = client.run(os.getpid)

    def kill_one() -> None:
        while sum(server.requests.values()) < 60:
            time.sleep(0.005)
        os.kill(next(iter(pids.values())), signal.SIGKILL)

    prompts = pd.Series([f"Why is {i} odd?" for i in range(160)])
    threading.Thread(target=kill_one, daemon=True).start()
    frame = orch.map(prompts, client=client, concurrency=CONCURRENCY, model="small")
    assert set(frame["status"]) == {"ok"}
    assert list(frame["text"]) == [answer_to(prompt) for prompt in prompts]
    assert len(prompts) <= sum(server.requests.values()) <= len(prompts) + CONCURRENCY
    log = orch.log.to_frame()
    assert len(log) == len(prompts)
    assert set(log["status"]) == {"ok"}


class Killer(ChatServer):
    """Kills the worker that asks it for poison."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await servers._request(reader)
            if b"poison" in request.body:
                here, there = (writer.get_extra_info(name)[1] for name in ("sockname", "peername"))
                ends = psutil.net_connections("tcp4")
                pids = [e.pid for e in ends if e.pid and e.raddr and (e.laddr.port, e.raddr.port) == (there, here)]
                os.kill(pids[0], signal.SIGKILL)
            await asyncio.sleep(self.takes_s)
            for piece in _answer(request.json).pieces:
                writer.write(piece)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # of a worker that was killed while it asked
        finally:
            writer.close()


def test_call_that_kills_its_workers_fails_alone(client: Client, orchestrator: Make) -> None:
    """It is asked twice; what was in flight beside it is asked again, but never beside it."""
    prompts = [f"Is {i} poison?" if i == 25 else f"Is {i} good?" for i in range(60)]
    with servers.running(Killer(takes_s=0.1)) as server:
        orch = orchestrator({"network.retries": 0}, base_url=f"{server.url}/v1")
        frame = orch.map(prompts, client=client, concurrency=CONCURRENCY, model="small")
    assert list(frame.index[frame["status"] != "ok"]) == [25]
    assert re.search(r"connection: The workers tcp://\S+ and tcp://\S+ died while they asked small", frame["error"][25])


def test_budget_of_a_run_holds_over_the_workers(client: Client, orchestrator: Make, server: ChatServer) -> None:
    orch = orchestrator()
    one = orch.map(["How much?"], client=client, model="big", max_tokens=20, cache=False)["cost_usd"].sum()
    frame = orch.map(PROMPTS, client=client, concurrency=CONCURRENCY, model="big", max_tokens=20, max_cost=10 * one)
    assert frame["cost_usd"].sum() <= 10 * one
    assert 5 <= (frame["status"] == "ok").sum() <= 11
    assert sum(server.requests.values()) == 1 + (frame["status"] == "ok").sum()
    assert frame["error"].dropna().str.contains("budget").all()


def test_requests_per_minute_hold_over_the_workers(client: Client, orchestrator: Make, server: ChatServer) -> None:
    orch = orchestrator(requests_per_minute=12)

    async def all_at_once() -> list[object]:
        asked = [orch._ask(prompt, model="small", deadline=5.0) for prompt in PROMPTS]
        for one in asked:
            one.exchanger = workers
        return await asyncio.gather(*(orch._routing.route(one) for one in asked), return_exceptions=True)

    with Cluster(client, settings=orch.settings, models=orch.catalog.models, concurrency=CONCURRENCY) as workers:
        came = orch._loop.run(all_at_once())
    assert sum(isinstance(one, Result) for one in came) == 12
    assert sum(server.requests.values()) == 12
    assert any("limit of 12 requests" in str(one) for one in came)


@dataclass
class Crowd(ChatServer):
    """Knows how many it answered at once."""

    at_once: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        watching = asyncio.create_task(self._watch())
        await super().serve(reader, writer)
        watching.cancel()

    async def _watch(self) -> None:
        while True:
            self.at_once = max(self.at_once, sum(self.under_way.values()))
            await asyncio.sleep(0.002)


def test_calls_at_once_hold_over_the_workers(client: Client, orchestrator: Make) -> None:
    with servers.running(Crowd(takes_s=0.05)) as server:
        orch = orchestrator(base_url=f"{server.url}/v1", max_concurrent=3)
        frame = orch.map(PROMPTS, client=client, concurrency=CONCURRENCY, model="small")
    assert set(frame["status"]) == {"ok"}
    assert server.at_once == 3


def test_what_workers_answer_is_recorded_and_replays_without_them(client: Client, orchestrator: Make, tmp_path: Path) -> None:
    tape = {"cassette.file": str(tmp_path / "answers.jsonl")}
    recorded = orchestrator({**tape, "cassette.mode": "record"}).map(
        PROMPTS, client=client, concurrency=CONCURRENCY, model="small"
    )
    replayed = orchestrator({**tape, "cassette.mode": "replay"}, home="elsewhere").map(PROMPTS, model="small")
    pd.testing.assert_frame_equal(recorded[SAME], replayed[SAME])
