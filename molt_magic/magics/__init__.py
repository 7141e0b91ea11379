"""`%route` and `%%route`: parse and delegate. Loading registers five things with IPython; unloading takes all of them back."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from traitlets import TraitError

from molt_magic.errors import ConfigError, InputError
from molt_magic.magics import completion
from molt_magic.magics.session import RouteMagics

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from molt_magic.orchestrator import Orchestrator

__all__ = ["RouteMagics", "current", "load", "loaded", "unload"]

_NAME = "route"


def load(shell: InteractiveShell, session: RouteMagics | None = None) -> RouteMagics:
    """Register the magics, their completion and their hooks; loading twice is loading once.

    Args:
        session: stands in for new magics (tests).

    Raises:
        ConfigError: IPython's configuration, or MOLT_STREAM, holds something wrong.
    """
    if loaded(shell) is not None:
        unload(shell)
    try:
        session = session or RouteMagics(shell)
    except TraitError as error:
        raise ConfigError(
            f"c.RouteMagics in IPython's configuration: {error}", fix="Correct it in ipython_config.py."
        ) from None
    session.configured = deepcopy(shell.config.get(RouteMagics.__name__))
    shell.register_magics(session)
    shell.events.register("pre_run_cell", session.before_cell)
    shell.events.register("post_run_cell", session.after_cell)
    shell.input_transformers_cleanup.append(_body_for_empty_cell)
    session.matcher = completion.matcher(session)
    if session.matcher is not None and hasattr(shell.Completer, "custom_matchers"):
        shell.Completer.custom_matchers.append(session.matcher)
    return session


def loaded(shell: InteractiveShell) -> RouteMagics | None:
    """The magics of this shell, where they are loaded."""
    found = shell.magics_manager.registry.get(RouteMagics.__name__)
    return found if found is not None and type(found).__name__ == RouteMagics.__name__ else None


def current() -> Orchestrator:
    """The orchestrator of the running shell's magics. Raises InputError where there are none."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    session = None if shell is None else loaded(shell)
    if session is None:
        raise InputError("The magics are not loaded.", fix="Run %load_ext molt_magic, or make an Orchestrator() of your own.")
    return session.orchestrator


def unload(shell: InteractiveShell) -> None:
    """Take back all that `load` registered, and end what the orchestrator holds. IPython has no unregister of its own."""
    session = loaded(shell)
    if session is None:
        return
    manager = shell.magics_manager
    for kind in ("line", "cell"):
        manager.magics[kind].pop(_NAME, None)
    manager.registry.pop(RouteMagics.__name__, None)
    shell.configurables[:] = [c for c in shell.configurables if id(c) != id(session)]
    shell.events.unregister("pre_run_cell", session.before_cell)
    shell.events.unregister("post_run_cell", session.after_cell)
    shell.input_transformers_cleanup.remove(_body_for_empty_cell)
    if session.matcher in (matchers := getattr(shell.Completer, "custom_matchers", [])):
        matchers.remove(session.matcher)
    # what %config set was this session's; left there it would be read, and refused if wrong, at the next load
    shell.config.pop(RouteMagics.__name__, None)
    if session.configured is not None:
        shell.config[RouteMagics.__name__] = session.configured
    session.close()


def _body_for_empty_cell(lines: list[str]) -> list[str]:
    """Give a `%%route` line without a body an empty one.

    IPython refuses a cell magic without a body with a message that is no error output: a headless run would go on. With a
    body our own error is raised, and `%%route --help` needs none.
    """
    if len(lines) == 1 and lines[0].split(" ")[0].strip() == f"%%{_NAME}":
        return [lines[0].rstrip("\n") + "\n", "\n"]
    return lines
