"""What was fitted of predicted quality, and the file in which the kernels of a machine share it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from molt_magic.embed import Embedder
from molt_magic.errors import StoreError
from molt_magic.lock import locked
from molt_magic.quality.predictor import Predictor
from molt_magic.quality.store import load, save

logger = logging.getLogger("molt_magic")

GROWTH = 1.25  # times as many outcomes as the last fit had make a new one ...
MOST_NEW = 5_000  # ... and so many new ones do in any case: until then each of them is looked at for every prompt


@dataclass(frozen=True, slots=True)
class Fit:
    """A predictor, and the outcomes it was made of: later ones are counted on top."""

    predictor: Predictor
    seen: dict[str, int]  # how many of each model
    last: dict[str, list[str]]  # the newest answers of each model among them, newest first
    begins: int  # row of the oldest outcome that the log had

    @property
    def enough_new(self) -> float:
        """New outcomes that make another fit worth its while."""
        return min((GROWTH - 1.0) * sum(self.seen.values()), MOST_NEW)


class KeptFit:
    """The file that keeps the fit between sessions.

    Args:
        path: None: there is none, and nothing is kept.
        embedder: that the fit must be of; None: nothing is ever fitted.
    """

    def __init__(self, path: Path | None, embedder: Embedder | None) -> None:
        self.path = path
        self.embedder = embedder
        self._told = False  # that it cannot be written

    def load(self) -> Fit | None:
        """The fit that was kept last, by whichever kernel; None where there is none that can be used."""
        found = None if self.path is None or self.embedder is None else load(self.path, self.embedder)
        if found is None:
            return None
        predictor, note = found
        if "last" not in note:  # of a time when it was not written down how far it had seen
            return None
        return Fit(predictor, dict(note["seen"]), dict(note["last"]), int(note["begins"]))

    def keep(self, fit: Fit) -> None:
        """Write a fit down. Where that cannot be done it is fitted anew by the next session."""
        if self.path is None:
            return
        try:
            save(fit.predictor, self.path, {"seen": fit.seen, "last": fit.last, "begins": fit.begins})
        except (OSError, StoreError) as error:
            level = logging.DEBUG if self._told else logging.WARNING
            logger.log(level, "what was fitted of predicted quality cannot be kept in %s: %s", self.path, error)
            self._told = True

    @contextmanager
    def taking_turns(self) -> Iterator[None]:
        """Hold its lock: of several kernels one fits at a time. Where there can be none, every kernel fits for itself."""
        with ExitStack() as held:
            if self.path is not None:
                with suppress(OSError):
                    held.enter_context(locked(self.path.with_name(f"{self.path.name}.lock"), waiting=lambda: None))
            yield
