"""Outcome tables made up for tests: three models, three kinds of prompts, who is right depends on the kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

MODELS: Mapping[str, float] = {"cheap": 1e-4, "middle": 4e-4, "dear": 5e-3}  # USD a call, before the prompt's length
# P(right) of cheap, middle, dear
RIGHT: Mapping[str, Sequence[float]] = {
    "capitals": (0.92, 0.93, 0.95),
    "sums": (0.35, 0.80, 0.92),
    "code": (0.15, 0.40, 0.90),
}
_WORDS: Mapping[str, str] = {
    "capitals": "What is the capital city of the country number {} on the map of the world?",
    "sums": "Add the two numbers {} and 17 and tell only their total.",
    "code": "Write a Python function that returns the list element at index {}.",
}


def table(n: int, *, seed: int = 0, responses: bool = True, models: Sequence[str] = tuple(MODELS)) -> pd.DataFrame:
    """n prompts of every kind by turns; a wrong answer is one of three wrong ones."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        task = list(RIGHT)[i % len(RIGHT)]
        prompt = _WORDS[task].format(i) + " Please." * int(rng.integers(0, 6))
        for model in models:
            right = rng.random() < RIGHT[task][list(MODELS).index(model)]
            row = {
                "prompt_id": f"p{i}",
                "prompt": prompt,
                "task": task,
                "model": model,
                "score": float(right),
                "cost_usd": MODELS[model] * (1 + len(prompt) / 200),
            }
            if responses:
                row["response"] = f"The answer is {i if right else -int(rng.integers(1, 4))}."
            rows.append(row)
    return pd.DataFrame(rows)


def repeated(given: pd.DataFrame, times: int) -> pd.DataFrame:
    """Every prompt asked so many times, each time under another id and with the same scores."""
    runs = [given.assign(prompt_id=given["prompt_id"] + f"-run{k}") for k in range(times)]
    return pd.concat(runs, ignore_index=True)
