"""A Python process of its own for what may run for ever: limits, a wall time, and an end with everything it started.

It has no environment, an empty working folder that goes afterwards, and `python -I`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

MEMORY_BYTES = 2_000_000_000  # address space; numpy with many threads reserves far more than it uses
FILE_BYTES = 10_000_000

# It limits itself before it runs anything: CPU time, too, for the day nobody is left to end it.
_PREAMBLE = """
import json, os, sys
job = json.loads(sys.stdin.buffer.read())
sys.stdin = open(os.devnull)
try:
    import resource
    for limit, value in job["limits"].items():
        try:
            resource.setrlimit(getattr(resource, limit), (value, value))
        except (AttributeError, ValueError, OSError):
            pass
except ImportError:
    pass
"""


def said_by_child(driver: str, job: Mapping[str, Any], *, time_s: float) -> tuple[bytes, int | None]:
    """What a program writes to its standard output, and its return code.

    Args:
        driver: Python source; it finds `job`, `json`, `os` and `sys`.
        job: what can be written as JSON.
        time_s: wall time for all of it, in seconds.

    Raises:
        TimeoutError: it did not end in time, and was ended.
    """
    seconds = max(1, int(time_s) + 1)
    limits = {"RLIMIT_AS": MEMORY_BYTES, "RLIMIT_CPU": seconds, "RLIMIT_FSIZE": FILE_BYTES, "RLIMIT_CORE": 0}
    with tempfile.TemporaryDirectory(prefix="molt-tests-", ignore_cleanup_errors=True) as folder:
        # Windows cannot start Python without this one; elsewhere nothing is passed on, keys least of all
        environment = {"SYSTEMROOT": os.environ["SYSTEMROOT"]} if "SYSTEMROOT" in os.environ else {}
        process = subprocess.Popen(  # noqa: S603  our own interpreter and our own driver
            [sys.executable, "-I", "-c", _PREAMBLE + driver],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        try:
            out, _ = process.communicate(json.dumps({**job, "limits": limits}).encode(), timeout=time_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        finally:
            _end(process)
    return out, process.returncode


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the child and whatever it started."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)  # it leads its own group
        except (ProcessLookupError, PermissionError):
            process.kill()
    else:
        process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
