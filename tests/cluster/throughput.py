"""How many rows a second one process asks, and how many a cluster does; run by hand: `python -m tests.cluster.throughput`.

A server in a process of its own answers any number of requests at once, each after some time, streamed in pieces as models do.
What is measured: rows a second, and the CPU that a row takes in the process that asks for the run, in Dask's scheduler, and on
the workers. The CPU is what counts: it says how many rows a second a process can do at most, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from distributed import Client
from distributed.deploy.subprocess import SubprocessCluster

from molt_magic.config import load_settings
from molt_magic.orchestrator import Orchestrator

ALONE = (16, 64, 256)  # questions at once in one process
WORKERS = (1, 2, 4)


def main() -> None:
    """Print a line a way of asking."""
    read = argparse.ArgumentParser(description=__doc__)
    read.add_argument("--rows", type=int, default=1500)
    read.add_argument("--takes", type=float, default=0.2, help="seconds that an answer takes")
    read.add_argument(
        "--pieces", type=int, default=100, help="that an answer is streamed in: a token each, with most providers"
    )
    read.add_argument("--concurrency", type=int, default=16, help="questions at once on each worker")
    read.add_argument("--alone", type=int, nargs="*", default=ALONE, help="questions at once in one process")
    read.add_argument("--workers", type=int, nargs="*", default=WORKERS)
    read.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = read.parse_args()
    if asked.serve:
        asyncio.run(serve(asked.takes, asked.pieces))
        return
    print(f"{asked.rows} rows, answers after {asked.takes:g} s in {asked.pieces} pieces, {os.cpu_count()} cores")
    print(f"{'':34}{'rows/s':>8}{'CPU ms a row: here':>20}{'scheduler':>11}{'workers':>9}")
    with server(asked.takes, asked.pieces) as url:
        for concurrency in asked.alone:
            report(f"this process, {concurrency} at once", asked.rows, ask(url, asked.rows, concurrency))
        for count in asked.workers:
            with SubprocessCluster(
                n_workers=count, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
            ) as cluster:
                with Client(cluster) as client:
                    client.wait_for_workers(count)
                    pids = list(client.run(os.getpid).values())
                    scheduler = client.run_on_scheduler(os.getpid)
                    took = ask(url, asked.rows, asked.concurrency, client=client, pids=(scheduler, *pids))
                report(f"{count} workers, {asked.concurrency} at once on each", asked.rows, took)


def report(name: str, rows: int, took: tuple[float, list[float]]) -> None:
    seconds, (here, scheduler, *workers) = took[0], [*took[1], 0.0][: max(2, len(took[1]))]
    ms = [1000 * part / rows for part in (here, scheduler, sum(workers))]
    print(f"{name:34}{rows / seconds:8.0f}{ms[0]:20.2f}{ms[1]:11.2f}{ms[2]:9.2f}", flush=True)


def ask(
    url: str, rows: int, concurrency: int, *, client: Client | None = None, pids: tuple[int, ...] = ()
) -> tuple[float, list[float]]:
    """Seconds that a run takes, and CPU seconds of this process and of others."""
    processes = [psutil.Process(), *(psutil.Process(pid) for pid in pids)]
    model = {"provider": "openai", "model": "m", "base_url": url, "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(environ={**os.environ, "MOLT_HOME": folder}, cwd=Path(folder))
        settings = settings.with_values({"catalog": "none", "models.m": model})
        with Orchestrator(settings=settings) as orch:
            orch.map([f"warm {i}" for i in range(100)], client=client, model="m", concurrency=concurrency)
            prompts = [f"Why does {i} follow {i - 1}?" for i in range(rows)]
            before, began = [used(process) for process in processes], time.perf_counter()
            frame = orch.map(prompts, client=client, model="m", concurrency=concurrency)
            seconds = time.perf_counter() - began
            assert set(frame["status"]) == {"ok"}, frame["error"].dropna().iloc[0]
    return seconds, [used(process) - was for process, was in zip(processes, before, strict=True)]


def used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def server(takes_s: float, pieces: int) -> Iterator[str]:
    options = ["--serve", "--takes", str(takes_s), "--pieces", str(pieces)]
    command = [sys.executable, "-m", "tests.cluster.throughput", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.terminate()


async def serve(takes_s: float, pieces: int) -> None:
    """Answer streamed chat requests, connections kept alive."""
    named = {"id": "c", "object": "chat.completion.chunk", "model": "m-served"}
    parts = [{"choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]}] * pieces
    parts.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    parts.append({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 60, "total_tokens": 72}})
    body = "".join(f"data: {json.dumps({**named, **part})}\n\n" for part in parts) + "data: [DONE]\n\n"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n"
    answer = (head + body).encode()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(asked.split(b"content-length:")[1].split(b"\r\n")[0]))
                await asyncio.sleep(takes_s)
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0, backlog=1024)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
