"""Strategies and baselines fitted on one outcome table and scored on another."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from molt_magic import validators
from molt_magic.embed import Embedder, StaticEmbedder
from molt_magic.errors import InputError, UnknownName
from molt_magic.evaluation import baselines, frames
from molt_magic.evaluation.bootstrap import clustered
from molt_magic.evaluation.cases import folds_of, predict
from molt_magic.evaluation.contest import Contest, Entry, checks_of
from molt_magic.evaluation.families import Guesser
from molt_magic.evaluation.figures import Singles, figures
from molt_magic.evaluation.knn import Knn, Predicts
from molt_magic.evaluation.matrix import Floats, Outcomes, to_outcomes
from molt_magic.evaluation.remembering import Remembering
from molt_magic.evaluation.report import Report
from molt_magic.evaluation.tables import read_outcomes
from molt_magic.quality import Predictor

if TYPE_CHECKING:
    import pandas as pd

STRATEGIES = ("rule", "semantic", "arbitrage", "cascade")
LEAST = 10  # prompts to learn from, and to score


def evaluate(
    *,
    train: str | os.PathLike[str] | pd.DataFrame,
    test: str | os.PathLike[str] | pd.DataFrame,
    strategies: Sequence[str] = STRATEGIES,
    checks: Sequence[validators.Spec] = ("nonempty", "refusal"),
    simulated_check: float | None = None,
    predictor: Callable[[], Predicts] | None = None,
    embedder: Embedder | None = None,
    settings: int = 100,
    adequate: float = 0.95,
    folds: int = 3,
    resamples: int = 500,
    seed: int = 0,
) -> Report:
    """Fit strategies on `train`, score them on `test`, beside single models, a random mix, kNN and an oracle.

    The strategies are the ones that route live, driven by recorded outcomes. Settings are made and chosen on training
    prompts (each as it looks to what was fitted without it) and scored on test prompts. Repetitions of a prompt are one where
    folds are made and resamples drawn.

    Args:
        train, test: tables as for `read_outcomes`; of both, the models that are in both.
        strategies: of `rule, semantic, arbitrage, cascade`.
        checks: of the cascade's answers, as in `%%route -v`; they need recorded answers (`response`). Checks that ask a
            model (judge, agree) were not recorded and abstain; a second opinion of a model in the table is tried anyway.
        simulated_check: for tables without answers: how often a check would be right, in (0.5, 1]. The cascade is then
            named "cascade (simulated check, 90 % right)": it says what such a check would be worth.
        predictor: makes an unfitted predictor of quality; None: the one that routes live.
        embedder: None: the static one.
        settings: of every strategy's threshold, at most.
        adequate: share of the best single model's training quality from which a cheaper one is adequate, over 0 and at most 1.
        folds: the training prompts are predicted in, at least 2.
        resamples: of the bootstrap.

    Raises:
        InputError: a table that cannot be used, too few prompts, or a number out of range.
        UnknownName: no such strategy or check.
    """
    for name in strategies:
        if name not in STRATEGIES:
            raise UnknownName("strategy to evaluate", name, STRATEGIES)
    if not 0.0 < adequate <= 1.0:
        raise InputError(f"adequate must be over 0 and at most 1, not {adequate!r}.", fix="Say adequate=0.95.")
    if not folds >= 2:
        raise InputError(f"folds must be 2 or more, not {folds!r}.", fix="Say folds=3.")
    learn, held, notes = _aligned(to_outcomes(read_outcomes(train)), to_outcomes(read_outcomes(test)))
    remembering = Remembering(embedder or StaticEmbedder())
    parts = folds_of(learn, folds, seed)
    neighbours = predict(lambda: Knn(embedder=remembering), learn, held, parts)
    needed = "arbitrage" in strategies or "cascade" in strategies
    make = predictor or live_predictor(remembering, seed)
    predicted = predict(make, learn, held, parts) if needed else neighbours
    strong = baselines.best_single(learn)
    guesser = Guesser(learn, embedder=remembering, seed=seed)
    contest = Contest(predicted, neighbours, strong, settings, adequate, guesser, remembering, seed)
    built, label, said = checks_of(checks, simulated_check, learn, held)
    if "cascade" in strategies:
        notes += said

    def entries(of: Contest) -> dict[str, Entry]:
        own: dict[str, Entry] = {}
        for name in strategies:
            own |= {label: of.cascade(built)} if name == "cascade" else of.strategy(name)
        return own | of.baselines()

    found = entries(contest)
    counted = entries(contest.by_calls()) if len(held.models) == 2 else found
    drawn, as_is = clustered(held.numbers, resamples, seed), np.full((1, len(held)), 1.0 / len(held))
    singles = Singles(weak=0, strong=strong)
    values: dict[str, dict[str, float]] = {}
    resampled: dict[str, Mapping[str, Floats]] = {}
    for name, entry in found.items():
        figures_of = partial(figures, entry.run, entry.points, held, singles, counted=counted[name].run)
        values[name] = {figure: float(value[0]) for figure, value in figures_of(weights=as_is).items()}
        resampled[name] = figures_of(weights=drawn)
    return Report(
        curve=frames.curve({name: e.run for name, e in found.items()}, held.models, {n: e.settings for n, e in found.items()}),
        summary=frames.summary(values, resampled),
        reliability=frames.reliability(predicted[1]),
        best_single=held.models[strong],
        n_train=len(learn),
        n_test=len(held),
        notes=(*notes, *NOTES),
        resampled=resampled,
    )


NOTES = (
    "quality, cost_usd, saved_at_*, kept_at_* and quality_at_cost are of settings chosen on training prompts.",
    "aiq, apgr, cpt50, cpt80 and *_optimistic are read off the curve of the test prompts: optimistic.",
    "apgr and cpt of two models count calls, as RouteLLM does: for them every call of a model is taken to cost the same.",
)


def live_predictor(embedder: Embedder, seed: int) -> Callable[[], Predicts]:
    """What predicts quality live."""
    return lambda: Predictor(embedder=embedder, seed=seed)


def _aligned(train: Outcomes, test: Outcomes) -> tuple[Outcomes, Outcomes, list[str]]:
    """Both tables over the same models, the test prompts whole, with what a reader has to know."""
    notes = []
    shared = [name for name in train.models if name in test.models]
    if not shared:
        fix = f"Train has {', '.join(train.models)}; test has {', '.join(test.models)}."
        raise InputError("No model is in both tables.", fix=fix)
    left = sorted({*train.models, *test.models} - {*shared})
    if left:
        notes.append(f"Left out, as they are in one table only: {', '.join(left)}.")
    train, test = train.with_models(shared), test.with_models(shared)
    train = train.take(np.isfinite(train.scores).sum(axis=1) > 0)
    lacking = len(test) - int(test.complete.sum())
    if lacking:
        notes.append(f"{lacking} of {len(test)} test prompts lack some model's outcome and are not scored.")
        test = test.take(test.complete)
    whole = train.take(train.complete).different
    if min(whole, test.different) < LEAST:
        raise InputError(
            f"{whole} training and {test.different} test prompts that every model answered are too few "
            f"(at least {LEAST} each, repetitions not counted).",
            fix="Every model has to answer the same prompts: let orch.compare or a table fill the gaps.",
        )
    notes += _repetitions(train, test)
    if train.has_tasks is False:
        notes.append("No task is known: rule has one row for everything, semantic nothing to learn from.")
    return train, test, notes


def _repetitions(train: Outcomes, test: Outcomes) -> list[str]:
    """What a reader has to know of prompts whose text comes more than once."""
    sides = (("training", train), ("test", test))
    told = [f"{len(o) - o.different} of {len(o)} {side} prompts" for side, o in sides if o.different < len(o)]
    notes = [f"{' and '.join(told)} repeat another one's text: intervals count a text once."] if told else []
    seen = set(train.texts)
    leaked = sum(text in seen for text in test.texts)
    if leaked:
        notes.append(f"{leaked} of {len(test)} test prompts have the text of a training prompt: their figures are too good.")
    return notes
