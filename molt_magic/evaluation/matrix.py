"""An outcome table as matrices: a row a prompt, a column a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from molt_magic.errors import InputError
from molt_magic.quality.repeated import numbered

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """n prompts answered by m models. Cells without an outcome are NaN (numbers) or None (text)."""

    prompt_ids: tuple[str, ...]  # n
    prompts: tuple[str, ...]  # n, as asked
    texts: tuple[str, ...]  # n, what predictions look at: `prompt_short` where there is one, else the prompt
    tasks: tuple[str | None, ...]  # n
    models: tuple[str, ...]  # m, cheap to dear by their mean cost
    scores: Floats  # (n, m), in [0, 1]
    costs: Floats  # (n, m), USD
    responses: npt.NDArray[Any] | None  # (n, m) of str | None; None: not one answer is recorded
    tokens: Floats  # (n, m, 2), of the prompt and of the answer; NaN where unknown

    def __len__(self) -> int:
        return len(self.prompt_ids)

    @property
    def has_tasks(self) -> bool:
        return any(task is not None for task in self.tasks)

    @property
    def complete(self) -> npt.NDArray[np.bool_]:
        """(n,) whether every model's score and cost is known."""
        found: npt.NDArray[np.bool_] = np.isfinite((self.scores + self.costs).sum(axis=1))
        return found

    @property
    def numbers(self) -> Ints:
        """(n,) the number of each prompt's text, in the order in which they first come: repetitions of a prompt share one."""
        return numbered(self.texts)

    @property
    def different(self) -> int:
        """How many texts there are: repetitions of a prompt are one."""
        return len(set(self.texts))

    def rows(self, texts: Ints) -> Ints:
        """The rows of these texts, given by their numbers, in this order and each with its repetitions."""
        numbers = self.numbers
        ranks = np.full(self.different, len(texts))
        ranks[texts] = np.arange(len(texts))
        order: Ints = np.argsort(ranks[numbers], kind="stable")
        return order[: int((ranks[numbers] < len(texts)).sum())]

    def averaged(self) -> Outcomes:
        """Every text once, with the mean scores, costs and tokens of its repetitions and without their answers; as it is
        where nothing is repeated."""
        if self.different == len(self):
            return self
        numbers = self.numbers
        once = self.take(np.unique(numbers, return_index=True)[1])
        return replace(
            once,
            scores=_means(self.scores, numbers),
            costs=_means(self.costs, numbers),
            responses=None,
            tokens=_means(self.tokens, numbers),
        )

    def take(self, rows: Sequence[int] | npt.NDArray[Any]) -> Outcomes:
        """These prompts only, by position or by a mask of shape (n,)."""
        at = np.arange(len(self))[np.asarray(rows)]
        return replace(
            self,
            prompt_ids=tuple(self.prompt_ids[i] for i in at),
            prompts=tuple(self.prompts[i] for i in at),
            texts=tuple(self.texts[i] for i in at),
            tasks=tuple(self.tasks[i] for i in at),
            scores=self.scores[at],
            costs=self.costs[at],
            responses=None if self.responses is None else self.responses[at],
            tokens=self.tokens[at],
        )

    def with_models(self, models: Sequence[str]) -> Outcomes:
        """These models only, in this order."""
        at = [self.models.index(name) for name in models]
        return replace(
            self,
            models=tuple(models),
            scores=self.scores[:, at],
            costs=self.costs[:, at],
            responses=None if self.responses is None else self.responses[:, at],
            tokens=self.tokens[:, at],
        )


def to_outcomes(table: pd.DataFrame) -> Outcomes:
    """A table of `read_outcomes` as matrices.

    Raises:
        InputError: no rows, or a model without one known cost.
    """
    import pandas as pd

    if not len(table):
        raise InputError("The outcome table has no rows.", fix="Score some answers first: %route feedback, or a judge.")
    by_model = table.groupby("model")["cost_usd"].mean()
    if by_model.isna().any():
        name = by_model.index[by_model.isna()][0]
        raise InputError(f"No cost of {name!r} is known.", fix="Fill in cost_usd, or leave the model out.")
    models = tuple(by_model.sort_values(kind="stable").index)
    first = table.drop_duplicates("prompt_id").set_index("prompt_id")
    ids = list(first.index)
    row = pd.Index(ids).get_indexer(table["prompt_id"])
    column = pd.Index(models).get_indexer(table["model"])

    def filled(name: str) -> Floats:
        cells = np.full((len(ids), len(models)), np.nan)
        if name in table.columns:
            cells[row, column] = table[name].to_numpy(dtype="float64")
        return cells

    responses = None
    if "response" in table.columns and table["response"].notna().any():
        responses = np.full((len(ids), len(models)), None, dtype=object)
        responses[row, column] = table["response"].to_numpy(dtype=object)
    tasks = first["task"] if "task" in first.columns else [None] * len(ids)
    return Outcomes(
        prompt_ids=tuple(ids),
        prompts=tuple(first["prompt"]),
        texts=tuple(texts_by_id(table).values()),
        tasks=tuple(t if isinstance(t, str) else None for t in tasks),
        models=models,
        scores=filled("score"),
        costs=filled("cost_usd"),
        responses=responses,
        tokens=np.stack([filled("prompt_tokens"), filled("completion_tokens")], axis=2),
    )


def texts_by_id(table: pd.DataFrame) -> dict[str, str]:
    """What predictions look at, by prompt_id: `prompt_short` where there is one, else the prompt."""
    first = table.drop_duplicates("prompt_id")
    short = first["prompt_short"] if "prompt_short" in first.columns else [None] * len(first)
    columns = (first["prompt_id"], short, first["prompt"])
    return {i: s if isinstance(s, str) and s else p for i, s, p in zip(*columns, strict=True)}


def _means(values: Floats, numbers: Ints) -> Floats:
    """The means of the rows (n, ...) of each number, NaN where one of them is."""
    sums = np.zeros((int(numbers.max(initial=-1)) + 1, *values.shape[1:]))
    np.add.at(sums, numbers, values)
    found: Floats = sums / np.bincount(numbers).reshape(-1, *[1] * (values.ndim - 1))
    return found
