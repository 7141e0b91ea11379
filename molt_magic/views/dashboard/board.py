"""What a dashboard shows of a frame of decisions: figures, tables and pictures, static, one under the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from molt_magic.result import usd
from molt_magic.views.dashboard import metrics
from molt_magic.views.dashboard.metrics import SOURCES, By, Last, Rate, Totals
from molt_magic.views.dashboard.tiles import Tile, Tiles
from molt_magic.views.dashboard.timeline import Timeline, timeline
from molt_magic.views.figures import rows
from molt_magic.views.figures.canvas import Picture
from molt_magic.views.figures.spending import spending
from molt_magic.views.listings import seconds
from molt_magic.views.tables import Page, Table

if TYPE_CHECKING:
    import pandas as pd

WINDOWS: Mapping[Last, str] = {"24h": "last 24 hours", "7d": "last 7 days", "session": "this session", "all": "all time"}

_BY_WHOM = {"judge": "Judges", "validator": "Validators", "user": "Users"}
_NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Budget:
    """What a session may spend, has spent and has reserved for calls in flight, and the same of today; USD.

    A limit of None is no limit.
    """

    limit_usd: float | None
    spent_usd: float
    reserved_usd: float = 0.0
    day: Budget | None = None  # None: no limit for the day


def board(
    window: pd.DataFrame, last: Last, by: By, *, now: pd.Timestamp, budget: Budget, logged: int, logging: bool = True
) -> list[Page | Picture]:
    """The parts of a dashboard, in the order in which they are shown.

    Args:
        window: the decisions of the window, as `metrics.within` gives them.
        logged: how many decisions there are, outside the window too.
        logging: whether new decisions are logged.
    """
    off = () if logging else ("The log is off: new decisions are not in it. %route config log.enabled true switches it on.",)
    if window.empty:
        return [Page((_empty(last, logged), *off, Tiles("Budget", _budgets(budget))))]
    totals, groups = metrics.totals(window), metrics.groups(window, by)
    quality, latency = metrics.quality(window, by), metrics.latency(window, by)
    line = timeline(window, by, last, now=now)
    names = [str(name) for name in groups.index]
    when = WINDOWS[last]
    headline = Tiles(f"Decisions, {when}", [*_headline(totals), *_scores(quality), _wait(totals), *_budgets(budget)])
    panels = {
        "Cache hits, of lookups": _pairs(groups, "hits", "looked"),
        "Fallbacks": _pairs(groups, "fallbacks", "decisions"),
        "Escalations": _pairs(groups, "escalations", "decisions"),
    }
    return [
        Page((headline, *_notes(totals), *off)),
        spending(line.spent, line.saved, seconds=line.seconds, unit=line.unit, caption=f"Spend and saving, {when}, by {by}"),
        Page((_most(line), _money(groups, by, when))),
        rows.rates(names, panels, caption=f"How often, {when}, by {by}"),
        Page((_cache(groups, by, when),)),
        rows.service(names, _means(quality, names), _waits(latency, names), caption=f"How good and how fast, {when}, by {by}"),
        Page(
            (
                _quality(quality, names, by),
                _latency(latency, by),
                "Time to answer: from the question to the answer; what came from the cache is left out.",
            )
        ),
    ]


# headline


def _empty(last: Last, logged: int) -> str:
    if not logged:
        return "Nothing was routed yet. Run a %%route cell, and what it decided and cost is shown here."
    there = f"The log has {logged:,} from before: %route dashboard --last all shows them."
    return f"No decisions in {WINDOWS[last] if last == 'session' else f'the {WINDOWS[last]}'} yet. {there}"


def _headline(t: Totals) -> list[Tile]:
    known = t.decisions - t.unknown_costs
    saved = (
        f"{100 * t.saved_usd / t.baseline_usd:.0f} % of {usd(t.baseline_usd)}, the best model's price" if t.baseline_usd else ""
    )
    return [
        Tile("Decisions", f"{t.decisions:,}", "dry runs left out"),
        Tile("Spent", usd(t.spent_usd) if known else "unknown", f"{known:,} with a known price"),
        Tile("Saved", usd(t.saved_usd) if t.baseline_usd or t.saved_usd else "unknown", saved),
        Tile("Cache hits", *_rate(t.hits, "that looked")),
        Tile("Fallbacks", *_rate(t.fallbacks)),
        Tile("Escalations", *_rate(t.escalations)),
        Tile("Failed", *_rate(t.failed)),
    ]


def _rate(rate: Rate, of: str = "") -> tuple[str, str]:
    share = _NOTHING if rate.share is None else f"{100 * rate.share:.1f} %"
    return share, f"{rate.count:,} of {rate.of:,} {of}".rstrip()


def _scores(quality: pd.DataFrame) -> list[Tile]:
    """Mean quality over all groups, a tile for each kind of judge of it that spoke."""
    found = []
    for source in SOURCES:
        own = quality[quality.index.get_level_values("source") == source]
        count = int(own["scores"].sum())
        if count:
            mean = float((own["scores"] * own["mean"]).sum()) / count
            found.append(Tile(f"Quality, {_BY_WHOM[source].lower()}", f"{mean:.2f}", f"mean of {count:,} scores"))
    return found


def _wait(t: Totals) -> Tile:
    if not t.answers:
        return Tile("Time to answer", _NOTHING, "no model has answered")
    p50, p90, p99 = map(seconds, t.waits_s)
    return Tile("Time to answer", p50, f"p50; p90 {p90}, p99 {p99}; {t.answers:,} answers")


def _budgets(budget: Budget) -> list[Tile]:
    if budget.limit_usd is None:
        tiles = [Tile("Budget left", "no limit", f"{usd(budget.spent_usd)} spent in this session")]
    else:
        tiles = [Tile("Budget left", *_left(budget, "for this session"))]
    return tiles if budget.day is None else [*tiles, Tile("Left today", *_left(budget.day, "for the day"))]


def _left(budget: Budget, what_for: str) -> tuple[str, str]:
    limit = budget.limit_usd or 0.0
    reserved = f"; {usd(budget.reserved_usd)} reserved" if budget.reserved_usd else ""
    return usd(max(0.0, limit - budget.spent_usd - budget.reserved_usd)), f"of {usd(limit)} {what_for}{reserved}"


def _notes(t: Totals) -> list[str]:
    notes = []
    if t.unknown_costs:
        notes.append(f"{_decisions(t.unknown_costs)} without a known price: not in the amounts, never counted as free.")
    if t.recorded:
        notes.append(f"{_decisions(t.recorded)} replayed from a cassette: cost, tokens and time as they were recorded.")
    return notes


def _most(line: Timeline) -> str:
    """The span in which most was spent: what a picture tells at a glance."""
    spent = line.spent.sum(axis=1)
    if not spent.any():
        return "Nothing was spent, as far as prices are known."
    return f"Most was spent in the {line.unit} from {spent.idxmax():%d %b %Y %H:%M} UTC: {usd(float(spent.max()))}."


def _decisions(count: int) -> str:
    return f"{count:,} decision{'' if count == 1 else 's'}"


# tables


def _money(groups: pd.DataFrame, by: By, when: str) -> Table:
    columns = (
        by.capitalize(),
        "Decisions",
        "Share, %",
        "Spent",
        "Saved",
        "No known price",
        "Fallbacks",
        "Escalations",
        "Failed",
    )
    cells = [
        (
            str(name),
            f"{g['decisions']:,.0f}",
            f"{100 * g['share']:.1f}",
            _usd(g["spent_usd"]),
            _usd(g["saved_usd"]),
            f"{g['unknown_costs']:,.0f}",
            *(_of(g[event], g["decisions"]) for event in ("fallbacks", "escalations", "failed")),
        )
        for name, g in groups.iterrows()
    ]
    return Table(f"Decisions and money by {by}, {when}", columns, cells, optional=("Share, %", "Failed", "No known price"))


def _cache(groups: pd.DataFrame, by: By, when: str) -> Table:
    columns = (by.capitalize(), "Exact hits", "Semantic hits", "Misses", "Not looked", "Hit ratio", "Miss ratio")
    cells = [
        (
            str(name),
            *(f"{g[kind]:,.0f}" for kind in ("exact", "semantic", "missed", "not_looked")),
            _of(g["hits"], g["looked"]),
            _of(g["missed"], g["looked"]),
        )
        for name, g in groups.iterrows()
    ]
    return Table(f"Cache by {by}, {when}", columns, cells, optional=("Not looked", "Miss ratio"))


def _quality(quality: pd.DataFrame, names: Sequence[str], by: By) -> Table:
    told = {key: f"{row['mean']:.2f} ({row['scores']:,.0f})" for key, row in quality.iterrows()}
    cells = [(name, *(told.get((name, source), _NOTHING) for source in SOURCES)) for name in names]
    caption = f"Mean quality by {by} (scores)"
    return Table(caption, (by.capitalize(), *_BY_WHOM.values()), cells)


def _latency(latency: pd.DataFrame, by: By) -> Table:
    cells = [
        (str(name), f"{g['answers']:,.0f}", *(seconds(float(g[p])) for p in ("p50", "p90", "p99")))
        for name, g in latency.iterrows()
    ]
    caption = f"Time to answer by {by}"
    return Table(caption, (by.capitalize(), "Answers", "p50", "p90", "p99"), cells)


def _usd(amount: float) -> str:
    return usd(None if amount != amount else float(amount))


def _of(count: float, of: float) -> str:
    return f"{count:,.0f} of {of:,.0f}, {100 * count / of:.1f} %" if of else _NOTHING


# what the pictures take


def _pairs(groups: pd.DataFrame, count: str, of: str) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in zip(groups[count], groups[of], strict=True)]


def _means(quality: pd.DataFrame, names: Sequence[str]) -> dict[str, list[float | None]]:
    known: dict[Any, float] = quality["mean"].to_dict()
    return {source: [known.get((name, source)) for name in names] for source in SOURCES}


def _waits(latency: pd.DataFrame, names: Sequence[str]) -> list[tuple[float, float, float] | None]:
    known = {str(name): (float(g["p50"]), float(g["p90"]), float(g["p99"])) for name, g in latency.iterrows()}
    return [known.get(name) for name in names]
