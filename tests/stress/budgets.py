"""Fifty questions in flight, and eight kernels at once, against one budget; what a budget costs a call.

    python -m tests.stress.budgets

prints by how much a budget was overrun, and the microseconds that a question takes without and with one.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from molt_magic.config import load_settings
from molt_magic.errors import MoltError
from molt_magic.orchestrator import Orchestrator
from molt_magic.providers.base import Served
from molt_magic.types import Call, ModelSpec
from tests.scripted import ScriptedProviders

SMALL = {
    "provider": "openai",
    "model": "s",
    "input_usd_per_mtok": 1.0,
    "output_usd_per_mtok": 2.0,
    "context_window": 8000,
    "api_key_env": "NONE",
}
MOST = 0.016  # USD, one call that fills its window


class Hanging(ScriptedProviders):
    """Answers the first call, and never the second."""

    async def perform(self, spec: ModelSpec, call: Call, *, on_delta: Callable[[str], None], **limits: Any) -> Served:
        if self.calls:
            print("in flight", flush=True)
            threading.Event().wait()  # nothing in this process goes on: only killing it ends it
        return await super().perform(spec, call, on_delta=on_delta)


def an_orchestrator(providers: ScriptedProviders, values: Mapping[str, Any], home: Path | None = None) -> Orchestrator:
    environment = {**os.environ, **({"MOLT_HOME": str(home)} if home else {})}
    settings = load_settings(environ=environment, cwd=Path("/")).with_values(
        {"catalog": "none", "models.small": SMALL, "models.other": {**SMALL, "model": "o"}, "cache.enabled": False, **values}
    )
    return Orchestrator(settings=settings, providers=providers)  # type: ignore[arg-type]


def ask(orch: Orchestrator, n: int, **how: Any) -> int:
    """How many of n questions in flight together are answered."""
    answered = 0
    for asking in [orch.submit(f"question {os.getpid()} {i}", model="small", **how) for i in range(n)]:
        try:
            asking.result(300)
            answered += 1
        except MoltError:
            pass
    return answered


def kernel(budget: float, n: str, tokens: int) -> None:
    """One process: n questions whose answers have up to 1,000 tokens and `tokens` in truth; it prints how many were answered.

    "hang": a cascade whose second call never ends."""
    values = {"budget.day_usd": budget, "cascade.ladder": ("small", "other")}
    if n == "hang":
        with an_orchestrator(Hanging({"small": "no", "other": "no"}, usage=(10, tokens)), values) as orch:
            orch.route("give json", strategy="cascade", validate=["json"], max_tokens=1000)
    with an_orchestrator(ScriptedProviders({"small": "a b"}, usage=(10, tokens), delay_s=0.01), values) as orch:
        limit = {} if tokens > 1000 else {"max_tokens": 1000}
        print(ask(orch, int(n), **limit))


def spent_in(home: Path) -> float:
    with closing(sqlite3.connect(home / "data" / "decisions.sqlite")) as connection:
        return float(connection.execute("SELECT COALESCE(SUM(cost_usd), 0) FROM decisions").fetchone()[0])


def main() -> None:
    cases = (("at the estimate", 1000), ("a tenth of it", 100), ("without max_tokens, as long as can be", 7900))
    for told, tokens in cases:
        with tempfile.TemporaryDirectory() as folder:
            limit = {} if tokens > 1000 else {"max_tokens": 1000}
            providers = ScriptedProviders({"small": "a b"}, usage=(10, tokens), delay_s=0.02)
            with an_orchestrator(providers, {"budget.session_usd": 0.05}, Path(folder)) as orch:
                begun = time.perf_counter()
                answered = ask(orch, 50, **limit)
                report("50 in flight", told, 0.05, spent_in(Path(folder)), answered, 50, time.perf_counter() - begun)
    for told, tokens in cases:
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            command = [sys.executable, "-m", "tests.stress.budgets", "kernel", "0.1", "20", str(tokens)]
            running = [
                subprocess.Popen(command, env={**os.environ, "MOLT_HOME": folder}, stdout=subprocess.PIPE, text=True)
                for _ in range(8)
            ]
            answered = sum(int(process.communicate()[0]) for process in running)
            report("8 x 20", told, 0.1, spent_in(Path(folder)), answered, 160, time.perf_counter() - begun)
    both = {"budget.session_usd": 1e6, "budget.day_usd": 1e6}
    for told, values in (("none", {}), ("session", {"budget.session_usd": 1e6}), ("session and day", both)):
        with tempfile.TemporaryDirectory() as folder:
            with an_orchestrator(ScriptedProviders({"small": "a"}), values, Path(folder)) as orch:
                ask(orch, 20)
                taken = []
                for i in range(300):
                    begun = time.perf_counter()
                    orch.route(f"one by one {i}", model="small")
                    taken.append(time.perf_counter() - begun)
            print(f"budget: {told}: {sorted(taken)[150] * 1e6:,.0f} us a question (median of 300)")


def report(what: str, told: str, limit: float, spent: float, answered: int, of: int, seconds: float) -> None:
    over = max(0.0, spent - limit)
    money = f"${spent:.5f} of ${limit}, over by ${over:.5f} ({over / MOST:.2f} calls)"
    print(f"{what}, answers {told}: {answered} of {of}, {money}, {seconds:.1f} s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["kernel"]:
        kernel(float(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    else:
        main()
