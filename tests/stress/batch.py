"""A column of prompts through a server with faults, its process killed with kill -9 on the way: the frame comes back whole.

    python -m tests.stress.batch --rows 10000 --kills 2
    python -m tests.stress.batch --rows 100000 --kills 0 --memory

Of the rows a fifth repeat another. Of the different prompts 5 % fail for good (400 or 500, always) and 5 % fail the first time
(429 or 503). After the kills the run goes on under a budget that is too small, and then under one that is not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import servers
from tests.servers import Server, running
from tests.stress import server as chat
from tests.stress.kill import ROOT, environment

RUN = "stress"
USAGE = (12, 9)  # tokens of every answer
USD = (12 * 1.0 + 9 * 2.0) / 1e6  # what it costs
LIMIT_MB = 500


def prompts_of(rows: int, seed: int = 0) -> list[str]:
    """A fifth of them repeat another."""
    lots = random.Random(seed)
    different = [f"What is the capital of country number {n} of {rows}?" for n in range(max(1, rows * 4 // 5))]
    column = different + [lots.choice(different) for _ in range(rows - len(different))]
    lots.shuffle(column)
    return column


def fault_of(prompt: str) -> str | None:
    """`bad` and `broken` for good, `busy` and `away` the first time."""
    return {0: "bad", 1: "broken", 2: "busy", 3: "away"}.get(random.Random(prompt).randrange(40))


def answer_to(prompt: str) -> str:
    return chat._reply([{"role": "user", "content": prompt}])


@dataclass
class FaultyServer(Server):
    """Answers after `takes_s`, or fails as its prompt wants it; notes which answers it has sent whole."""

    takes_s: float = 0.01
    sent: Counter[str] = field(default_factory=Counter)  # answers by prompt
    asked_of: Counter[str] = field(default_factory=Counter)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            body = (await servers._request(reader)).json
            prompt = body["messages"][-1]["content"]
            self.asked_of[prompt] += 1
            await asyncio.sleep(self.takes_s)
            fault, first = fault_of(prompt), self.asked_of[prompt] == 1
            if fault == "bad" or fault == "broken" or (fault is not None and first):
                status = {"bad": 400, "broken": 500, "busy": 429, "away": 503}[fault]
                answer = servers.as_json(status, {"error": {"message": f"{fault} by design", "type": "x"}})
            else:
                answer = chat._answer(body)
            for piece in answer.pieces:
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
            if await reader.read() == b"" and fault not in ("bad", "broken") and (fault is None or not first):
                self.sent[prompt] += 1
        except (ConnectionError, asyncio.IncompleteReadError, OSError):
            pass  # a process that was killed
        finally:
            writer.close()


def settings_for(url: str) -> Any:
    from molt_magic.config import load_settings

    model = {"provider": "openai", "base_url": url, "api_key_env": "STRESS_KEY", "context_window": 8000, "model": "s"}
    prices = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
    values = {"catalog": "none", "models.small": {**model, **prices}, "network.retries": 1}  # one is enough for what passes
    return load_settings(cwd=Path("/")).with_values(values)


def child(url: str, rows: int, concurrency: int, max_cost: float | None, cache: bool, out: str) -> None:
    """One process that asks the column, and writes down the frame and what it took."""
    from molt_magic import Orchestrator

    begun = time.perf_counter()
    told: list[str] = []
    with Orchestrator(settings=settings_for(url)) as orch:
        frame = orch.map(
            prompts_of(rows),
            model="small",
            resume=RUN,
            max_cost=max_cost,
            concurrency=concurrency,
            cache=cache,
            max_tokens=40,
            on_event=lambda event: told.append(event.text),
        )
        spent = orch.runs.to_frame()["cost_usd"].item()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # all closed, and before the frame is written down
    frame.to_pickle(out)
    figures = {"seconds": round(time.perf_counter() - begun, 1), "cpu_s": round(time.process_time(), 1), "spent": spent}
    figures |= {
        "peak_mb": round(peak),
        "events": len(told),
        "last": told[-1],
    }
    print(json.dumps(figures))


@dataclass
class Batch:
    """The children of one test, one after another over one folder."""

    url: str
    home: Path
    rows: int
    concurrency: int = 16
    cache: bool = False

    def start(self, max_cost: float | None) -> subprocess.Popen[str]:
        how = [self.url, self.rows, self.concurrency, "none" if max_cost is None else max_cost, int(self.cache), self.out]
        command = [sys.executable, "-m", "tests.stress.batch", "child", *map(str, how)]
        return subprocess.Popen(
            command, cwd=ROOT, env=environment(self.home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    @property
    def out(self) -> Path:
        return self.home / "frame.pickle"

    def whole(self, max_cost: float | None) -> tuple[Any, dict[str, Any]]:
        """A child that is left in peace: its frame and what it says of itself."""
        import pandas as pd

        process = self.start(max_cost)
        said, complaints = process.communicate(timeout=7200)
        assert process.returncode == 0, complaints[-3000:]
        figures = json.loads(said.splitlines()[-1])
        if complaints.strip():
            figures["complaints"] = complaints[-2000:]
        return pd.read_pickle(self.out), figures

    def acknowledged(self) -> set[str]:
        """Prompts whose answers are in the run file or in the log, as a reader of the files sees it."""
        from molt_magic.batch.column import key_of

        keys = {key_of(prompt): prompt for prompt in set(prompts_of(self.rows))}
        found: set[str] = set()
        data = self.home / "data"
        if (data / "runs" / f"{RUN}.sqlite").exists():
            with (
                closing(sqlite3.connect(data / "runs" / f"{RUN}.sqlite")) as run,
                closing(sqlite3.connect(data / "decisions.sqlite")) as log,
            ):
                logged = {name for (name,) in log.execute("SELECT decision_id FROM decisions WHERE status = 'ok'")}
                for key, name, status in run.execute("SELECT key, decision_id, status FROM questions"):
                    if status == "ok" or (status is None and name in logged):
                        found.add(keys[key])
        return found


def run(rows: int, kills: int, home: Path, *, concurrency: int = 16, takes_s: float = 0.01, seed: int = 1) -> dict[str, Any]:
    """Kill a run `kills` times at about even distances, go on under a budget that is too small, then to the end."""
    lots = random.Random(seed)
    column = prompts_of(rows)
    fine = {prompt for prompt in column if fault_of(prompt) not in ("bad", "broken")}
    wrong: list[str] = []
    lost = 0  # answers that the server sent whole, and that the killed process had not acknowledged
    begun = time.perf_counter()
    with running(FaultyServer(takes_s=takes_s)) as server:
        batch = Batch(server.url, home, rows, concurrency)
        earlier = Counter[str]()
        for n in range(kills):
            target = int(len(fine) * 0.6 * (n + 1) / (kills + 1)) + lots.randrange(20)
            process = batch.start(None)
            until = time.monotonic() + 1200
            while sum(server.sent.values()) < target and process.poll() is None and time.monotonic() < until:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            if process.wait(60) != -signal.SIGKILL:
                wrong.append(f"life {n + 1} ended by itself: {process.communicate()[1][-1000:]}")
            process.communicate()
            time.sleep(0.5)  # what the server was still writing
            known, sent = batch.acknowledged(), Counter(server.sent)
            alone = sum(count for prompt, count in (sent - earlier).items() if prompt not in known)
            earlier = sent
            lost += alone
            if alone > concurrency:
                wrong.append(f"{alone} answers were in flight at kill {n + 1}")
            wrong += [f"{prompt!r} is known, but was never answered" for prompt in known - sent.keys()]
        before = dict(server.sent)
        known = batch.acknowledged()
        budget = 0.8 * len(fine) * USD
        frame, poor = batch.whole(budget)
        paid = sum(server.sent.values()) * USD
        if frame["status"].eq("ok").all() or not frame["status"].eq("not asked").any():
            wrong.append("the small budget refused nothing")
        if paid > budget + lost * USD + 1e-9:
            wrong.append(f"the budget of {budget} did not hold: {paid} with {lost} lost answers")
        if not poor["spent"] <= budget + 1e-9:
            wrong.append(f"the run says that it spent {poor['spent']} of {budget}")
        frame, rich = batch.whole(None)
        again = [prompt for prompt in known if server.sent[prompt] > before[prompt]]
        wrong += [f"{prompt!r} was acknowledged, and paid for again" for prompt in again]
        twice = sum(count - 1 for count in server.sent.values())
        if twice > lost:
            wrong.append(f"{twice} answers were paid for twice, though only {lost} were lost in kills")
        _, idle = batch.whole(None)  # nothing is left but what fails for good
        if sum(server.sent.values()) != len(fine) + twice:
            wrong.append("a run that was complete paid for more")
    wrong += _compare(frame, column)
    figures = {"rows": rows, "different": len(set(column)), "kills": kills, "failed_prompts": len(set(column) - fine)}
    figures |= {"lost_in_flight": lost, "paid_twice": twice, "budget_usd": budget, "paid_under_it_usd": paid}
    figures |= {"seconds": round(time.perf_counter() - begun), "errors": int(frame["error"].notna().sum())}
    return {"wrong": wrong[:20], **figures, "lives": [poor, rich, idle]}


def _compare(frame: Any, column: list[str]) -> list[str]:
    """What is wrong with a frame by what the server answers to each prompt."""
    wrong = [] if len(frame) == len(column) else [f"{len(frame)} rows of {len(column)}"]
    seen: set[str] = set()
    for prompt, row in zip(column, frame.itertuples(), strict=True):
        kind = {"bad": "bad_request", "broken": "server_error"}.get(fault_of(prompt) or "")
        if kind is not None:
            if row.text is not None or not str(row.error).startswith(f"{kind}: "):
                wrong.append(f"{prompt!r} should have failed with {kind}, and has {row.error!r}")
        elif row.text != answer_to(prompt) or row.error is not None:
            wrong.append(f"{prompt!r} has {row.text!r}, {row.error!r}")
        elif (row.cost_usd > 0) != (prompt not in seen):
            wrong.append(f"{prompt!r} costs {row.cost_usd}")
        seen.add(prompt)
    return wrong


def memory(rows: int, home: Path, *, concurrency: int = 16) -> dict[str, Any]:
    """One life, with the cache on: what it takes."""
    with running(FaultyServer(takes_s=0.0)) as server:
        frame, figures = Batch(server.url, home, rows, concurrency, cache=True).whole(None)
    wrong = _compare(frame, prompts_of(rows))
    if figures["peak_mb"] > LIMIT_MB:
        wrong.append(f"{figures['peak_mb']} MB")
    return {"rows": rows, "wrong": wrong[:20], **figures}


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        url, rows, concurrency, max_cost, cache, out = sys.argv[2:]
        child(url, int(rows), int(concurrency), None if max_cost == "none" else float(max_cost), cache == "1", out)
        sys.exit()
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=10_000)
    arguments.add_argument("--kills", type=int, default=2)
    arguments.add_argument("--concurrency", type=int, default=16)
    arguments.add_argument("--memory", action="store_true", help="one life in peace, for its peak of memory")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.memory:
            outcome = memory(chosen.rows, Path(folder), concurrency=chosen.concurrency)
        else:
            outcome = run(chosen.rows, chosen.kills, Path(folder), concurrency=chosen.concurrency)
    print(json.dumps(outcome, indent=1))
    sys.exit(1 if outcome["wrong"] else 0)
