"""The local provider over a real model: what a call gets, and what becomes of the children."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from molt_magic.errors import ContextTooLong, ServerError, StreamInterrupted
from molt_magic.providers.local import LocalProvider
from molt_magic.providers.local.engine import child_environment
from molt_magic.transport import Transport
from molt_magic.types import Call, Deployment, ModelSpec, Weights
from tests.local.conftest import MakeLocal, ask

pytestmark = pytest.mark.anyio

HERE = Deployment("here")


def endless(tokens: int) -> Call:
    """A call whose answer goes on to its limit."""
    return ask("Tell a long story.", max_tokens=tokens, ignore_eos=True)


async def until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.02)


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")  # one that ended and was not yet collected is gone as well
    return not (status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z")


async def test_a_call_starts_the_engine_and_streams_its_answer(make_local: MakeLocal, smollm: ModelSpec) -> None:
    told: list[tuple[str, float | None]] = []
    local = make_local(on_progress=lambda what, fraction: told.append((what, fraction)))
    pieces: list[str] = []
    assert local.running() == []
    completion = await local.complete(smollm, HERE, endless(8), on_delta=pieces.append)
    assert "".join(pieces) == completion.text != ""
    assert len(pieces) > 1
    assert completion.model == smollm.model
    assert completion.finish_reason == "length"
    assert completion.usage.output_tokens == 8
    assert completion.usage.input_tokens > 8
    assert ("loading smollm-local", None) in told
    (row,) = local.running()
    assert (row.model, row.context, row.calls) == ("smollm-local", 512, 0)
    assert row.rss is None or row.rss > 50e6


async def test_one_engine_serves_every_call_streamed_or_not_with_schema_and_probabilities(
    make_local: MakeLocal, smollm: ModelSpec
) -> None:
    local = make_local()
    pieces: list[str] = []
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    whole, shaped, weighed = await asyncio.gather(
        local.complete(smollm, HERE, ask("Hello", stream=False), on_delta=pieces.append),
        local.complete(smollm, HERE, replace(ask("A number?", max_tokens=40), schema=schema), on_delta=lambda _: None),
        local.complete(smollm, HERE, ask("Hello", logprobs=True), on_delta=lambda _: None),
    )
    assert whole.text
    assert pieces == []
    assert list(json.loads(shaped.text)) == ["n"]
    assert weighed.logprobs is not None
    assert all(value <= 0 for value in weighed.logprobs)
    assert len(local.running()) == 1


async def test_messages_over_the_context_are_refused_as_too_long(make_local: MakeLocal, smollm: ModelSpec) -> None:
    local = make_local(context_tokens=256)
    with pytest.raises(ContextTooLong, match="smollm-local"):
        await local.complete(smollm, HERE, ask("word " * 400), on_delta=lambda _: None)


async def test_cancelled_calls_leave_the_engine_free_at_once(make_local: MakeLocal, smollm: ModelSpec) -> None:
    local = make_local(context_tokens=4096)
    heard: list[str] = []
    calls = [
        asyncio.create_task(local.complete(smollm, HERE, endless(3000), on_delta=heard.append))
        for _ in range(4)  # every slot, and as many again in the queue
    ]
    await until(lambda: len(heard) > 4)
    for call in calls:
        call.cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    began = time.monotonic()
    # left to run, the four would have needed minutes
    assert (await local.complete(smollm, HERE, ask("Hello", max_tokens=1), on_delta=lambda _: None)).usage.output_tokens == 1
    assert time.monotonic() - began < 5
    assert local.running()[0].calls == 0


async def test_an_engine_killed_while_it_answers_leaves_the_partial_text_and_is_started_anew(
    make_local: MakeLocal, smollm: ModelSpec
) -> None:
    local = make_local(context_tokens=4096)
    heard: list[str] = []
    call = asyncio.create_task(local.complete(smollm, HERE, endless(3000), on_delta=heard.append))
    await until(lambda: len(heard) > 2)
    pid = local.running()[0].pid
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(StreamInterrupted, match="ended by signal 9") as caught:
        await call
    assert caught.value.retryable
    assert caught.value.partial is not None
    assert caught.value.partial.text == "".join(heard)
    assert caught.value.partial.finish_reason == "interrupted"
    assert (await local.complete(smollm, HERE, ask("Hello"), on_delta=lambda _: None)).text
    assert local.running()[0].pid != pid


async def test_an_engine_killed_before_it_answers_is_a_server_error_that_may_be_retried(
    make_local: MakeLocal, smollm: ModelSpec
) -> None:
    local = make_local()
    await local.complete(smollm, HERE, ask("Hello", max_tokens=1), on_delta=lambda _: None)
    pid = local.running()[0].pid
    os.kill(pid, signal.SIGSTOP)  # so that it takes the call and says nothing
    call = asyncio.create_task(local.complete(smollm, HERE, ask("Hello"), on_delta=lambda _: None))
    await until(lambda: local.running()[0].calls == 1)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ServerError, match="smollm-local died: it was ended by signal 9") as caught:
        await call
    assert caught.value.retryable


PARENT = """
import asyncio, sys
from molt_magic.catalog import Catalog
from molt_magic.config import load_settings
from molt_magic.providers.local import LocalProvider
from molt_magic.transport import Transport
from molt_magic.types import Call, Deployment, Message

local = LocalProvider(load_settings(overrides={"local.context_tokens": 256}), transport=Transport())
call = Call(model="smollm-local", messages=(Message("user", "Hello"),), params={"max_tokens": 1})
asyncio.run(local.complete(Catalog.load().get("smollm-local"), Deployment("here"), call, on_delta=lambda text: None))
print(local.running()[0].pid, flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("how", ["killed", "ended"])
async def test_a_child_ends_with_its_parent(how: str, models_dir: Path) -> None:
    environment = {**os.environ, "MOLT_MODELS": str(models_dir)}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert exists(child)
        if how == "killed":
            parent.kill()
        else:
            parent.communicate("\n", timeout=20)
            assert parent.returncode == 0
        await until(lambda: not exists(child), 5)


async def test_the_least_recently_used_model_gives_way_within_the_memory_limit(
    make_local: MakeLocal, smollm: ModelSpec
) -> None:
    local = make_local(memory_gb=1.2)  # room for two of about 0.5 GB
    one, two, three = (replace(smollm, name=name) for name in ("one", "two", "three"))
    for spec in (one, two, one, three):
        await local.complete(spec, HERE, ask("Hello", max_tokens=1), on_delta=lambda _: None)
    assert sorted(row.model for row in local.running()) == ["one", "three"]


async def test_a_busy_model_is_waited_for_and_not_ended(make_local: MakeLocal, smollm: ModelSpec) -> None:
    told: list[str] = []
    local = make_local(memory_gb=0.6, on_progress=lambda what, _: told.append(what))  # room for one
    heard: list[str] = []
    long = asyncio.create_task(local.complete(replace(smollm, name="one"), HERE, endless(40), on_delta=heard.append))
    await until(lambda: len(heard) > 0)
    await local.complete(replace(smollm, name="two"), HERE, ask("Hello", max_tokens=1), on_delta=lambda _: None)
    assert (await long).usage.output_tokens == 40
    assert [row.model for row in local.running()] == ["two"]
    assert told.count("waiting for memory to load two") == 1


async def test_an_idle_model_is_unloaded(make_local: MakeLocal, smollm: ModelSpec) -> None:
    local = make_local(idle_seconds=0.2)
    await local.complete(smollm, HERE, ask("Hello", max_tokens=1), on_delta=lambda _: None)
    (row,) = local.running()
    await until(lambda: local.running() == [])
    await until(lambda: not exists(row.pid), 5)


async def test_a_model_over_the_memory_limit_is_missing_with_the_setting_to_raise(
    make_local: MakeLocal, smollm: ModelSpec
) -> None:
    missing = make_local(memory_gb=0.25).missing(smollm)
    assert missing is not None
    assert "local.memory_gb allows 0.2" in missing.reason
    assert "Raise local.memory_gb" in missing.fix


async def test_the_engine_answers_nobody_without_its_key_and_shows_it_nowhere(make_local: MakeLocal, smollm: ModelSpec) -> None:
    local = make_local()
    await local.complete(smollm, HERE, ask("Hello", max_tokens=1), on_delta=lambda _: None)
    (row,) = local.running()
    answer = Transport().request("POST", f"http://127.0.0.1:{row.port}/v1/chat/completions", json={"messages": []})
    assert answer.status == 401
    command = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(row.pid)], capture_output=True, text=True, check=True)
    assert command.stdout.split()[1:] == ["-P", command.stdout.split()[-1]]
    assert command.stdout.strip().endswith("child.py")


async def test_a_child_is_given_no_key_of_the_user() -> None:
    environ = {
        "OPENAI_API_KEY": "sk-1",
        "HF_TOKEN": "x",
        "AWS_SECRET": "x",
        "GGML_KEY": "x",
        "PATH": "/bin",
        "OMP_NUM_THREADS": "2",
    }
    assert child_environment(environ) == {"GOMP_SPINCOUNT": "10000", "PATH": "/bin", "OMP_NUM_THREADS": "2"}
    assert child_environment({"GOMP_SPINCOUNT": "5"}) == {"GOMP_SPINCOUNT": "5"}


async def test_a_file_that_is_no_model_is_an_error_that_names_it(
    make_local: MakeLocal, smollm: ModelSpec, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(1000))
    spec = replace(smollm, name="broken", weights=Weights(filename="broken.gguf", path=str(broken)))
    local = make_local()
    assert local.missing(spec) is None
    with pytest.raises(ServerError, match="could not load broken") as caught:
        await local.complete(spec, HERE, ask("Hello"), on_delta=lambda _: None)
    assert not caught.value.retryable
    assert broken.exists()
    assert local.running() == []


async def test_weights_that_were_changed_on_disk_are_not_run(make_local: MakeLocal, smollm: ModelSpec) -> None:
    local = make_local()
    assert smollm.weights is not None
    spec = replace(smollm, weights=replace(smollm.weights, filename="changed.gguf", bytes=4, sha256="0" * 64))
    changed = local.settings.models_dir / "changed.gguf"
    changed.write_bytes(b"GGUF")
    assert local.missing(spec) is None
    with pytest.raises(ServerError, match="sha256") as caught:
        await local.complete(spec, HERE, ask("Hello"), on_delta=lambda _: None)
    assert caught.value.fix == "molt models pull smollm-local"
    assert not changed.exists()


async def test_weights_that_are_not_there_are_missing_with_the_command_that_fetches_them(
    make_local: MakeLocal, smollm: ModelSpec
) -> None:
    local = make_local()
    assert smollm.weights is not None
    spec = replace(smollm, weights=replace(smollm.weights, filename="elsewhere.gguf"))
    missing = local.missing(spec)
    assert missing is not None
    assert missing.reason == "its weights (0.1 GB) are not on this machine"
    assert missing.fix == "molt models pull smollm-local"
    assert local.can_pull(spec)
    assert not local.can_pull(smollm)


async def test_without_the_engine_its_install_command_is_named(
    make_local: MakeLocal, smollm: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    local = make_local()
    missing = local.missing(smollm)
    assert missing is not None
    assert missing.fix == "pip install 'molt-magic[local]'"
    assert not local.can_pull(smollm)


async def test_a_closed_provider_refuses_calls(make_local: MakeLocal, smollm: ModelSpec) -> None:
    local: LocalProvider = make_local()
    await local.complete(smollm, HERE, ask("Hello", max_tokens=1), on_delta=lambda _: None)
    (row,) = local.running()
    await local.aclose()
    assert not exists(row.pid)
    with pytest.raises(ServerError, match="closed"):
        await local.complete(smollm, HERE, ask("Hello"), on_delta=lambda _: None)
