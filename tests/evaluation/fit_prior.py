"""Fits the prior that ships, on outcome tables of several models.

    python -m tests.evaluation.fit_prior TABLE.parquet... --out molt_magic/data/prior.npz

Of every table two things are learned: how easy a prompt is (the mean score of its models), and how far the better models are
ahead on it (mean score of the best third less that of the worst third); of the table with the most tasks also which task a
prompt is of. The first column is how easy a prompt is as all tables say together. Everything is fitted once for each fold of
prompts, without them.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from molt_magic.evaluation import read_outcomes
from molt_magic.evaluation.matrix import Floats, Ints, Outcomes, to_outcomes
from molt_magic.quality.blend import blend_weights
from molt_magic.quality.families import SHARPNESS
from molt_magic.quality.kernel import Landmarks, whitening
from molt_magic.quality.lexical import Lexical, terms_of
from molt_magic.quality.prior import FOLDS, Prior, fold_of, question, save_prior
from molt_magic.quality.ridge import fit_ridge
from molt_magic.quality.surface import surface

INNER = 5  # folds that penalties and weights are chosen on
_MOST_KINDS = 20  # tasks; of a table with more, tasks are no kinds of prompts but subjects


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, fit, write, and say how good it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    prior = fit({path.stem: to_outcomes(read_outcomes(path)) for path in given.tables}, said=True)
    save_prior(prior, given.out)
    print(f"{given.out}: {given.out.stat().st_size:,} bytes, trust {prior.trust:.2f}, usual {prior.usual:.2f}")


def fit(tables: Mapping[str, Outcomes], *, without: Collection[str] = (), said: bool = False) -> Prior:
    """A prior from tables, of the prompts that every model answered and whose question is not one of those `without`."""
    left = {question(prompt) for prompt in without}
    used = {name: _used(table, left) for name, table in tables.items()}
    texts = [text for table in used.values() for text in table.texts]
    of = np.repeat(np.arange(len(used)), [len(table) for table in used.values()])
    terms, looks = [terms_of(text) for text in texts], surface(texts)
    lexical, landmarks = Lexical.fit(terms), _landmarks(looks)
    nothing = np.zeros((len(texts), 0), dtype=np.float32)
    blocks = (lexical.rows(terms), landmarks.rows(looks, nothing))
    outer = np.array([fold_of(text) for text in texts])
    easy = np.concatenate([_centred(table.scores.mean(axis=1)) for table in used.values()])
    rows, targets, columns = [np.arange(len(texts))], [easy[:, None]], ["easy"]
    kinds: list[str] = []
    for i, (name, table) in enumerate(used.items()):
        here = np.flatnonzero(of == i)
        rows.append(here)
        targets.append(np.stack([easy[here], _centred(_ahead(table))], axis=1))
        columns += [f"easy in {name}", f"ahead in {name}"]
        names = sorted({task for task in table.tasks if task is not None})
        if len(kinds) < len(names) <= _MOST_KINDS:
            kinds, kinds_at, kind = names, here, np.array([[float(task == n) for n in names] for task in table.tasks])
    if kinds:
        rows.append(kinds_at)
        targets.append(kind)
        columns += kinds
    c = len(columns)
    words = np.zeros((FOLDS, len(lexical.terms), c))
    likeness = np.zeros((FOLDS, landmarks.whitening.shape[1], c))
    offset = np.zeros((FOLDS, c))
    for fold in range(FOLDS):
        at = 0
        for here, target in zip(rows, targets, strict=True):
            learn = outer[here] != fold
            found = _linear([block[here[learn]] for block in blocks], target[learn])
            span = slice(at, at := at + target.shape[1])
            words[fold, :, span], likeness[fold, :, span], offset[fold, span] = found
    fitted = Prior(
        columns=tuple(columns),
        lexical=lexical,
        words=words.astype(np.float16).astype(np.float32),
        landmarks=tuple(replace(landmarks, whitening=landmarks.whitening @ fold) for fold in likeness),
        offset=offset.astype(np.float32),
        kinds=len(kinds),
        sharpness=1.0,
        centre=np.zeros(c, dtype=np.float32),
        deviation=np.ones(c, dtype=np.float32),
        usual=float(np.mean([table.scores.mean() for table in used.values()])),
        trust=_trust(blocks, easy, of, np.array([hash(question(text)) for text in texts])),
    )
    if kinds:
        raw = replace(fitted, kinds=0).rows(texts, looks, terms)[kinds_at, -len(kinds) :]
        fitted = replace(fitted, sharpness=max(SHARPNESS, key=lambda s: _likelihood(s * raw, kind)))
    raw = fitted.rows(texts, looks, terms)
    if said:
        for column, (here, target) in enumerate(zip(rows[:-1] if kinds else rows, targets, strict=False)):
            at = 0 if column == 0 else 2 * column - 1
            left_over = ((target - raw[here, at : at + target.shape[1]]) ** 2).sum(axis=0) / (target**2).sum(axis=0)
            print(f"{', '.join(columns[at : at + target.shape[1]])}: R2 held out {np.round(1 - left_over, 3)}, n {len(here)}")
    return replace(fitted, centre=raw.mean(axis=0), deviation=np.maximum(raw.std(axis=0), 1e-6))


def _used(table: Outcomes, left: Collection[str]) -> Outcomes:
    keep = np.array([question(text) not in left for text in table.texts])
    return table.take(keep & table.complete)


def _centred(values: Floats) -> Floats:
    centred: Floats = values - values.mean()
    return centred


def _ahead(table: Outcomes) -> Floats:
    """By how much the best third of the models is ahead of the worst third on each prompt, (n,)."""
    order = np.argsort(table.scores.mean(axis=0))
    third = max(1, len(order) // 3)
    found: Floats = table.scores[:, order[-third:]].mean(axis=1) - table.scores[:, order[:third]].mean(axis=1)
    return found


def _landmarks(looks: Floats) -> Landmarks:
    """Landmarks of the looks alone, as they are after they were rounded for the file."""
    found = Landmarks.fit(looks, np.zeros((len(looks), 0), dtype=np.float32), share=0.0, seed=0)
    points = found.points.astype(np.float16).astype(np.float64)
    mean, deviation = (values.astype(np.float32).astype(np.float64) for values in (found.mean, found.deviation))
    return replace(found, mean=mean, deviation=deviation, points=points, whitening=whitening(points))


def _linear(blocks: Sequence[np.ndarray], target: Floats) -> tuple[Floats, Floats, Floats]:
    """(weights of the words, weights of the likenesses, offset) of ridges on each block, blended a column of the target."""
    folds = np.random.default_rng(0).permutation(len(target)) % INNER
    mean = target.mean(axis=0)
    fitted = [fit_ridge(block, target - mean, folds) for block in blocks]
    outside = np.stack([out for _, out in fitted])
    share = np.stack([blend_weights(outside[:, :, j].T, target[:, j] - mean[j]) for j in range(target.shape[1])], axis=1)
    weights, offset = [], mean.copy()
    for (ridge, _), part in zip(fitted, share, strict=True):
        weights.append(ridge.weights * part / ridge.scale)
        offset += part * ridge.offset - ridge.centre @ weights[-1]
    return weights[0], weights[1], offset


def _trust(blocks: Sequence[np.ndarray], easy: Floats, of: Ints, same: Ints) -> float:
    """How much of a predicted difference in ease is there on a table that the prediction was made without: a slope."""
    above, below = 0.0, 0.0
    for i in np.unique(of) if len(np.unique(of)) > 1 else []:
        held = of == i
        learn = ~held & ~np.isin(same, same[held])
        words, likeness, offset = _linear([block[learn] for block in blocks], easy[learn][:, None])
        predicted = _centred((blocks[0][held] @ words + blocks[1][held] @ likeness + offset)[:, 0])
        above, below = above + float(predicted @ easy[held]) / held.sum(), below + float(predicted @ predicted) / held.sum()
    return float(np.clip(above / below, 0.0, 1.0)) if below else 0.0


def _likelihood(scores: Floats, kind: Floats) -> float:
    likely = np.exp(scores - scores.max(axis=1, keepdims=True))
    likely /= likely.sum(axis=1, keepdims=True)
    return float(np.log((likely * kind).sum(axis=1) + 1e-9).mean())


if __name__ == "__main__":
    main()
