"""Many kernels at once on one folder: no row is lost, nothing is raised, and a process never asks one thing twice at a time.

python -m tests.stress.many --processes 8 --routes 500
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from statistics import quantiles
from typing import Any

from tests.servers import running
from tests.stress.kernel import STRATEGIES, prompt_by, said, settings_for, taught
from tests.stress.kill import ROOT, Acknowledged, environment
from tests.stress.server import ChatServer

_WORK = "import sys; from tests.stress.many import work; work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))"
AT_ONCE = 5  # questions of one kernel


def work(url: str, seed: int, routes: int) -> None:
    """One kernel: some questions at a time, every other batch all the same one; feedback and a table in between."""
    from molt_magic import Orchestrator

    logging.basicConfig(level=logging.WARNING, format="WARNING %(name)s %(message)s")
    lots = random.Random(seed)
    with Orchestrator(settings=settings_for(url)) as orch:
        said("ready", seed)
        if seed % 4 == 0:
            said("learned", orch.learn(taught(seed)))
        for batch in range(0, routes, AT_ONCE):
            one = f"{prompt_by(lots)} ({lots.randrange(400)})"
            asked: list[Future[Any]] = []
            began = time.perf_counter()
            for _ in range(min(AT_ONCE, routes - batch)):
                same = batch // AT_ONCE % 2 == 0
                prompt = one if same else f"{prompt_by(lots)} ({lots.randrange(400)})"
                strategy = "direct" if same else lots.choice(STRATEGIES)
                check = ["nonempty", "judge"] if strategy in ("arbitrage", "cascade") else None
                asked.append(orch.submit(prompt, strategy=strategy, model="small" if same else None, validate=check))
            for future in asked:
                result = future.result(300)
                said("decision", result.decision.decision_id)
                said("overhead_ms", result.decision.overhead_ms)
                assert result.error is None
            said("took_s", time.perf_counter() - began)
            if lots.random() < 0.3:
                orch.feedback(result.decision.decision_id, float(lots.randrange(2)))
                said("feedback", result.decision.decision_id)
    said("done", seed)


def run(processes: int, routes: int, home: Path) -> dict[str, Any]:
    """Run them all, then compare the log with what they were told; returns what is wrong, and figures."""
    wrong: list[str] = []
    told = Acknowledged()
    started = time.perf_counter()
    with running(ChatServer()) as server:
        kernels = []
        for n in range(processes):
            command = [sys.executable, "-c", _WORK, server.url, str(n), str(routes)]
            out, err = (home / f"{n}.out").open("w+"), (home / f"{n}.err").open("w+")
            env = environment(home, f"k{n}")
            kernels.append((subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=err), out, err))
        most_wal = 0
        while any(process.poll() is None for process, _, _ in kernels):
            time.sleep(0.25)
            wals = [home / "data" / "decisions.sqlite-wal", home / "cache" / "answers" / "cache.db-wal"]
            most_wal = max([most_wal, *(file.stat().st_size for file in wals if file.exists())])
        spent = time.perf_counter() - started
        for n, (process, out, err) in enumerate(kernels):
            for file in (out, err):
                file.seek(0)
            for line in out:
                told.take(line)
            complaints = err.read()
            out.close(), err.close()
            if process.returncode or complaints:
                wrong.append(f"kernel {n} ended with {process.returncode}: {complaints[-1500:]}")
        calls, distinct, twice = sum(server.requests.values()), len(server.requests), server.most_at_once
    if twice > 1:
        wrong.append(f"one process asked the same thing {twice} times at once")
    for file in (home / "data" / "decisions.sqlite", home / "cache" / "answers" / "cache.db"):
        with closing(sqlite3.connect(file)) as connection:
            if (found := connection.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
                wrong.append(f"{file.name}: {found[:3]}")
    with closing(sqlite3.connect(home / "data" / "decisions.sqlite")) as connection:
        rows = [each for (each,) in connection.execute("SELECT decision_id FROM decisions")]
        hits = dict(connection.execute("SELECT cache, COUNT(*) FROM decisions GROUP BY cache"))
        marks = [each for (each,) in connection.execute("SELECT decision_id FROM feedback")]
    if sorted(rows) != sorted(told.by_word["decision"]):
        wrong.append(f"{len(rows)} rows in the log, {len(told.by_word['decision'])} acknowledged")
    if len(rows) != processes * routes:
        wrong.append(f"{len(rows)} rows, not {processes * routes}")
    if sorted(marks) != sorted(told.by_word["feedback"]):
        wrong.append(f"{len(marks)} marks in the log, {len(told.by_word['feedback'])} acknowledged")
    if wrong and not told.by_word["overhead_ms"]:
        return {"wrong": wrong}
    overheads = quantiles(told.by_word["overhead_ms"], n=100)
    return {
        "wrong": wrong, "rows": len(rows), "seconds": round(spent, 1), "routes_a_second": round(len(rows) / spent, 1),
        "calls": calls, "distinct_calls": distinct, "most_at_once": twice, "by_cache": hits, "feedback": len(marks),
        "overhead_ms": {"p50": round(overheads[49], 1), "p95": round(overheads[94], 1), "p99": round(overheads[98], 1),
                        "max": round(max(told.by_word["overhead_ms"]), 1)},
        "slowest_batch_s": round(max(told.by_word["took_s"]), 2), "largest_wal_bytes": most_wal,
    }  # fmt: skip


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--processes", type=int, default=8)
    arguments.add_argument("--routes", type=int, default=500)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(chosen.processes, chosen.routes, Path(folder))
    print(json.dumps(outcome, indent=1))
    sys.exit(1 if outcome["wrong"] else 0)
