"""Route every prompt of a notebook to the right model, and say why.

Names are loaded when they are first reached, so that `%load_ext molt_magic` stays fast.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from molt_magic.config import Settings, load_settings
    from molt_magic.errors import (
        BadRequest,
        BudgetExceeded,
        ClusterError,
        ConfigError,
        ConnectionFailed,
        ContentFiltered,
        ContextTooLong,
        InputError,
        MalformedAnswer,
        ModelNotFound,
        MoltError,
        NoAnswer,
        NoCandidate,
        NotRecorded,
        OutOfTime,
        PromptTooLong,
        ProviderError,
        QuotaExceeded,
        RateLimited,
        ServerError,
        StoreError,
        StreamInterrupted,
        TimedOut,
        Unauthorized,
        UnknownName,
        WeightsError,
    )
    from molt_magic.evaluation import Report
    from molt_magic.orchestrator import Orchestrator
    from molt_magic.result import Result
    from molt_magic.views.figures.canvas import Picture

__version__ = "0.1.0"

__all__ = [
    "BadRequest",
    "BudgetExceeded",
    "ClusterError",
    "ConfigError",
    "ConnectionFailed",
    "ContentFiltered",
    "ContextTooLong",
    "InputError",
    "MalformedAnswer",
    "ModelNotFound",
    "MoltError",
    "NoAnswer",
    "NoCandidate",
    "NotRecorded",
    "Orchestrator",
    "OutOfTime",
    "PromptTooLong",
    "ProviderError",
    "QuotaExceeded",
    "RateLimited",
    "Result",
    "ServerError",
    "Settings",
    "StoreError",
    "StreamInterrupted",
    "TimedOut",
    "Unauthorized",
    "UnknownName",
    "WeightsError",
    "__version__",
    "current",
    "load_settings",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())  # silent until the program configures logging

_HOMES = {"Orchestrator": "orchestrator", "Result": "result", "Settings": "config", "load_settings": "config"}


def __getattr__(name: str) -> Any:
    if name == "evaluation":
        return import_module(f"{__name__}.evaluation")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    if name in ("Orchestrator", "Result"):
        import_module(f"{__name__}.result").Result.render = _draw  # results know how to draw themselves from here on
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _draw(result: Result) -> dict[str, str]:
    """A result as text/html, text/markdown and text/plain."""
    bundle: dict[str, str] = import_module(f"{__name__}.views.answer").bundle(result)
    return bundle


def _plot(report: Report) -> Picture:
    """A report of an evaluation as a picture."""
    picture: Picture = import_module(f"{__name__}.views.figures.evaluation").evaluation(report)
    return picture


def current() -> Orchestrator:
    """The orchestrator behind this notebook's magics, for the same models, threads and log from Python.

    Raises:
        InputError: this is no notebook, or the extension is not loaded.
    """
    orchestrator: Orchestrator = import_module(f"{__name__}.magics").current()
    return orchestrator


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Called by `%load_ext molt_magic`."""
    import_module(f"{__name__}.magics").load(ipython)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """Called by `%unload_ext molt_magic`."""
    import_module(f"{__name__}.magics").unload(ipython)
