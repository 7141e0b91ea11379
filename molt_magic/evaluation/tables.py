"""Outcome tables taken apart into prompts to learn from and to score, and made from the log."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

from molt_magic.errors import InputError
from molt_magic.evaluation.logged import Answer, Logged, read, words
from molt_magic.evaluation.matrix import texts_by_id
from molt_magic.quality.tables import read_outcomes

if TYPE_CHECKING:
    import pandas as pd

    from molt_magic.log import DecisionLog

__all__ = ["from_log", "read_outcomes", "split"]


class HasLog(Protocol):
    """An orchestrator, as far as its log goes."""

    @property
    def log(self) -> DecisionLog: ...


def split(table: pd.DataFrame, *, share: float = 0.7, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(rows to learn from, rows to score): by the column `split` where it says train and test, else at random by prompt.

    Repetitions of a prompt (the same text under several ids; see `Outcomes.texts`) stay on one side.

    Args:
        table: of `read_outcomes`.
        share: of the different prompts to learn from, in (0, 1).

    Raises:
        InputError: the share is out of range, or leaves no prompt on one side.
    """
    import numpy as np

    if not 0.0 < share < 1.0:
        raise InputError(f"The share to learn from must be between 0 and 1, not {share!r}.", fix="Say 0.7.")
    if "split" in table.columns and {"train", "test"} <= set(table["split"]):
        return table[table["split"] == "train"], table[table["split"] == "test"]
    of = texts_by_id(table)
    texts = list(dict.fromkeys(of.values()))
    count = round(share * len(texts))
    if texts and count in (0, len(texts)):
        side = "to score" if count else "to learn from"
        said = f"With a share of {share:g} none of {len(texts):,} different prompts is left {side}."
        raise InputError(said, fix="Say 0.7, or give more prompts.")
    order = np.random.default_rng(seed).permutation(len(texts))
    chosen = {texts[i] for i in order[:count]}
    learn = table["prompt_id"].isin([prompt_id for prompt_id, text in of.items() if text in chosen])
    return table[learn], table[~learn]


def from_log(orch: HasLog, *, session: str | None = None) -> pd.DataFrame:
    """The outcomes in the decision log: answers that a person, a judge or a scoring check has marked.

    Of the same model's answers to the same prompt the strongest word counts (user, judge, validator), then the newest. A word
    on an answer from the cache is one on the paid answer that it repeats.
    Only decisions whose prompt was logged can be used. Answers that were refused on the way count for the model that gave
    them; a model's answers that nobody marked teach nothing and are left out.

    Args:
        session: whose decisions, e.g. `orch.session`; None: those of every session.

    Returns:
        a table as `read_outcomes` gives it, possibly without rows.
    """
    import pandas as pd

    given: dict[tuple[str, str], list[tuple[int, Logged, Answer]]] = {}
    for number, decision in enumerate(read(orch.log)):
        if not decision.prompt or decision.status == "planned":
            continue
        for answer in decision.answers:
            if answer.error is None:
                given.setdefault((decision.prompt_hash, answer.model), []).append((number, decision, answer))
    found: list[tuple[int, tuple[Any, ...]]] = []
    for answered in given.values():
        said = words([answer for _, _, answer in answered])
        mine = [word for word in said if word[0] and session in (None, answered[word[1]][1].session)]
        if mine:
            _, place, answer = max(mine)
            first = min(answered[word[1]][0] for word in mine)
            found.append((first, _row(answered[place][1], answer)))
    rows = [row for _, row in sorted(found, key=itemgetter(0))]  # whatever other sessions asked before
    return read_outcomes(pd.DataFrame(rows, columns=list(_COLUMNS)))


_COLUMNS = ("prompt_id", "prompt", "model", "score", "cost_usd", "task", "response", "prompt_tokens", "completion_tokens")


def _row(decision: Logged, answer: Answer) -> tuple[Any, ...]:
    """An answer as a row of `_COLUMNS`."""
    about = (decision.prompt_hash, decision.prompt, answer.model, answer.score, answer.call_usd)
    return (*about, decision.task, answer.text, *answer.tokens)
