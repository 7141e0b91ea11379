"""A promise: a policy that surely keeps a share of the best single model's quality, frozen, so that it can be kept and used."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from molt_magic.embed import Embedder
from molt_magic.errors import InputError, StoreError
from molt_magic.quality import store
from molt_magic.quality.costs import ExpectedCost
from molt_magic.quality.predictor import Matrix, Predictor

AGAIN = "Calibrate again with: %route calibrate TABLE --keep; or end it with: %route calibrate off."

_NOTE = "promise"


class Expects(Protocol):
    """What was fitted to expect scores of prompts, as `Predictor` is."""

    def predict(self, prompts: Sequence[str], tasks: Sequence[str | None] | None = None) -> Matrix: ...


@dataclass(frozen=True, slots=True)
class Kept:
    """What a policy did on a table."""

    quality: float  # mean recorded score
    best_single_quality: float
    cost_usd: float  # a prompt
    best_single_cost_usd: float

    @property
    def share(self) -> float:
        """Of the best single model's quality."""
        return self.quality / self.best_single_quality if self.best_single_quality else math.nan

    @property
    def saved(self) -> float:
        """Of the best single model's cost."""
        return 1.0 - self.cost_usd / self.best_single_cost_usd if self.best_single_cost_usd else math.nan


@dataclass(frozen=True, slots=True)
class Span:
    """A mean as it was found, and between what the true one surely lies."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Promise:
    """argmax(predicted quality - price * expected cost) over the models that cost no more than the best single one.

    Nothing that is learned later moves it, and a model that it was not calibrated with is never picked: what was promised of
    it would not hold otherwise.

    Attributes:
        target: share of the best single model's quality that it keeps at least.
        confidence: the chance, over the outcomes it was calibrated with, that this is true.
        n: outcomes (prompts that every model answered) it was calibrated with.
        price: of quality in 1/USD, below 0 where what is dear is preferred.
        best_single: the model against whose quality it is promised, one of `models`.
        models: in the order of the predictor's columns.
        expected: what it did on the outcomes that did not teach the predictions.
        quality: mean score there, and where the true one lies.
        to_best: share of the prompts that went to the best single model there, and where the true one lies.
        created: when, ISO 8601, UTC.
    """

    target: float
    confidence: float
    n: int
    price: float
    best_single: str
    models: tuple[str, ...]
    expected: Kept
    quality: Span
    to_best: Span
    created: str
    predictor: Expects = field(repr=False, compare=False)
    costs: ExpectedCost = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        """8 hexadecimal digits over its figures: the same outcomes and wishes make the same promise."""
        figures = {name: value for name, value in _figures(self).items() if name != "created"}
        return blake2b(json.dumps(figures, sort_keys=True).encode(errors="replace"), digest_size=4).hexdigest()

    @property
    def said(self) -> str:
        """What is promised, in short: what the decisions taken under it say."""
        return (
            f"at least {percent(self.target)} of {self.best_single}'s quality, {percent(self.confidence)} sure "
            f"(promise {self.id})"
        )

    @property
    def statement(self) -> str:
        """The promise in a sentence, with what it rests on."""
        return (
            f"Keeps at least {percent(self.target)} of {self.best_single}'s quality with {percent(self.confidence)} confidence "
            f"on prompts like the {self.n:,} it was calibrated with, for {self.expected.saved:.0%} less "
            f"(there: {self.expected.share:.1%} of its quality)."
        )

    def __str__(self) -> str:
        return self.statement

    def pick(self, prompt: str, task: str | None = None) -> str:
        """The model that a prompt goes to."""
        return self.route([prompt], [task])[0]

    def route(self, prompts: Sequence[str], tasks: Sequence[str | None] | None = None) -> list[str]:
        """The model that each prompt goes to."""
        strong = self.models.index(self.best_single)
        picks = worth_most(self.predictor.predict(prompts, tasks), self.costs.predict(prompts), self.price, strong)
        return [self.models[j] for j in picks]

    def save(self, path: Path) -> None:
        """Write it in place of what is there, for its owner only; a reader sees the old file or the new one.

        The file holds no prompt, only numbers made from them, and is bound to the embedder by its id.

        Raises:
            InputError: its predictor is not the one that routes live.
            StoreError: the file cannot be written.
        """
        if not isinstance(self.predictor, Predictor):
            raise InputError(
                f"A promise by a predictor of your own ({type(self.predictor).__name__}) cannot be kept.",
                fix="Calibrate without `predictor`, by what predicts quality live.",
            )
        try:
            store.save(self.predictor, path, {_NOTE: _figures(self)})
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            story = getattr(error, "strerror", None) or error
            raise StoreError(f"{path} cannot be written: {story}.", fix="Choose another place.") from error

    @classmethod
    def load(cls, path: Path, embedder: Embedder) -> Promise:
        """The promise that a file holds. Money rides on it, so that nothing is passed over in silence.

        Raises:
            StoreError: there is no such file, it is damaged, holds something else, or is of another embedder or version.
        """
        try:
            predictor, note = store.read(path, embedder)
        except StoreError as error:
            raise StoreError(error.message, fix=error.fix or AGAIN) from error
        try:
            promise = _promise(note[_NOTE], predictor)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"{path} is no promise of molt_magic's.", fix=AGAIN) from error
        return promise


def worth_most(predicted: Matrix, cost: Matrix, price: float, strong: int) -> npt.NDArray[np.intp]:
    """The columns with the highest predicted quality - price * cost, (n,); one that is dearer than `strong` is never picked.

    Args:
        predicted, cost: (n, m), the cost in USD.
        price: 1/USD.
        strong: the best single model's column.
    """
    found: npt.NDArray[np.intp] = np.where(cost <= cost[:, [strong]], predicted - price * cost, -np.inf).argmax(axis=1)
    return found


def percent(share: float) -> str:
    """A share for people: 95%, 99.9%."""
    return f"{100 * share:.4g}%"


def _figures(promise: Promise) -> dict[str, Any]:
    """All of it but the predictor, JSON-ready."""
    costs = promise.costs
    names = ("target", "confidence", "n", "price", "best_single", "models", "created")
    return {
        **{name: getattr(promise, name) for name in names},
        **{name: asdict(getattr(promise, name)) for name in ("expected", "quality", "to_best")},
        "costs": {name: getattr(costs, name).tolist() for name in ("base", "per_character", "mean")},
    }


def _promise(figures: Mapping[str, Any], predictor: Predictor) -> Promise:
    """The other way round. Raises what a mapping of something else raises."""
    given = dict(figures)
    costs = {name: np.array(values, dtype=np.float64) for name, values in given.pop("costs").items()}
    promise = Promise(
        expected=Kept(**given.pop("expected")),
        quality=Span(**given.pop("quality")),
        to_best=Span(**given.pop("to_best")),
        models=tuple(given.pop("models")),
        costs=ExpectedCost(**costs),
        predictor=predictor,
        **given,
    )
    fits = promise.models == predictor.models and all(values.shape == (len(promise.models),) for values in costs.values())
    if not fits or promise.best_single not in promise.models or not math.isfinite(promise.price):
        raise ValueError("its parts do not belong together")
    return promise
