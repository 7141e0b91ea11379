"""A busy kernel killed with kill -9 at random moments, many times over one folder: what it was told is done, is done.

python -m tests.stress.kill --times 100
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.servers import running
from tests.stress.kernel import settings_for
from tests.stress.server import ChatServer

ROOT = Path(__file__).parent.parent.parent
_CHECK = "import sys; from tests.stress.kill import check; check(*sys.argv[1:])"


def environment(home: Path, key: str = "k") -> dict[str, str]:
    """Of a process whose state is in `home`."""
    return {**os.environ, "MOLT_HOME": str(home), "STRESS_KEY": key, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


class Acknowledged:
    """What killed processes had said before they died, by word."""

    def __init__(self) -> None:
        self.by_word: defaultdict[str, list[Any]] = defaultdict(list)

    def take(self, line: str) -> None:
        if line.endswith("\n"):  # a line without its end was cut off, and so never said
            word, _, rest = line.partition(" ")
            self.by_word[word].append(json.loads(rest))


def life(url: str, home: Path, seed: int, told: Acknowledged, tape: Path | None, *, after: int, wait_s: float) -> str:
    """One kernel, killed `wait_s` seconds after it said `after` things; returns what it complained of."""
    command = [sys.executable, "-m", "tests.stress.kernel", url, str(seed), "100000", *([str(tape)] if tape else [])]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    enough = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for n, line in enumerate(process.stdout, 1):
            told.take(line)
            if n >= after:
                enough.set()
        enough.set()

    reader = threading.Thread(target=read)
    reader.start()
    if after:
        enough.wait(120)
    time.sleep(wait_s)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL, "it ended by itself"
    reader.join(60)
    assert process.stderr is not None
    with process.stdout, process.stderr as complaints:
        return complaints.read()


def check(url: str, home: str, said: str, tape: str) -> None:
    """Open everything in a fresh process and compare it with what was acknowledged; prints what is wrong, and figures."""
    from molt_magic import Orchestrator
    from molt_magic.log.schema import JSON_COLUMNS
    from molt_magic.orchestrator.examples import KeptExamples
    from molt_magic.providers.cassette import Tape
    from molt_magic.quality.store import read

    told = json.loads(Path(said).read_text())
    wrong: list[str] = []
    data, cache = Path(home) / "data", Path(home) / "cache" / "answers"
    for file in filter(Path.exists, (data / "decisions.sqlite", cache / "cache.db")):
        with closing(sqlite3.connect(file)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchall()
            if found != [("ok",)]:
                wrong.append(f"{file.name}: {found[:3]}")
    with Orchestrator(settings=settings_for(url)) as orch:
        frame = orch.log.to_frame()
        ids = set(frame["decision_id"])
        wrong += [f"decision {each} is lost" for each in told.get("decision", []) if each not in ids]
        wrong += [f"half {name}" for name in JSON_COLUMNS if not all(isinstance(cell, list) for cell in frame[name])]
        wrong += [
            f"decision {row.decision_id} is half" for row in frame[frame["status"] == "ok"].itertuples() if not row.attempts
        ]
        marks = {(decision_id, score) for _, decision_id, score, _ in orch.log.feedback_since(0)}
        wrong += [f"feedback {each} is lost" for each in told.get("feedback", []) if tuple(each) not in marks]
        imported = {o.prompt.rpartition("(")[2].partition(",")[0] for o in orch.log.outcomes_since(0)[0] if o.prompt}
        wrong += [f"table {seed} is lost" for seed, _ in told.get("learned", []) if str(seed) not in imported]
        texts = {text for text, _ in KeptExamples(data / "examples.jsonl").news()}
        wrong += [f"example {each!r} is lost" for each in told.get("example", []) if each not in texts]
        if Path(tape).exists():
            answers = {recording.completion.text for recording in Tape(Path(tape), locks=Path(home) / "locks")}
            wrong += [f"taped answer {each!r} is lost" for each in told.get("taped", []) if each not in answers]
        fitted = (data / "quality.npz").exists()
        if fitted:
            read(data / "quality.npz", orch.embedder)  # raises where it is no whole file
        for prompt, expected in (("{}?", "miss"), ("{}?", "exact"), ("{}", "semantic")):
            result = orch.route(
                prompt.format(f"Which colour has the sky on day {len(frame)}"), strategy="direct", model="small"
            )
            if result.error is not None or result.decision.cache != expected:
                wrong.append(f"the cache said {result.decision.cache}, not {expected}: {result.error}")
        assert orch.cache is not None
        stats = orch.cache.stats()
        if stats["trouble"]:
            wrong.append(f"cache: {stats['trouble']}")
    litter = sorted(str(file.relative_to(home)) for file in Path(home).rglob("*") if file.suffix in (".tmp", ".part"))
    figures = {"rows": len(frame), "acknowledged": len(told.get("decision", [])), "fitted": fitted}
    figures |= {
        "entries": stats["entries"],
        "vectors": stats["semantic_entries"],
        "feedback": len(marks),
        "examples": len(texts),
    }
    figures |= {"litter": len(litter), "set_aside": (cache / "damaged-cache.db").exists()}
    print(json.dumps({"wrong": wrong, **figures}))


def run(times: int, home: Path, *, seed: int = 0, most: int = 30) -> dict[str, Any]:
    """Kill `times` kernels over one folder, and look at the folder after each: three of four while they are busy, at a moment
    within a fifth of a second after one to `most` things were acknowledged, the fourth while it starts.

    Returns:
        What was wrong, what the kernels complained of, and figures.
    """
    lots = random.Random(seed)
    told, wrong, complaints = Acknowledged(), [], []
    tape, note = home / "answers.jsonl", home / "acknowledged.json"
    last: dict[str, Any] = {}
    started = time.perf_counter()
    with running(ChatServer()) as server:
        for n in range(times):
            taped = tape if n % 5 == 4 else None
            after = lots.randrange(1, most + 1) if n % 4 < 3 else 0
            wait_s = lots.uniform(0.0, 0.2 if after else 4.0)
            said = life(server.url, home, lots.randrange(10**9), told, taped, after=after, wait_s=wait_s)
            complaints += [line for line in said.splitlines() if line.startswith("WARNING") or "Error" in line]
            note.write_text(json.dumps(told.by_word))
            looked = subprocess.run(
                [sys.executable, "-c", _CHECK, server.url, str(home), str(note), str(tape)],
                cwd=ROOT, env=environment(home), capture_output=True, text=True, timeout=300,
            )  # fmt: skip
            if looked.returncode != 0:
                wrong.append(f"after kill {n + 1}: {looked.stderr[-2000:]}")
                continue
            last = json.loads(looked.stdout.splitlines()[-1])
            wrong += [f"after kill {n + 1}: {each}" for each in last.pop("wrong")]
            complaints += [line for line in looked.stderr.splitlines() if line.startswith("WARNING") or "Error" in line]
    spent = time.perf_counter() - started
    return {"kills": times, "wrong": wrong, "complaints": complaints, "seconds": round(spent), **last}


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--times", type=int, default=100)
    arguments.add_argument("--seed", type=int, default=0)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(chosen.times, Path(folder), seed=chosen.seed)
        outcome["bytes"] = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    print(json.dumps(outcome, indent=1))
    sys.exit(1 if outcome["wrong"] else 0)
