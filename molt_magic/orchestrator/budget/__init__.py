"""Budgets: what a call, a run, a session and a day may cost, enforced before a call with its estimate and after with the truth.

A *call* is one request to a model: an answer, a judge, a summary and a sample are one each. What a whole question may cost is
its own limit (`max_cost`). A *run* is a column of questions (`Orchestrator.map`). A *day* is the
user's calendar day, of all sessions and kernels of this machine together.

Before a call two figures are known (`Quote`): its estimate, which it will hardly exceed, and the most it can cost, if the model
writes as much as it may. It is made where, of the run, of the session and of the day,

    spent + the most that the calls in flight can cost + its own estimate <= limit

so whatever the models answer, a budget is overrun by no more than one call costs above its estimate. Where `max_tokens` says
how long an answer may be, that is nothing, but for what our count of the input was off (see `tokens`). Where only calls in
flight stand in the way, it waits for them, in turn: most of them turn out cheaper. Where what is spent leaves no room, it is
refused.

While a call is in flight its most is held (`Holds`); then the truth takes its place until the decision is in the log. A call
that fails or is cancelled costs what is known of it, and what a process held that died is free again. What is free anyway, a
model on this machine or an answer from the cache or a cassette, is never held nor refused.
"""

from __future__ import annotations

from molt_magic.orchestrator.budget.accounts import Budget, Hold
from molt_magic.orchestrator.budget.quotes import MARGIN, Quote, quote
from molt_magic.orchestrator.budget.run import RunAccount
from molt_magic.orchestrator.budget.standing import EXACT_USD, Account, Refusal

__all__ = ["EXACT_USD", "MARGIN", "Account", "Budget", "Hold", "Quote", "Refusal", "RunAccount", "quote"]
