"""Every policy on outcome tables, over several splits at random: how the figures in the docs are made.

    python -m tests.evaluation.bench_tables TABLE.parquet... [--labels 1500] [--resplits 5] [--test 0.28] [--without-task]

A table is printed for each file. Settings are chosen on training prompts; what is read off the test curve is named so by
`Report.notes`. The difference to kNN is paired, over the same resampled prompts; its interval pools the resamples of all splits,
so it is as wide as that of one split.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from molt_magic import evaluation
from molt_magic.evaluation.bootstrap import interval
from molt_magic.evaluation.report import Report

FIGURES = (
    "aiq", "apgr", "cpt50", "cpt80", "saved_at_best", "kept_at_best", "saved_at_99", "kept_at_99", "saved_at_95", "kept_at_95",
    "quality_at_cost",
)  # fmt: skip
COMPARED = ("aiq", "apgr", "quality_at_cost")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--labels", type=int, help="training prompts at most; all that are not scored where it is not given")
    parser.add_argument("--resplits", type=int, default=5)
    parser.add_argument("--test", type=float, default=0.28, help="share of the prompts that are scored")
    parser.add_argument("--without-task", action="store_true", help="take away what the table says of a prompt's task")
    parser.add_argument("--strategies", default=",".join(evaluation.evaluate.__kwdefaults__["strategies"]))
    given = parser.parse_args(arguments)
    for path in given.tables:
        table = evaluation.read_outcomes(path).drop(columns="split", errors="ignore")
        if given.without_task:
            table = table.drop(columns="task", errors="ignore")
        reports = []
        for seed in range(given.resplits):
            train, test = resplit(table, test=given.test, labels=given.labels, seed=seed)
            reports.append(evaluation.evaluate(train=train, test=test, strategies=given.strategies.split(","), seed=seed))
        print(f"\n{path.stem}: {reports[0].n_train} prompts to learn from, {reports[0].n_test} scored, {len(reports)} splits")
        print(means(reports).round(4).to_string())
        print(against(reports).round(4).to_string())


def resplit(table: pd.DataFrame, *, test: float, labels: int | None, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(rows to learn from, rows to score), split at random by prompt."""
    ids = table["prompt_id"].unique()
    order = np.random.default_rng(seed).permutation(len(ids))
    cut = round(test * len(ids))
    learn = order[cut:][:labels]
    return table[table["prompt_id"].isin(ids[learn])], table[table["prompt_id"].isin(ids[order[:cut]])]


def means(reports: Sequence[Report]) -> pd.DataFrame:
    """A row a policy: its figures, each the mean over the splits that have it."""
    found = pd.concat([report.summary.set_index("strategy")[list(FIGURES)] for report in reports])
    return found.groupby(level=0, sort=False).mean()


def against(reports: Sequence[Report], other: str = "kNN") -> pd.DataFrame:
    """A row a policy: by how much it is better than `other` in each of COMPARED, with the interval."""
    rows = []
    for name in reports[0].summary["strategy"]:
        row: dict[str, object] = {"strategy": name}
        for figure in COMPARED:
            drawn = np.concatenate([r.resampled[name][figure] - r.resampled[other][figure] for r in reports])
            row[f"{figure} - {other}"] = float(np.mean([r.compare(name, other, figure).value for r in reports]))
            row[f"{figure}: lo"], row[f"{figure}: hi"] = interval(drawn)
        rows.append(row)
    return pd.DataFrame(rows).set_index("strategy")


if __name__ == "__main__":
    main()
