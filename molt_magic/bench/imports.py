"""What importing costs: fresh processes, each beside one that does the same without us."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from molt_magic.bench.report import Row, Target
from molt_magic.bench.rounds import Figure
from molt_magic.errors import InputError

IMPORT, EXTENSION = Target(0.15, "over"), Target(0.3, "over")
_SHELL = "from IPython.core.interactiveshell import InteractiveShell; shell = InteractiveShell.instance()"
_BARE, _IPYTHON = "", _SHELL
_OURS = {
    "import molt_magic": ("import molt_magic", _BARE, IMPORT),
    "%load_ext molt_magic": (f"{_SHELL}; shell.run_line_magic('load_ext', 'molt_magic')", _IPYTHON, EXTENSION),
    "first Orchestrator": ("import molt_magic; molt_magic.Orchestrator()", _BARE, None),
}
_PEERS = {name: (f"import {name}", _BARE, None) for name in ("httpx", "openai", "semantic_router", "litellm")}
_PEER_ROUNDS = 2  # they take seconds each, and nobody's target is a millisecond of theirs
_MOST_S = 120


def rows(home: Path, *, rounds: int, peers: bool, rng: random.Random, told: Callable[[float], None]) -> Iterator[Row]:
    """Seconds over a bare interpreter, or over IPython alone.

    Args:
        home: where what is started keeps its state.
        peers: whether to import those, too, where they are installed.
    """
    wanted = {**_OURS, **(_PEERS if peers else {"httpx": _PEERS["httpx"]})}
    there = {name: program for name, program in wanted.items() if name in _OURS or find_spec(name) is not None}
    every = {_BARE, _IPYTHON, *(code for code, _, _ in _OURS.values())}
    environ = environment(home)
    took: dict[str, list[float]] = {code: [] for code in every | {code for code, _, _ in there.values()}}
    for number in range(rounds + 1):
        order = sorted(took if 0 < number <= _PEER_ROUNDS else every)
        rng.shuffle(order)
        for code in order:
            seconds = _seconds(code, environ, home)
            if number:  # the first one reads from the disk
                took[code].append(seconds)
        told(number / rounds)
    for name in wanted:
        if name not in there:
            yield Row("import", f"import {name}", None, note="not installed")
            continue
        code, base, target = there[name]
        figure, beside = Figure(tuple(took[code])), Figure(tuple(took[base][: len(took[code])]))
        yield Row("import", name if name in _OURS else f"import {name}", figure, over=figure.over(beside), target=target)


def environment(home: Path) -> dict[str, str]:
    """The environment without the user's settings, with state in `home`; this very package is found, installed or not."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MOLT_")}
    source = Path(__file__).parents[2]
    if (source / "pyproject.toml").is_file():
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH", "")]))
    return {**kept, "MOLT_HOME": str(home), "IPYTHONDIR": str(home)}


def _seconds(code: str, environ: Mapping[str, str], folder: Path) -> float:
    command = [sys.executable, "-c", code]
    started = time.perf_counter()
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=_MOST_S, env=environ, cwd=folder, check=True)  # noqa: S603  # ours
    except subprocess.CalledProcessError as failed:
        said = failed.stderr.strip().splitlines()[-1:]
        raise InputError(f"{code!r} failed: {' '.join(said)}", fix="molt doctor says what is missing.") from None
    except subprocess.TimeoutExpired:
        raise InputError(f"{code!r} took more than {_MOST_S} s.", fix="Run the bench when the machine is quiet.") from None
    return time.perf_counter() - started
