"""A learned answer check: P(good) of an answer, from how it looks, what it says, what was predicted, and a second opinion."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from molt_magic.embed import Embedder
from molt_magic.types import Attempt, Call, Checking, Completion, Request, Verdict
from molt_magic.validators.arithmetic import arithmetic
from molt_magic.validators.rules import is_no_refusal, text_of
from molt_magic.validators.sampling import final, final_answer
from molt_magic.validators.second import opinion

Floats = npt.NDArray[np.float64]

PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4)  # of features of unit variance
VECTOR = 16.0  # variance of the answer's vector as a whole beside them: its many numbers must not drown a few telling figures

_HEDGES = re.compile(
    r"\b(?:maybe|perhaps|probably|approximately|about|not sure|unclear|cannot|unable|assum\w+|however)\b", re.I
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")


def looks(prompt: str, answer: str) -> list[float]:
    """Figures of an answer that say something of whether it is right: how long, how it ends, what it comes down to, what it
    does with the numbers it was given, whether its sums are right, whether it declines or hedges."""
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
        *_worked(prompt, answer, final if number else ""),
    ]


def _worked(prompt: str, answer: str, final: str) -> list[float]:
    """What an answer does with the numbers of its question: how many there are and how many of them it uses, how many it adds,
    and of the number it ends with, whether that was given, how often it came up, whether it is whole, and how large it is.

    Args:
        final: the number that it states as the answer; empty: the last one in it is taken.
    """
    given = {n for n in _NUMBER.findall(_THOUSANDS.sub("", prompt)) if len(n) < 16}
    said = [n for n in _NUMBER.findall(_THOUSANDS.sub("", answer)) if len(n) < 16]
    last = final if final and len(final) < 16 else said[-1] if said else None
    value = abs(float(last)) if last is not None else 0.0
    largest = max((abs(float(n)) for n in given), default=0.0)
    return [
        math.log1p(len(given)),
        len(given & set(said)) / len(given) if given else 0.0,
        math.log1p(len(set(said) - given)),
        float(last in given),
        math.log1p(said.count(last)) if last is not None else 0.0,
        float(value != round(value)),
        math.log1p(value) - math.log1p(largest) if last is not None else 0.0,
    ]


def answer_features(prompts: Sequence[str], answers: Sequence[str], embedder: Embedder) -> Floats:
    """(n, embedder.dim + d) vectors of the answers, and their looks."""
    said = np.array([looks(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)])
    return np.hstack([np.asarray(embedder.embed(list(answers)), dtype=float), said])


def joined(answers: Floats, predicted: Floats, same: npt.NDArray[np.bool_] | None) -> Floats:
    """All features of n answers of one model.

    Args:
        answers: of `answer_features`.
        predicted: (n,) predicted quality of the model, from the prompt alone.
        same: (n,) whether a second answer comes to the same; None: there is none.
    """
    blocks = [answers, predicted[:, None]]
    if same is not None:
        agreed = same.astype(float)[:, None]
        blocks += [agreed, agreed * predicted[:, None]]
    return np.hstack(blocks)


@dataclass(frozen=True, slots=True)
class AnswerModel:
    """Ridge regression of an answer's score on its features; `centre` and `weights` are of shape (d,).

    Of one model's answers only: what to do about one that is likely bad is for whoever asks. On RouterBench a regression of
    what the next model would gain, which needs the answers of both to the same prompts, kept and saved no more.
    """

    centre: Floats
    weights: Floats
    mean: float  # score

    @classmethod
    def fit(cls, features: Floats, scores: Floats, *, dim: int) -> tuple[AnswerModel, Floats]:
        """Fit, and say of every row what the others say of it.

        Args:
            features: (n, d), of which the first `dim` columns are a vector: it is scaled as one, all others to unit variance.
            scores: (n,) in [0, 1].

        Returns:
            The model, its penalty chosen by leaving each row out; and those left-out P(good), shape (n,). They need no second
            fit: the residual of a row that was left out is e / (1 - h), h its leverage (Allen 1974, the PRESS statistic).
        """
        centre: Floats = features.mean(axis=0)
        variance = features.var(axis=0)
        variance[:dim] = variance[:dim].sum() / VECTOR
        scale = np.sqrt(variance) + 1e-6
        left, values, right = np.linalg.svd((features - centre) / scale, full_matrices=False)
        mean = float(scores.mean())
        along = left.T @ (scores - mean)
        errors, found = [], []
        for penalty in PENALTIES:
            shrunk = values**2 / (values**2 + penalty)
            leverage = np.minimum(left**2 @ shrunk + 1.0 / len(scores), 0.999)  # of nothing but itself a row cannot be left out
            residual = (scores - mean - left @ (shrunk * along)) / (1.0 - leverage)
            errors.append(float((residual**2).mean()))
            found.append(np.clip(scores - residual, 0.0, 1.0))
        best = int(np.argmin(errors))
        weights = right.T @ (values / (values**2 + PENALTIES[best]) * along) / scale
        return cls(centre, weights, mean), found[best]

    def __call__(self, features: Floats) -> Floats:
        """P(good), shape (n,)."""
        found: Floats = self.mean + (features - self.centre) @ self.weights
        return np.clip(found, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned of one model's answers."""

    answers: AnswerModel
    n: int  # answers it was learned from
    second: str | None = None  # catalog name of the model whose agreement is a feature; it is asked, and its cost counts


@dataclass(slots=True)
class LearnedCheck:
    """Accepts an answer that is good with a probability of at least `threshold`, as far as was learned of its model's answers.

    The score of a refused answer is that probability. An accepted one has none: an estimate is no mark, and nothing may learn
    from it. Of a model whose answers were not learned it abstains.
    """

    name: str
    learned: Callable[[str], Learned | str]  # by catalog name; text: why there is nothing
    threshold: float
    predicted: Callable[[Request, str], float]  # quality of a model (catalog name) for a request, in [0, 1]
    embedder: Embedder

    def check(self, request: Request, attempt: Attempt) -> Checking:
        """The verdict, after a call with purpose `judge` where there is a second opinion."""
        call, text = attempt.call, text_of(attempt)
        learned = self.learned(call.model)
        if isinstance(learned, str):
            return self._abstain(learned)
        same = None
        if learned.second is not None:
            other, missing = yield from opinion(learned.second, attempt)
            if other is None:
                return self._abstain(missing)
            same = np.array([other.same(final(text))])
        predicted = np.array([self.predicted(request, call.model)])
        features = joined(answer_features([request.prompt], [text], self.embedder), predicted, same)
        good = float(learned.answers(features)[0])
        said = f"good with {good:.0%}, {self.threshold:.0%} wanted; learned from {learned.n:,} answers"
        if good >= self.threshold:
            return Verdict(True, None, said, self.name, "learned")
        return Verdict(False, good, said, self.name, "learned")

    def _abstain(self, why: str) -> Verdict:
        return Verdict(True, None, why, self.name, "learned")
