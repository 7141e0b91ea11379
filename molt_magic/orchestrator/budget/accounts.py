"""The accounts of a session and a day: what is spent, what is held for calls in flight, and the turn of those that wait."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from molt_magic.config import BudgetSettings
from molt_magic.errors import StoreError
from molt_magic.log import DecisionLog
from molt_magic.orchestrator.budget.holds import Day, Held, Holds
from molt_magic.orchestrator.budget.quotes import Quote
from molt_magic.orchestrator.budget.run import RunAccount
from molt_magic.orchestrator.budget.standing import Account, Refusal, Standing, beyond, of_run
from molt_magic.types import ModelSpec

logger = logging.getLogger("molt_magic")

_FIRST_LOOK_S, _LAST_LOOK_S = 0.01, 0.25  # how often it is looked whether calls in flight have made room


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
        log: where decisions are, or were until logging was switched off; None: nothing was ever logged.
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

    def standing(self, allowed_usd: float | None) -> Standing:
        """How the budgets stand before a question that may cost so much; its run's is not among them. Raises StoreError."""
        names, day = self._limited(), Day.of(self._clock())
        held = self._holds.read(day, self._logged_ids) if names and self._holds.exists() else Held()
        accounts = tuple(self._account(name, held, day) for name in names)
        return Standing(self._limits(), accounts, allowed_usd)

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
        own = Standing(self._limits(), of_run(run), allowed_usd, spent_usd).refusal(spec, quoted)
        if own is not None:
            raise own.error
        if not quoted.usd or not (self._limited() or of_run(run)):
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
                raise beyond(found, spec, quoted.usd or 0.0, found.left_usd or 0.0).error
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LAST_LOOK_S)

    def _try(self, spec: ModelSpec, quoted: Quote, decision_id: str, run: RunAccount | None) -> Hold | Refusal | Account:
        """Hold it; or why not; or the account in which there is no room as yet. All processes look and hold one by one."""
        most, names = quoted.most_usd or quoted.usd or 0.0, self._limited()
        if not names:
            return Standing(self._limits(), of_run(run)).against(spec, quoted) or _held_of_run(decision_id, None, most, run)
        day = Day.of(self._clock())
        with self._holds.alone(day, self._logged_ids) as (held, hold):
            accounts = tuple(self._account(name, held, day) for name in names)
            against = Standing(self._limits(), of_run(run) + accounts).against(spec, quoted)
            if against is not None:
                return against
            self._held.add(decision_id)
            return _held_of_run(decision_id, hold(self._session, decision_id, most), most, run)

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


def _held_of_run(decision_id: str, row: int | None, most_usd: float, run: RunAccount | None) -> Hold:
    """What is held for a call, by its run as well."""
    if run is None:
        return Hold(decision_id, row)
    run.hold(most_usd)
    return Hold(decision_id, row, most_usd)
