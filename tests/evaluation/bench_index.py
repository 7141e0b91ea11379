"""What it costs in quality to look at the prompts in nearby cells only, on outcome tables put together.

    python -m tests.evaluation.bench_index TABLE.parquet... [--learned 10000] [--resplits 3]

A fit on as many prompts is asked about the rest, with its index and with one that looks at every prompt.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from molt_magic import evaluation
from molt_magic.embed import StaticEmbedder
from molt_magic.quality import Predictor
from molt_magic.quality.index import Index

NEAREST = 80


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--learned", type=int, default=10_000, help="prompts to learn from")
    parser.add_argument("--resplits", type=int, default=3)
    given = parser.parse_args(arguments)
    table = pd.concat([evaluation.read_outcomes(path) for path in given.tables])
    if "prompt_short" in table:
        table["prompt"] = table["prompt_short"].where(table["prompt_short"].notna(), table["prompt"])
    scores = table.pivot_table(index="prompt", columns="model", values="score")
    vectors = StaticEmbedder().embed(list(scores.index))
    rows = []
    for split in range(given.resplits):
        order = np.random.default_rng(split).permutation(len(scores))
        learned, asked = scores.iloc[order[: given.learned]], scores.iloc[order[given.learned :]]
        predictor = Predictor(prior=lambda: None)
        predictor.fit(list(learned.index), learned.to_numpy(), list(scores.columns), vectors=vectors[order[: given.learned]])
        rows.append({"split": split, **_compared(predictor, asked, vectors[order[given.learned :]])})
    print(pd.DataFrame(rows).set_index("split").T.round(5).to_string())


def _compared(predictor: Predictor, asked: pd.DataFrame, vectors: np.ndarray) -> dict[str, float]:
    index, prompts = predictor.fitted.near.index, list(asked.index)
    in_cells = predictor.predict(prompts, vectors=vectors)
    found = index.nearest(vectors, NEAREST)[0]
    n = len(index.vectors)
    whole = Index(index.vectors[np.argsort(index.places)], np.arange(n), index.centres[:0], index.ends[:0])
    predictor.state = replace(predictor.fitted, near=replace(predictor.fitted.near, index=whole))
    of_all = predictor.predict(prompts, vectors=vectors)
    exact = whole.nearest(vectors, NEAREST)[0]
    return {
        f"of the {NEAREST} nearest found": float(
            np.mean([len({*a} & {*b}) for a, b in zip(found, exact, strict=True)]) / NEAREST
        ),
        "prediction moved by": float(np.abs(in_cells - of_all).mean()),
        "squared error, all": _error(of_all, asked),
        "squared error, in cells": _error(in_cells, asked),
        "score of the best predicted, all": _best(of_all, asked),
        "score of the best predicted, in cells": _best(in_cells, asked),
    }


def _error(predicted: np.ndarray, asked: pd.DataFrame) -> float:
    return float(np.nanmean((predicted - asked.to_numpy()) ** 2))


def _best(predicted: np.ndarray, asked: pd.DataFrame) -> float:
    """Mean score of the model that is predicted to be the best of those that answered."""
    scores = asked.to_numpy()
    best = np.where(np.isnan(scores), -1.0, predicted).argmax(axis=1)
    return float(scores[np.arange(len(scores)), best].mean())


if __name__ == "__main__":
    main()
