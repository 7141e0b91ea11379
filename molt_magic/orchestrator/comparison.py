"""The same question by several strategies or models at once, each with its own events, its own failure and its own row."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from molt_magic.catalog import Catalog
from molt_magic.errors import InputError, UnknownName
from molt_magic.orchestrator.failure import as_molt_error
from molt_magic.orchestrator.question import Prompt
from molt_magic.orchestrator.recorded import source_of
from molt_magic.orchestrator.under_way import Asking, join
from molt_magic.result import Result
from molt_magic.strategies import NAMES
from molt_magic.types import Event

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger("molt_magic")

Mode = Literal["live", "dry run", "recorded"]
MODES: tuple[Mode, ...] = get_args(Mode)

# fmt: off
COLUMNS = (
    "strategy", "model", "text", "cost_usd", "saved_usd", "latency_s", "predicted_quality", "quality", "cache", "status",
    "reason", "error", "decision_id",
)
# fmt: on
NUMBERS = ("cost_usd", "saved_usd", "latency_s", "predicted_quality", "quality")
_MODE_OPTIONS: Mapping[Mode, Mapping[str, Any]] = {"live": {}, "dry run": {"dry_run": True}, "recorded": {"recorded": True}}

OnNamedEvent = Callable[[str, Event], None]


class Asks(Protocol):
    """What a comparison needs of the orchestrator."""

    @property
    def catalog(self) -> Catalog: ...

    def submit(self, prompt: Prompt, **options: Any) -> Asking: ...


class Comparison:
    """One question, asked in several ways at once.

    Args:
        orchestrator: who is asked.
        prompt: text or messages.
        names: strategies, or models of the catalog: a model's name means strategy direct with that model.
        mode: `live`; `dry run`: plans and estimated costs, nothing is called; `recorded`: answers that are in the log or on a
            cassette already, nothing is paid.
        on_event: told (name, event), in a thread of the loop; of what concerns all, such as a model that is loaded, with the
            name "".
        on_end: told a name once its question has ended; the last time, `done` is true.
        options: those of `Orchestrator.aroute`, the same for every name.

    Raises:
        InputError: there is no name, or an option that contradicts them.
        UnknownName: no such strategy, model or mode.
    """

    def __init__(
        self,
        orchestrator: Asks,
        prompt: Prompt,
        names: str | Iterable[str],
        *,
        mode: Mode = "live",
        on_event: OnNamedEvent | None = None,
        on_end: Callable[[str], None] | None = None,
        **options: Any,
    ) -> None:
        self.orchestrator = orchestrator
        self.prompt = prompt
        self.names = check_names(orchestrator.catalog, names)
        self.mode = mode
        self.on_event = on_event
        self.on_end = on_end
        self.options = options
        self._asking: dict[str, Asking] = {}
        self._told: Event | None = None  # the last progress: every question of a comparison is told the same
        self._telling = threading.Lock()
        if mode not in MODES:
            raise UnknownName("mode", mode, MODES)
        for name in ("strategy", "model", "dry_run", "recorded"):
            if options.get(name):
                raise InputError(
                    f"A comparison takes no {name}.",
                    fix="Strategies and models are its names; mode says how they are asked.",
                )
        if options.get("thread"):
            raise InputError("A thread takes one answer a question; a comparison gives several.", fix="Leave out thread.")

    def start(self) -> None:
        """Ask all of them; does not wait. A second start does nothing.

        Raises:
            InputError, UnknownName, ConfigError: the question cannot be asked this way; then nothing is asked.
        """
        if self._asking:
            return
        try:
            for name in self.names:
                self._asking[name] = self._submit(name)
        except BaseException:
            self.cancel()
            raise
        for name, asking in self._asking.items():
            asking.add_done_callback(lambda _, name=name: self._ended(name))  # type: ignore[misc]  # mypy: lambda defaults

    def wait(self) -> None:
        """Wait until all have ended. KeyboardInterrupt cancels all of them, keeps what there was, and is raised again."""
        join(list(self._asking.values()))

    def cancel(self) -> None:
        """End all that are under way; what had arrived is logged and kept. Does not wait."""
        for asking in self._asking.values():
            asking.cancel()

    @property
    def done(self) -> bool:
        """Whether it was started and all have ended."""
        return bool(self._asking) and all(asking.done() for asking in self._asking.values())

    @property
    def results(self) -> dict[str, Result]:
        """What came of each question that has ended, failures included."""
        found = {name: asking.so_far for name, asking in self._asking.items() if asking.done()}
        return {name: result for name, result in found.items() if result is not None}

    @property
    def frame(self) -> pd.DataFrame:
        """One row a name, in their order; `strategy` is the name as given, `status` is `running` for one under way. Figures are
        float64 with NaN for unknown, the rest is text or None."""
        import pandas as pd

        rows = [self.row(name) for name in self.names]
        dtypes = {column: float if column in NUMBERS else object for column in COLUMNS}
        return pd.DataFrame({column: pd.Series([row[column] for row in rows], dtype=dtypes[column]) for column in COLUMNS})

    def row(self, name: str) -> dict[str, Any]:
        """What is known of one name, by column."""
        row: dict[str, Any] = {**dict.fromkeys(COLUMNS), "strategy": name, "status": "running"}
        asking = self._asking.get(name)
        if asking is None or not asking.done():
            return row
        result = asking.so_far
        if result is None:  # not even a decision came of it
            error = None if asking.cancelled() else as_molt_error(asking.exception())
            return row | {"status": "error", "error": f"{error.kind}: {error.message}" if error else "interrupted"}
        decided = {column: getattr(result.decision, column) for column in COLUMNS[1:] if column != "text"}
        if (source := source_of(result.decision.deployment)) is not None:
            decided["decision_id"] = source  # of the recorded answer: this look at it was not logged
        return row | decided | {"text": result.text}

    def _submit(self, name: str) -> Asking:
        how = {"strategy": name} if name in NAMES else {"model": name}
        return self.orchestrator.submit(
            self.prompt,
            **{**self.options, **how, **_MODE_OPTIONS[self.mode], "on_event": lambda event: self._tell(name, event)},
        )

    def _tell(self, name: str, event: Event) -> None:
        if event.kind == "progress":
            with self._telling:
                known, self._told = self._told == event, event
            if known:
                return
            name = ""
        if self.on_event is not None:
            self._safely(self.on_event, name, event)

    def _ended(self, name: str) -> None:
        if self.on_end is not None:
            self._safely(self.on_end, name)

    @staticmethod
    def _safely(listener: Callable[..., None], *told: object) -> None:
        """A listener that raises is its own problem: not the question's, nor that of a download that tells how far it is."""
        try:
            listener(*told)
        except Exception:
            logger.exception("a listener of a comparison raised; the comparison goes on")


def check_names(catalog: Catalog, names: str | Iterable[str]) -> tuple[str, ...]:
    """The names, each once. Raises InputError where there is none, UnknownName for what is no strategy and no model."""
    found = tuple(dict.fromkeys((names,) if isinstance(names, str) else names))
    if not found:
        raise InputError("There is no strategy to compare.", fix='Name some, as in strategies=["rule", "cascade"].')
    for name in found:
        if name not in NAMES and name not in catalog.models:
            raise UnknownName("strategy or model", name, [*NAMES, *catalog.models])
    return found
