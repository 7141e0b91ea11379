"""How long a model's answers are, in tokens: what they will cost."""

from __future__ import annotations

PRIOR_TOKENS = 256.0  # expected answer length before any was seen
WORTH = 4.0  # answers that the wider mean is worth: of all for a model's, of a model's for its on one task


class Lengths:
    """Means by model and task, each shrunk to the wider one."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str | None], tuple[float, float]] = {}

    def learn(self, model: str, task: str | None, tokens: int) -> None:
        """Take in the length of an answer."""
        for key in {(model, task), (model, None)}:
            total, count = self._sums.get(key, (0.0, 0.0))
            self._sums[key] = (total + tokens, count + 1.0)

    def expected(self, model: str, task: str | None) -> float:
        """Expected length: the model's answers to this task, shrunk to all of its answers, shrunk to the prior."""
        mean = PRIOR_TOKENS
        for key in dict.fromkeys([(model, None), (model, task)]):
            total, count = self._sums.get(key, (0.0, 0.0))
            mean = (total + WORTH * mean) / (count + WORTH)
        return mean
