"""The decision log as decisions that can be taken again: what was known then, and what each model answered."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from molt_magic.types import SOURCE_RANK, Verdict, candidate_of_row

if TYPE_CHECKING:
    from molt_magic.log import DecisionLog

Source = Literal["logged", "cassette", "table", "predicted"]

_HEAVY = ("decision_id", "candidates", "attempts")
_CHUNK = 1000  # rows read at a time: the log is free for whoever writes in between


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered to a prompt, and what is known of that answer."""

    model: str
    cost_usd: float  # with the checks and summaries it brought about; NaN: unknown
    score: float  # in [0, 1]; NaN: nobody marked it
    rank: int  # how much the word of who marked it counts, as SOURCE_RANK; 0: nobody did
    text: str | None  # None: not kept
    verdict: Verdict | None
    source: Source
    error: str | None = None  # kind: message, where it failed
    cached: bool = False  # it came from the cache and cost nothing
    call_usd: float = math.nan  # of the call alone; NaN: unknown
    tokens: tuple[float, float] = (math.nan, math.nan)  # of the prompt and of the answer; NaN: unknown


@dataclass(frozen=True, slots=True)
class Logged:
    """One decision, with what the strategy was told and what the models that were asked answered."""

    decision_id: str
    session: str
    prompt_hash: str
    prompt: str | None
    strategy: str
    task: str | None
    task_score: float  # NaN: the task was given, or there is none
    status: str
    cached: bool  # the whole question was answered from the cache
    cost_usd: float  # NaN: unknown
    quality: float  # NaN: not marked
    quality_threshold: float  # NaN: it did not decide
    model: str | None
    propensity: float  # NaN: there was no lot
    candidates: str  # JSON: of hundred thousand decisions it takes a tenth of what the parsed takes
    answers: tuple[Answer, ...]  # in the order asked, failures included

    def considered(self) -> list[dict[str, Any]]:
        """The candidates as the decision told them."""
        return [candidate_of_row(kept) for kept in json.loads(self.candidates)]


def read(log: DecisionLog) -> list[Logged]:
    """Every decision, in the order made, as marked as of now. Raises StoreError."""
    ledger = log.ledger
    ledger.refresh()
    heavy: dict[str, tuple[str, str]] = {}
    seq = 0
    while rows := log.rows_since(seq, _HEAVY, limit=_CHUNK):
        seq = rows[-1][0]
        heavy.update({decision_id: (candidates, attempts) for _, decision_id, candidates, attempts in rows})
    columns = {name: ledger.frame[name].tolist() for name in ledger.frame.columns if name != "time"}
    found = []
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        candidates, attempts = heavy[row["decision_id"]]
        logged = Logged(
            **{name: row[name] for name in _AS_THEY_ARE},
            cached=row["cache"] in ("exact", "semantic"),
            candidates=candidates,
            answers=answers_of(json.loads(attempts), row["quality"], row["quality_source"]),
        )
        found.append(logged)
    return found


_AS_THEY_ARE = tuple(name for name in Logged.__dataclass_fields__ if name not in ("cached", "candidates", "answers"))


def answers_of(attempts: Sequence[Mapping[str, Any]], quality: float, quality_source: str | None) -> tuple[Answer, ...]:
    """The answers of a decision's attempts.

    A judge belongs to the answer before it, a summary to the one after it: so the answers' costs add up to the decision's.

    Args:
        quality: of the decision, which is that of its last whole answer; NaN: not marked.
        quality_source: who marked it.
    """
    asked = [a for a in attempts if a["purpose"] == "answer"]
    last = next((a for a in reversed(asked) if not a["error"]), None)
    costs: list[float] = []
    ahead = 0.0
    for a in attempts:
        usd = _number(a["cost_usd"])
        if a["purpose"] == "answer":
            costs.append(usd + ahead)
            ahead = 0.0
        elif a["purpose"] == "summary" or not costs:
            ahead += usd
        else:
            costs[-1] += usd
    if costs:
        costs[-1] += ahead
    found = []
    for a, cost in zip(asked, costs, strict=True):
        verdict = _verdict(a["verdict"])
        if a is last and not math.isnan(quality):
            score, rank = float(quality), SOURCE_RANK.get(str(quality_source), 0)
        else:
            score, rank = mark_of(verdict)
        cached = a["cache"] in ("exact", "semantic")
        usd, tokens = _number(a["cost_usd"]), (_number(a.get("input_tokens")), _number(a.get("output_tokens")))
        found.append(Answer(a["model"], cost, score, rank, a["text"], verdict, "logged", a["error"], cached, usd, tokens))
    return tuple(found)


def words(answers: Sequence[Answer]) -> list[tuple[int, int, Answer]]:
    """What was said of a model's answers to one prompt: (how much it counts, its place, the answer that was paid for).

    An answer from the cache is an older one again. A mark on it is one on the newest paid answer before it of the same text;
    without a mark, or where nothing of that text was paid for, it says nothing.

    Args:
        answers: whole ones, in the order given.
    """
    found, paid = [], {}
    for place, answer in enumerate(answers):
        if not answer.cached:
            paid[answer.text] = answer
            found.append((answer.rank, place, answer))
        elif answer.rank and answer.text is not None and answer.text in paid:
            found.append((answer.rank, place, replace(paid[answer.text], score=answer.score, rank=answer.rank)))
    return found


def _number(written: float | None) -> float:
    return math.nan if written is None else float(written)


def _verdict(said: Mapping[str, Any] | None) -> Verdict | None:
    if not said:
        return None
    return Verdict(said["accepted"], said["score"], said["reason"], said["validator"], said.get("source") or "validator")


def mark_of(verdict: Verdict | None) -> tuple[float, int]:
    """(score, rank) that a verdict gives: a refusal without a score is a 0, an estimate is no mark."""
    if verdict is None or verdict.source not in SOURCE_RANK:
        return math.nan, 0
    score = verdict.score if verdict.accepted or verdict.score is not None else 0.0
    return (math.nan, 0) if score is None else (float(score), SOURCE_RANK[verdict.source])
