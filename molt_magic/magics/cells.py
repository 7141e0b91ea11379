"""What a `%%route` cell does: one answer, several strategies, or a row each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from molt_magic.errors import InputError, MoltError
from molt_magic.magics import interpolation, options
from molt_magic.types import Event
from molt_magic.views import answer
from molt_magic.views.arriving import Arriving
from molt_magic.views.beside import show_beside
from molt_magic.views.live import Drawn, Live, is_terminal, screen
from molt_magic.views.tables import Listing, Page

if TYPE_CHECKING:
    import pandas as pd

    from molt_magic.magics.options import Options
    from molt_magic.magics.session import RouteMagics
    from molt_magic.result import Result
    from molt_magic.views.compare.form import CompareForm

Namespace = Mapping[str, Any]


def run(session: RouteMagics, line: str, body: str, namespace: Mapping[str, Any]) -> object:
    """Do what the cell asks. Raises MoltError; a request that got as far as a decision is logged and bound."""
    chosen = options.read(line)
    if chosen is None:
        return Page((Listing(options.parser().format_help()),))
    if not body.strip():
        raise InputError("The cell has no prompt.", fix="Write it below the %%route line.")
    body = body.strip("\n")
    if chosen.each is not None:
        from molt_magic.magics import each

        return each.run(session, chosen, body, namespace)
    prompt = body if chosen.raw else interpolation.fill(body, namespace)
    if chosen.compare:
        return _compare(session, chosen, prompt, namespace)
    result = _answer(session, chosen, prompt, namespace)
    if chosen.interact:
        _interact(session, chosen, prompt, namespace)
    return result


def arguments(session: RouteMagics, chosen: Options, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `Orchestrator.route`: a flag before the session's default. Raises UnknownName, InputError."""
    defaults = dict(session.overrides)
    if chosen.strategy is not None and chosen.strategy != "direct":
        defaults.pop("model", None)  # a model means strategy direct; a flag in the cell is stronger
    if chosen.model is not None:
        defaults.pop("strategy", None)
    given = {name: getattr(chosen, name) for name in ("strategy", "task", "model", "quality", "max_cost")}
    named = {
        **{name: defaults.get(name) if value is None else value for name, value in given.items()},
        "deadline": chosen.deadline,
        "validate": list(chosen.validate) or None,
        "thread": chosen.thread,
        "system": interpolation.fill(chosen.system, namespace) if chosen.system and not chosen.raw else chosen.system,
        "cache": chosen.cache,
        "dry_run": chosen.dry_run,
        "log": chosen.log,
        "schema": None if chosen.schema is None else interpolation.lookup(chosen.schema, namespace),
        "cell_id": session.cell_id,
        "namespace": namespace,
    }
    for key in chosen.params:
        if key in named or key in ("on_event", "prompt"):
            raise InputError(f"--param {key} is not a model's parameter.", fix="It has a flag of its own: see %%route --help.")
    return {**named, **chosen.params}


def _answer(session: RouteMagics, chosen: Options, prompt: str, namespace: Mapping[str, Any]) -> Result:
    asked = arguments(session, chosen, namespace)
    form = chosen.form or session.form
    live = shown_on(session, chosen)
    try:
        result = session.orchestrator.route(prompt, on_event=live.on_event, **asked)
    except (MoltError, KeyboardInterrupt) as error:
        failed: Result | None = getattr(error, "result", None)
        if failed is not None:
            session.last = failed
            session.bind(chosen.name, failed)
            live.fail(answer.bundle(failed, form), partial=bool(failed.text))
        raise
    session.last = result
    session.bind(chosen.name, result)
    live.finish(answer.bundle(result, form))
    session.already_shown(result, note(chosen))
    return result


def _compare(session: RouteMagics, chosen: Options, prompt: str, namespace: Mapping[str, Any]) -> pd.DataFrame:
    from IPython.display import display

    from molt_magic.orchestrator import Comparison
    from molt_magic.views.compare import final
    from molt_magic.views.compare.board import Board

    form = chosen.form or session.form
    board = Board(chosen.compare, form, planned=chosen.dry_run)
    live = shown_on(session, chosen, board)

    def on_event(name: str, event: Event) -> None:
        board.on_named_event(name, event)
        live.on_event(board.progress())

    def on_end(name: str) -> None:
        board.on_end(name, comparison)
        live.on_event(board.progress())

    comparison = Comparison(
        session.orchestrator,
        prompt,
        chosen.compare,
        mode="dry run" if chosen.dry_run else "recorded" if chosen.recorded else "live",
        on_event=on_event,
        on_end=on_end,
        **shared_by_all(arguments(session, chosen, namespace)),
    )
    try:
        comparison.start()
        session.last = None  # several answers: the last one is what the log says
        live.on_event(board.progress())  # the columns are there before anything has arrived
        comparison.wait()
    except KeyboardInterrupt:
        comparison.cancel()
        session.bind(chosen.name, comparison.frame)
        live.fail(final.bundle(comparison, form), partial=any(result.text for result in comparison.results.values()))
        raise
    frame = comparison.frame
    session.bind(chosen.name, frame)
    live.finish(final.bundle(comparison, form))
    if not chosen.quiet and not is_terminal(session.ip) and (picture := final.picture(comparison)) is not None:
        display(picture)  # type: ignore[no-untyped-call]
    session.already_shown(frame, note(chosen))
    if chosen.interact:
        compare_form(session, chosen, namespace, prompt=prompt).show()
    return frame


def compare_form(session: RouteMagics, chosen: Options, namespace: Namespace, *, prompt: str = "") -> CompareForm:
    """The form for comparing, with the cell's flags in force and its names chosen."""
    from molt_magic.views.compare.form import CompareForm

    return CompareForm(
        session.orchestrator,
        prompt=prompt,
        names=chosen.compare,
        options=shared_by_all(arguments(session, chosen, namespace)),
        mode="dry run" if chosen.dry_run else "recorded" if chosen.recorded else "live",
        form=chosen.form or session.form,
        bind=session.bind,
        name=chosen.name,
    )


def shared_by_all(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a question, without those that a comparison sets for each name."""
    return {key: value for key, value in asked.items() if key not in ("strategy", "model", "thread", "dry_run")}


def shown_on(session: RouteMagics, chosen: Options, drawn: Drawn | None = None) -> Live:
    """Where the cell shows what it does; `drawn` stands in for one answer that arrives."""
    return screen(
        drawn or Arriving(chosen.form or session.form),
        setting=session.stream if chosen.stream else "off",
        quiet=chosen.quiet,
        shell=session.ip,
        cell_id=session.cell_id,
    )


def note(chosen: Options) -> str:
    """What a terminal writes in place of a value that was shown already."""
    return "(--quiet)" if chosen.quiet else "(shown above)"


def _interact(session: RouteMagics, chosen: Options, prompt: str, namespace: Namespace) -> None:
    from molt_magic.orchestrator import Comparison
    from molt_magic.strategies import NAMES
    from molt_magic.views.interact import Settings, form

    orch = session.orchestrator
    asked = arguments(session, chosen, namespace)
    # the form's turn of a thread is not the cell's
    own = f"{session.cell_id or hashlib.sha256(prompt.encode()).hexdigest()[:16]}-form"
    shared = {**shared_by_all(asked), "thread": chosen.thread, "cell_id": own}

    def begin(settings: Settings, **told: Any) -> Comparison:
        return Comparison(orch, settings.prompt, [settings.name], **{**shared, "quality": settings.quality}, **told)

    def take(result: Result) -> None:
        session.last = result
        session.bind(chosen.name, result)

    strategy = "direct" if asked["model"] else asked["strategy"] or orch.settings.defaults.strategy
    first = Settings(
        prompt=prompt,
        strategy=strategy,
        model=asked["model"] or orch.settings.defaults.model,
        quality=orch.settings.defaults.quality if asked["quality"] is None else asked["quality"],
    )
    made = form(
        begin, take, first=first, strategies=NAMES, models=list(orch.catalog.models), shown_as=chosen.form or session.form
    )
    show_beside(made, "The form")
