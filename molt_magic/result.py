"""What the user gets: the answer, the decision behind it, and how to show and explain both."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from molt_magic.errors import MoltError
from molt_magic.frozen import fast_init
from molt_magic.log import frame
from molt_magic.log.schema import to_row
from molt_magic.types import Attempt, Candidate, Completion, Decision, Usage

if TYPE_CHECKING:
    import pandas as pd


def _as_plain_text(result: Result) -> Mapping[str, str]:
    return {"text/plain": result.text or str(result.error or "")}


@fast_init
@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """One answered (or failed, or planned) question.

    Attributes:
        decision: the row that was logged.
        attempts: every call that was made, in order; judges and summaries included.
        candidates: every model considered, with why it was passed over.
        error: what ended the request, or None.
    """

    # replaced by molt_magic.views, which knows how to draw; this layer does not
    render: ClassVar[Callable[[Result], Mapping[str, str]]] = _as_plain_text

    decision: Decision
    attempts: tuple[Attempt, ...]
    candidates: tuple[Candidate, ...]
    completion: Completion | None = None
    error: MoltError | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a whole answer."""
        return self.error is None and self.completion is not None

    @property
    def text(self) -> str:
        """The answer; what had arrived of it when it broke off; empty when there is none."""
        return "" if self.completion is None else self.completion.text

    @property
    def model(self) -> str | None:
        """Catalog name of the model that answered."""
        return self.decision.model

    @property
    def cost_usd(self) -> float | None:
        """USD for the whole question, refused answers, judges and summaries included; None: a price is unknown."""
        return self.decision.cost_usd

    @property
    def saved_usd(self) -> float | None:
        """USD less than the best available model would have cost for the same tokens; None: a price is unknown."""
        return self.decision.saved_usd

    @property
    def usage(self) -> Usage:
        """Tokens of the answering call."""
        return Usage() if self.completion is None else self.completion.usage

    @property
    def cached(self) -> bool:
        """Whether the answer came from the cache."""
        return self.decision.cache in ("exact", "semantic")

    def to_frame(self) -> pd.DataFrame:
        """The decision as a DataFrame of one row, its columns and their types those of the log's frame."""
        return frame.to_frame([to_row(self.decision, prompts=True)])

    def explain(self) -> str:
        """The decision in words, a few lines."""
        return "\n".join(explain(self.decision))

    def __repr__(self) -> str:
        d = self.decision
        text = self.text if len(self.text) <= 60 else f"{self.text[:57]}..."
        return f"Result({text!r}, model={d.model!r}, status={d.status!r}, decision_id={d.decision_id!r})"

    def _repr_mimebundle_(self, **_: object) -> Mapping[str, str]:
        return type(self).render(self)


def usd(amount: float | None) -> str:
    """An amount for people: `$0`, `$0.00012`, `$1.25`, or `unknown`."""
    if amount is None:
        return "unknown"
    if amount == 0:
        return "$0"
    sign, size = ("-" if amount < 0 else ""), abs(amount)
    if size >= 1:
        return f"{sign}${size:.2f}"
    places = 1 - math.floor(math.log10(size))  # two figures that count
    return f"{sign}${size:.{places}f}"


def step(
    retry: Mapping[str, Any], shown: Callable[[str], str] = str, lasted: Callable[[float], str] = "{:.1f} s".format
) -> str:
    """What happened on a call's way, a clause.

    Args:
        retry: of a logged attempt.
        shown: makes a text that others wrote fit for where it goes.
        lasted: writes seconds.
    """
    name, why, waited = shown(retry["deployment"]), shown(retry["error"]), lasted(retry["waited_s"])
    match retry.get("step", "failed"):  # the log's first rows have no step
        case "passed over":
            return f"{name} was passed over ({why})"
        case "waited":
            return f"waited {waited} for {name} ({why})"
    return f"{name} failed ({why}), tried again after {waited}"


def explain(decision: Decision) -> list[str]:
    """Lines that tell a logged decision: what was asked for, who was considered, what was tried, what it cost."""
    d = decision
    lines = [f"{d.strategy}: {d.reason}."]
    if d.promise:
        lines.append(f"Promised: {d.promise}.")
    if d.task:
        how = f", likely {d.task_score:.0%}" if d.task_score is not None else ""
        lines.append(f"Task: {d.task}{how}.")
    lines.append("Candidates:")
    for c in d.candidates:
        known = [f"passed over: {c['skipped']}"] if c["skipped"] else []
        if c["predicted_quality"] is not None:
            predicted = f"predicted {c['predicted_quality']:.2f} ({c['evidence']})"
            known.insert(0, f"expected {usd(c['expected_cost_usd'])}, {predicted}")
        lines.append(f"  {c['model']}: {'; '.join(known)}")
    if d.attempts:
        lines.append("Attempts:")
    for a in d.attempts:
        came = a["error"] or f"{a['output_tokens']} tokens, {a['finish_reason']}"
        served = f" from the {a['cache']} cache" if a["cache"] in ("exact", "semantic") else ""
        line = (
            f"  {a['index'] + 1}. {a['purpose']} by {a['model']}{served}: {came}, {a['latency_s']:.2f} s, {usd(a['cost_usd'])}"
        )
        if a["verdict"]:
            verdict = a["verdict"]
            said = "accepted" if verdict["accepted"] else "refused"
            told = f"{said} by {verdict['validator'] or 'the check'}: {verdict['reason']}"
            line += f"; {verdict['reason'] if d.status == 'planned' else told}"  # of a plan: what would check it
        for retry in a["retries"]:
            line += f"; before that {step(retry)}"
        lines.append(line)
    if d.context_action != "none":
        done = next((a["context_reason"] for a in reversed(d.attempts) if a.get("context_reason")), "no word on it")
        lines.append(
            f"Context: {d.context_action}, {d.context_tokens_before} tokens before and {d.context_tokens_after} after ({done})."
        )
    saved = f", {usd(d.saved_usd)} less than {d.baseline_model}" if d.baseline_model else ""
    lines.append(
        f"Cost: {usd(d.cost_usd)}{saved}; {d.latency_s:.2f} s, of which ours {d.overhead_ms:.1f} ms. Status: {d.status}."
    )
    if d.error:
        lines.append(f"Error: {d.error}")
    return lines
