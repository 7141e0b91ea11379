"""The process that holds one model: llama.cpp's own HTTP server on a loopback port.

Run by path, as `python -P child.py`, and importing nothing of molt_magic, so that it starts fast and stays small. It reads
one line of JSON from its stdin (see `main`), writes one to its stdout ({"port": ...} or {"error": ...}), and serves until
its stdin ends, which it does when the parent closes it or dies.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
from typing import Any

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_CACHE_MIB = 256  # of prompts of earlier calls; the engine's default of 8 GiB would be outside the memory limit
_PING_S = 5  # a sign of life while a long prompt is read, so that silence means that something is wrong
# Tokens read at a time. A cancelled call is only noticed between two batches: at 2048, the engine's default, a 1.5B model
# on two cores would go on reading for half a minute. Reading is not slower at 128: at best 171 tokens a second against 157
# at the defaults (SmolLM2-135M on two busy cores, six prompts of 600 tokens each, 2026-11).
_BATCH = 128


def main() -> None:
    """Load, say the port, serve until stdin ends.

    The line on stdin: `path` of the GGUF file, `model` (the name in answers), `api_key`, `slots` (calls at the same time),
    `context_tokens` (of each slot), `threads` (null: the engine's choice).
    """
    # what the engine prints must not be taken for our line
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the parent, which then drops the call
    _die_with_parent()
    plan = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        server = _serve(plan)
        said: dict[str, Any] = {"port": int(server.listening_address.rsplit(":", 1)[1])}
    except Exception as error:  # noqa: BLE001  # whatever it is, the parent is to hear of it
        said = {"error": f"{type(error).__name__}: {error}"}
    channel.write(json.dumps(said) + "\n")
    channel.close()
    if "error" in said:
        os._exit(1)
    threading.Event().wait()  # `server` lives as long as this frame


def _serve(plan: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = plan["path"]
    params.model_alias = {plan["model"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # any free one
    params.api_keys = [plan["api_key"]]
    params.verbosity = -1
    params.n_parallel = plan["slots"]
    params.n_ctx = plan["context_tokens"] * plan["slots"]  # each slot has its share to itself
    params.n_batch = params.n_ubatch = min(_BATCH, plan["context_tokens"])
    params.cont_batching = True
    params.cache_ram_mib = _CACHE_MIB
    params.sse_ping_interval = _PING_S
    params.fit_params = False  # it would shrink the context unasked
    params.ui = False
    params.endpoint_slots = False  # it shows the prompts in flight
    params.cors_origins = ""  # no web page may read from it
    params.offline = True
    if plan["threads"] is not None:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = plan["threads"]
    return xllamacpp.Server(params)


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def _die_with_parent() -> None:
    """Linux: be killed when the thread that started us ends, even while the engine holds the interpreter's lock."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    main()
