"""Errors as a notebook shows them: the message and the fix, without a traceback, and still a real error output."""

from __future__ import annotations

from typing import TypeVar

from molt_magic.errors import MoltError
from molt_magic.views.text import one_line

E = TypeVar("E", bound=BaseException)


def short(error: E) -> E:
    """`error`, which IPython will now show in a few lines.

    IPython asks an exception for `_render_traceback_`. The kernel still sends an error output with its name, so nbclient and
    papermill stop; a UsageError, which IPython also shows in one line, would let them go on.
    """
    setattr(error, "_render_traceback_", lambda: lines(error))  # noqa: B010 - not an attribute the class declares
    return error


def lines(error: BaseException) -> list[str]:
    """What is shown of an error: its name and message, the fix, and where it is logged."""
    if not isinstance(error, MoltError):
        return [f"{type(error).__name__}: {one_line(str(error))}".removesuffix(": ")]
    found = [f"{type(error).__name__}: {one_line(error.message)}"]
    if error.fix:
        found.append(one_line(error.fix))
    if error.decision_id:
        found.append(f"Logged as decision {error.decision_id}: %route explain {error.decision_id}")
    return found
