"""The accounts of a session and a day: what is spent, what is held for calls in flight, and whether one more call fits."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from molt_magic import catalog, tokens
from molt_magic.config import BudgetSettings
from molt_magic.errors import BudgetExceeded, StoreError
from molt_magic.log import DecisionLog
from molt_magic.orchestrator.budget.holds import Day, Held, Holds
from molt_magic.orchestrator.budget.run import RunAccount
from molt_magic.orchestrator.candidates import answer_limit
from molt_magic.result import usd
from molt_magic.types import ModelSpec

logger = logging.getLogger("molt_magic")

# An answer without a limit of its own is estimated at this many times its expected length. Logs of lengths deviate from what
# was expected by about 0.7 (`quality.lengths.SPREAD`): 99 of 100 answers are then below exp(2.33 * 0.7) = 5.1 times the middle
# one, and the mean, which is what is expected, is exp(0.7 ** 2 / 2) = 1.28 times the middle one.
MARGIN = 4.0
EXACT_USD = 1e-9  # amounts are sums of floats: what is this close to a limit is at it
_FIRST_LOOK_S, _LAST_LOOK_S = 0.01, 0.25  # how often it is looked whether calls in flight have made room

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
class Quote:
    """What a call may cost, USD; None: a price is unknown."""

    usd: float | None  # the estimate: with `max_tokens` an upper bound, else what 99 of 100 answers stay under
    most_usd: float | None  # if the model writes as much as it can


def quote(
    spec: ModelSpec, message_tokens: int, params: Mapping[str, Any], schema: Mapping[str, Any] | None, expected_tokens: int
) -> Quote:
    """What a call may cost: its input as counted, and as much output as it may have.

    Args:
        message_tokens: of its messages; tools and a schema are counted here.
        params: of the call. `max_tokens` bounds the answer; without it the estimate is MARGIN times the expected length, and
            the most is what the model can write, or what is left of its window.
        expected_tokens: of the answer.
    """
    count = message_tokens
    if params.get("tools") or schema is not None:
        count += tokens.count_text(json.dumps([params.get("tools"), schema], default=dict), spec.family)
    limit = answer_limit(params)
    room = None if spec.context_window is None else max(spec.context_window - count, 0)
    ends = [end for end in (limit, spec.max_output, room) if end is not None]
    most = min(ends, default=None)
    likely = int(MARGIN * expected_tokens) if limit is None else limit
    likely = likely if most is None else min(likely, most)
    answers = n if isinstance(n := params.get("n"), int) and n > 1 else 1
    estimate = catalog.estimate_usd(spec, count, likely * answers)
    return Quote(estimate, catalog.estimate_usd(spec, count, (likely if most is None else most) * answers))


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
                return _beyond(account, spec, estimate, max(0.0, account.limit_usd - account.spent_usd))
        return None

    def crowded(self, quoted: Quote) -> Account | None:
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


@dataclass(slots=True)
class Hold:
    """What is held for one call in flight."""

    decision_id: str
    row: int | None  # among the holds of the machine; None: neither the session nor the day has a limit
    of_run_usd: float = 0.0  # held in the run's account


class Budget:
    """The budgets of one session, and through the file that it shares those of the machine's day.

    Args:
        limits: the settings in force.
        session: its id, as the log has it.
        log: where decisions are; None: logging is off.
        folder: where what is held is kept, for all processes; made when it is first needed.
        patience_s: how long calls in flight are waited for while nothing moves; they end by themselves within that.
        clock: local time, without a zone.
    """

    def __init__(
        self,
        *,
        limits: Callable[[], BudgetSettings],
        session: str,
        log: Callable[[], DecisionLog | None] = lambda: None,
        folder: Callable[[], Path] = Path,
        patience_s: Callable[[], float] = lambda: math.inf,
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._limits = limits
        self._session = session
        self._log = log
        self._folder = folder
        self._patience_s = patience_s
        self._clock = clock
        self._made: Holds | None = None
        self._unlogged_usd = 0.0  # spent in this session by questions that are not in the log
        self._unlogged_unknown = 0
        self._held: set[str] = set()  # decisions under way that have rows among the holds
        self._looked: dict[str, tuple[object, int, float, int]] = {}  # the log's sums: of what, up to which row
        self._turn: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    # how it stands

    def applies(self, allowed_usd: float | None, run: RunAccount | None = None) -> bool:
        """Whether there is any limit: without one nothing is counted, read or written."""
        limits = self._limits()
        return (
            allowed_usd is not None
            or (run is not None and run.limit_usd is not None)
            or limits.call_usd is not None
            or limits.session_usd is not None
            or limits.day_usd is not None
        )

    def spent_usd(self) -> float:
        """USD spent in this session as far as prices are known, by questions kept out of the log too. Raises StoreError."""
        return self._logged("session", Day.of(self._clock()))[0] + self._unlogged_usd

    def accounts(self) -> tuple[Account, Account]:
        """How the session's and the day's budgets stand, with a limit or without. Raises StoreError."""
        day = Day.of(self._clock())
        held = self._holds.read(day, self._logged_ids) if self._holds.exists() else Held()
        return self._account("session", held, day), self._account("day", held, day)

    def standing(self, allowed_usd: float | None = None, spent_usd: float = 0.0, run: RunAccount | None = None) -> Standing:
        """How all budgets stand, for a question of a run that may cost so much and has cost so much. Raises StoreError."""
        names, day = self._limited(), Day.of(self._clock())
        held = self._holds.read(day, self._logged_ids) if names and self._holds.exists() else Held()
        accounts = tuple(self._account(name, held, day) for name in names)
        return Standing(self._limits(), _of_run(run) + accounts, allowed_usd, spent_usd)

    # around a call

    async def reserve(
        self,
        spec: ModelSpec,
        quoted: Quote,
        *,
        decision_id: str,
        allowed_usd: float | None,
        spent_usd: float,
        waiting: Callable[[Account], None],
        run: RunAccount | None = None,
    ) -> Hold | None:
        """Hold what a call may cost; wait for its turn where only calls in flight stand in the way.

        Args:
            decision_id: of the question that the call belongs to.
            allowed_usd, spent_usd: what that may cost, and has cost so far.
            waiting: told once, where it waits.
            run: the account of the run that the question is part of.

        Returns:
            What `settle` wants; None: the call is free, or nothing of it is held.

        Raises:
            BudgetExceeded: it is not to be made.
            StoreError: it cannot be known what was spent.
        """
        own = Standing(self._limits(), _of_run(run), allowed_usd, spent_usd).refusal(spec, quoted)
        if own is not None:
            raise own.error
        if not quoted.usd or not (self._limited() or _of_run(run)):
            return None
        async with self._queue():
            return await self._in_turn(spec, quoted, decision_id, waiting, run)

    def settle(
        self, hold: Hold | None, cost_usd: float | None, *, decision_id: str = "", run: RunAccount | None = None
    ) -> None:
        """Put the truth in place of what was held; nothing, or nothing known, frees it.

        Args:
            decision_id, run: of the question that the call belongs to. A run counts what was spent where nothing was held, too.
        """
        if run is not None:
            run.settle(decision_id, 0.0 if hold is None else hold.of_run_usd, cost_usd)
        if hold is None or hold.row is None:
            return
        try:
            self._holds.settle(hold.row, cost_usd or 0.0)
        except StoreError as error:  # the answer is paid for; what was held stays until this process ends
            logger.warning("what a call cost could not be put in place of what was held for it: %s", error)

    def finished(self, decision_id: str, cost_usd: float, *, unknown: bool, logged: bool) -> None:
        """Take note that a question has ended.

        Args:
            cost_usd: what it cost, as far as that is known.
            unknown: whether it had a call whose price is not known.
            logged: whether its decision is in the log, which counts it from now on.
        """
        if not logged:
            self._unlogged_usd += cost_usd
            self._unlogged_unknown += unknown
        held = decision_id in self._held
        self._held.discard(decision_id)
        try:
            if logged and held:
                self._holds.forget(decision_id)
            elif not logged and (cost_usd or unknown):
                self._holds.keep(decision_id, Day.of(self._clock()), cost_usd, unknown)
        except StoreError as error:
            logger.warning("what a question cost could not be written down for the day's budget: %s", error)

    def close(self) -> None:
        """Close the file of what is held; a later use opens it again."""
        if self._made is not None:
            self._made.close()

    # within

    @property
    def _holds(self) -> Holds:
        folder = self._folder()
        if self._made is None or self._made.folder != folder:
            self._made = Holds(folder)
        return self._made

    def _queue(self) -> asyncio.Lock:
        """The calls of this process that wait, in the order in which they came."""
        loop = asyncio.get_running_loop()
        if self._turn is None or self._turn[0] is not loop:
            self._turn = (loop, asyncio.Lock())
        return self._turn[1]

    async def _in_turn(
        self, spec: ModelSpec, quoted: Quote, decision_id: str, waiting: Callable[[Account], None], run: RunAccount | None
    ) -> Hold:
        pause, before, since = _FIRST_LOOK_S, None, time.monotonic()
        while True:
            found = self._try(spec, quoted, decision_id, run)
            if isinstance(found, Hold):
                return found
            if isinstance(found, Refusal):
                raise found.error
            if before is None:
                waiting(found)
            if found != before:
                pause, before, since = _FIRST_LOOK_S, found, time.monotonic()
            elif time.monotonic() - since > self._patience_s():
                raise _beyond(found, spec, quoted.usd or 0.0, found.left_usd or 0.0).error
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LAST_LOOK_S)

    def _try(self, spec: ModelSpec, quoted: Quote, decision_id: str, run: RunAccount | None) -> Hold | Refusal | Account:
        """Hold it; or why not; or the account in which there is no room as yet. All processes look and hold one by one."""
        most, names = quoted.most_usd or quoted.usd or 0.0, self._limited()
        if not names:
            return self._fits(Standing(self._limits(), _of_run(run)), spec, quoted) or _held_of_run(
                decision_id, None, most, run
            )
        day = Day.of(self._clock())
        with self._holds.alone(day, self._logged_ids) as (held, hold):
            accounts = tuple(self._account(name, held, day) for name in names)
            against = self._fits(Standing(self._limits(), _of_run(run) + accounts), spec, quoted)
            if against is not None:
                return against
            self._held.add(decision_id)
            return _held_of_run(decision_id, hold(self._session, decision_id, most), most, run)

    @staticmethod
    def _fits(standing: Standing, spec: ModelSpec, quoted: Quote) -> Refusal | Account | None:
        """What is against a call: a budget that refuses it, or one in which there is no room as yet; None: nothing."""
        return standing.refusal(spec, quoted) or standing.crowded(quoted)

    def _limited(self) -> tuple[Literal["session", "day"], ...]:
        limits = self._limits()
        found: tuple[Literal["session", "day"], ...] = ("session",) if limits.session_usd is not None else ()
        return found if limits.day_usd is None else (*found, "day")

    def _account(self, name: Literal["session", "day"], held: Held, day: Day) -> Account:
        limits = self._limits()
        spent, unknown = self._logged(name, day)
        if name == "session":
            spent, unknown = spent + self._unlogged_usd + held.spent(self._session), unknown + self._unlogged_unknown
            return Account(name, limits.session_usd, spent, held.reserved(self._session), unknown)
        spent, unknown = spent + held.unlogged_usd + held.spent(), unknown + held.unlogged_unknown
        return Account(name, limits.day_usd, spent, held.reserved(), unknown)

    def _logged(self, name: Literal["session", "day"], day: Day) -> tuple[float, int]:
        """USD in the log, and decisions with an unknown price; only what was logged since the last time is asked for."""
        log = self._log()
        if log is None:
            return 0.0, 0
        of: dict[str, str] = {"session": self._session} if name == "session" else {"since": day.begin, "until": day.end}
        about, last = (log.path, *of.values()), log.last_row()
        before, row, usd, unknown = self._looked.get(name, (None, 0, 0.0, 0))
        if before != about or last < row:
            row, usd, unknown = 0, 0.0, 0
        if last > row or not row:
            more, unpriced = log.spending(**of, after=row, through=last)
            usd, unknown = usd + more, unknown + unpriced
            self._looked[name] = (about, last, usd, unknown)
        return usd, unknown

    def _logged_ids(self, ids: list[str]) -> set[str]:
        """Which of these decisions are in the log."""
        log = self._log()
        return set() if log is None or not ids else set(log.columns_of(ids, ("seq",)))


def _of_run(run: RunAccount | None) -> tuple[Account, ...]:
    """The account of a run, where it has a limit."""
    if run is None or run.limit_usd is None:
        return ()
    return (Account("run", run.limit_usd, run.spent_usd, run.reserved_usd, run.unknown),)


def _held_of_run(decision_id: str, row: int | None, most_usd: float, run: RunAccount | None) -> Hold:
    """What is held for a call, by its run as well."""
    if run is None:
        return Hold(decision_id, row)
    run.hold(most_usd)
    return Hold(decision_id, row, most_usd)


def _beyond(account: Account, spec: ModelSpec, estimate: float, left: float) -> Refusal:
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
