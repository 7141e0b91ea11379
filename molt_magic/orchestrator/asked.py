"""What was asked: the arguments of one question, read and checked before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from molt_magic import errors, validators
from molt_magic.catalog import Catalog
from molt_magic.config import Settings
from molt_magic.orchestrator import question, record
from molt_magic.orchestrator.budget import Refusal, RunAccount
from molt_magic.orchestrator.threads import Threads
from molt_magic.providers import Exchanger
from molt_magic.result import Result
from molt_magic.types import Check, Message, OnEvent, Request, Situation

DEFAULT_CHECKS = ("nonempty", "refusal")  # a cascade without checks would never climb

CacheMode = bool | Literal["refresh"]
Validators = Sequence[str | Callable[[str], object] | Check]


@dataclass(slots=True)
class Asked:
    """One question on its way, and what is kept of it when it is interrupted."""

    request: Request
    strategy: str
    checks: Validators
    namespace: Mapping[str, Any]
    cache: CacheMode
    dry_run: bool
    recorded: bool
    log: bool
    turn: tuple[str, str] | None  # thread and key of the turn
    brought: tuple[Message, ...]  # what it says itself, behind the history of its thread and without system messages
    cell_id: str | None
    on_event: OnEvent | None
    decision_id: str = ""  # of the row that it will be, where that was given beforehand
    run: RunAccount | None = None  # of which it is part
    exchanger: Exchanger | None = None  # who asks the models; None: this process
    refused: dict[str, Refusal] = field(default_factory=dict)  # models that are not asked for what they may cost
    exploring_usd: float = 0.0  # what is held for it of the budget of exploration
    situation: Situation | None = None  # what the strategy was told
    logged: bool = False  # whether its decision is in the log
    result: Result | None = None


def read(
    catalog: Catalog,
    settings: Settings,
    threads: Threads,
    prompt: question.Prompt,
    /,  # whatever a model's parameters are called, these are not they
    *,
    strategy: str | None = None,
    task: str | None = None,
    model: str | None = None,
    quality: float | None = None,
    validate: Validators | str | Callable[[str], object] | None = None,
    thread: str | None = None,
    system: str | None = None,
    max_cost: float | None = None,
    deadline: float | None = None,
    cache: CacheMode = True,
    dry_run: bool = False,
    recorded: bool = False,
    log: bool = True,
    schema: object = None,
    on_event: OnEvent | None = None,
    cell_id: str | None = None,
    namespace: Mapping[str, Any] | None = None,
    **params: Any,
) -> Asked:
    """Read and check the arguments of `Orchestrator.aroute`, before anything is done. Raises InputError, UnknownName."""
    cell_id = None if cell_id is None else str(cell_id)
    if namespace is not None and not isinstance(namespace, Mapping):
        raise errors.InputError(
            f"namespace must be a mapping of names, not {type(namespace).__name__}.", fix="Give globals(), or a dict."
        )
    # without a cell to replace the turn of, a question is a new turn
    key = "" if thread is None else cell_id or record.new_id()
    history = threads.history(thread, key) if isinstance(thread, str) else ()
    request = question.read(
        prompt,
        history=history,
        system=system,
        strategy=strategy,
        task=task,
        model=model,
        quality=quality,
        max_cost=max_cost,
        deadline=deadline,
        schema=schema,
        thread=thread,
        params=params,
        catalog=catalog,
        tasks=catalog.routes,
    )
    name = request.strategy or settings.defaults.strategy
    checks: Validators = ()
    if validate is not None:
        one = isinstance(validate, str) or callable(validate) or not isinstance(validate, Iterable)
        checks = (validate,) if one else tuple(validate)  # type: ignore[arg-type,assignment]  # told apart above
        validators.build(checks, namespace=namespace or {}, judge_model=None, models=catalog.models)  # refuses unknown ones
    if cache not in (True, False, "refresh"):
        raise errors.InputError(f'cache must be True, False or "refresh", not {cache!r}.')
    if on_event is not None and not callable(on_event):
        raise errors.InputError(f"on_event must be a function of one event, not {type(on_event).__name__}.")
    checks = checks or (DEFAULT_CHECKS if name == "cascade" else ())
    log = log and not recorded and settings.log.enabled
    turn = (thread, key) if thread else None
    brought = tuple([m for m in request.messages if m.role != "system"])[len(history) :] if thread else ()
    return Asked(request, name, checks, namespace or {}, cache, dry_run, recorded, log, turn, brought, cell_id, on_event)
