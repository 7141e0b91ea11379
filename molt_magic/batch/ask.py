"""From a column to a frame: reads it, asks what is different in it, and puts the rows back in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from molt_magic.batch import frame
from molt_magic.batch.column import different, read
from molt_magic.batch.file import FOLDER, RunFile, path_of
from molt_magic.batch.forecast import Forecast, Plan, forecast, latencies, pace, plan_of, sampled
from molt_magic.batch.frame import Row
from molt_magic.batch.logged import answered_by
from molt_magic.batch.run import Asks, Run
from molt_magic.errors import InputError, MoltError
from molt_magic.orchestrator.asked import Asked
from molt_magic.orchestrator.budget import RunAccount
from molt_magic.orchestrator.candidates import answer_limit
from molt_magic.serial import scalar
from molt_magic.types import OnEvent

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

    from molt_magic.batch.cluster import Cluster

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
    client: Client | None,
    dry_run: bool,
    on_event: OnEvent | None,
    options: Mapping[str, Any],
) -> pd.DataFrame | Forecast:
    """See `Orchestrator.map`."""
    options = {name: scalar(value) for name, value in options.items()}
    max_cost, concurrency = scalar(max_cost), scalar(concurrency)
    options = _checked(options, max_cost, concurrency, on_event)
    probe = asks.read(_PROBE, **options)
    prompts = read(given, column)
    questions = different(prompts)
    account = RunAccount(max_cost)
    file = None if resume is None else _opened(asks, resume, probe, dry_run)
    run = Run(asks, prompts, questions, options=options, account=account, file=file, on_event=on_event)
    try:
        if file is not None:
            _take_over(asks, run, file, account)
        with nullcontext() if client is None else _cluster(asks, client, concurrency) as cluster:
            run.exchanger = cluster
            places = concurrency if cluster is None else cluster.places
            run.concurrency = max(1, min(places, len(questions)))
            if dry_run:
                return asks.loop.run(_forecast(asks, run))
            return _asked(asks, run, on_event, expecting=on_event is not None and not probe.recorded)
    finally:
        if not run.begun:  # else it has closed its file, or will, where an interrupt did not wait for it
            run.close()


def _asked(asks: Asks, run: Run, on_event: OnEvent | None, *, expecting: bool) -> pd.DataFrame:
    """Ask, and the frame that came of it; an exception that ends the run carries it as its `frame`.

    Args:
        expecting: whether a forecast is made first, and told while it runs.
    """
    if on_event is not None:
        asks.listeners.append(on_event)
    try:
        if expecting:
            run.forecast = asks.loop.run(_forecast(asks, run))
        asks.loop.run(run.drive())
    except (KeyboardInterrupt, MoltError) as ended:
        ended.frame = frame.build(run.column, run.questions, run.answers, INTERRUPTED)  # type: ignore[union-attr]  # nothing is lost
        raise
    finally:
        if on_event is not None:
            asks.listeners.remove(on_event)
    return frame.build(run.column, run.questions, run.answers, run.ended_early or INTERRUPTED)


async def _forecast(asks: Asks, run: Run) -> Forecast:
    """Plan some of the questions that are to be asked, and what follows from that for all of them."""
    wanted, questions = run.wanted(), run.questions
    plans: list[Plan | MoltError] = []
    for number in sampled(wanted):
        asked = asks.read(run.column.prompt(questions.rows[number]), **run.options, dry_run=True)
        asked.exchanger = run.exchanger
        try:
            plans.append(plan_of(await asks.route(asked), asks.parts, answer_limit(asked.request.params)))
        except MoltError as error:
            plans.append(error)

    def missing(name: str) -> str | None:
        found = asks.parts.engine_by(run.exchanger).providers.missing(asks.parts.catalog.get(name))
        return None if found is None else found.reason

    seconds = latencies(asks.parts.log if asks.parts.settings.log.enabled else None)
    return forecast(
        plans,
        rows=len(questions.of_row),
        questions=len(questions),
        known=len(questions) - len(wanted),
        concurrency=run.concurrency,
        answers_seen=asks.parts.quality.answers_seen,
        seconds_of=seconds.get,
        per_minute=lambda name: pace(asks.parts.catalog.get(name)),
        missing=missing,
    )


def _cluster(asks: Asks, client: Client, concurrency: int) -> Cluster:
    """The workers of a cluster, for a run. Raises InputError, ClusterError."""
    from molt_magic.batch.cluster import Cluster  # distributed is an extra

    parts = asks.parts
    return Cluster(client, settings=parts.settings, models=parts.catalog.models, concurrency=concurrency)


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


def _opened(asks: Asks, name: str, probe: Asked, dry_run: bool) -> RunFile | None:
    """The file of the run; None: a forecast begins none. Raises InputError, StoreError."""
    settings = asks.parts.settings
    if not settings.log.prompts:
        raise InputError(
            "log.prompts is off, and a run that can be resumed keeps its answers on the disk.",
            fix="Leave out resume, or put log.prompts on.",
        )
    if probe.recorded:
        raise InputError("Recorded answers are there anyway: there is nothing to resume.", fix="Leave out resume.")
    folder = settings.data_dir / FOLDER
    if dry_run and not path_of(folder, name).exists():
        return None
    return RunFile(folder, name, _shape(probe, settings.defaults.quality))


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


def _take_over(asks: Asks, run: Run, file: RunFile, account: RunAccount) -> None:
    """What earlier calls of a run came to. What a killed one had logged, but not kept, is kept now."""
    questions = run.questions
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
