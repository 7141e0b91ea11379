"""The promise that arbitrage goes by: what may be kept, and what was, read again when its file changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from molt_magic.catalog import Catalog
from molt_magic.config import Settings
from molt_magic.embed import Embedder
from molt_magic.errors import ConfigError, InputError
from molt_magic.quality import Predictor, Promise
from molt_magic.quality.promise import AGAIN

FILE = "promise.npz"


class Keepable(Protocol):
    """A calibrated policy, as `molt_magic.evaluation.Policy` is."""

    @property
    def promise(self) -> Promise:
        """What is promised of it. Raises InputError where nothing is."""
        ...


class Promises:
    """Keeps the promise of the file that `arbitrage.promise` names.

    Args:
        settings, embedder: those in force.
    """

    def __init__(self, *, settings: Callable[[], Settings], embedder: Callable[[], Embedder]) -> None:
        self._settings = settings
        self._embedder = embedder
        self._read: tuple[object, Promise] | None = None  # the file as it was, and what it held

    def now(self) -> Promise | None:
        """The promise in force; None: there is none.

        Raises:
            ConfigError: the setting names a file that is not there.
            StoreError: the file cannot be used.
        """
        settings = self._settings()
        if settings.arbitrage.promise is None:
            return None
        embedder = self._embedder()
        path = Path(settings.arbitrage.promise).expanduser().absolute()
        try:
            file = path.stat()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            origin = settings.origins.get("arbitrage.promise", "the settings")
            story = getattr(error, "strerror", None) or error
            raise ConfigError(f"arbitrage.promise in {origin} names {path}: {story}.", fix=AGAIN) from error
        state = (path, file.st_mtime_ns, file.st_size, file.st_ino, embedder)
        if self._read is None or self._read[0] != state:
            self._read = (state, Promise.load(path, embedder))
        return self._read[1]

    def keepable(self, policy: object, catalog: Catalog) -> Promise:
        """The promise of a policy, if it can be kept here.

        Raises:
            InputError: nothing is promised, or arbitrage could not go by it.
        """
        settings, embedder = self._settings(), self._embedder()
        promise = getattr(policy, "promise", policy)
        if not isinstance(promise, Promise):
            raise InputError(
                f"What is kept is a calibrated policy, not {type(policy).__name__}.",
                fix="Write: orch.keep(evaluation.calibrate(table)); or orch.keep(None) to end it.",
            )
        for way in ("within", "price"):
            if (value := getattr(settings.arbitrage, way)) is not None:
                origin = settings.origins.get(f"arbitrage.{way}", "the settings")
                raise InputError(
                    f"Arbitrage goes by {way} = {value:g} (from {origin}), so it cannot go by a promise.",
                    fix=f"Take it back with: %route config arbitrage.{way} none",
                )
        if unknown := [name for name in promise.models if name not in catalog.models]:
            raise InputError(
                f"The policy picks among models that the catalog does not have: {', '.join(unknown)}.",
                fix="Calibrate on a table whose models have the names that %route models shows.",
            )
        if isinstance(promise.predictor, Predictor) and (own := promise.predictor.embedder.id) != embedder.id:
            raise InputError(
                f"The policy was calibrated with the embedder {own}, and {embedder.id} is in use.",
                fix="Write: evaluation.calibrate(table, embedder=orch.embedder).",
            )
        return promise
