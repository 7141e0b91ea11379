"""How budgets stand, and which calls they refuse; nothing here reads or holds anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from molt_magic.config import BudgetSettings
from molt_magic.errors import BudgetExceeded
from molt_magic.orchestrator.budget.quotes import Quote
from molt_magic.orchestrator.budget.run import RunAccount
from molt_magic.result import usd
from molt_magic.types import ModelSpec

EXACT_USD = 1e-9  # amounts are sums of floats: what is this close to a limit is at it

Name = Literal["call", "question", "run", "session", "day"]
_WHOSE: Mapping[str, str] = {"run": "this run's", "session": "this session's", "day": "today's"}
_RAISE: Mapping[str, str] = {
    "call": "Allow more with %route budget call USD, or set max_tokens lower.",
    "question": "Allow more with --max-cost, or set max_tokens lower.",
    "run": "Raise max_cost, and go on with the run.",
    "session": "Raise it with %route budget USD, or set max_tokens lower.",
    "day": "Raise it with %route budget day USD, or set max_tokens lower.",
}


@dataclass(frozen=True, slots=True)
class Account:
    """How a budget stands, USD."""

    name: Literal["run", "session", "day"]
    limit_usd: float | None  # None: there is none
    spent_usd: float  # as far as prices are known
    reserved_usd: float = 0.0  # the most that the calls in flight can cost
    unknown: int = 0  # decisions with a call whose price is not known

    @property
    def left_usd(self) -> float | None:
        """What may still be spent besides what is reserved; None: whatever one likes."""
        return None if self.limit_usd is None else max(0.0, self.limit_usd - self.spent_usd - self.reserved_usd)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call is not made."""

    name: Name
    reason: str  # as a candidate has it
    error: BudgetExceeded


@dataclass(frozen=True, slots=True)
class Standing:
    """How all budgets stand at one moment, and what they refuse. What is in flight refuses nothing: it may be waited for."""

    limits: BudgetSettings
    accounts: tuple[Account, ...] = ()  # those with a limit
    allowed_usd: float | None = None  # what the question may cost
    spent_usd: float = 0.0  # what it has cost

    def refusal(self, spec: ModelSpec, quoted: Quote) -> Refusal | None:
        """Why a call of a model is not made; None: nothing is against it."""
        estimate = quoted.usd
        if estimate is None:
            return self._unknown(spec)
        if estimate <= 0.0:
            return None
        about, call, allowed = f"about {usd(estimate)}", self.limits.call_usd, self.allowed_usd
        if call is not None and estimate > call + EXACT_USD:
            told = f"{spec.name} may cost {about}, over the budget of {_round(call)} for one call."
            return _refusal("call", f"{about}, over the {_round(call)} that one call may cost", told)
        if allowed is not None and self.spent_usd + estimate > allowed + EXACT_USD:
            more = f"{about} more" if self.spent_usd else about
            spent = f" ({usd(self.spent_usd)} spent)" if self.spent_usd else ""
            told = f"{spec.name} may cost {more}, over the budget of {_round(allowed)} for this question{spent}."
            return _refusal("question", f"{more}, over the {_round(allowed)} allowed{spent}", told)
        for account in self.accounts:
            if account.limit_usd is not None and account.spent_usd + estimate > account.limit_usd + EXACT_USD:
                return beyond(account, spec, estimate, max(0.0, account.limit_usd - account.spent_usd))
        return None

    def against(self, spec: ModelSpec, quoted: Quote) -> Refusal | Account | None:
        """What is against a call: a budget that refuses it, or one in which there is no room as yet; None: nothing."""
        return self.refusal(spec, quoted) or self._crowded(quoted)

    def _crowded(self, quoted: Quote) -> Account | None:
        """The budget in which calls in flight leave no room for this one as yet."""
        for account in self.accounts:
            taken = account.spent_usd + account.reserved_usd + (quoted.usd or 0.0)
            if account.limit_usd is not None and taken > account.limit_usd + EXACT_USD:
                return account
        return None

    def _unknown(self, spec: ModelSpec) -> Refusal | None:
        if self.limits.allow_unknown_prices:
            return None
        mine = not (self.accounts or self.limits.call_usd is not None)
        why = f"at most {_round(self.allowed_usd or 0.0)} was allowed" if mine else "there is a budget"
        fix = (
            f"Set input_usd_per_mtok and output_usd_per_mtok under [models.{spec.name}], or permit it: "
            "%route config budget.allow_unknown_prices true."
        )
        reason = f"its price is unknown, and {why}: set its prices, or budget.allow_unknown_prices"
        name: Name = "question" if mine else "call"
        error = BudgetExceeded(f"The price of {spec.name} is unknown, and {why} (budget).", fix=fix, budget=name)
        return Refusal(name, reason, error)


def of_run(run: RunAccount | None) -> tuple[Account, ...]:
    """The account of a run, where it has a limit."""
    if run is None or run.limit_usd is None:
        return ()
    return (Account("run", run.limit_usd, run.spent_usd, run.reserved_usd, run.unknown),)


def beyond(account: Account, spec: ModelSpec, estimate: float, left: float) -> Refusal:
    """The refusal of a budget of which less is left than a call may cost."""
    limit = account.limit_usd or 0.0
    whose, about = _WHOSE[account.name], f"about {usd(estimate)}"
    told = (
        f"{spec.name} may cost {about}, and only {usd(left)} is left of {whose} budget of {_round(limit)} "
        f"({usd(account.spent_usd)} spent, {usd(account.reserved_usd)} in flight)."
    )
    return _refusal(account.name, f"{about}, only {usd(left)} left of {whose} {_round(limit)}", told)


def _refusal(name: Name, reason: str, told: str) -> Refusal:
    return Refusal(name, reason, BudgetExceeded(told, fix=_RAISE[name], budget=name))


def _round(limit: float) -> str:
    """A limit as its user wrote it."""
    return f"${limit:g}"
