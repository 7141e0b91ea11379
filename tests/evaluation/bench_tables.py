"""Every policy on outcome tables, over several splits at random: how the figures in the docs are made.

    python -m tests.evaluation.bench_tables TABLE.parquet... [--labels 1500] [--resplits 5] [--test 0.28] [--without-task]
        [--prior shipped | none | TABLE.parquet,...]

Two tables are printed for each file. Settings are chosen on training prompts; what is read off the test curve is named so by
`Report.notes`. The difference to kNN is paired, over the same resampled prompts; its interval pools the resamples of all
splits, so it is as wide as that of one split.

The prior that ships was fitted on public tables. It says nothing of a prompt that it has learned from that very prompt, yet
on those tables it stands for more labels than `--labels` says. With `--prior TABLE.parquet,...` a prior is fitted anew for each
split, on these tables less the questions that are learned from or scored: given other tables it shows what carries over, given
the same one what more prompts of the same kind are worth. With `none` there is only the table itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from molt_magic import evaluation
from molt_magic.embed import StaticEmbedder
from molt_magic.evaluation.bootstrap import interval
from molt_magic.evaluation.matrix import Outcomes, to_outcomes
from molt_magic.evaluation.remembering import Remembering
from molt_magic.evaluation.report import Report
from molt_magic.quality import Predictor
from molt_magic.quality.prior import Prior, shipped
from tests.evaluation import fit_prior

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
    parser.add_argument("--prior", default="none", help="shipped, none, or tables to fit one on")
    given = parser.parse_args(arguments)
    elsewhere = {}
    if given.prior not in ("shipped", "none"):
        elsewhere = {Path(p).stem: to_outcomes(evaluation.read_outcomes(p)) for p in given.prior.split(",")}
    embedder = Remembering(StaticEmbedder())
    for path in given.tables:
        table = evaluation.read_outcomes(path).drop(columns="split", errors="ignore")
        if given.without_task:
            table = table.drop(columns="task", errors="ignore")
        reports = []
        for seed in range(given.resplits):
            train, test = resplit(table, test=given.test, labels=given.labels, seed=seed)
            prior = shipped() if given.prior == "shipped" else refitted(elsewhere, [train, test]) if elsewhere else None
            reports.append(
                evaluation.evaluate(
                    train=train,
                    test=test,
                    strategies=given.strategies.split(","),
                    predictor=partial(Predictor, embedder=embedder, prior=partial(_given, prior), seed=seed),
                    embedder=embedder,
                    seed=seed,
                )
            )
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


def refitted(tables: Mapping[str, Outcomes], without: Sequence[pd.DataFrame]) -> Prior:
    """A prior that has seen none of the prompts of other tables."""
    return fit_prior.fit(tables, without={text for table in without for text in to_outcomes(table).texts})


def _given(prior: Prior | None) -> Prior | None:
    return prior


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
