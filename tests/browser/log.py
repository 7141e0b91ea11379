"""A log of many decisions, as months of work would leave one, for the table of decisions."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from molt_magic.log import DecisionLog
from molt_magic.log.schema import COLUMNS, to_row
from molt_magic.types import Decision
from tests.views.samples import DECISION

MODELS = {"small": 0.0001, "medium": 0.0008, "large": 0.006}  # cheap to dear, and what a question costs, USD
PRIOR = {"small": 0.55, "medium": 0.7, "large": 0.92}
STRATEGIES = ("rule", "semantic", "arbitrage", "cascade")
TASKS = ("simple_qa", "summarization", "code_generation", "classification", "translation")
TOPICS = ("median incomes", "harbour traffic", "rainfall in May", "survey weights", "energy prices", "bus delays", "tree rings")
_REFUSED = {
    "accepted": False,
    "score": 0.0,
    "reason": "the figures do not add up",
    "validator": "arithmetic",
    "source": "validator",
}
_ACCEPTED = {**_REFUSED, "accepted": True, "score": 1.0, "reason": "every sum is right"}


def decisions(count: int, seed: int = 3) -> Iterator[Decision]:
    """Decisions a while apart, newest last; costs, times and outcomes vary as they do in a log of real work."""
    rng = random.Random(seed)
    apart = timedelta(minutes=7 if count > 10_000 else 120)
    start = datetime(2026, 11, 20, tzinfo=UTC) - apart * count
    for i in range(count):
        model = rng.choices(list(MODELS), (6, 3, 2))[0]
        strategy = rng.choice(STRATEGIES)
        cache = rng.choices(("miss", "exact", "semantic", "off"), (70, 15, 5, 10))[0]
        status = rng.choices(("ok", "best_effort", "error", "interrupted"), (92, 4, 3, 1))[0]
        climbed = list(MODELS)[: list(MODELS).index(model) + 1] if strategy == "cascade" else [model]
        free = cache in ("exact", "semantic")
        tried = [_attempt(n, name, name == model, cache, rng) for n, name in enumerate(climbed)]
        cost = sum(attempt["cost_usd"] for attempt in tried)
        dearest = MODELS["large"] * rng.lognormvariate(0, 0.3)
        yield replace(
            DECISION,
            decision_id=f"{i:016x}",
            time=(start + apart * i + timedelta(seconds=rng.random() * 300)).isoformat(),
            session=f"session-{i // 400}",
            strategy=strategy,
            task=rng.choice(TASKS),
            prompt=f"Question {i}: what do the figures say about {rng.choice(TOPICS)} in {rng.randrange(1950, 2026)}?",
            model=model,
            served_model=model,
            candidates=tuple(_candidate(name, name in climbed) for name in MODELS),
            attempts=tuple(tried),
            n_attempts=len(tried),
            escalations=len(tried) - 1,
            cache=cache,  # type: ignore[arg-type]
            status=status,  # type: ignore[arg-type]
            error="timeout: no answer within 60 s" if status == "error" else None,
            cost_usd=None if rng.random() < 0.01 else cost,
            overhead_cost_usd=0.0,
            baseline_model="large",
            baseline_cost_usd=dearest,
            saved_usd=dearest - cost,
            latency_s=0.01 if free else sum(attempt["latency_s"] for attempt in tried),
            predicted_quality=PRIOR[model],
            quality=None if strategy != "cascade" else float(status == "ok"),
            quality_source=None if strategy != "cascade" else "validator",
            reason=f"{model} was accepted (every sum is right)"
            if strategy == "cascade"
            else f"{model} is the cheapest that is surely good enough",
        )


def _attempt(index: int, model: str, last: bool, cache: str, rng: random.Random) -> dict[str, Any]:
    free = last and cache in ("exact", "semantic")
    return {
        "index": index, "model": model, "purpose": "answer", "cache": cache if last else "miss", "input_tokens": 38,
        "output_tokens": rng.randrange(40, 400), "tokens_estimated": False, "finish_reason": "stop", "error": None,
        "retries": [],
        "latency_s": 0.002 if free else rng.lognormvariate(-0.3, 0.6), "verdict": _ACCEPTED if last else _REFUSED,
        "cost_usd": 0.0 if free else MODELS[model] * rng.lognormvariate(0, 0.5),
    }  # fmt: skip


def _candidate(model: str, tried: bool) -> dict[str, Any]:
    return {
        "model": model, "expected_cost_usd": MODELS[model], "predicted_quality": PRIOR[model], "evidence": "48 outcomes",
        "quality_low": PRIOR[model] - 0.08, "skipped": None if tried else "not needed",
    }  # fmt: skip


def fill(home: Path, count: int) -> None:
    """Put so many decisions into the log of the folder that `MOLT_HOME` names."""
    path = home / "data" / "decisions.sqlite"
    path.parent.mkdir(parents=True)
    made = decisions(count)
    DecisionLog(path).append(next(made))  # which makes the file
    insert = f"INSERT INTO decisions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
    with closing(sqlite3.connect(path)) as connection, connection:  # at once: one at a time, 100,000 take minutes
        connection.executemany(insert, (to_row(decision, prompts=True) for decision in made))
