"""What a run will cost and how long it will take, from plans of some of its questions: nothing is called, nothing is paid.

A plan knows whom the strategy would ask and what was learned of the lengths of its answers. What it does not know is in the
interval: how far the sampled questions are from all of them, how far answers of a model of which few were seen may be from what
is expected, and how often a cascade goes on. Not counted are answers that are in the cache, and what judges and summaries cost.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from molt_magic import catalog, errors
from molt_magic.log import DecisionLog
from molt_magic.orchestrator.parts import Parts
from molt_magic.quality.lengths import SPREAD, WORTH
from molt_magic.result import Result, usd
from molt_magic.types import ModelSpec

SAMPLE = 64  # questions that are planned, of however many: they take some milliseconds each
Z = 1.28  # of a normal distribution: 8 of 10 runs should lie within
LOGGED = 2000  # newest decisions that say how long models take


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of a run. Questions that were answered in earlier calls of it are in `known` and cost nothing more."""

    rows: int
    questions: int  # different ones
    known: int  # of them, answered already
    sampled: int  # of those to be asked, planned
    cost_usd: float | None  # None: a price is unknown
    low_usd: float | None  # 8 of 10 runs should cost between this
    high_usd: float | None  # and this
    seconds: float | None  # None: some of the models have not answered anything yet
    models: Mapping[str, float] = field(default_factory=dict)  # share of the questions that each is expected to answer
    refused: Mapping[str, float] = field(default_factory=dict)  # share that nobody can take, by the first reason of its kind
    fetched: Mapping[str, str] = field(default_factory=dict)  # models that are fetched first, and why

    def __str__(self) -> str:
        asked = self.questions - self.known
        parts = [f"{self.rows:,} rows, {asked:,} questions to ask"]
        if self.known:
            parts[0] += f" ({self.known:,} are answered)"
        if asked and self.refused and not self.models:
            parts.append(f"of the {self.sampled:,} looked at none can be asked: {'; '.join(self.refused)}")
        elif asked:
            said = f"about {usd(self.cost_usd)}" if self.cost_usd is not None else "cost unknown: a price is"
            if self.low_usd != self.high_usd:
                said += f" ({usd(self.low_usd)} to {usd(self.high_usd)})"
            parts.append(said)
            parts.append(f"about {duration(self.seconds)}" if self.seconds is not None else "time unknown")
            shares = sorted(self.models.items(), key=lambda pair: -pair[1])
            parts += [", ".join(f"{name} {share:.0%}" for name, share in shares)] if shares else []
            parts += [f"{share:.0%} cannot be asked: {reason}" for reason, share in self.refused.items()]
            parts += [f"{name} is fetched first: {why}" for name, why in self.fetched.items()]
        return "; ".join(parts)

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """In a notebook, in words."""
        printer.text(str(self))


@dataclass(frozen=True, slots=True)
class Step:
    """One call that a plan expects."""

    model: str
    input_usd: float | None
    output_usd: float | None
    refused: float = 0.0  # chance that its answer is refused, and the next step is taken
    most: float = math.inf  # times its expected length that its answer can have


Plan = Sequence[Step]


def forecast(
    plans: Sequence[Plan | errors.MoltError],
    *,
    rows: int,
    questions: int,
    known: int,
    concurrency: int,
    answers_seen: Callable[[str], float],
    seconds_of: Callable[[str], float | None],
    per_minute: Callable[[str], float | None],
    missing: Callable[[str], str | None],
) -> Forecast:
    """Put together what the plans of the sampled questions say.

    Args:
        plans: of each sampled question, or why nobody can take it.
        answers_seen: how many answers of a model its expected lengths rest on.
        seconds_of: how long a model takes for an answer; None: it is not known.
        per_minute: how many requests a model may be asked in a minute; None: as many as one likes.
        missing: what a model lacks until it is fetched; None: nothing.
    """
    asked, n = questions - known, len(plans)
    good = [plan for plan in plans if not isinstance(plan, errors.MoltError)]
    refused: defaultdict[str, float] = defaultdict(float)
    models: defaultdict[str, float] = defaultdict(float)
    calls: defaultdict[str, float] = defaultdict(float)
    kinds: dict[str, str] = {}
    low, mid, high, seconds = [], [], [], 0.0
    timed = bool(good) or not plans
    for plan in plans:
        if isinstance(plan, errors.MoltError):
            refused[kinds.setdefault(plan.kind, plan.message)] += 1 / n
            continue
        for name, share in _answering(plan).items():
            models[name] += share / n
        for name, chance in _called(plan, 1.0):
            calls[name] += chance
            took = seconds_of(name)
            timed = timed and took is not None
            seconds += chance * (took or 0.0)
        low.append(_cost(plan, 0.5, lambda model: 1.0 / _off(answers_seen(model))))
        mid.append(_cost(plan, 1.0, lambda _: 1.0))
        high.append(_cost(plan, 1.5, lambda model: _off(answers_seen(model))))
    costs = [cost for cost in mid if cost is not None]
    priced = len(costs) == len(good)
    margin = Z * _deviation(costs, asked)
    scale = asked / n if n else 0.0
    slowest = max((60.0 * scale * count / limit for name, count in calls.items() if (limit := per_minute(name))), default=0.0)
    least, middle, most = (scale * math.fsum(c or 0.0 for c in each) for each in (low, mid, high))
    return Forecast(
        rows=rows,
        questions=questions,
        known=known,
        sampled=n,
        cost_usd=middle if priced else None,
        low_usd=max(0.0, least - margin) if priced else None,
        high_usd=most + margin if priced else None,
        seconds=max(scale * seconds / max(1, min(concurrency, asked)), slowest) if timed else None,
        models=dict(models),
        refused=dict(refused),
        fetched={name: why for name in models if (why := missing(name)) is not None},
    )


def plan_of(planned: Result, parts: Parts, limit: int | None) -> Plan:
    """The calls that the plan of a question expects: one, and those further up the ladder of a cascade.

    Args:
        limit: tokens that an answer may have; None: as many as it likes.
    """
    decision = planned.decision
    spec = parts.catalog.get(decision.model or "")
    steps = [_step(spec, decision.input_tokens, decision.output_tokens, 0.0, limit)]
    if decision.strategy != "cascade":
        return steps
    rungs = sorted((c for c in planned.candidates if c.skipped is None), key=lambda c: c.expected_cost_usd or 0.0)
    quality = {c.name: c.predicted_quality for c in rungs}
    names = [spec.name, *(c.name for c in rungs if c.name != spec.name)]
    if not decision.attempts or len(names) == 1:
        return steps
    found = []
    for at, name in enumerate(names):
        last = at == len(names) - 1
        rung = parts.catalog.get(name)
        output = parts.quality.expected_tokens(name, decision.task, decision.prompt or "", limit)
        tokens = decision.output_tokens if name == spec.name else output
        refused = 0.0 if last else 1.0 - quality.get(name, rung.prior_quality)
        found.append(_step(rung, decision.input_tokens, tokens, refused, limit))
    return found


def latencies(log: DecisionLog | None) -> dict[str, float]:
    """Mean seconds that models took for the newest questions in the log, cached answers left out. Raises StoreError."""
    if log is None:
        return {}
    rows = log.rows_since(max(0, log.last_row() - LOGGED), ("model", "latency_s", "status", "cache"), LOGGED)
    found: defaultdict[str, list[float]] = defaultdict(list)
    for _, model, latency, status, cache in rows:
        if model is not None and status in ("ok", "best_effort") and cache not in ("exact", "semantic"):
            found[model].append(latency)
    return {model: statistics.fmean(times) for model, times in found.items()}


def pace(spec: ModelSpec) -> float | None:
    """How many requests a minute the deployments of a model take together; None: one of them takes any number."""
    limits = [deployment.requests_per_minute for deployment in spec.deployments]
    known = [limit for limit in limits if limit is not None]
    return float(sum(known)) if known and len(known) == len(limits) else None


def sampled(numbers: Sequence[int]) -> list[int]:
    """Some of them, evenly spread: a column is often sorted."""
    if len(numbers) <= SAMPLE:
        return list(numbers)
    return [numbers[int((at + 0.5) * len(numbers) / SAMPLE)] for at in range(SAMPLE)]


def duration(seconds: float) -> str:
    """A time for people: `40 s`, `3 min`, `2.5 h`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def _step(spec: ModelSpec, input_tokens: int, output_tokens: int, refused: float, limit: int | None) -> Step:
    whole, asking = (catalog.estimate_usd(spec, input_tokens, output) for output in (output_tokens, 0))
    ends = [end for end in (limit, spec.max_output) if end is not None]
    most = max(1.0, min(ends) / max(1, output_tokens)) if ends else math.inf
    return Step(spec.name, asking, None if whole is None or asking is None else whole - asking, refused, most)


def _called(plan: Plan, more: float) -> list[tuple[str, float]]:
    """Each step with the chance that it is taken, every refusal `more` times as likely as expected."""
    chance, found = 1.0, []
    for step in plan:
        found.append((step.model, chance))
        chance *= min(1.0, more * step.refused)
    return found


def _answering(plan: Plan) -> dict[str, float]:
    """The chance of each model that the answer is its."""
    return {step.model: chance * (1.0 - step.refused) for step, (_, chance) in zip(plan, _called(plan, 1.0), strict=True)}


def _cost(plan: Plan, more: float, longer: Callable[[str], float]) -> float | None:
    """USD that a question is expected to cost; None: a price is unknown."""
    total = 0.0
    for step, (model, chance) in zip(plan, _called(plan, more), strict=True):
        if step.input_usd is None or step.output_usd is None:
            return None
        total += chance * (step.input_usd + min(longer(model), step.most) * step.output_usd)
    return total


def _off(answers: float) -> float:
    """By which factor answers may be longer, or shorter, than expected, all together, after so many were seen."""
    return math.exp(Z * SPREAD / math.sqrt(1.0 + answers / WORTH))


def _deviation(costs: Sequence[float], asked: int) -> float:
    """Standard deviation of the sum over all questions that comes of having looked at some, USD."""
    n = len(costs)
    if n < 2 or asked <= n:
        return 0.0
    return asked * statistics.stdev(costs) / math.sqrt(n) * math.sqrt(1.0 - n / asked)
