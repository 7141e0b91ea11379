"""A log of many decisions, as months of work would leave one, for the table of decisions."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from molt_magic.log import DecisionLog
from molt_magic.log.schema import COLUMNS, to_row
from molt_magic.types import Decision
from tests.views.samples import DECISION

MODELS = {"small": 0.0001, "medium": 0.0008, "large": 0.006}  # and what a question costs, USD
STRATEGIES = ("rule", "semantic", "arbitrage", "cascade")
TASKS = ("simple_qa", "summarization", "code_generation", "classification", "translation")
TOPICS = ("median incomes", "harbour traffic", "rainfall in May", "survey weights", "energy prices", "bus delays", "tree rings")


def decisions(count: int, seed: int = 3) -> Iterator[Decision]:
    """Decisions a few minutes apart, newest last; costs, times and outcomes vary as they do in a log of real work."""
    rng = random.Random(seed)
    start = datetime(2026, 11, 20, tzinfo=UTC) - timedelta(minutes=7 * count)
    for i in range(count):
        model = rng.choices(list(MODELS), (6, 3, 2))[0]
        cache = rng.choices(("miss", "exact", "semantic", "off"), (70, 15, 5, 10))[0]
        status = rng.choices(("ok", "best_effort", "error", "interrupted"), (92, 4, 3, 1))[0]
        cost = 0.0 if cache in ("exact", "semantic") else MODELS[model] * rng.lognormvariate(0, 0.6)
        topic = rng.choice(TOPICS)
        yield replace(
            DECISION,
            decision_id=f"{i:016x}",
            time=(start + timedelta(minutes=7 * i, seconds=rng.random() * 300)).isoformat(),
            session=f"session-{i // 400}",
            strategy=rng.choice(STRATEGIES),
            task=rng.choice(TASKS),
            prompt=f"Question {i}: what do the figures say about {topic} in {rng.randrange(1950, 2026)}?",
            model=model,
            cache=cache,  # type: ignore[arg-type]
            status=status,  # type: ignore[arg-type]
            error="timeout: no answer within 60 s" if status == "error" else None,
            cost_usd=None if rng.random() < 0.01 else cost,
            saved_usd=max(0.0, MODELS["large"] - cost),
            latency_s=rng.lognormvariate(0, 0.7),
            escalations=rng.choices((0, 1, 2), (80, 15, 5))[0],
        )


def fill(home: Path, count: int) -> None:
    """Put so many decisions into the log of the folder that `MOLT_HOME` names."""
    path = home / "data" / "decisions.sqlite"
    path.parent.mkdir(parents=True)
    made = decisions(count)
    DecisionLog(path).append(next(made))  # which makes the file
    insert = f"INSERT INTO decisions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
    with closing(sqlite3.connect(path)) as connection, connection:  # at once: one at a time, 100,000 take minutes
        connection.executemany(insert, (to_row(decision, prompts=True) for decision in made))
