"""Strategies and baselines fitted on one outcome table and scored on another."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from molt_magic import quality, validators
from molt_magic.embed import Embedder, StaticEmbedder
from molt_magic.errors import InputError, UnknownName
from molt_magic.evaluation import baselines, frames
from molt_magic.evaluation.bootstrap import weights
from molt_magic.evaluation.cases import Case, folds_of, predict
from molt_magic.evaluation.checks import SimulatedCheck
from molt_magic.evaluation.families import ArbitrageFamily, Family, RuleFamily, SemanticFamily
from molt_magic.evaluation.figures import Singles, figures, operating_points
from molt_magic.evaluation.knn import Knn, Predicts
from molt_magic.evaluation.ladders import CascadeFamily
from molt_magic.evaluation.matrix import Outcomes, to_outcomes
from molt_magic.evaluation.remembering import Remembering
from molt_magic.evaluation.report import Report
from molt_magic.evaluation.routes import price_grid
from molt_magic.evaluation.runs import Run, run_of
from molt_magic.evaluation.tables import read_outcomes
from molt_magic.evaluation.verified import verified

if TYPE_CHECKING:
    import pandas as pd

STRATEGIES = ("rule", "semantic", "arbitrage", "cascade")
LEAST = 10  # prompts to learn from, and to score
Source = "str | os.PathLike[str] | pd.DataFrame"


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
    prompts (each as it looks to what was fitted without it) and scored on test prompts.

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
        adequate: share of the best single model's training quality from which a cheaper one is adequate.
        folds: the training prompts are predicted in.
        resamples: of the bootstrap.

    Raises:
        InputError: a table that cannot be used, or too few prompts.
        UnknownName: no such strategy or check.
    """
    for name in strategies:
        if name not in STRATEGIES:
            raise UnknownName("strategy to evaluate", name, STRATEGIES)
    learn, held, notes = _aligned(to_outcomes(read_outcomes(train)), to_outcomes(read_outcomes(test)))
    remembering = Remembering(embedder or StaticEmbedder())
    parts = folds_of(len(learn), min(folds, len(learn)), seed)
    make = predictor or live_predictor(remembering, seed)
    needed = "arbitrage" in strategies or "cascade" in strategies
    neighbours = predict(lambda: Knn(embedder=remembering), learn, held, parts)
    predicted = predict(make, learn, held, parts) if needed else neighbours
    strong = baselines.best_single(learn)
    singles = Singles(weak=0, strong=strong)

    runs: dict[str, tuple[Mapping[str, int], Run]] = {}  # name -> settings chosen in training, what the test prompts gave
    told: dict[str, Sequence[str]] = {}
    for name in strategies:
        if name == "cascade":
            built, label, said = _checks(checks, simulated_check, learn, held)
            notes += said
            family = CascadeFamily(predicted[0], built(learn), size=settings)
            judged = predicted[0].whole()
            left = family.run(judged, strong)
            family.checks = built(held)
            right = verified(family, family.run(predicted[1], strong), predicted[1], strong, seed)
            runs[label] = (operating_points(left, judged.outcomes.scores[:, strong]), right)
            told[label] = family.settings
            continue
        router: Family = _family(name, learn, predicted[0], settings, remembering, seed)
        judged = router.judged_by(predicted[0])
        left, right = (
            run_of(name, router.thresholds, router.picks(case), case.outcomes, strong) for case in (judged, predicted[1])
        )
        runs[name] = (
            operating_points(left, judged.outcomes.scores[:, strong]),
            verified(router, right, predicted[1], strong, seed),
        )
    reference = learn.take(learn.complete).scores[:, strong]
    for name, (left, right) in _baselines(learn, held, neighbours, strong, adequate, settings).items():
        runs[name] = (operating_points(left, reference), right)

    drawn = weights(len(held), resamples, seed)
    as_is = np.full((1, len(held)), 1.0 / len(held))
    values: dict[str, Mapping[str, Any]] = {}
    resampled: dict[str, Mapping[str, Any]] = {}
    for name, (points, right) in runs.items():
        values[name] = {k: float(v[0]) for k, v in figures(right, points, held, singles, as_is).items()}
        resampled[name] = figures(right, points, held, singles, drawn)
    return Report(
        curve=frames.curve({name: run for name, (_, run) in runs.items()}, held.models, told),
        summary=frames.summary(values, resampled),
        reliability=frames.reliability(predicted[1]),
        best_single=held.models[strong],
        n_train=len(learn),
        n_test=len(held),
        notes=(*notes, *NOTES),
        resampled=resampled,
    )


NOTES = (
    "quality, cost_usd, saved_at_* and kept_at_* are of settings chosen on training prompts.",
    "aiq, apgr, cpt50, cpt80 and *_optimistic are read off the curve of the test prompts: optimistic.",
)


def live_predictor(embedder: Embedder, seed: int) -> Callable[[], Predicts]:
    """What predicts quality live."""
    live = getattr(quality, "Predictor", None)
    return lambda: Knn(embedder=embedder) if live is None else live(embedder=embedder, seed=seed)


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
    whole = int(test.complete.sum())
    if whole < len(test):
        notes.append(f"{len(test) - whole} of {len(test)} test prompts lack some model's outcome and are not scored.")
        test = test.take(test.complete)
    if len(train) < LEAST or len(test) < LEAST or int(train.complete.sum()) < LEAST:
        raise InputError(
            f"{int(train.complete.sum())} training and {len(test)} test prompts that every model answered are too few "
            f"(at least {LEAST} each).",
            fix="Every model has to answer the same prompts: let orch.compare or a table fill the gaps.",
        )
    if train.has_tasks is False:
        notes.append("No task is known: rule has one row for everything, semantic nothing to learn from.")
    return train, test, notes


def _family(name: str, learn: Outcomes, left_out: Case, size: int, embedder: Embedder, seed: int) -> Family:
    if name == "rule":
        return RuleFamily(learn, size=size)
    if name == "semantic":
        return SemanticFamily(learn, size=size, embedder=embedder, seed=seed)
    return ArbitrageFamily(left_out, size=size)


def _checks(
    specs: Sequence[validators.Spec], simulated: float | None, learn: Outcomes, held: Outcomes
) -> tuple[Callable[[Outcomes], tuple[Any, ...]], str, list[str]]:
    """(checks for a table's prompts, the cascade's name, what to note)."""
    if simulated is not None:
        if not 0.5 < simulated <= 1.0:
            raise InputError(f"simulated_check must be over 0.5 and at most 1, not {simulated!r}.")
        name = f"cascade (simulated check, {simulated:.0%} right)"
        note = f"{name}: its check reads the recorded score; it says what such a check would be worth, not what one is."
        return (lambda outcomes: (SimulatedCheck(outcomes, accuracy=simulated),)), name, [note]
    if learn.responses is None or held.responses is None:
        note = "cascade: no answers are recorded, so nothing could be checked and every ladder ends at its first rung."
        return (lambda _: ()), "cascade", [note]
    built = validators.build(specs, namespace={}, judge_model=None)
    return (lambda _: built), "cascade", []


def _baselines(
    learn: Outcomes, held: Outcomes, neighbours: tuple[Case, Case], strong: int, adequate: float, size: int
) -> dict[str, tuple[Run, Run]]:
    whole = learn.take(learn.complete)
    mean = np.nanmean(learn.costs, axis=0)
    prices = price_grid(neighbours[0].predicted, np.broadcast_to(mean, neighbours[0].predicted.shape), size)
    left, right = (
        baselines.router("kNN", case.predicted, mean, prices, case.outcomes, strong)
        for case in (neighbours[0].whole(), neighbours[1])
    )
    cheap = baselines.cheapest_adequate(learn, adequate)
    return {
        "kNN": (left, right),
        "best single": tuple(baselines.single("best single", strong, t, strong) for t in (whole, held)),  # type: ignore[dict-item]
        "cheapest adequate single": tuple(  # type: ignore[dict-item]
            baselines.single("cheapest adequate single", cheap, t, strong) for t in (whole, held)
        ),
        "random": (baselines.random_mix(learn, whole, strong), baselines.random_mix(learn, held, strong)),
        "oracle": (baselines.oracle(held, strong, size), baselines.oracle(held, strong, size)),
    }
