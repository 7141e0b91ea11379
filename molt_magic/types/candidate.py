"""A model considered for a question, and what is predicted of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Self

from molt_magic.types.model import ModelSpec

# quality in [0, 1], its lower confidence bound, effective number of outcomes behind it, and what it rests on in words
Predicted = tuple[float, float, float, str]


class Predictions:
    """Of some models for one prompt, made when somebody looks: a strategy that weighs them, or else whoever writes them down,
    and then the answer is waited for already.

    Args:
        make: called once; it must not raise, as an answer may be paid for by then.
        untried: there are no outcomes of any model now, so that none need be looked at to know that it rests on nothing.
    """

    def __init__(self, make: Callable[[], Sequence[Predicted]], *, untried: bool) -> None:
        self.untried = untried  # and none was looked at
        self._make: Callable[[], Sequence[Predicted]] | None = make
        self._made: Sequence[Predicted] = ()

    def __getitem__(self, place: int) -> Predicted:
        return self._all()[place]

    def __reduce__(self) -> tuple[type[tuple[Predicted, ...]], tuple[Sequence[Predicted]]]:
        """To another process goes what was predicted, not who predicts."""
        return tuple, (self._all(),)

    def _all(self) -> Sequence[Predicted]:
        if (make := self._make) is not None:
            self._made = made = make()
            self._make, self.untried = None, False  # afterwards: another thread may look, too
            return made
        return self._made


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Candidate:
    """A model considered for a request.

    Args:
        expected_cost_usd: None: its price is unknown, or it could not have answered.
        predicted_quality: in [0, 1]; of one that could not have answered, what the catalog says of it.
        evidence: what the prediction rests on.
        n_evidence: effective number of outcomes behind it.
        quality_low: lower confidence bound of the prediction.
        skipped: why it was passed over; None: it was eligible (or chosen).
        reachable: whether it could have answered at all, at any price.
    """

    spec: ModelSpec
    expected_cost_usd: float | None
    skipped: str | None
    reachable: bool
    predictions: Sequence[Predicted] | Predictions  # of several models ...
    place: int  # ... this one's among them

    def __init__(
        self,
        spec: ModelSpec,
        expected_cost_usd: float | None = None,
        predicted_quality: float = 0.5,
        evidence: str = "prior only",
        n_evidence: float = 0.0,
        quality_low: float = 0.0,
        skipped: str | None = None,
        reachable: bool = True,
    ) -> None:
        predicted = (predicted_quality, quality_low, n_evidence, evidence)
        self._fill(spec, expected_cost_usd, skipped, reachable, (predicted,), 0)

    @classmethod
    def among(
        cls, predictions: Predictions, place: int, spec: ModelSpec, expected_cost_usd: float | None, skipped: str | None
    ) -> Self:
        """One that could answer, of which something will be predicted."""
        made = cls.__new__(cls)
        made._fill(spec, expected_cost_usd, skipped, True, predictions, place)
        return made

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def prediction(self) -> Predicted:
        """What is predicted of it, all at once."""
        return self.predictions[self.place]

    @property
    def predicted_quality(self) -> float:
        return self.predictions[self.place][0]

    @property
    def quality_low(self) -> float:
        return self.predictions[self.place][1]

    @property
    def n_evidence(self) -> float:
        told = self.predictions
        return 0.0 if isinstance(told, Predictions) and told.untried else told[self.place][2]

    @property
    def evidence(self) -> str:
        return self.predictions[self.place][3]

    def passed_over(self, why: str) -> Candidate:
        """The same, passed over."""
        made = object.__new__(Candidate)
        made._fill(self.spec, self.expected_cost_usd, why, self.reachable, self.predictions, self.place)
        return made

    def __repr__(self) -> str:
        names = ("expected_cost_usd", "predicted_quality", "evidence", "n_evidence", "quality_low", "skipped", "reachable")
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"Candidate({self.name!r}, {told})"

    def _fill(self, *values: object) -> None:
        for name, value in zip(_CANDIDATE, values, strict=True):
            object.__setattr__(self, name, value)


_CANDIDATE = tuple(each.name for each in fields(Candidate))
