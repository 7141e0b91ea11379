"""What a `%%route` cell does: one answer, several strategies, or a row each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from molt_magic.errors import InputError, MoltError
from molt_magic.magics import interpolation, options
from molt_magic.types import Event, OnEvent
from molt_magic.views import answer
from molt_magic.views.live import Live, screen
from molt_magic.views.tables import Listing, Page

if TYPE_CHECKING:
    import pandas as pd

    from molt_magic.magics.options import Options
    from molt_magic.magics.session import RouteMagics
    from molt_magic.result import Result


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
    from molt_magic.views import frames

    asked = arguments(session, chosen, namespace)
    for name in ("strategy", "model", "thread", "dry_run"):
        del asked[name]
    live = shown_on(session, chosen)
    strategies = list(chosen.compare)
    frame = session.orchestrator.compare(prompt, strategies=strategies, on_event=progress_of(live), **asked)
    session.bind(chosen.name, frame)
    session.last = None  # several answers: the last one is what the log says
    live.finish(frames.compared(frame, chosen.form or session.form))
    session.already_shown(frame, note(chosen))
    return frame


def shown_on(session: RouteMagics, chosen: Options) -> Live:
    """Where the cell shows what it does."""
    return screen(
        setting=session.stream if chosen.stream else "off",
        quiet=chosen.quiet,
        form=chosen.form or session.form,
        shell=session.ip,
        cell_id=session.cell_id,
    )


def progress_of(live: Live) -> OnEvent:
    """Passes on what takes long (weights, loading), not the text: several answers at once cannot stream into one display."""

    def on_event(event: Event) -> None:
        if event.kind == "progress":
            live.on_event(event)

    return on_event


def note(chosen: Options) -> str:
    """What a terminal writes in place of a value that was shown already."""
    return "(--quiet)" if chosen.quiet else "(shown above)"


def _interact(session: RouteMagics, chosen: Options, prompt: str, namespace: Mapping[str, Any]) -> None:
    from IPython.display import display

    from molt_magic.strategies import NAMES
    from molt_magic.views.interact import form

    orch = session.orchestrator
    asked = arguments(session, chosen, namespace)
    # the form's turn of a thread is not the cell's
    own = f"{session.cell_id or hashlib.sha256(prompt.encode()).hexdigest()[:16]}-form"

    def ask(text: str, strategy: str, model: str | None, quality: float) -> Result:
        result = orch.route(text, **{**asked, "strategy": strategy, "model": model, "quality": quality, "cell_id": own})
        session.last = result
        session.bind(chosen.name, result)
        return result

    strategy = "direct" if asked["model"] else asked["strategy"] or orch.settings.defaults.strategy
    quality = orch.settings.defaults.quality if asked["quality"] is None else asked["quality"]
    widget = form(
        ask,
        prompt=prompt,
        strategies=NAMES,
        models=list(orch.catalog.models),
        strategy=strategy,
        model=asked["model"] or orch.settings.defaults.model,
        quality=quality,
        shown_as=chosen.form or session.form,
    )
    display(widget)  # type: ignore[no-untyped-call]
