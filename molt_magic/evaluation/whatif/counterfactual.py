"""What if another policy had decided? The logged decisions taken again, counting as known only what is known."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from molt_magic.errors import UnknownName
from molt_magic.evaluation.logged import Logged, read
from molt_magic.evaluation.tables import read_outcomes
from molt_magic.evaluation.whatif import known as knowledge
from molt_magic.evaluation.whatif.beside import AS_IT_WAS, Resampled, Side, summary
from molt_magic.evaluation.whatif.instead import Instead, instead
from molt_magic.evaluation.whatif.known import Known
from molt_magic.evaluation.whatif.propensity import SOURCE, Estimate, corrected
from molt_magic.evaluation.whatif.rerun import Rerun, answers_to, rerun
from molt_magic.orchestrator.parts import Parts
from molt_magic.providers.cassette import Tape
from molt_magic.result import usd

if TYPE_CHECKING:
    import pandas as pd

# fmt: off
COLUMNS = (
    "decision_id", "prompt", "actual_model", "actual_cost_usd", "actual_quality", "model", "cost_usd", "score", "cost_known",
    "score_known", "source", "reason",
)
# fmt: on


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What another policy would have cost and scored on the logged decisions.

    Attributes:
        policy: in words.
        frame: a row a decision: `decision_id, prompt, actual_model, actual_cost_usd, actual_quality, model, cost_usd, score,
            cost_known, score_known, source, reason`. What is not known is predicted: what was expected of the model then.
            `source` is where the answer comes from (logged, cassette, table) or `predicted`.
        summary: a row for what was and a row for the policy, `policy, n`, each figure with its 95 % interval in `_lo` and
            `_hi`: `cost_usd` (total) and `quality` (mean) over all decisions, predictions included; `known_cost_usd` and
            `known_quality` over the decisions (`n_cost_known`, `n_quality_known`) of which both sides are known; of the
            policy the paired differences there: `known_cost_change_usd`, `known_cost_change` (a share), `known_quality_change`.
            Intervals are over resampled prompts; that a prediction may be wrong is not in them.
        same: decisions of known cost in which it would have asked the very models that were asked.
        left_out: why decisions were left out, and how many.
        abstained: decisions in which a check could not be asked of an answer, which was then taken to be accepted.
        corrected_quality, corrected_cost_usd: means a decision, from those of which exploration logged a chance, corrected
            by it; None: too few of them.
    """

    policy: str
    frame: pd.DataFrame = field(repr=False)
    summary: pd.DataFrame = field(repr=False)
    same: int
    left_out: Mapping[str, int]
    abstained: int
    corrected_quality: Estimate | None
    corrected_cost_usd: Estimate | None

    @property
    def statement(self) -> str:
        """What is known in a sentence or two, and what is only predicted."""
        n = len(self.frame)
        if not n:
            return f"There is nothing to tell of {self.policy}: no logged decision can be taken again."
        was, would = (row for _, row in self.summary.iterrows())
        priced, scored = int(would["n_cost_known"]), int(would["n_quality_known"])
        if not priced and not scored:
            return (
                f"Nothing is known of what {self.policy} would have done on your {_decisions(n)}: what is told is predicted, "
                f"{_usd(would['cost_usd'])} instead of {_usd(was['cost_usd'])}. To know, ask its models the same prompts "
                "(orch.compare), give a table of outcomes, or explore."
            )
        said = []
        if priced and self.same >= priced:  # then nothing is known but that nothing would change
            said.append(f"On {priced:,} of your {n:,} decisions {self.policy} would have asked whom you asked.")
        elif priced:
            said.append(_costs(self.policy, n, self.same, was, would))
        if scored and self.same < priced:
            said.append(_qualities(scored, was, would))
        elif not scored:
            said.append("How good its answers are is not known: no decision is marked on both sides.")
        if priced < n:
            said.append(self._predicted(n - priced))
        return " ".join(said)

    def _predicted(self, n: int) -> str:
        rest = self.frame[~(self.frame["cost_known"] & self.frame["actual_cost_usd"].notna())]
        both = rest.dropna(subset=["cost_usd", "actual_cost_usd"])
        if not len(both):
            return f"Of the other {n:,} a price is unknown."
        would, was = usd(float(both["cost_usd"].sum())), usd(float(both["actual_cost_usd"].sum()))
        return f"The other {n:,} are only predicted: {would} instead of {was}."

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures has to know besides."""
        found = [
            f"Corrected for exploration ({SOURCE}): {name} {told(figure.value)} ({told(figure.lo)} to {told(figure.hi)}) a "
            f"decision, from {figure.n:,} with a logged chance, which are worth {figure.effective_n:,.0f} by this policy."
            for figure, name, told in (
                (self.corrected_quality, "quality", "{:.2f}".format),
                (self.corrected_cost_usd, "cost", usd),
            )
            if figure is not None
        ]
        if self.abstained:
            climbs = (
                " Where checks refuse, more is spent than is predicted." if (self.frame["source"] == "predicted").any() else ""
            )
            found.append(f"In {_decisions(self.abstained)} a check could not be asked and let the answer pass.{climbs}")
        unpriced = int(self.frame["cost_usd"].isna().sum())
        if unpriced:
            found.append(f"Of {_decisions(unpriced)} a price is unknown; what they cost is in no figure.")
        if self.left_out:
            found.append("Left out: " + "; ".join(f"{n:,} {why}" for why, n in self.left_out.items()) + ".")
        return tuple(found)

    def __str__(self) -> str:
        return "\n".join((self.statement, *self.notes))


def _costs(policy: str, n: int, same: int, was: Any, would: Any) -> str:
    known = int(would["n_cost_known"])
    share, lo, hi = (_percent(would[f"known_cost_change{end}"]) for end in ("", "_lo", "_hi"))
    told = f" ({share}, 95 %: {lo} to {hi})" if share else ""
    asks = f", in {same:,} of them as it asks whom you asked" if same else ""
    return (
        f"On {known:,} of your {n:,} decisions it is known what {policy} would have cost{asks}: "
        f"{usd(would['known_cost_usd'])} instead of {usd(was['known_cost_usd'])}{told}."
    )


def _usd(amount: float) -> str:
    return usd(None if math.isnan(amount) else amount)


def _decisions(n: int) -> str:
    return "one decision" if n == 1 else f"{n:,} decisions"


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"{round(share, 2) + 0.0:+.0%}"  # no -0 %


def _qualities(n: int, was: Any, would: Any) -> str:
    change, lo, hi = (would[f"known_quality_change{end}"] for end in ("", "_lo", "_hi"))
    return (
        f"On {_decisions(n)} marked on both sides its quality is {would['known_quality']:.2f} "
        f"instead of {was['known_quality']:.2f} ({change:+.2f}, 95 %: {lo:+.2f} to {hi:+.2f})."
    )


def whatif(
    parts: Parts,
    *,
    strategy: str | None = None,
    quality: float | None = None,
    model: str | None = None,
    within: float | None = None,
    price: float | None = None,
    ladder: Sequence[str] | None = None,
    table: str | os.PathLike[str] | pd.DataFrame | None = None,
    session: str | None = None,
    seed: int = 0,
) -> WhatIf:
    """See `Orchestrator.whatif`.

    Args:
        session: an id; None: every session.
    """
    asked = instead(parts, strategy=strategy, quality=quality, model=model, within=within, price=price, ladder=ladder)
    every = read(parts.log)
    known = knowledge.together(knowledge.in_log(every), *_elsewhere(parts, table))
    mine = [d for d in every if session in (None, d.session)]
    if session is not None and not mine and every:
        raise UnknownName("session", session, {d.session for d in every})
    asked.check_names({*parts.catalog.models, *(name for answers in known.values() for name in answers)})
    taken, left_out = _retaken(asked, mine, known, parts)
    return _found(asked, taken, left_out, known, seed)


def _elsewhere(parts: Parts, table: str | os.PathLike[str] | pd.DataFrame | None) -> list[Known]:
    """What is known beside the decisions: on the cassette that is set, in a table, and in tables that were learned from."""
    found = []
    file = parts.settings.tape[1] if parts.settings.tape is not None else parts.settings.cassette.file
    if file is not None:
        tape = Tape(Path(file).expanduser().absolute(), locks=parts.settings.cache_dir / "locks")
        found.append(knowledge.on_tape(tape, parts.catalog.models))
    if table is not None:
        found.append(knowledge.in_table(read_outcomes(table)))
    return [*found, knowledge.imported(parts.log)]


def _unusable(decision: Logged) -> str | None:
    """Why a decision cannot be taken again."""
    if decision.status == "planned":
        return "that were only planned"
    if decision.status in ("error", "interrupted"):
        return "that failed or were interrupted"
    if decision.prompt is None:
        return "whose prompt was not logged"
    return None


def _retaken(
    asked: Instead, decisions: Sequence[Logged], known: Known, parts: Parts
) -> tuple[list[tuple[Logged, Rerun]], Mapping[str, int]]:
    left_out: Counter[str] = Counter()
    taken = []
    asked.remember(decisions)
    for decision in decisions:
        why = _unusable(decision)
        if why is not None:
            left_out[why] += 1
            continue
        own = decision.quality_threshold if not math.isnan(decision.quality_threshold) else parts.settings.defaults.quality
        found = rerun(
            asked,
            decision,
            answers_to(decision, known.get(decision.prompt_hash, {})),
            quality=own if asked.quality is None else asked.quality,
            specs=parts.catalog.models,
        )
        if found is None:
            left_out["in which nobody whom it asks could be asked"] += 1
        else:
            taken.append((decision, found))
    return taken, dict(left_out)


def _found(
    asked: Instead, taken: Sequence[tuple[Logged, Rerun]], left_out: Mapping[str, int], known: Known, seed: int
) -> WhatIf:
    import pandas as pd

    decisions, reruns = [d for d, _ in taken], [r for _, r in taken]
    marked = np.array([_quality_of(d, known) for d in decisions], dtype=float)
    rows = [
        {
            "decision_id": d.decision_id,
            "prompt": d.prompt,
            "actual_model": d.model,
            "actual_cost_usd": d.cost_usd,
            "actual_quality": quality,
            **{name: getattr(r, name) for name in COLUMNS[5:]},
        }
        for (d, r), quality in zip(taken, marked.tolist(), strict=True)
    ]
    reals = dict.fromkeys(("actual_cost_usd", "actual_quality", "cost_usd", "score"), "float64")
    flags = dict.fromkeys(("cost_known", "score_known"), "bool")
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype({**reals, **flags})
    actual = frame["actual_cost_usd"].to_numpy()
    was = Side(
        AS_IT_WAS,
        cost=actual,
        cost_known=~np.isnan(actual),
        score=np.where(np.isnan(marked), np.array([r.expected_quality for r in reruns], dtype=float), marked),
        score_known=~np.isnan(marked),
    )
    would = Side(
        asked.name,
        cost=frame["cost_usd"].to_numpy(),
        cost_known=frame["cost_known"].to_numpy(),
        score=frame["score"].to_numpy(),
        score_known=frame["score_known"].to_numpy(),
    )
    resampled = Resampled([d.prompt_hash for d in decisions], seed)
    corrections = (
        None if asked.climbs else corrected(taken, resampled, lambda a: a.score, lambda c: c.predicted_quality),
        None if asked.climbs else corrected(taken, resampled, lambda a: a.cost_usd, lambda c: c.expected_cost_usd),
    )
    return WhatIf(
        policy=asked.name,
        frame=frame,
        summary=summary(was, would, resampled),
        same=sum(r.same and r.cost_known for r in reruns),
        left_out=left_out,
        abstained=sum(r.abstained for r in reruns),
        corrected_quality=corrections[0],
        corrected_cost_usd=corrections[1],
    )


def _quality_of(decision: Logged, known: Known) -> float:
    """The quality of a decision: its own mark, else one of the same model's answer to the same prompt; NaN: there is none."""
    if not math.isnan(decision.quality) or decision.model is None:
        return decision.quality
    other = known.get(decision.prompt_hash, {}).get(decision.model)
    return math.nan if other is None else other.score
