"""One model in a child process, from the side of the parent."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from molt_magic.errors import ServerError

_LOAD_S = 300.0  # a large file on a slow disk; a child that says nothing for longer is given up
_END_S = 2.0  # between closing the child's stdin and killing it
_DEATH_S = 1.0  # how long after a broken connection the child may take to be gone
_MIB = 1 << 20

# What a child is given of the environment: nothing that may hold a key.
_KEPT = frozenset(
    {"PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
    | {"PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"}
    | {"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "PATHEXT", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "USERPROFILE"}
)
_KEPT_PREFIXES = ("LC_", "OMP_", "GOMP_", "KMP_", "GGML_", "CUDA_", "HIP_", "ROCR_", "HSA_")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. Two calls with the same plan share a child.

    Two slots, so that a short question is not held up behind a long answer. Together they are no faster than one: 71 tokens
    a second of two calls against 69 of one (SmolLM2-135M on two cores, 2026-11).
    """

    model: str  # the catalog's name
    alias: str  # the name in answers
    path: Path
    context_tokens: int  # of each slot
    threads: int | None = None  # None: the engine's choice
    slots: int = 2  # calls answered at the same time; more of them wait

    @property
    def memory_bytes(self) -> int:
        """What it will take, estimated from above: the weights (some kinds are kept a second time, in a faster order), the
        context, the cache of earlier prompts, and the process itself.

        Source: resident memory of the three catalog models at 4,096 tokens, measured 2026-11; the context of a token
        grows with the model: 23 to 28 kB in those, 128 kB in a 7B model of 4.1 GB.
        """
        size = self.path.stat().st_size
        per_token = max(28_000, size * 3e-5)
        return int(1.6 * size + per_token * self.context_tokens * self.slots) + 300 * _MIB


@dataclass(slots=True)
class Engine:
    """A running child. Made by `start`."""

    plan: Plan
    process: subprocess.Popen[bytes]
    log: IO[bytes]  # what the child wrote to stderr
    port: int
    key: str = field(repr=False)
    load_s: float
    users: int = 0  # calls in flight; the supervisor counts them
    used: float = field(default_factory=time.monotonic)  # when a call last began or ended

    @classmethod
    def start(cls, plan: Plan) -> Engine:
        """Start a child and wait until its model is loaded. The child ends with the thread that called this.

        Raises:
            ServerError: it did not come up; not to be tried again unchanged.
        """
        key = secrets.token_urlsafe(24)
        began = time.monotonic()
        log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the engine
        # by path and with -P: nothing of molt_magic and nothing of this folder is imported
        process = subprocess.Popen(  # noqa: S603  # our own file; the plan goes over a pipe
            [sys.executable, "-P", str(Path(__file__).with_name("child.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=child_environment(os.environ),
            start_new_session=True,  # an interrupt of the notebook is not for the engine
        )
        try:
            asked = {
                "path": str(plan.path),
                "model": plan.alias,
                "api_key": key,
                "slots": plan.slots,
                "context_tokens": plan.context_tokens,
                "threads": plan.threads,
            }
            said = _exchange(process, asked)
            if "port" not in said:
                raise _not_started(plan, said.get("error") or _death(process, log))
        except BaseException:
            _end(process, log)
            raise
        return cls(plan, process, log, int(said["port"]), key, time.monotonic() - began)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def died(self) -> str | None:
        """How the child ended, in words, or None while it runs; waits a moment, since a connection breaks first."""
        try:
            self.process.wait(_DEATH_S)
        except subprocess.TimeoutExpired:
            return None
        return _death(self.process, self.log)

    def memory_bytes(self) -> int:
        """What it takes now, or the estimate where that is more: a context fills up as it is used."""
        return max(resident_bytes(self.process.pid) or 0, self.plan.memory_bytes)

    def stop(self) -> None:
        """End the child and wait for it."""
        _end(self.process, self.log)


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: no keys, and short spinning, which on a busy machine decides between 4 and 15 tokens/s."""
    kept = {
        name: value
        for name, value in environ.items()
        if (name.upper() in _KEPT or name.upper().startswith(_KEPT_PREFIXES)) and "KEY" not in name.upper()
    }
    return {"GOMP_SPINCOUNT": "10000", **kept}


def resident_bytes(pid: int) -> int | None:
    """Resident memory of a process; None where it cannot be had."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        pass
    if sys.platform == "win32":
        return None
    try:
        environment = child_environment(os.environ)
        told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], env=environment, capture_output=True, check=True, timeout=2)  # noqa: S603, S607
        return int(told.stdout) * 1024
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _exchange(process: subprocess.Popen[bytes], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Give the child its orders, hear what became of them; empty where it died without a word."""
    assert process.stdin is not None
    assert process.stdout is not None
    timer = threading.Timer(_LOAD_S, process.kill)
    timer.start()
    try:
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
        said = json.loads(line) if line else {}
    except (BrokenPipeError, ValueError):
        said = {}
    finally:
        timer.cancel()
    return said if isinstance(said, dict) else {}


def _not_started(plan: Plan, why: str) -> ServerError:
    return ServerError(
        f"The local engine could not load {plan.model}: {why}",
        provider="local",
        fix="Check the file and local.context_tokens, or fetch the weights again.",
        retryable=False,
    )


def _death(process: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    try:
        code = process.wait(_END_S)
    except subprocess.TimeoutExpired:
        return "it fell silent"
    how = f"it was ended by signal {-code}" if code < 0 else f"it ended with code {code}"
    log.seek(0)
    lines = log.read()[-4000:].decode("utf-8", "replace").strip().splitlines()
    return f"{how} ({lines[-1].strip()[:200]})" if lines else how


def _end(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:  # it is gone already, and what was to be written with it
                continue
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    log.close()
