"""Servers on this machine that somebody else started."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from molt_magic.providers.local import discover
from molt_magic.types import ModelSpec
from tests.servers import Answer, Server, as_json, running, whole


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


def listed(*names: str) -> Answer:
    """As Ollama 0.12 answers `/v1/models`."""
    rows = [{"id": name, "object": "model", "created": 1757000000, "owned_by": "library"} for name in names]
    return as_json(200, {"object": "list", "data": rows})


def shown(*capabilities: str, trained: int = 131072, parameters: str = "") -> Answer:
    """As Ollama 0.12 answers `/api/show`, shortened."""
    info = {"general.architecture": "llama", "llama.context_length": trained}
    return as_json(200, {"capabilities": list(capabilities), "model_info": info, "parameters": parameters})


def found(server: Server, **environ: str) -> list[ModelSpec]:
    host = server.url.removeprefix("http://")
    return [spec for spec in discover({"OLLAMA_HOST": host, **environ}) if spec.vendor == "ollama"]


def test_the_models_of_a_running_server_become_specs_that_cost_nothing(server: Server) -> None:
    server.answer(listed("llama3.2:3b"), shown("completion", "tools", "vision"))
    (spec,) = found(server)
    assert (spec.name, spec.provider, spec.model) == ("ollama/llama3.2:3b", "openai", "llama3.2:3b")
    assert spec.can == {"tools", "images", "structured"}
    assert spec.prices.input_usd_per_mtok == spec.prices.output_usd_per_mtok == 0.0
    assert spec.deployments[0].base_url == f"{server.url}/v1"
    assert server.asked[1].json == {"model": "llama3.2:3b"}


def test_the_window_is_the_one_the_server_runs_with_not_the_one_the_model_could_take(server: Server) -> None:
    server.answer(listed("a", "b"), shown("completion"), shown("completion", parameters="stop  x\nnum_ctx   16384\n"))
    assert [spec.context_window for spec in found(server)] == [4096, 16384]
    server.answer(listed("a", "b"), shown("completion"), shown("completion", trained=2048))
    assert [spec.context_window for spec in found(server, OLLAMA_CONTEXT_LENGTH="8192")] == [8192, 2048]


def test_a_model_that_only_makes_embeddings_is_left_out(server: Server) -> None:
    server.answer(listed("nomic-embed-text", "qwen3"), shown("embedding"), shown("completion"))
    assert [spec.name for spec in found(server)] == ["ollama/qwen3"]


@pytest.mark.parametrize(
    "answer",
    [
        whole(200, "<html>a page</html>", {"content-type": "text/html"}),
        as_json(200, [1, 2]),
        as_json(200, {"object": "list", "data": None}),
        as_json(200, {"object": "list", "data": [{"no": "id"}, 7]}),
        as_json(401, {"error": "who are you"}),
    ],
)
def test_another_server_at_that_address_has_no_models(server: Server, answer: Answer) -> None:
    server.answer(answer)
    assert found(server) == []


def test_where_nothing_runs_the_look_takes_no_time() -> None:
    began = time.monotonic()
    assert [spec for spec in discover({"OLLAMA_HOST": "127.0.0.1:1"}) if spec.vendor == "ollama"] == []
    assert time.monotonic() - began < 2


def test_another_machine_is_not_asked() -> None:
    began = time.monotonic()
    assert [spec for spec in discover({"OLLAMA_HOST": "192.0.2.1:11434"}) if spec.vendor == "ollama"] == []  # RFC 5737
    assert time.monotonic() - began < 2
