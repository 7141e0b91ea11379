"""How the budgets stand: a line of a session's state, and the page of `%route budget`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from molt_magic.result import usd
from molt_magic.views.tables import Page, Table

if TYPE_CHECKING:
    from molt_magic.orchestrator import Orchestrator
    from molt_magic.orchestrator.budget import Account


def line(orch: Orchestrator) -> str:
    """What was spent of what may be, in a sentence. Raises StoreError."""
    session, day = orch.budgets()
    call = orch.settings.budget.call_usd
    said = f"Spent this session: {_of(session)}"
    if session.limit_usd is day.limit_usd is call is None:
        return f"{said}; no budget is set."
    if day.limit_usd is not None:
        said += f"; today: {_of(day)}"
    if call is not None:
        said += f"; one call may cost {usd(call)}"
    return f"{said}."


def page(orch: Orchestrator) -> Page:
    """Every budget with what is spent, reserved for calls in flight, and left. Raises StoreError."""
    session, day = orch.budgets()
    limits = orch.settings.budget
    none = session.limit_usd is day.limit_usd is limits.call_usd is None
    rows = [
        ("one call", _limit(limits.call_usd), "", "", ""),
        *(
            (name, _limit(a.limit_usd), usd(a.spent_usd), usd(a.reserved_usd), _limit(a.left_usd))
            for name, a in _named(session, day)
        ),
    ]
    lines = [f"Spent this session: {_of(session)}." + (" No budget is set." if none else "")]
    for name, account in _named(session, day):
        if account.unknown:
            asked = "1 decision" if account.unknown == 1 else f"{account.unknown:,} decisions"
            lines.append(f"{name.capitalize()}: {asked} with a call whose price is not known; what it cost is not in it.")
    if not none and limits.allow_unknown_prices:
        lines.append("Models whose price is not known may be asked (budget.allow_unknown_prices).")
    return Page(("\n".join(lines), Table("Budgets, USD", ("Budget", "Limit", "Spent", "Reserved", "Left"), rows)))


def _named(session: Account, day: Account) -> tuple[tuple[str, Account], ...]:
    return ("this session", session), ("today", day)


def _limit(amount: float | None) -> str:
    return "none" if amount is None else usd(amount)


def _of(account: Account) -> str:
    said = usd(account.spent_usd)
    if account.limit_usd is not None:
        said += f" of {usd(account.limit_usd)}"
    return f"{said}, at most {usd(account.reserved_usd)} more in flight" if account.reserved_usd else said
