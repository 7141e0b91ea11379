"""Routing tables from training rows: the model a task goes to, and the one after it, for a price of quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from molt_magic.evaluation.matrix import Floats, Ints, Outcomes
from molt_magic.types import Route

PRIOR = 10.0  # prompts that a model's mean over all tasks counts for in a task's own: few prompts prove little


@dataclass(frozen=True, slots=True)
class TaskMeans:
    """What every model scores and costs, by task and over all."""

    tasks: tuple[str, ...]  # k
    models: tuple[str, ...]  # m
    quality: Floats  # (k + 1, m); the last row is of all tasks
    cost: Floats  # (k + 1, m), USD

    @classmethod
    def fit(cls, train: Outcomes) -> TaskMeans:
        """Means by task, shrunk to the means over all by `PRIOR` prompts."""
        tasks = tuple(sorted({task for task in train.tasks if task is not None}))
        position = {task: i for i, task in enumerate(tasks)}
        group = np.array([len(tasks) if task is None else position[task] for task in train.tasks])
        return cls(
            tasks,
            train.models,
            _grouped(train.scores, group, len(tasks)),
            _grouped(train.costs, group, len(tasks)),
        )

    def worth(self, price: float) -> Floats:
        """quality - price * cost of every task and model, shape (k + 1, m); an endless price counts cost only."""
        return -self.cost if np.isinf(price) else self.quality - price * self.cost

    def best(self, prices: Sequence[float] | Floats) -> Ints:
        """The model of the highest worth, shape (len(prices), k + 1)."""
        return np.stack([self.worth(float(price)).argmax(axis=1) for price in prices])

    def routes(self, price: float) -> tuple[Mapping[str, Route], str]:
        """(the routing table, the default model) for a price of one unit of quality in USD^-1."""
        ranked = np.argsort(-self.worth(price), axis=1, kind="stable")
        second = 1 if len(self.models) > 1 else 0
        rows = {
            task: Route(task, self.models[ranked[i, 0]], self.models[ranked[i, second]]) for i, task in enumerate(self.tasks)
        }
        return rows, self.models[ranked[-1, 0]]


def _grouped(values: Floats, group: Ints, k: int) -> Floats:
    known = ~np.isnan(values)
    filled = np.nan_to_num(values)
    overall = filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    found = np.tile(overall, (k + 1, 1))
    for i in range(k):
        rows = group == i
        found[i] = (filled[rows].sum(axis=0) + PRIOR * overall) / (known[rows].sum(axis=0) + PRIOR)
    return found


def price_grid(quality: Floats, cost: Floats, size: int) -> Floats:
    """Prices of quality (lambda, 1/USD) at which choices change, from 0 to endless: quantiles of (q_i - q_j) / (c_i - c_j).

    Args:
        quality, cost: (n, m) as expected; rows are prompts or tasks.
    """
    m = quality.shape[1]
    found = []
    for i in range(m):
        for j in range(i):
            dq, dc = quality[:, i] - quality[:, j], cost[:, i] - cost[:, j]
            with np.errstate(divide="ignore", invalid="ignore"):
                found.append(dq / dc)
    slopes = np.concatenate(found) if found else np.zeros(0)
    slopes = slopes[np.isfinite(slopes) & (slopes > 0)]
    if not len(slopes):
        return np.array([0.0, np.inf])
    inner = np.unique(np.quantile(slopes, np.linspace(0, 1, max(2, size - 2))))
    return np.concatenate([[0.0], np.nextafter(inner, np.inf), [np.inf]])
