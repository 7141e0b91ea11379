"""What public outcome tables say of a prompt before there is any outcome of one's own: how hard it is, and what it is like.

Fitted coefficients ship, no row of a table (`data/SOURCES.md` names the tables; `tests/evaluation/fit_prior.py` fits them).
Hardness carries over from one family of prompts to another, if weakly; who is better by how much does not. So before there is
an outcome only the first is used, and the rest are columns that a fitted `Predictor` weighs by what they are worth on its own
outcomes.

The coefficients are there once for each fold of prompts, fitted without the prompts of that fold: whoever fits or scores on
one of those tables is never told what the prior has seen of the very same prompt.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from molt_magic.quality.calibrate import log_odds
from molt_magic.quality.families import sharpened
from molt_magic.quality.kernel import Landmarks, Likeness
from molt_magic.quality.lexical import Lexical, hashes_of
from molt_magic.quality.surface import looks_of
from molt_magic.quality.words import words_and_numbers_of

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]

FOLDS = 3
MOST = 1.0  # logits that a prior is moved by at most: what was learned elsewhere proves nothing here
_QUESTION = 200  # characters that say which question it is
_OPTIONS = re.compile(r"\n\s*\(?[aA1][.):]\s|\n\s*[aA]nswer\b")


def question(prompt: str) -> str:
    """What two wordings of a question have in common: its words, without the options to choose from."""
    asked = _OPTIONS.split(prompt, maxsplit=1)[0] if "\n" in prompt else prompt
    return " ".join(words_and_numbers_of(asked.lower()))[:_QUESTION]


def fold_of(prompt: str) -> int:
    """The fold of a question, 0 .. FOLDS - 1: its coefficients were fitted without it."""
    return zlib.crc32(question(prompt).encode()) % FOLDS


@dataclass(frozen=True, eq=False, slots=True)
class _Easy:
    """The first column, ready for single prompts: NumPy takes longer to look at a row than to add it up. What the folds have in
    common is there once, as all of it leaves the processor's caches while a model is waited for."""

    terms: dict[int, tuple[float, ...]]  # of a term: its coefficient in each fold, and its rarity
    likeness: Likeness
    weights: list[Matrix]  # FOLDS, for it
    offsets: list[float]  # FOLDS

    def of(self, prompt: str) -> float:
        """How easy a prompt is."""
        fold, words, squares = fold_of(prompt), 0.0, 0.0
        counts: dict[int, int] = {}
        for term in [term for term in hashes_of(prompt) if term in self.terms]:
            counts[term] = counts.get(term, 0) + 1
        for term, n in counts.items():
            told = self.terms[term]
            weight = told[-1] if n == 1 else (1.0 + math.log(n)) * told[-1]
            words += weight * told[fold]
            squares += weight * weight
        words /= math.sqrt(squares) or 1.0
        return self.offsets[fold] + words + float(self.likeness.of(looks_of(prompt), self.weights[fold]))


@dataclass(frozen=True)
class Prior:
    """Linear in the words and in the likeness to some looks; c columns, the first of them is how easy a prompt is."""

    columns: tuple[str, ...]  # c names
    lexical: Lexical
    words: Rows  # (FOLDS, terms, c)
    landmarks: tuple[Landmarks, ...]  # FOLDS; their whitening, (l, c), has the coefficients in it
    offset: Rows  # (FOLDS, c)
    kinds: int  # the last columns are the kinds of prompts, as a distribution
    sharpness: float  # of that distribution
    centre: Rows  # (c,), of the columns
    deviation: Rows  # (c,)
    usual: float  # mean score of the models on the prompts it was fitted on
    trust: float  # share of a difference in hardness that was there on tables it had not seen

    @property
    def id(self) -> str:
        """Names what it was fitted on: a predictor is bound to its prior."""
        held = [self.words.tobytes(), *(marks.whitening.tobytes() for marks in self.landmarks)]
        return f"{zlib.crc32(b''.join(held)):08x}"

    def rows(self, prompts: Sequence[str], looks: Matrix, terms: Sequence[Counter[int]]) -> Rows:
        """Columns of unit deviation, float32 of shape (len(prompts), c).

        Args:
            looks: of `surface`.
            terms: of `terms_of`.
        """
        return (self._raw(prompts, looks, terms) - self.centre) / self.deviation

    def row(self, prompt: str, looks: Sequence[float], hashes: Sequence[int]) -> Matrix:
        """The row of a single prompt, (c,), given its `looks_of` and `hashes_of`."""
        fold, (places, weights) = fold_of(prompt), self.lexical.row(hashes)
        raw = self._likeness.of(looks, self._likenesses[fold]) + self.offset[fold]
        raw += weights.dot(self.words[fold].take(places, axis=0))
        if self.kinds:
            raw[-self.kinds :] = sharpened(raw[-self.kinds :], self.sharpness)
        found: Matrix = (raw - self.centre) / self.deviation
        return found

    def shift(self, prompt: str) -> float:
        """Logits by which a prior quality is moved: over 0 for an easy prompt, under 0 for a hard one."""
        easy = self._easy.of(prompt)
        moved = log_odds(self.usual + easy) - log_odds(self.usual)
        return min(max(self.trust * moved, -MOST), MOST)

    @cached_property
    def _easy(self) -> _Easy:
        told = zip(*self.words[:, :, 0].tolist(), self.lexical.rarity.tolist(), strict=True)
        return _Easy(
            terms=dict(zip(self.lexical.terms.tolist(), told, strict=True)),
            likeness=self._likeness,
            weights=[self._likeness.weights(marks.whitening[:, 0]) for marks in self.landmarks],
            offsets=self.offset[:, 0].tolist(),
        )

    @cached_property
    def _likeness(self) -> Likeness:
        return Likeness.to(self.landmarks[0])  # the folds' landmarks are the same, their worth is not

    @cached_property
    def _likenesses(self) -> list[Matrix]:
        """The worth of being like each landmark, for each fold: (l, c)."""
        return [self._likeness.weights(marks.whitening) for marks in self.landmarks]

    def _raw(self, prompts: Sequence[str], looks: Matrix, terms: Sequence[Counter[int]]) -> Rows:
        folds = np.array([fold_of(prompt) for prompt in prompts])
        words, raw = self.lexical.rows(terms), np.empty((len(prompts), len(self.columns)), dtype=np.float32)
        for fold in np.unique(folds):
            here = folds == fold
            nothing = np.zeros((int(here.sum()), 0), dtype=np.float32)
            raw[here] = self.offset[fold] + words[here] @ self.words[fold] + self.landmarks[fold].rows(looks[here], nothing)
        if self.kinds:
            raw[:, -self.kinds :] = sharpened(raw[:, -self.kinds :], self.sharpness)
        return raw


def save_prior(prior: Prior, path: Path) -> None:
    """Write it as a compressed .npz of plain arrays. Raises OSError."""
    marks = prior.landmarks[0]
    np.savez_compressed(
        path,
        columns=np.array(prior.columns),
        terms=prior.lexical.terms.astype(np.uint32),
        rarity=prior.lexical.rarity,
        words=prior.words.astype(np.float16),
        looks_mean=marks.mean.astype(np.float32),
        looks_deviation=marks.deviation.astype(np.float32),
        points=marks.points.astype(np.float16),
        likeness=np.stack([fold.whitening for fold in prior.landmarks]).astype(np.float32),
        offset=prior.offset,
        centre=prior.centre,
        deviation=prior.deviation,
        about=np.array([prior.kinds, prior.sharpness, prior.usual, prior.trust]),
    )


def load_prior(path: Path) -> Prior:
    """The prior of a file of `save_prior`. Raises OSError or ValueError where it is none."""
    with np.load(path, allow_pickle=False) as file:
        kinds, sharpness, usual, trust = file["about"].tolist()
        mean, deviation, points = (file[name].astype(np.float64) for name in ("looks_mean", "looks_deviation", "points"))
        return Prior(
            columns=tuple(file["columns"].tolist()),
            lexical=Lexical(file["terms"].astype(np.int64), file["rarity"]),
            words=file["words"].astype(np.float32),
            landmarks=tuple(Landmarks(mean, deviation, 0.0, points, fold) for fold in file["likeness"].astype(np.float64)),
            offset=file["offset"],
            kinds=int(kinds),
            sharpness=sharpness,
            centre=file["centre"],
            deviation=file["deviation"],
            usual=usual,
            trust=trust,
        )


@lru_cache(maxsize=1)
def shipped() -> Prior:
    """The prior that ships, read once."""
    with as_file(files("molt_magic") / "data" / "prior.npz") as path:
        return load_prior(path)
