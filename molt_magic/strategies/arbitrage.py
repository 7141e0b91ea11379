"""Arbitrage: the cheapest model that is good enough for this prompt, as far as the evidence goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from molt_magic.errors import InputError
from molt_magic.strategies.order import absence, choice, cost_of, named, passed_over, strongest_first
from molt_magic.strategies.walk import walk
from molt_magic.types import Candidate, Flow, Situation, Verdict

THIN = 10.0  # outcomes; a prediction that rests on fewer counts only as far as it is sure, where models are compared


class Promises(Protocol):
    """A policy whose quality was promised, as `molt_magic.quality.Promise` is. What is learned later does not move it."""

    @property
    def said(self) -> str:
        """What is promised, in short."""
        ...

    @property
    def best_single(self) -> str:
        """The model against whose quality it is promised."""
        ...

    def pick(self, prompt: str, task: str | None) -> str:
        """The model that a prompt goes to."""
        ...


@dataclass(frozen=True, slots=True)
class _Pick:
    """Who is asked first, why, and why each of the others is not."""

    first: Candidate
    reason: str
    others: dict[str, str]
    promise: str | None = None  # what was promised of this pick


class Arbitrage:
    """Trades predicted quality for cost, in one of four ways.

    By threshold, the default: the cheapest eligible model whose predicted quality is surely enough at least
    `situation.quality`; the best one if none is. "Surely enough" is the lower confidence bound of the prediction, so a model
    with little evidence behind it does not win on price: a saving that rests on nothing is not a saving.

    By `within`: the cheapest whose predicted quality is at most that far below this prompt's own best one. By `price`:
    argmax(quality - price * cost). Both spend where it changes the answer, on prompts whose models differ, which an
    absolute threshold cannot: it asks the dearest model of every hard prompt, whether that helps or not. In both, a
    prediction that rests on fewer than THIN outcomes is taken at its lower bound unless it is the best one.

    By `promise`: the model that a calibrated policy picks, by the predictions it was calibrated with; a model that it does
    not know is never its pick. Where its pick cannot take the request the best single model is asked, and nothing is
    promised of that.

    After a failure the other models follow, the strongest first. After a refused answer only models that are predicted
    stronger than the refused one do: the best effort is the strongest model's, never that of a weaker one.

    Args:
        within: in [0, 1], of predicted quality.
        price: at least 0, quality given up for a dollar less, 1/USD.
        promise: the policy that decides.

    Raises:
        InputError: more than one of them is given, or one is out of range.
    """

    name = "arbitrage"

    def __init__(self, *, within: float | None = None, price: float | None = None, promise: Promises | None = None) -> None:
        if (within, price, promise).count(None) < 2:
            raise InputError("Arbitrage goes by `within`, by `price` or by a promise, one of them.", fix="Give one of them.")
        if within is not None and not 0.0 <= within <= 1.0:
            raise InputError(f"`within` lies between 0 and 1, not {within!r}.", fix="Say 0.05 for five points of quality.")
        if price is not None and not price >= 0.0:
            raise InputError(f"`price` is at least 0, not {price!r}.", fix="Say 0 for the best answer at any cost.")
        self.within = within
        self.price = price
        self.promise = promise

    def flow(self, situation: Situation) -> Flow:
        # the sort is stable: at equal cost (local models) the catalog's order, cheap to dear, decides
        by_cost = sorted(situation.eligible, key=cost_of)
        strongest = strongest_first(situation.eligible)
        threshold = situation.quality if self.within is None and self.price is None and self.promise is None else None
        if not strongest:
            walked = yield from walk(situation, [])
            return choice(situation, walked, reason="arbitrage", candidates=situation.candidates, threshold=threshold)
        if self.promise is None:
            pick = self._pick(by_cost, strongest, situation.quality)
        else:
            pick = _promised(situation, self.promise, strongest)
            best = named(situation, [self.promise.best_single])  # follows first: what it answers costs no quality
            strongest = [*best, *(c for c in strongest if c not in best)]
        candidates = passed_over(situation, pick.others, [pick.first])
        walked = yield from walk(situation, [pick.first, *(c for c in strongest if c is not pick.first)], _stronger)
        return choice(situation, walked, reason=pick.reason, candidates=candidates, threshold=threshold, promise=pick.promise)

    def _pick(self, by_cost: list[Candidate], strongest: list[Candidate], threshold: float) -> _Pick:
        if self.within is not None:
            return _near_the_best(by_cost, strongest[0], self.within)
        if self.price is not None:
            return _worth_its_price(by_cost, strongest[0], self.price)
        return _over_the_threshold(by_cost, strongest[0], threshold)


def _over_the_threshold(by_cost: list[Candidate], best: Candidate, threshold: float) -> _Pick:
    first = next((c for c in by_cost if c.quality_low >= threshold), None)
    if first is None:
        first = best
        reason = f"no model is surely >= {threshold:.2f}, so the best: {best.name}, predicted {_said(best)}"
    else:
        reason = (
            f"{first.name} is the cheapest of {len(by_cost)} with predicted quality {first.predicted_quality:.2f} "
            f"(at least {first.quality_low:.2f}; {first.evidence}) >= {threshold:.2f}"
        )
    others = {
        c.name: f"predicted {c.predicted_quality:.2f}, surely only {c.quality_low:.2f} ({c.evidence})"
        if c.quality_low < threshold
        else f"good enough, but not cheaper than {first.name}"
        for c in by_cost
    }
    return _Pick(first, reason, others)


def _near_the_best(by_cost: list[Candidate], best: Candidate, within: float) -> _Pick:
    floor = best.predicted_quality - within - 1e-12  # what is exactly that far below is within
    first = next(c for c in by_cost if c is best or _believed(c, best) >= floor)
    others = {
        c.name: f"predicted {_said(c)}, over {within:.2f} below {best.name}"
        if c is not best and _believed(c, best) < floor
        else f"within {within:.2f} of the best, but not cheaper than {first.name}"
        for c in by_cost
    }
    if first is best:
        reason = f"{best.name} is the best, predicted {_said(best)}, and nothing cheaper is within {within:.2f} of it"
    else:
        reason = (
            f"{first.name} is the cheapest of {len(by_cost)} within {within:.2f} of the best: predicted {_said(first)}, "
            f"{best.name} {best.predicted_quality:.2f}"
        )
    return _Pick(first, reason, others)


def _worth_its_price(by_cost: list[Candidate], best: Candidate, price: float) -> _Pick:
    def worth(c: Candidate) -> tuple[float, float]:
        believed = _believed(c, best)
        return believed - (price * cost_of(c) if price else 0.0), believed  # 0 times an unknown price is no number

    first = max(by_cost, key=worth)
    reason = f"{first.name} is worth the most at {price:g} points of quality a dollar: predicted {_said(first)}"
    return _Pick(first, reason, {c.name: f"predicted {_said(c)}, worth less at its price" for c in by_cost})


def _promised(situation: Situation, promise: Promises, strongest: list[Candidate]) -> _Pick:
    wanted = promise.pick(situation.request.prompt, situation.request.task)
    found = named(situation, [wanted, promise.best_single])
    first = found[0] if found else strongest[0]
    others = {c.name: f"the promised policy picks {first.name}" for c in situation.eligible}
    if first.name == wanted:
        return _Pick(first, f"{first.name} is the pick of the promised policy", others, promise.said)
    role = "the best single model" if found else "the best there is"
    reason = f"nothing is promised, as {wanted} {absence(situation, wanted)}; so {first.name}, {role}"
    return _Pick(first, reason, dict.fromkeys(others, f"{first.name} stands in for the promised policy's pick"))


def _stronger(refused: Candidate, _verdict: Verdict, remaining: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    """The models that are predicted stronger than the refused one, the strongest first."""
    found = strongest_first(c for c in remaining if c.predicted_quality > refused.predicted_quality)
    return found, "" if found else "and no other model is predicted stronger"


def _believed(candidate: Candidate, best: Candidate) -> float:
    """Predicted quality, or its lower bound where the evidence is thin: then the stronger model wins."""
    thin = candidate.n_evidence < THIN and candidate is not best
    return candidate.quality_low if thin else candidate.predicted_quality


def _said(candidate: Candidate) -> str:
    return f"{candidate.predicted_quality:.2f} ({candidate.evidence})"
