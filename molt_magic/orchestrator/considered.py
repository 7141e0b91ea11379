"""The candidates of a decision as the log keeps them: a dozen with every row, and most of its bytes are theirs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from math import isfinite

from molt_magic.log.written import WRITER, number, word
from molt_magic.types import Candidate


class Considered:
    """Candidates written before a strategy has decided. Those that it leaves as they are need not be written again.

    Args:
        candidates: all of them.
        eligible: names of the models that the strategy may ask.
    """

    def __init__(self, candidates: Sequence[Candidate], eligible: Collection[str]) -> None:
        self._eligible = eligible
        able = [each for each in candidates if each.reachable]
        begun = zip(able, _beginnings(able), strict=True)
        self._known = {each.spec.name: (each, begin, self._ended(each, begin)) for each, begin in begun}

    def json(self, candidates: Sequence[Candidate]) -> str:
        """Those of a decision. `skipped` is also why the strategy passed over one that was eligible."""
        return f"[{','.join([self._text(each) for each in candidates])}]"

    def _text(self, candidate: Candidate) -> str:
        if not candidate.reachable:
            return _unable(candidate.spec.name, candidate.skipped)
        known, begin, text = self._known.get(candidate.spec.name, (None, "", ""))
        if known is candidate:
            return text
        if known is None or _expected(known) != _expected(candidate):
            (begin,) = _beginnings([candidate])
        return self._ended(candidate, begin)

    def _ended(self, candidate: Candidate, begin: str) -> str:
        _, _, n, evidence = candidate.prediction
        return f"{begin}{_end(evidence, n and round(n, 2), candidate.skipped, candidate.spec.name in self._eligible)}"


def _expected(candidate: Candidate) -> tuple[object, ...]:
    """What a strategy leaves as it is."""
    return candidate.spec, candidate.expected_cost_usd, candidate.predictions, candidate.place


def _beginnings(candidates: Sequence[Candidate]) -> list[str]:
    """What of each is the same whatever the strategy says of it."""
    predicted = [candidate.prediction for candidate in candidates]
    qualities, lows = _rounded([told[0] for told in predicted]), _rounded([told[1] for told in predicted])
    return [
        f'{_begin(each.spec.name, each.expected_cost_usd)},"predicted_quality":{quality},"quality_low":{low}'
        for each, quality, low in zip(candidates, qualities, lows, strict=True)
    ]


def _rounded(values: Sequence[float]) -> list[str]:
    """Each to four digits, all at once, as each takes longer than the rest of a candidate."""
    text, total = "%.4f " * len(values) % tuple(values), sum(values)
    if len(text) == 7 * len(values) and type(total) is float and isfinite(total):  # in [0, 10), and floats of Python's own
        for zeros, fewer in (("000 ", " "), ("00 ", " "), ("0 ", " "), (". ", ".0 ")):
            text = text.replace(zeros, fewer)
        return text.split()
    return [number(round(value, 4)) for value in values]


# names, evidence, what models lack, and often costs are the same from question to question


@lru_cache(maxsize=512)
def _unable(name: str, why: str | None) -> str:
    """Nothing was expected of it; see `molt_magic.types.candidate_of_row`."""
    return f'{{"model":{word(name)},"skipped":{WRITER.encode(why)}}}'


@lru_cache(maxsize=512)
def _begin(name: str, cost: float | None) -> str:
    return f'{{"model":{word(name)},"expected_cost_usd":{number(cost)}'


@lru_cache(maxsize=1024)
def _end(evidence: str, n: float, skipped: str | None, eligible: bool) -> str:
    rest = {"evidence": evidence, "n_evidence": n, "skipped": skipped, "eligible": eligible}
    return f",{WRITER.encode(rest)[1:]}"
