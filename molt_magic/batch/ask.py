"""From a column to a frame: reads it, asks what is different in it, and puts the rows back in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from molt_magic.batch import frame
from molt_magic.batch.column import Column, Questions, different, read
from molt_magic.batch.file import RunFile
from molt_magic.batch.frame import Row
from molt_magic.batch.logged import answered_by
from molt_magic.batch.run import Asks, Run
from molt_magic.errors import InputError, MoltError
from molt_magic.orchestrator.asked import Asked
from molt_magic.orchestrator.budget import RunAccount
from molt_magic.types import OnEvent

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

FOLDER = "runs"
INTERRUPTED = "interrupted: not asked"
_PROBE = "Can this be asked?"  # never asked: options that are wrong are so whatever the prompt is


def ask_column(
    asks: Asks,
    given: object,
    *,
    column: str | None,
    resume: str | None,
    max_cost: float | None,
    concurrency: int,
    client: Client | None,  # noqa: ARG001  # its workers are asked by `cluster`
    dry_run: bool,  # noqa: ARG001  # see `forecast`
    on_event: OnEvent | None,
    options: Mapping[str, Any],
) -> pd.DataFrame:
    """See `Orchestrator.map`."""
    options = _checked(options, max_cost, concurrency, on_event)
    probe = asks.read(_PROBE, **options)
    prompts = read(given, column)
    questions = different(prompts)
    account = RunAccount(max_cost)
    file = None if resume is None else _opened(asks, resume, probe)
    run = Run(
        asks,
        prompts,
        questions,
        options=options,
        account=account,
        concurrency=min(concurrency, max(1, len(questions))),
        file=file,
        on_event=on_event,
    )
    try:
        if file is not None:
            _take_over(asks, run, file, questions, account)
        return _asked(asks, run, prompts, questions, on_event)
    finally:
        if file is not None:
            file.close()


def _asked(asks: Asks, run: Run, prompts: Column, questions: Questions, on_event: OnEvent | None) -> pd.DataFrame:
    """Ask, and the frame that came of it; an exception that ends the run carries it as its `frame`."""
    if on_event is not None:
        asks.listeners.append(on_event)
    try:
        asks.run(run.drive())
    except (KeyboardInterrupt, MoltError) as ended:
        ended.frame = frame.build(prompts, questions, run.answers, INTERRUPTED)  # type: ignore[union-attr]  # nothing that was paid for is lost
        raise
    finally:
        if on_event is not None:
            asks.listeners.remove(on_event)
    return frame.build(prompts, questions, run.answers, run.ended_early or INTERRUPTED)


def _checked(options: Mapping[str, Any], max_cost: float | None, concurrency: int, on_event: object) -> dict[str, Any]:
    """The options of each question. Raises InputError for those that make no sense of a column."""
    if options.get("thread") is not None:
        raise InputError("Rows are asked independently of each other, and so not in a thread.", fix="Leave out thread.")
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
        raise InputError(f"concurrency must be a whole number of 1 or more, not {concurrency!r}.")
    if max_cost is not None and not (isinstance(max_cost, int | float) and max_cost >= 0):
        raise InputError(f"max_cost must be a number, 0 or more, not {max_cost!r}.")
    if on_event is not None and not callable(on_event):
        raise InputError(f"on_event must be a function of one event, not {type(on_event).__name__}.")
    validate = options.get("validate")
    if validate is None or isinstance(validate, str) or callable(validate) or not isinstance(validate, Iterable):
        return dict(options)
    return {**options, "validate": tuple(validate)}  # read anew for every row


def _opened(asks: Asks, name: str, probe: Asked) -> RunFile:
    """The file of the run. Raises InputError, StoreError."""
    settings = asks.parts.settings
    if not settings.log.prompts:
        raise InputError(
            "log.prompts is off, and a run that can be resumed keeps its answers on the disk.",
            fix="Leave out resume, or put log.prompts on.",
        )
    if probe.recorded:
        raise InputError("Recorded answers are there anyway: there is nothing to resume.", fix="Leave out resume.")
    return RunFile(settings.data_dir / FOLDER, name, _shape(probe, settings.defaults.quality))


def _shape(probe: Asked, quality: float) -> dict[str, Any]:
    """What shapes the answers of a run beside its prompts, as JSON has it."""
    request = probe.request
    system = next((message.text for message in request.messages if message.role == "system"), None)
    return {
        "strategy": probe.strategy,
        "model": request.model,
        "task": request.task,
        "quality": quality if request.quality is None else request.quality,
        "system": system,
        "validate": [_name(check) for check in probe.checks],
        "schema": request.schema,
        **{f"param {name}": value for name, value in request.params.items()},
    }


def _name(check: object) -> str:
    """What a validator is called."""
    if isinstance(check, str):
        return check
    return str(getattr(check, "__qualname__", None) or getattr(check, "name", None) or type(check).__qualname__)


def _take_over(asks: Asks, run: Run, file: RunFile, questions: Questions, account: RunAccount) -> None:
    """What earlier calls of a run came to. What a killed one had logged, but not kept, is kept now."""
    wanted = {key: number for number, key in enumerate(questions.keys)}
    ended, asked = file.known(wanted)
    found: dict[str, Row] = {}
    if asked and asks.parts.settings.log.enabled:
        found = answered_by(asks.parts.log, list(asked.values()))
        numbers = {decision_id: number for number, decision_id in asked.items()}
        file.keep([(questions.keys[numbers[name]], row, row.cost_usd or 0.0) for name, row in found.items()])
        ended |= {numbers[name]: row for name, row in found.items()}
    for number, row in ended.items():
        if row.answered:
            run.known(number, row)
    account.spent_usd = file.spent_usd()
