"""How fast a cooldown spreads, whether limits hold over processes for minutes, and what balancing costs a call.

Run it: `python -m tests.stress.deployments [minutes]`. It prints its figures; a small version of each is in
tests/providers/test_shared.py.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from molt_magic.config import load_settings
from molt_magic.providers import Providers
from molt_magic.providers.base import Served
from molt_magic.types import Completion, Deadline, Deployment, ModelSpec
from tests.providers.test_shared import Kernel, Model, kernels
from tests.servers import Answer, Asked, running

KERNELS = 8
CALLS = 4000


def spread(rounds: int = 10) -> list[float]:
    """Seconds from a 429 in one kernel until each of the others knows, all rounds together."""
    found: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder, running(Model()) as server:
            server.refused = "/a/"
            deployments = [{"name": n, "base_url": f"{server.url}/{n}", "weight": w} for n, w in (("a", 1), ("b", 1e-9))]
            made = kernels(KERNELS, Path(folder), *deployments)
            for other in made[1:]:
                other.tell("wait", "a")
            made[0].tell("ask", 1, 10.0)
            [first] = made[0].said()
            found += [other.said()[0] - first["at"] for other in made[1:]]
            end(made)
    return found


class Clock(Model):
    """Notes when it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def choose(self, asked: Asked) -> Answer:
        self.times.append(time.monotonic())
        return super().choose(asked)


def limit(minutes: float, allowed: int = 60) -> tuple[int, int, list[int]]:
    """Under four kernels that want twice as much: requests in all, the most in any minute, and those of each kernel."""
    with tempfile.TemporaryDirectory() as folder, running(Clock()) as server:
        made = kernels(4, Path(folder), {"name": "a", "base_url": server.url, "requests_per_minute": allowed})
        seconds = minutes * 60
        for kernel in made:
            kernel.tell("ask", int(allowed * minutes / 2), seconds)
        ends = [kernel.said() for kernel in made]
        end(made)
        times = sorted(server.times)
        most = max(sum(at <= other < at + 60 for other in times) for at in times)
        return len(times), most, [sum(one["error"] is None for one in mine) for mine in ends]


def overhead() -> dict[str, float]:
    """Microseconds that a call spends in balancing, the best of seven runs, the deployments answering at once."""
    done = Completion("text", "m")

    async def ask(deployment: Deployment) -> Completion:
        return done

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MOLT_HOME"], os.environ["K"] = folder, "a-key-of-the-stress-test"
        for count, limits in ((1, {}), (3, {}), (1, {"requests_per_minute": 10_000_000})):
            spec = ModelSpec(
                "m",
                "openai",
                "m",
                deployments=tuple(
                    Deployment(f"d{i}", base_url=f"http://127.0.0.1:{9000 + i}", api_key_env="K", **limits)
                    for i in range(count)
                ),
            )
            providers = Providers(load_settings(cwd=Path(folder)))
            balancer = providers._balancer

            async def run() -> float:
                best = float("inf")
                calls = 200 if limits else CALLS  # noqa: B023
                for _ in range(7):
                    begun = time.perf_counter()
                    for _ in range(calls):
                        deadline = Deadline(time.monotonic() + 900, 900, "network.deadline_s")
                        served: Served = await balancer.perform(spec, ask, lambda: False, deadline=deadline)  # noqa: B023
                        assert served.completion is done
                    best = min(best, (time.perf_counter() - begun) / calls)
                return best * 1e6

            found[f"{count} deployments{', limited' if limits else ''}"] = asyncio.run(run())
            providers.close()
    return found


def end(made: list[Kernel]) -> None:
    for kernel in made:
        kernel.end()


if __name__ == "__main__":
    for what, microseconds in overhead().items():
        print(f"balancing a call over {what}: {microseconds:.0f} us")
    seen = spread()
    print(
        f"a cooldown is known to {KERNELS - 1} others after {statistics.median(seen):.2f} s (median), {max(seen):.2f} s (most)"
    )
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    total, most, each = limit(minutes)
    print(f"60 requests a minute over 4 kernels, {minutes:g} minutes: {total} in all, at most {most} in a minute, {each} each")
