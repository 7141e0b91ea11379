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
        self._candidates = candidates  # held, so that no other gets the identity that one is known by
        self._eligible = eligible
        self._texts = dict(zip(map(id, candidates), self._written(candidates), strict=True))

    def json(self, candidates: Sequence[Candidate]) -> str:
        """Those of a decision. `skipped` is also why the strategy passed over one that was eligible."""
        texts = self._texts
        changed = [each for each in candidates if id(each) not in texts]
        if changed:
            texts = texts | dict(zip(map(id, changed), self._written(changed), strict=True))
        return f"[{','.join([texts[id(each)] for each in candidates])}]"

    def _written(self, candidates: Sequence[Candidate]) -> list[str]:
        eligible = self._eligible
        qualities = _rounded([candidate.predicted_quality for candidate in candidates])
        lows = _rounded([candidate.quality_low for candidate in candidates])
        return [
            f'{_begin(spec.name, cost)},"predicted_quality":{quality},"quality_low":{low}'
            f"{_end(evidence, n and round(n, 2), skipped, spec.name in eligible)}"
            for (spec, cost, _, evidence, n, _, skipped, _), quality, low in zip(candidates, qualities, lows, strict=True)
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
def _begin(name: str, cost: float | None) -> str:
    return f'{{"model":{word(name)},"expected_cost_usd":{number(cost)}'


@lru_cache(maxsize=1024)
def _end(evidence: str, n: float, skipped: str | None, eligible: bool) -> str:
    rest = {"evidence": evidence, "n_evidence": n, "skipped": skipped, "eligible": eligible}
    return f",{WRITER.encode(rest)[1:]}"
