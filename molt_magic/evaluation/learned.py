"""A learned answer check: what is to be gained by asking the next model, from the prompt, the answer and a second opinion."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from molt_magic.embed import Embedder
from molt_magic.evaluation.matrix import Floats
from molt_magic.types import Attempt, Call, Checking, Completion, Request, Verdict
from molt_magic.validators.arithmetic import arithmetic
from molt_magic.validators.rules import is_no_refusal, text_of
from molt_magic.validators.sampling import final_answer

RIDGE = 30.0  # of the scaled features; of the vector, whose numbers are many, as well
VECTOR = 4.0  # scale of the answer's unit vector beside features of unit variance

_HEDGES = re.compile(
    r"\b(?:maybe|perhaps|probably|approximately|about|not sure|unclear|cannot|unable|assum\w+|however)\b", re.I
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def looks(prompt: str, answer: str) -> list[float]:
    """Figures of an answer that say something of whether it is right: how long, how it ends, what it comes down to, whether
    its sums are right, whether it declines or hedges."""
    attempt = Attempt(0, Call("", ()), Completion(answer, ""))
    sums = arithmetic(attempt)
    final = final_answer(answer)
    number = _NUMBER.fullmatch(final)
    value = abs(float(final)) if number and len(final) < 16 else 0.0
    numbers = _NUMBER.findall(answer)
    return [
        math.log1p(len(answer)),
        math.log1p(len(answer)) - math.log1p(len(prompt)),
        math.log1p(answer.count("\n")),
        math.log1p(len(numbers)),
        math.log1p(answer.count("=")),
        float(not sums.accepted),
        float(sums.score is not None and sums.accepted),
        float(not is_no_refusal(attempt).accepted),
        math.log1p(len(_HEDGES.findall(answer))),
        float(bool(number)),
        math.log1p(value),
        float(bool(number) and value != round(value)),
        float(final.startswith("-")),
        float(len(final) < 40),
        float(answer.rstrip()[-1:] in ".!?)]}`\"'"),
    ]


@dataclass(frozen=True, slots=True)
class Gain:
    """Ridge regression of (score of the next model - score of the first) on features; shape of the weights (d + 1,)."""

    centre: Floats
    scale: Floats
    weights: Floats

    @classmethod
    def fit(cls, features: Floats, gained: Floats) -> Gain:
        """features (n, d), gained (n,) in [-1, 1]."""
        centre: Floats = features.mean(axis=0)
        scale = np.sqrt(features.var(axis=0)) + 1e-6
        scaled = _with_one((features - centre) / scale)
        penalty = RIDGE * np.eye(scaled.shape[1])
        penalty[-1, -1] = 0.0
        solved = np.linalg.solve(scaled.T @ scaled + penalty, scaled.T @ gained)
        return cls(centre, scale, np.asarray(solved, dtype=np.float64))

    @classmethod
    def left_out(cls, features: Floats, gained: Floats, folds: Sequence[npt.NDArray[Any]]) -> Floats:
        """Expected gains of the training rows, each fold by the others, (n,)."""
        found = np.empty(len(gained))
        for fold in folds:
            rest = np.setdiff1d(np.arange(len(gained)), fold)
            found[fold] = cls.fit(features[rest], gained[rest])(features[fold])
        return found

    def __call__(self, features: Floats) -> Floats:
        """Expected gain, shape (n,)."""
        found: Floats = _with_one((features - self.centre) / self.scale) @ self.weights
        return found


def answer_features(prompts: Sequence[str], answers: Sequence[str], embedder: Embedder) -> Floats:
    """(n, d) looks of the answers and their vectors."""
    said = np.array([looks(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)])
    return np.hstack([said, VECTOR * np.asarray(embedder.embed(list(answers)), dtype=float)])


def joined(answers: Floats, predicted: Floats, same: npt.NDArray[np.bool_] | None) -> Floats:
    """All features of n answers.

    Args:
        answers: of `answer_features`.
        predicted: (n, 2) predicted quality of the first and of the next model, from the prompt alone.
        same: (n,) whether a second answer comes to the same; None: there is none.
    """
    blocks = [answers, predicted]
    if same is not None:
        agreed = same.astype(float)[:, None]
        blocks += [agreed, agreed * predicted]
    return np.hstack(blocks)


@dataclass(slots=True)
class LearnedCheck:
    """Accepts an answer of `first` unless `gain` expects more than `threshold` from asking the next model.

    Cascade routing (arXiv 2410.10347) in small: one moves on where the expected gain is worth it. Answers of other models
    it has nothing to say about.
    """

    name: str
    first: str
    second: str | None  # asked for its opinion; its cost counts
    gain: Gain
    threshold: float
    predicted: Callable[[Request], Floats]  # (2,) of the first and of the next model
    embedder: Embedder

    def check(self, request: Request, attempt: Attempt) -> Checking:
        """The verdict, after a call with purpose `judge` where there is a second opinion."""
        call = attempt.call
        if call.model != self.first:
            return Verdict(True, None, f"a check of {self.first} only", self.name)
        same = None
        if self.second is not None:
            asked = yield Call(self.second, call.messages, "judge", call.params, call.schema)
            same = np.array([final_answer(text_of(asked)) == final_answer(text_of(attempt))])
        answer = answer_features([request.prompt], [text_of(attempt)], self.embedder)
        features = joined(answer, self.predicted(request)[None, :], same)
        expected = float(self.gain(features)[0])
        said = f"expected gain {expected:+.2f} of the next model, allowed {self.threshold:+.2f}"
        return Verdict(expected <= self.threshold, None, said, self.name)


def _with_one(rows: Floats) -> Floats:
    return np.hstack([rows, np.ones((len(rows), 1))])
