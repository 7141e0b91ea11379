"""What one notebook's magics remember: the orchestrator, the session's defaults, the last result, the running cell."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, needs_local_scope, no_var_expand
from traitlets import Enum, Float, TraitError, Unicode, validate

from molt_magic.errors import ConfigError, MoltError, UnknownName
from molt_magic.magics.errors import short
from molt_magic.views.forms import FORMATS

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, InteractiveShell

    from molt_magic.orchestrator import Orchestrator
    from molt_magic.result import Result

DEFAULTS = ("strategy", "task", "model", "quality", "max_cost")  # what a request has when its cell does not say


def _new_orchestrator() -> Orchestrator:
    from molt_magic import Orchestrator  # the public one, which knows how to draw its results

    return Orchestrator()


@magics_class
class RouteMagics(Magics):
    """`%route` and `%%route`. The traits are the session's defaults: `%config RouteMagics` or `%route use`."""

    strategy = Unicode(None, allow_none=True, help="rule, semantic, arbitrage, cascade or direct").tag(config=True)
    task = Unicode(None, allow_none=True, help="a task of the routing table").tag(config=True)
    model = Unicode(None, allow_none=True, help="a model of the catalog, for strategy direct").tag(config=True)
    quality = Float(None, min=0.0, max=1.0, allow_none=True, help="threshold of predicted quality, 0 to 1").tag(config=True)
    max_cost = Float(None, min=0.0, allow_none=True, help="most that one prompt may cost, in USD").tag(config=True)
    form = Enum(FORMATS, default_value="markdown", help="how answers are shown").tag(config=True)
    stream = Enum(
        ("auto", "on", "off"),
        help="show answers while they arrive; auto: where a person is watching, not in a headless run (also: MOLT_STREAM)",
    ).tag(config=True)

    def __init__(self, shell: InteractiveShell, *, make: Callable[[], Orchestrator] = _new_orchestrator) -> None:
        wanted = os.environ.get("MOLT_STREAM", "auto").strip().lower() or "auto"
        if wanted not in ("auto", "on", "off"):
            raise ConfigError(f"MOLT_STREAM is {wanted!r}.", fix="It may be auto, on or off.")
        super().__init__(shell, stream=wanted)
        self.ip = shell
        self._make = make
        self._orchestrator: Orchestrator | None = None
        self.last: Result | None = None
        self.cell_id: str | None = None
        self._shown: tuple[type, Any] | None = None
        self.matcher: Callable[[Any], Any] | None = None
        self.configured: Any = None  # what IPython's configuration said of these magics when they were loaded

    @validate("strategy")
    def _known_strategy(self, proposal: Mapping[str, Any]) -> Any:
        from molt_magic.strategies import NAMES

        value = proposal["value"]
        if value is not None and value not in NAMES:
            raise TraitError(str(UnknownName("strategy", value, NAMES)))
        return value

    @property
    def orchestrator(self) -> Orchestrator:
        """The notebook's orchestrator, made at the first use: loading the extension stays cheap. Raises ConfigError."""
        if self._orchestrator is None:
            self._orchestrator = self._make()
        return self._orchestrator

    @property
    def started(self) -> Orchestrator | None:
        """The orchestrator if it is there already."""
        return self._orchestrator

    @property
    def overrides(self) -> Mapping[str, Any]:
        """The session's defaults that were set, without those that only shape the display."""
        found = {name: getattr(self, name) for name in DEFAULTS}
        return {name: value for name, value in found.items() if value is not None}

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def route(self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None) -> object:
        """Route a prompt to the right model (%%route), or ask and tell about routing (%route). See %%route --help."""
        from molt_magic.magics import cells, commands

        namespace = {**self.ip.user_ns, **(local_ns or {})}
        try:
            return commands.run(self, line, namespace) if cell is None else cells.run(self, line, cell, namespace)
        except (MoltError, KeyboardInterrupt) as error:
            short(error)
            raise

    def bind(self, name: str | None, value: object) -> None:
        """Give `value` a name in the notebook."""
        if name is not None:
            self.ip.user_ns[name] = value

    # display: a value that was shown already must not be shown again as the cell's value

    @property
    def _display_formatter(self) -> Any:
        formatters: Any = self.ip.display_formatter
        return formatters.ipython_display_formatter

    def already_shown(self, value: object, note: str = "(shown above)") -> None:
        """Keep the display hook from showing `value` in this cell; it still becomes `_` and `Out[n]`.

        Args:
            note: what a terminal writes after its `Out[n]:`; a notebook shows nothing.
        """
        self.forget_shown()
        formatter = self._display_formatter
        kind = type(value)
        self._shown = (kind, formatter.for_type(kind, lambda other: self._instead(other, value, note)))

    def _instead(self, other: object, shown: object, note: str) -> None:
        """An `_ipython_display_` printer for what was shown; everything else is left to the next formatter."""
        if other is not shown:
            raise NotImplementedError
        if not hasattr(self.ip, "kernel"):
            sys.stdout.write(f"{note}\n")

    def forget_shown(self) -> None:
        """The value's own display again."""
        if self._shown is None:
            return
        kind, before = self._shown
        self._shown = None
        formatter = self._display_formatter
        if before is None:
            formatter.pop(kind, None)
        else:
            formatter.for_type(kind, before)

    def before_cell(self, info: ExecutionInfo) -> None:
        """IPython's pre_run_cell: which cell runs; None where the front end does not say."""
        self.cell_id = getattr(info, "cell_id", None)

    def after_cell(self, _result: object) -> None:
        """IPython's post_run_cell."""
        self.forget_shown()

    def close(self) -> None:
        """End what the orchestrator holds."""
        self.forget_shown()
        if self._orchestrator is not None:
            self._orchestrator.close()
            self._orchestrator = None
