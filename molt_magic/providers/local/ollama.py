"""Servers on this machine that were not started by us: Ollama, vLLM, llama.cpp.

Ollama's page on context length was read in 2026-11. The shapes of its `/api/show` (capabilities, model_info, parameters) and
of vLLM's and llama.cpp's `/v1/models` (`max_model_len`, `meta.n_ctx`) are as remembered, not checked against those servers:
a field that is not there is done without.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from molt_magic.catalog import family_of
from molt_magic.errors import MoltError
from molt_magic.providers.base import Missing
from molt_magic.providers.vendors import locate
from molt_magic.transport import Transport, is_loopback
from molt_magic.types import Deployment, ModelSpec, Prices

_PROBE_S = 0.2  # to connect: on loopback a server that runs is there at once
_ANSWER_S = 2.0
_VENDORS = ("ollama", "vllm", "llamacpp")
# Ollama runs a model with this unless told otherwise, whatever the model could take, and cuts a longer prompt silently.
_OLLAMA_WINDOW = 4096
_FREE = Prices(input_usd_per_mtok=0.0, output_usd_per_mtok=0.0)
_NUM_CTX = re.compile(r"^num_ctx\s+(\d+)", re.M)
_CAN = {"vision": "images", "tools": "tools"}


def discover(environ: Mapping[str, str]) -> list[ModelSpec]:
    """The models of OpenAI-compatible servers that run on this machine; empty where none does. Blocks for a moment.

    Looked for: Ollama at `OLLAMA_HOST` (127.0.0.1:11434 by default), vLLM at port 8000, llama.cpp at port 8080. A host that
    is not this machine is not asked.

    Args:
        environ: `OLLAMA_HOST`, `OLLAMA_CONTEXT_LENGTH`.

    Returns:
        Specs named `vendor/model`, of provider `openai`, free of charge.
    """
    transport = Transport(connect_s=_PROBE_S, first_token_s=_ANSWER_S, total_s=_ANSWER_S)
    found: dict[str, ModelSpec] = {}
    for vendor in _VENDORS:
        for spec in _models(vendor, environ, transport):
            found.setdefault(spec.name, spec)
    return list(found.values())


def _models(vendor: str, environ: Mapping[str, str], transport: Transport) -> Iterator[ModelSpec]:
    probe = ModelSpec(name=vendor, provider="openai", model="", vendor=vendor)
    endpoint = locate(probe, Deployment(vendor), environ.get)
    if isinstance(endpoint, Missing) or not is_loopback(endpoint.base_url):
        return
    for row in _rows(transport, f"{endpoint.base_url}/models"):
        model = row["id"]
        window, can, chats = _served(row), frozenset[str](), True
        if vendor == "ollama":
            window, can, chats = _shown(transport, endpoint.base_url.removesuffix("/v1"), model, environ)
        if chats:
            yield ModelSpec(
                name=f"{vendor}/{model.rsplit('/', 1)[-1] if model.startswith('/') else model}",  # llama.cpp: a file's path
                provider="openai",
                model=model,
                vendor=vendor,
                context_window=window,
                prices=_FREE,
                family=family_of(model),
                can=can,
                deployments=(Deployment(vendor, base_url=endpoint.base_url),),
            )


def _rows(transport: Transport, url: str) -> list[dict[str, Any]]:
    """The list of models, or an empty one where there is no such server, or another that happens to use the port."""
    try:
        answer = transport.request("GET", url)
        said = answer.json() if answer.status == 200 else None
    except MoltError:
        return []
    rows = said.get("data") if isinstance(said, dict) and said.get("object") == "list" else None
    if not isinstance(rows, list):
        return []
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str) and row["id"]]


def _served(row: Mapping[str, Any]) -> int | None:
    meta = row.get("meta")
    window = row.get("max_model_len") or (meta.get("n_ctx") if isinstance(meta, dict) else None)
    return window if isinstance(window, int) and window > 0 else None


def _shown(transport: Transport, base: str, model: str, environ: Mapping[str, str]) -> tuple[int, frozenset[str], bool]:
    """Window, capabilities, and whether it chats at all (others make embeddings)."""
    try:
        answer = transport.request("POST", f"{base}/api/show", json={"model": model})
        said = answer.json() if answer.status == 200 else {}
    except MoltError:
        said = {}
    said = said if isinstance(said, dict) else {}
    capabilities = said.get("capabilities")
    words = [str(word) for word in capabilities] if isinstance(capabilities, list) else ["completion"]
    configured = _NUM_CTX.search(str(said.get("parameters") or ""))
    text = configured[1] if configured else environ.get("OLLAMA_CONTEXT_LENGTH", "")
    window = int(text) if text.isdigit() and int(text) > 0 else _OLLAMA_WINDOW
    info = said.get("model_info")
    facts = info.items() if isinstance(info, dict) else ()
    trained = [value for key, value in facts if key.endswith(".context_length") and isinstance(value, int)]
    can = frozenset(_CAN[word] for word in words if word in _CAN) | {"structured"}
    return min([window, *trained]), can, "completion" in words
