"""What a busy kernel does, in a process of its own: it says on its standard output what was acknowledged to it, line by line,
before it goes on.

    python -m tests.stress.kernel URL SEED STEPS [TAPE]

The state is in MOLT_HOME and the server's key in STRESS_KEY.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from molt_magic import Orchestrator
from molt_magic.config import load_settings

SUBJECTS = (
    "the tides",
    "a leap year",
    "photosynthesis",
    "the Treaty of Westphalia",
    "compound interest",
    "a suspension bridge",
)
ASKS = ("Explain {} to a child.", "What is {} good for?", "Summarise {} in one sentence.", "Translate '{}' into French.")
STRATEGIES = ("rule", "semantic", "arbitrage", "cascade", "direct")
TASKS = ("simple_qa", "summarization", "translation")


def settings_for(url: str, tape: str | None = None, *, environ: Mapping[str, str] = os.environ) -> Any:
    """Two models on one server; cache, semantic cache and exploration are on. The environment names the state's folder."""
    model = {"provider": "openai", "base_url": url, "api_key_env": "STRESS_KEY", "context_window": 8000}
    values: dict[str, Any] = {
        "catalog": "none",
        "models.small": {**model, "model": "s", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0, "prior_quality": 0.5},
        "models.big": {**model, "model": "b", "input_usd_per_mtok": 10.0, "output_usd_per_mtok": 40.0, "prior_quality": 0.9},
        "cascade.ladder": ("small", "big"),
        "routes.simple_qa": {"primary": "small", "fallback": "big"},
        "routes.summarization": {"primary": "small"},
        "routes.translation": {"primary": "big"},
        "exploration.share": 0.2,
        "defaults.judge": "big",
    }
    if tape is not None:
        values |= {"cassette.file": tape, "cassette.mode": "record"}
    return load_settings(cwd=Path("/"), environ=environ).with_values(values)


def prompt_by(lots: random.Random) -> str:
    """One of some hundred prompts, so that some are asked again."""
    number = f" Give {lots.randrange(2, 9)} facts." if lots.random() < 0.5 else ""
    return lots.choice(ASKS).format(lots.choice(SUBJECTS)) + number


def taught(seed: int, rows: int = 120) -> Any:
    """An outcome table: enough that predicted quality is fitted."""
    import pandas as pd

    lots = random.Random(seed)
    prompts = [f"{prompt_by(lots)} ({seed}, {n})" for n in range(rows)]
    return pd.DataFrame(
        [
            {"prompt_id": f"{seed}-{n}", "prompt": prompt, "model": model, "score": lots.random(), "cost_usd": 0.001}
            for n, prompt in enumerate(prompts)
            for model in ("small", "big")
        ]
    )


def said(word: str, what: object) -> None:
    """Acknowledge to whoever watches: out of this process before anything else is done."""
    print(word, json.dumps(what), flush=True)


def step(orch: Orchestrator, lots: random.Random, known: list[str], *, taped: bool) -> None:
    """One thing that a notebook does."""
    kind = lots.random()
    if kind < 0.75 or not known or taped:  # over a cassette nothing else lasts
        prompt, options = prompt_by(lots), {"strategy": lots.choice(STRATEGIES)}
        if options["strategy"] in ("arbitrage", "cascade") or lots.random() < 0.2:
            options["validate"] = ["nonempty", "judge"]
        if lots.random() < 0.2:
            options |= {"thread": "talk", "cell_id": f"cell-{lots.randrange(6)}"}
        result = orch.route(prompt, **options)
        known.append(result.decision.decision_id)
        said("decision", result.decision.decision_id)
        if taped:
            said("taped", result.text)
    elif kind < 0.87:
        decision_id, score = lots.choice(known), float(lots.randrange(2))
        orch.feedback(decision_id, score)
        said("feedback", [decision_id, score])
    elif kind < 0.94:
        text = f"{prompt_by(lots)} [{lots.randrange(10**9)}]"
        orch.classifier.add([(text, lots.choice(TASKS))])
        said("example", text)
    elif kind < 0.97:
        seed = lots.randrange(10**6)
        said("learned", [seed, orch.learn(taught(seed, rows=40))])
    else:
        orch._parts.quality.refit()  # what a growing log does now and then
        said("fitted", True)


def main(url: str, seed: int, steps: int, tape: str | None = None) -> None:
    logging.basicConfig(level=logging.WARNING, format="WARNING %(name)s %(message)s")  # on standard error
    lots = random.Random(seed)
    known: list[str] = []
    with Orchestrator(settings=settings_for(url, tape)) as orch:
        said("ready", time.time())
        if not orch.log.last_outcome():
            said("learned", [seed, orch.learn(taught(seed))])
        for _ in range(steps):
            step(orch, lots, known, taped=tape is not None)
    said("done", True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None)
