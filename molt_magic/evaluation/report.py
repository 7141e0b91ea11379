"""What an evaluation found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from molt_magic.errors import UnknownName
from molt_magic.evaluation.bootstrap import Difference, difference
from molt_magic.evaluation.matrix import Floats
from molt_magic.result import usd

if TYPE_CHECKING:
    import pandas as pd

    from molt_magic.views.figures.canvas import Picture

LESS_IS_BETTER = ("cost_usd", "cpt50", "cpt80", "cost_at_best", "cost_at_99", "cost_at_95")


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of several policies on the same test prompts.

    Attributes:
        curve: a row a policy and setting: `strategy, threshold, setting, quality, cost_usd`, `strong` (share of prompts
            for which the best single model was called), and the share of prompts that each model answered: a column a
            model, of its name, or `share of NAME` where that is one of the columns before it.
        summary: a row a policy, see `columns`.
        reliability: what was predicted against what came: `model, bin, predicted, observed, n`.
        best_single: the model of the highest mean score in training.
        n_train, n_test: prompts.
        notes: what a reader of the figures has to know.
    """

    curve: pd.DataFrame
    summary: pd.DataFrame
    reliability: pd.DataFrame
    best_single: str
    n_train: int
    n_test: int
    notes: tuple[str, ...]
    resampled: Mapping[str, Mapping[str, Floats]]  # policy -> figure -> (resamples,)

    def compare(self, name: str, against: str = "kNN", figure: str = "aiq") -> Difference:
        """The paired difference of two policies of `summary` in one of its figures, over the same resampled prompts.

        Raises:
            UnknownName: no such policy or figure.
        """
        for given in (name, against):
            if given not in self.resampled:
                raise UnknownName("policy", given, self.resampled)
        if figure not in self.resampled[name]:
            raise UnknownName("figure", figure, self.resampled[name])
        values = self.summary.set_index("strategy")[figure]
        return difference(
            name,
            against,
            figure,
            float(values[name] - values[against]),
            self.resampled[name][figure],
            self.resampled[against][figure],
            less_is_better=figure in LESS_IS_BETTER,
        )

    def plot(self) -> Picture:
        """Cost against quality with the Pareto line, and whether predicted quality is what came: a picture."""
        import molt_magic  # the package root knows the views; this layer does not

        return molt_magic._plot(self)

    def __str__(self) -> str:
        shown = self.summary[["strategy", *(c for c in SHOWN if c in self.summary.columns)]]
        shown = shown.assign(cost_usd=[usd(cost) for cost in shown["cost_usd"]])
        lines = [f"{self.n_test} prompts scored, {self.n_train} to learn from; the best single model is {self.best_single}."]
        return "\n".join([*lines, shown.round(4).to_string(index=False), *self.notes])


SHOWN: Sequence[str] = (
    "quality", "cost_usd", "saved_at_best", "saved_at_99", "saved_at_95", "aiq", "apgr", "cpt50", "cpt80",
)  # fmt: skip
