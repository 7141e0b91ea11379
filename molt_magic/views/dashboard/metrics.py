"""What is measured: frames of decisions (the light columns of the log) in, tables out. Nothing here reads or draws.

An unknown amount is never 0: sums are over what is known, and beside each stands how many were not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import pandas as pd

Last = Literal["24h", "7d", "session", "all"]
By = Literal["model", "provider", "strategy"]
LAST: tuple[Last, ...] = get_args(Last)
BY: tuple[By, ...] = get_args(By)

SOURCES = ("judge", "validator", "user")  # who scores answers; told apart everywhere
PERCENTILES = (0.5, 0.9, 0.99)

# of the windows that are so long, days
DAYS: Mapping[str, float] = {"24h": 1.0, "7d": 7.0}


# fmt: off
# what is read of a decision
COLUMNS = (
    "time", "session", "strategy", "model", "provider", "deployment", "escalations", "fallbacks", "cache", "cost_usd",
    "baseline_cost_usd", "saved_usd", "latency_s", "quality", "quality_source", "status",
)
# fmt: on
_WORDS = ("strategy", "model", "provider", "deployment", "cache", "quality_source", "status")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many of so many."""

    count: int
    of: int

    @property
    def share(self) -> float | None:
        """In [0, 1]; None of nothing."""
        return self.count / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class Totals:
    """All decisions of a frame together. Amounts in USD."""

    decisions: int
    unknown_costs: int  # decisions without a known cost
    spent_usd: float  # over the others
    saved_usd: float  # where the cost and what the best model would have cost are known
    baseline_usd: float  # what it would have cost for those
    hits: Rate  # answers from the cache, of the decisions that looked there
    fallbacks: Rate  # decisions in which a failed call made another model answer
    escalations: Rate  # decisions in which a refused answer made another model answer
    failed: Rate
    recorded: int  # replayed from a cassette
    answers: int  # that a model gave
    waits_s: tuple[float, ...]  # percentiles of the time to them, as PERCENTILES; NaN where there were none


def within(frame: pd.DataFrame, last: Last, *, session: str, now: pd.Timestamp) -> pd.DataFrame:
    """The decisions of a window, dry runs left out: they were never made. Columns of few different words become categories."""
    kept = frame["status"] != "planned"
    if last == "session":
        kept &= frame["session"] == session
    elif last in DAYS:
        import pandas as pd

        kept &= frame["time"] >= now - pd.Timedelta(days=DAYS[last])
    found = frame.loc[kept, list(COLUMNS)]
    return found.assign(**{name: _categories(found[name]) for name in _WORDS})  # compared and grouped ten times as fast


def _categories(column: pd.Series[str]) -> pd.Categorical:
    import pandas as pd

    codes, words = pd.factorize(column.to_numpy(dtype=object))  # `astype("category")` would convert every word first
    return pd.Categorical.from_codes(codes, categories=pd.Index(words, dtype=object))


def count(frame: pd.DataFrame, last: Last, *, now: pd.Timestamp) -> int:
    """How many decisions (dry runs too) are young enough for a window: it changes when the oldest leaves it."""
    if last not in DAYS:
        return len(frame)
    import pandas as pd

    return int((frame["time"] >= now - pd.Timedelta(days=DAYS[last])).sum())


def totals(frame: pd.DataFrame) -> Totals:
    """The headline figures."""
    looked, hits = _cache(frame)
    known = frame["saved_usd"].notna()
    answered = _answered(frame)
    count = len(frame)
    return Totals(
        decisions=count,
        unknown_costs=int(frame["cost_usd"].isna().sum()),
        spent_usd=float(frame["cost_usd"].sum()),
        saved_usd=float(frame["saved_usd"].sum()),
        baseline_usd=float(frame["baseline_cost_usd"][known].sum()),
        hits=Rate(int(hits.sum()), int(looked.sum())),
        fallbacks=Rate(int((frame["fallbacks"] > 0).sum()), count),
        escalations=Rate(int((frame["escalations"] > 0).sum()), count),
        failed=Rate(int((frame["status"] == "error").sum()), count),
        recorded=int((frame["deployment"] == "cassette").sum()),
        answers=len(answered),
        waits_s=tuple(float(answered["latency_s"].quantile(p)) for p in PERCENTILES),
    )


def groups(frame: pd.DataFrame, by: By) -> pd.DataFrame:
    """A row a group, the dearest first.

    Columns: decisions, share (of all decisions), spent_usd and saved_usd (NaN where nothing is known), unknown_costs,
    baseline_usd (of what saved_usd counts), exact, semantic, missed, not_looked (in the cache), looked, hits, fallbacks,
    escalations, failed.
    """
    import pandas as pd

    looked, hits = _cache(frame)
    cost = frame["cost_usd"]
    parts = pd.DataFrame(
        {
            "decisions": 1,
            "unknown_costs": cost.isna(),
            "spent_usd": cost,
            "saved_usd": frame["saved_usd"],
            "baseline_usd": frame["baseline_cost_usd"].where(frame["saved_usd"].notna()),
            "exact": frame["cache"] == "exact",
            "semantic": frame["cache"] == "semantic",
            "missed": frame["cache"] == "miss",
            "not_looked": frame["cache"] == "off",
            "looked": looked,
            "hits": hits,
            "fallbacks": frame["fallbacks"] > 0,
            "escalations": frame["escalations"] > 0,
            "failed": frame["status"] == "error",
        }
    )
    counts = {str(name): "int64" for name in parts if not str(name).endswith("_usd")}
    table: pd.DataFrame = (
        parts.astype(counts).groupby(named(frame, by), sort=False, observed=True).sum(min_count=1).astype(counts)
    )
    table.insert(1, "share", table["decisions"] / max(1, len(frame)))
    return table.sort_values(["spent_usd", "decisions"], ascending=False, kind="stable", na_position="last")


def quality(frame: pd.DataFrame, by: By) -> pd.DataFrame:
    """Scores by group and by who gave them: index (group, source), columns scores (how many) and mean, in [0, 1]."""
    scored = frame[frame["quality"].notna() & frame["quality_source"].notna()]
    scored = scored.assign(group=named(scored, by), source=scored["quality_source"])
    return scored.groupby(["group", "source"], sort=False, observed=True).agg(
        scores=("quality", "count"), mean=("quality", "mean")
    )


def latency(frame: pd.DataFrame, by: By) -> pd.DataFrame:
    """Seconds from question to answer: a row a group, columns answers (how many), p50, p90, p99.

    Of answers that a model gave, not the cache.
    """
    import pandas as pd

    answered = _answered(frame)
    waits = answered["latency_s"].groupby(named(answered, by), sort=False, observed=True)
    columns = {"answers": waits.count(), **{f"p{p * 100:.0f}": waits.quantile(p) for p in PERCENTILES}}
    return pd.DataFrame(columns).sort_values("answers", ascending=False, kind="stable")


def named(frame: pd.DataFrame, by: By) -> pd.Series[str]:
    """The group of each decision; one that failed before a model was chosen has `no model`."""
    import numpy as np
    import pandas as pd

    column = frame[by].astype("category").cat
    told = [str(word) for word in column.categories]
    words = list(dict.fromkeys(word or f"no {by}" for word in [*told, ""]))
    places = np.array([words.index(word or f"no {by}") for word in [*told, ""]])  # the last: of the code -1, nothing
    found = pd.Categorical.from_codes(places[column.codes.to_numpy()].astype("int64"), categories=pd.Index(words))
    return pd.Series(found, index=frame.index, name=by)


def _cache(frame: pd.DataFrame) -> tuple[pd.Series[bool], pd.Series[bool]]:
    """Which decisions looked into the cache, and which found something there."""
    hits = (frame["cache"] == "exact") | (frame["cache"] == "semantic")
    return hits | (frame["cache"] == "miss"), hits


def _answered(frame: pd.DataFrame) -> pd.DataFrame:
    """What a model answered: an answer from the cache, or none, does not say how long one waits for a model."""
    return frame[((frame["status"] == "ok") | (frame["status"] == "best_effort")) & ~_cache(frame)[1]]
