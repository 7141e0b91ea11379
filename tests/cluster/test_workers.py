"""What is missing on workers, who cannot be used, and how exchanges end there."""

from __future__ import annotations

import asyncio
import os
import pickle
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from distributed import Client, LocalCluster

import molt_magic
from molt_magic import errors
from molt_magic.batch.cluster import Cluster, line
from molt_magic.batch.cluster.worker import packed
from molt_magic.orchestrator import Orchestrator
from molt_magic.types import NO_PARAMS, Call, Completion, Message
from tests import servers
from tests.cluster.conftest import KEY, KEY_VAR, WORKERS, Make
from tests.stress.server import ChatServer


class Heard(list[str]):
    """What was handed over of a stream."""

    def __call__(self, text: str, *, ago_s: float = 0.0) -> None:
        self.append(text)


def hired(client: Client, orch: Orchestrator, concurrency: int = 2) -> Cluster:
    return Cluster(client, settings=orch.settings, models=orch.catalog.models, concurrency=concurrency)


async def asked(workers: Cluster, orch: Orchestrator, heard: Heard, **params: Any) -> Completion:
    """One exchange with `small`."""
    spec = orch.catalog.get("small")
    return await workers.complete(
        spec, spec.deployments[0], Call("small", (Message("user", "Hello?"),), params=params), on_delta=heard
    )


def set_variable(name: str, value: str | None) -> None:
    """Run on a worker."""
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def set_version(version: str) -> None:
    """Run on a worker."""
    molt_magic.__version__ = version


# keys


@contextmanager
def recorded(address: str) -> Iterator[tuple[str, bytearray]]:
    """An address that leads to another, and all that goes over it both ways."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    passed = bytearray()

    def carry(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                passed.extend(data)
                target.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, target):
                end.close()

    def accept() -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            far = socket.create_connection((host, int(port)))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=carry, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield f"tcp://127.0.0.1:{listening.getsockname()[1]}", passed


def test_no_key_travels(cluster: LocalCluster, orchestrator: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the key of the coordinator to the workers nor theirs to it, even where a server writes it into its answer."""
    monkeypatch.setenv(KEY_VAR, own := "sk-coordinators-own-51c07e9ad3")
    text = f"Your key is {KEY}."
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    script = [
        servers.as_json(401, {"error": {"message": f"{KEY} is not right", "type": "auth"}}),
        servers.as_json(200, {"id": "c", "object": "chat.completion", "model": "s", "choices": [choice]}),
    ]
    with servers.running() as server, recorded(cluster.scheduler_address) as (address, passed), Client(address) as client:
        server.answer(*script)
        orch = orchestrator(base_url=f"{server.url}/v1")
        frame = orch.map(["one", "two"], client=client, concurrency=1, model="small")
        assert {request.headers["authorization"] for request in server.asked} == {f"Bearer {KEY}"}
    assert sorted(frame["status"]) == ["error", "ok"]
    assert "[key removed]" in frame["text"].dropna().iloc[0]
    assert "molt-exchange" in passed.decode("latin-1")
    assert KEY.encode() not in passed
    assert own.encode() not in passed


def test_model_whose_key_no_worker_has_is_no_candidate(client: Client, orchestrator: Make) -> None:
    orch = orchestrator(api_key_env="NOBODY_HAS_THIS_KEY")
    frame = orch.map(["one"], client=client, model="small")
    assert "on none of the 4 workers can it be asked: NOBODY_HAS_THIS_KEY is not set" in frame["error"][0]


def test_worker_without_the_key_is_passed_over(client: Client, orchestrator: Make, server: ChatServer) -> None:
    one, *_others = client.nthreads()
    client.run(set_variable, KEY_VAR, None, workers=[one])
    try:
        frame = orchestrator().map([f"Who is {i}?" for i in range(20)], client=client, concurrency=4, model="small")
    finally:
        client.run(set_variable, KEY_VAR, KEY, workers=[one])
    assert set(frame["status"]) == {"ok"}


def test_key_that_goes_missing_is_told_with_its_worker(client: Client, orchestrator: Make) -> None:
    orch = orchestrator()
    with hired(client, orch) as workers:
        client.run(set_variable, KEY_VAR, None)
        try:
            with pytest.raises(errors.Unauthorized, match=rf"on the worker tcp://.*: {KEY_VAR} is not set"):
                orch._loop.run(asked(workers, orch, Heard()))
        finally:
            client.run(set_variable, KEY_VAR, KEY)


def test_weights_that_no_worker_has_are_told(client: Client, orchestrator: Make) -> None:
    orch = orchestrator({"models.gguf": {"provider": "local", "path": "not_there.gguf"}})
    frame = orch.map(["one"], client=client, model="gguf")
    assert "on none of the 4 workers can it be asked: there is no file" in frame["error"][0]


# who cannot be used


def test_what_is_no_client_is_refused(orchestrator: Make) -> None:
    with pytest.raises(errors.InputError, match=r"must be a dask\.distributed\.Client, not str"):
        orchestrator().map(["one"], client="tcp://127.0.0.1:8786")


def test_worker_of_another_version_is_refused(client: Client, orchestrator: Make) -> None:
    one, *_others = client.nthreads()
    client.run(set_version, "0.0.1", workers=[one])
    try:
        with pytest.raises(errors.ClusterError, match=rf"The worker {re.escape(one)} has molt_magic 0\.0\.1, and here is"):
            orchestrator().map(["one"], client=client)
    finally:
        client.run(set_version, molt_magic.__version__, workers=[one])


def test_cluster_without_workers_is_told(orchestrator: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "PATIENCE_S", 0.2)
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as empty,
        Client(empty) as client,
        pytest.raises(errors.ClusterError, match="no workers") as caught,
    ):
        orchestrator().map(["one"], client=client)
    assert "dask worker" in caught.value.fix


def test_client_that_is_closed_in_the_midst_ends_the_run_which_another_goes_on_with(
    cluster: LocalCluster, orchestrator: Make, server: ChatServer
) -> None:
    client, orch = Client(cluster), orchestrator()
    prompts = [f"Where is {i}?" for i in range(100)]

    def close() -> None:
        while sum(server.requests.values()) < 20:
            time.sleep(0.005)
        client.close()

    threading.Thread(target=close, daemon=True).start()
    frame = orch.map(prompts, client=client, concurrency=2, model="small", resume="where")
    assert 10 <= (frame["status"] == "ok").sum() < 100
    assert frame["error"].iloc[-1].startswith("cluster: not asked: The cluster is out of reach: its client is closed")
    with Client(cluster) as another:
        frame = orch.map(prompts, client=another, concurrency=2, model="small", resume="where")
    assert set(frame["status"]) == {"ok"}
    assert sum(server.requests.values()) <= len(prompts) + 2 * WORKERS  # what was in flight when it was closed


# how an exchange ends


def test_limits_hold_on_the_workers(client: Client, orchestrator: Make) -> None:
    with servers.running() as server:
        server.answer(servers.stream([], hold=True))
        orch = orchestrator({"network.first_token_s": 0.3, "network.retries": 0}, base_url=f"{server.url}/v1")
        begun = time.perf_counter()
        frame = orch.map(["one"], client=client, model="small")
    assert frame["error"][0].startswith("timeout")
    assert time.perf_counter() - begun < 5


def test_cancelled_exchange_ends_on_its_worker_and_hands_over_what_had_arrived(client: Client, orchestrator: Make) -> None:
    delta = 'data: {"id": "c", "model": "s", "choices": [{"index": 0, "delta": {"content": "Half an"}}]}\n\n'
    heard = Heard()
    with servers.running() as server:
        server.answer(servers.stream([delta], hold=True))
        orch = orchestrator(base_url=f"{server.url}/v1")
        with hired(client, orch) as workers:

            async def cancelled() -> None:
                asking = asyncio.create_task(asked(workers, orch, heard))
                while not server.asked:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.1)
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking

            orch._loop.run(cancelled())
            assert server.left.wait(2)
    assert heard == ["Half an"]


def test_exchanges_are_spread_evenly(client: Client, orchestrator: Make, server: ChatServer) -> None:
    orch = orchestrator()
    with hired(client, orch, concurrency=3) as workers:
        assert workers.places == 3 * WORKERS

        async def many() -> list[int]:
            asking = [asyncio.create_task(asked(workers, orch, Heard())) for _ in range(4 * WORKERS)]
            await asyncio.sleep(0)
            at_once = [len(worker.sent) for worker in workers._workers.values()]
            await asyncio.gather(*asking)
            return at_once

        assert orch._loop.run(many()) == [3] * WORKERS


# what travels


def kinds(of: type[errors.MoltError] = errors.MoltError) -> Iterator[type[errors.MoltError]]:
    yield of
    for kind in of.__subclasses__():
        yield from kinds(kind)


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_error_comes_out_of_a_pickle_as_it_went_in(kind: type[errors.MoltError]) -> None:
    partial = Completion("Half", "s")
    made = {
        errors.UnknownName: lambda: errors.UnknownName("model", "smal", ["small"]),
        errors.NoCandidate: lambda: errors.NoCandidate("None.", skipped={"small": "no key"}),
        errors.NoAnswer: lambda: errors.NoAnswer([("small", errors.TimedOut("Late.", provider="openai"))]),
        errors.StreamInterrupted: lambda: errors.StreamInterrupted("Broke.", partial=partial, status=200),
        errors.RateLimited: lambda: errors.RateLimited("Wait.", status=429, retry_after_s=2.0, retryable=False, fix="Wait."),
    }.get(kind, lambda: kind("It went wrong.", fix="Mend it."))()
    made.decision_id = "d"
    again = pickle.loads(pickle.dumps(made))
    assert type(again) is kind
    assert str(again) == str(made)
    assert again.args == made.args
    failures, back = made.__dict__.pop("failures", None), again.__dict__.pop("failures", None)
    assert again.__dict__ == made.__dict__
    assert repr(failures) == repr(back)


def test_call_comes_out_as_it_went_in() -> None:
    call = Call("small", (Message("user", "Hello?"),), params=NO_PARAMS)
    assert pickle.loads(packed(call)) == call
