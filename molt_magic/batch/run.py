"""The questions of a run, asked many at a time on the orchestrator's loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from molt_magic import errors
from molt_magic.batch.column import Column, Questions
from molt_magic.batch.file import RunFile
from molt_magic.batch.forecast import Forecast
from molt_magic.batch.frame import Row
from molt_magic.batch.progress import Progress, Teller, told
from molt_magic.batch.reasons import concerns_all, ends_all, resting, too_fast
from molt_magic.orchestrator import record
from molt_magic.orchestrator.asked import Asked
from molt_magic.orchestrator.budget import RunAccount
from molt_magic.orchestrator.failure import as_molt_error
from molt_magic.orchestrator.loop import EventLoop
from molt_magic.orchestrator.parts import Parts
from molt_magic.providers import Exchanger
from molt_magic.result import Result
from molt_magic.types import OnEvent

# questions that are written down at once before they are asked: a write to the disk for each would cost as much as it
AHEAD = 64
LONGEST_REST_S = 120.0  # that a question waits for models that were asked too much
REST_S = 1.0  # at the least, and each time as long as all before it
FEWEST = 3  # failures alike, before it is believed that all rows will fail alike


@dataclass(frozen=True, slots=True)
class Asks:
    """What a run needs of the orchestrator."""

    parts: Parts
    read: Callable[..., Asked]  # of a prompt and the options of a question
    route: Callable[[Asked], Coroutine[Any, Any, Result]]
    loop: EventLoop
    listeners: list[OnEvent]  # told of what takes long, such as weights that are fetched


class Run:
    """Asks the questions of a column, each once, and keeps what came of them.

    Args:
        asks: the orchestrator.
        column, questions: what is asked.
        options: of each question, those of `Orchestrator.aroute`.
        account: what it may cost.
        file: where answers are kept; None: nowhere.
        on_event: told how far it is.

    Attributes:
        answers: what came of each question that has ended, by its number.
        ended_early: why questions were left out; None: none were.
        forecast: what was expected of it, told with its progress.
        exchanger: who asks the models; None: this process.
        concurrency: questions in flight at once.
        begun: whether it was driven.
    """

    def __init__(
        self,
        asks: Asks,
        column: Column,
        questions: Questions,
        *,
        options: Mapping[str, Any],
        account: RunAccount,
        file: RunFile | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        self.answers: dict[int, Row] = {}
        self.ended_early: str | None = None
        self.forecast: Forecast | None = None
        self.exchanger: Exchanger | None = None
        self.concurrency = 1
        self._asks = asks
        self.column = column
        self.questions = questions
        self.options = options
        self._account = account
        self._file = file
        self._teller = Teller(on_event)
        self._rows_of = [0] * len(questions)
        for number in questions.of_row:
            if number >= 0:
                self._rows_of[number] += 1
        self._done = self._failed = len(questions.unread)  # rows
        self.begun = False
        self._since = 0.0  # monotonic seconds
        self._asked = 0  # questions that this call has asked
        self._left = 0  # questions that it has still to ask
        self._answered = False  # whether any was
        self._alike = 0  # failures for a reason that concerns all rows
        self._ready: asyncio.Queue[tuple[int, str] | None]
        self._unkept: list[tuple[bytes, Row, float]] = []
        self._something: asyncio.Event
        self._last = False  # nothing more will come to be kept

    def known(self, number: int, row: Row) -> None:
        """Take over the row of a question that need not be asked."""
        self.answers[number] = row
        self._done += self._rows_of[number]

    def wanted(self) -> list[int]:
        """The numbers of the questions that are still to be asked."""
        return [number for number in range(len(self.questions)) if number not in self.answers]

    async def drive(self) -> None:
        """Ask what is not known, and close the file. Raises StoreError: what came of it cannot be kept."""
        self.begun = True
        try:
            await self._drive()
        finally:
            self.close()
            self._teller.tell(self.progress, at_once=True)

    def close(self) -> None:
        """Let others have the run."""
        if self._file is not None:
            self._file.close()

    async def _drive(self) -> None:
        self._ready = asyncio.Queue(self.concurrency)
        self._something = asyncio.Event()
        self._since = time.monotonic()
        wanted = self.wanted()
        self._left = len(wanted)
        self._teller.tell(self.progress, at_once=True)
        keeping = asyncio.create_task(self._keep())
        working = [asyncio.create_task(self._write_ahead(wanted))]
        working += [asyncio.create_task(self._work()) for _ in range(self.concurrency)]
        try:
            await _all_of([*working, keeping], until=working)
        finally:
            await _ended(working)
            self._last = True
            self._something.set()
            await keeping

    def progress(self) -> Progress:
        """How far it is."""
        account = self._account
        return told(
            rows=len(self.questions.of_row),
            done=self._done,
            failed=self._failed,
            spent_usd=account.spent_usd,
            left_usd=account.left_usd,
            left_s=self._left_s(),
            forecast=self.forecast,
            ended_early=self.ended_early is not None,
            unknown=account.unknown > 0,
        )

    def _left_s(self) -> float | None:
        """Seconds that are left: by the pace once each place has had its first answer, before that by the forecast."""
        if self.ended_early is not None:
            return None
        if self._asked and self._asked >= min(self.concurrency, self._asked + self._left):
            return (time.monotonic() - self._since) * self._left / self._asked
        return None if self.forecast is None else self.forecast.seconds

    # what runs at the same time

    async def _write_ahead(self, wanted: list[int]) -> None:
        """Give the questions their ids, in order, and write both down before any of them is asked."""
        ahead = max(AHEAD, self.concurrency)
        for start in range(0, len(wanted), ahead):
            chunk = [(number, record.new_id()) for number in wanted[start : start + ahead]]
            if self._file is not None:
                await asyncio.to_thread(self._file.begin, [(self.questions.keys[n], name) for n, name in chunk])
            for one in chunk:
                await self._ready.put(one)
            if self.ended_early is not None:
                break
        for _ in range(self.concurrency):
            await self._ready.put(None)

    async def _work(self) -> None:
        """Ask one question after another."""
        while (one := await self._ready.get()) is not None:
            if self.ended_early is None:
                await self._ask(*one)

    async def _keep(self) -> None:
        """Put what has ended on the disk, all at once that ended while the last was being written."""
        while not self._last or self._unkept:
            await self._something.wait()
            self._something.clear()
            ended, self._unkept = self._unkept, []
            if self._file is not None and ended:
                await asyncio.to_thread(self._write, self._file, ended, dict(self._account.under_way))

    def _write(self, file: RunFile, ended: list[tuple[bytes, Row, float]], under_way: Mapping[str, float]) -> None:
        """Put questions that have ended on the disk, their decisions first."""
        if self._asks.parts.settings.log.enabled:
            with suppress(errors.StoreError):  # the answers are kept here all the same
                self._asks.parts.log.flush()
        file.keep(ended, under_way)

    # one question

    async def _ask(self, number: int, decision_id: str) -> None:
        prompt, rested_s = self.column.prompt(self.questions.rows[number]), 0.0
        while True:
            asked: Asked | None = None
            error: errors.MoltError | None = None
            try:
                asked = self._asks.read(prompt, **self.options)
                asked.decision_id, asked.run, asked.exchanger = decision_id, self._account, self.exchanger
                result = await self._asks.route(asked)
            except asyncio.CancelledError:
                if asked is not None and asked.result is not None:
                    self._took(number, decision_id, Row.of(asked.result))
                raise
            except Exception as raised:  # noqa: BLE001  # whatever it is, it is this row's
                error = as_molt_error(raised)
                assert error is not None
                failed = None if asked is None else asked.result
                row = Row("error", error=f"{error.kind}: {error.message}") if failed is None else Row.of(failed)
            else:
                row = Row.of(result)
            # where too much was asked it would fail in a moment, as would all that come after it
            pause_s = None if error is None or asked is None else self._pause_s(error, asked, rested_s)
            if pause_s is None:
                break
            decision_id = await self._again(number, decision_id)
            await asyncio.sleep(pause_s)
            rested_s += pause_s
        self._took(number, decision_id, row)
        if error is not None and asked is not None and not row.answered:
            self._weigh(error, asked)

    async def _again(self, number: int, before: str) -> str:
        """The id of a question that is asked again."""
        self._account.ended(before)
        decision_id = record.new_id()
        if self._file is not None:
            await asyncio.to_thread(self._file.begin, [(self.questions.keys[number], decision_id)])
        return decision_id

    def _pause_s(self, error: errors.MoltError, asked: Asked, rested_s: float) -> float | None:
        """How long to leave those alone who were asked too much, before a question is asked again; None: it is not."""
        left_s = LONGEST_REST_S - rested_s
        if left_s <= 0.0:
            return None
        if resting(error, asked, self._asks.parts.serving.cooling):
            return min(REST_S, left_s)
        wanted_s = too_fast(error)
        return None if wanted_s is None else min(max(wanted_s, REST_S, rested_s), left_s)

    def _took(self, number: int, decision_id: str, row: Row) -> None:
        """Take note of what came of a question."""
        self.answers[number] = row
        self._asked, self._left = self._asked + 1, self._left - 1
        self._done += self._rows_of[number]
        if row.answered:
            self._answered = True
        else:
            self._failed += self._rows_of[number]
        paid = self._account.ended(decision_id)
        if self._file is not None:
            self._unkept.append((self.questions.keys[number], row, paid))
            self._something.set()
        self._teller.tell(self.progress)

    def _weigh(self, error: errors.MoltError, asked: Asked) -> None:
        """End the run where a failure says that there is no point in asking on."""
        if self.ended_early is not None:
            return
        if ends_all(error):
            self.ended_early = f"{error.kind}: not asked: {error.message}"
        elif not self._answered and concerns_all(error, asked):
            self._alike += 1
            if self._alike >= max(FEWEST, self.concurrency):
                told_ = f"not asked: the first {self._alike} questions failed alike: {error.message}"
                self.ended_early = f"{error.kind}: {told_}"


async def _all_of(tasks: list[asyncio.Task[None]], *, until: list[asyncio.Task[None]]) -> None:
    """Wait until the tasks of `until` have ended, or any of `tasks` has failed; raises what that raised."""
    waiting = set(tasks)
    while not all(task.done() for task in until):
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    """End tasks, and wait until they have written down what they had."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
