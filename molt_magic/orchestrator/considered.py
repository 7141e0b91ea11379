"""The candidates of a decision as the log keeps them.

There are a dozen with every row, and most of a row's bytes are theirs: their JSON is written in the same pass.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from molt_magic.log.written import Written
from molt_magic.types import Candidate

_WRITER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def considered(candidates: Sequence[Candidate], eligible: Collection[str]) -> tuple[Mapping[str, Any], ...]:
    """Each candidate as the log keeps it. `skipped` is also why the strategy passed over one that was eligible.

    Args:
        eligible: names of the models that the strategy could have asked.
    """
    values, texts, sum_of_all = [], [], 0.0
    for candidate in candidates:
        name, cost, skipped = candidate.spec.name, candidate.expected_cost_usd, candidate.skipped
        quality, low = round(candidate.predicted_quality, 4), round(candidate.quality_low, 4)
        evidence, n, asked = candidate.evidence, candidate.n_evidence, name in eligible
        if n:
            n = round(n, 2)
        values.append(
            {
                "model": name,
                "expected_cost_usd": cost,
                "predicted_quality": quality,
                "quality_low": low,
                "evidence": evidence,
                "n_evidence": n,
                "skipped": skipped,
                "eligible": asked,
            }
        )
        texts.append(
            f'{_begin(name)}{"null" if cost is None else repr(cost)},"predicted_quality":{quality!r},"quality_low":{low!r}'
            f"{_end(evidence, n, skipped, asked)}"
        )
        sum_of_all += quality + low + (cost or 0.0)
    if type(sum_of_all) is not float or not math.isfinite(sum_of_all):  # not Python's own floats: JSON has other words for them
        return tuple(values)
    return Written.of(values, f"[{','.join(texts)}]")


# names, evidence and what models lack are the same from question to question


@lru_cache(maxsize=256)
def _begin(name: str) -> str:
    return f'{{"model":{_WRITER.encode(name)},"expected_cost_usd":'


@lru_cache(maxsize=1024)
def _end(evidence: str, n: float, skipped: str | None, eligible: bool) -> str:
    rest = {"evidence": evidence, "n_evidence": n, "skipped": skipped, "eligible": eligible}
    return f",{_WRITER.encode(rest)[1:]}"
