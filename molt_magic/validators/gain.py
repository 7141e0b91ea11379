"""Is the model above worth its cost, now that there is an answer? What both score, learned from how the answer looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from molt_magic.embed import Embedder
from molt_magic.types import Attempt, Checking, Request, Verdict
from molt_magic.validators.learned import AnswerModel, Floats, answer_features
from molt_magic.validators.rules import text_of
from molt_magic.validators.sampling import final
from molt_magic.validators.second import opinion

TRUST = (1.0, 0.75, 0.5, 0.25, 0.0)  # in what an answer tells of another model: full, where both fail on the same prompts


@dataclass(frozen=True, slots=True)
class Gained:
    """What was learned of the answers of `first`: how good they are, and how good those of `above` are to the same prompts.

    An answer that looks wrong is no reason to ask further where the other model fails on such prompts as well: between two
    models of RouterBench the gain recovers .66 of the gap (APGR) where P(good) alone recovers .63, and on code .89 and .73.
    """

    first: str  # catalog names
    above: str
    second: str | None  # whose agreement is a feature; it is asked, and its cost counts
    own: AnswerModel
    other: AnswerModel
    trust: float  # of `TRUST`: how far `other` is taken at its word, and not at its mean
    n: int  # prompts it was learned from

    @classmethod
    def fit(
        cls, features: Floats, scores: Floats, *, first: str, above: str, second: str | None, dim: int
    ) -> tuple[Gained, Floats]:
        """Fit, and say of every row what the others say of it.

        Args:
            features: (n, d) of `gain_features`.
            scores: (n, 2) of the first model and of the one above, in [0, 1].
            dim: of the answers' vectors.

        Returns:
            What was learned, and the left-out expected gains, shape (n,).
        """
        own, held = AnswerModel.fit(features, scores[:, 0], dim=dim)
        other, reached = AnswerModel.fit(features, scores[:, 1], dim=dim)
        gains = [_gain(held, reached, other.mean, trust) for trust in TRUST]
        best = int(np.argmax([_recovered(gain, scores) for gain in gains]))
        return cls(first, above, second, own, other, TRUST[best], len(features)), gains[best]

    def __call__(self, features: Floats) -> Floats:
        """Expected gains in score of asking the model above, shape (n,)."""
        return _gain(self.own(features), self.other(features), self.other.mean, self.trust)


def _gain(own: Floats, other: Floats, mean: float, trust: float) -> Floats:
    return trust * other + (1.0 - trust) * mean - own


def _recovered(gains: Floats, scores: Floats) -> float:
    """What asking the model above gains, averaged over all shares of prompts, where the largest expected gains go first."""
    order = np.argsort(-gains, kind="stable")
    return float(np.cumsum((scores[:, 1] - scores[:, 0])[order]).mean())


def gain_features(answers: Floats, predicted: Floats, same: npt.NDArray[np.bool_] | None) -> Floats:
    """All features of n answers of one model.

    Args:
        answers: of `answer_features`.
        predicted: (n, 2) predicted quality of the model and of the one above, from the prompt alone.
        same: (n,) whether a second answer comes to the same; None: there is none.
    """
    blocks = [answers, predicted]
    if same is not None:
        agreed = same.astype(float)[:, None]
        blocks += [agreed, agreed * predicted]
    return np.hstack(blocks)


@dataclass(slots=True)
class GainCheck:
    """Refuses an answer of `learned.first` where the model above is expected to gain more than `price` times what it costs.

    Cascade routing (arXiv 2410.10347): after every answer one decides again whether to go on. Answers of other models it has
    nothing to say about.
    """

    name: str
    learned: Gained
    price: float  # quality given up for a dollar less, 1/USD; below 0 what is dear is preferred
    predicted: Callable[[Request, Sequence[str]], Floats]  # quality of models (catalog names) for a request, in [0, 1]
    cost: Callable[[Request, str], float]  # USD, what an answer of a model is expected to cost
    embedder: Embedder

    def check(self, request: Request, attempt: Attempt) -> Checking:
        """The verdict, after a call with purpose `judge` where there is a second opinion."""
        call, text, known = attempt.call, text_of(attempt), self.learned
        if call.model != known.first:
            return self._accept(f"learned for {known.first} only")
        same = None
        if known.second is not None:
            other, missing = yield from opinion(known.second, attempt)
            if other is None:
                return self._accept(missing)
            same = np.array([other.same(final(text))])
        predicted = self.predicted(request, (known.first, known.above))
        features = gain_features(answer_features([request.prompt], [text], self.embedder), predicted[None, :], same)
        gain, worth = float(known(features)[0]), self.price * self.cost(request, known.above)
        said = f"{known.above} is expected to gain {gain:+.2f} and has to gain {worth:.2f}; learned from {known.n:,} answers"
        if gain <= worth:
            return self._accept(said)
        return Verdict(False, float(known.own(features)[0]), said, self.name, "learned")

    def _accept(self, why: str) -> Verdict:
        return Verdict(True, None, why, self.name, "learned")
