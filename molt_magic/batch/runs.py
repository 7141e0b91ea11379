"""The runs that have a name: which there are, and throwing one away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molt_magic.batch.file import FOLDER, held, path_of, summary
from molt_magic.errors import StoreError, UnknownName

if TYPE_CHECKING:
    import pandas as pd


class Runs:
    """The runs of `Orchestrator.map` that were given a name with `resume`.

    Args:
        data_dir: where the orchestrator keeps its data.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / FOLDER

    def __iter__(self) -> Iterator[str]:
        """Their names."""
        return iter(sorted(path.stem for path in self._folder.glob("*.sqlite")))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def bytes(self) -> int:
        """What they take on the disk, journals included."""
        return sum(path.stat().st_size for path in self._folder.glob("*") if path.is_file())

    def to_frame(self) -> pd.DataFrame:
        """A row a run: its name, when it was begun (UTC), how many questions it has, how many of them are answered, what it has
        cost (USD), the size of its file in bytes, and what shapes its answers. Raises StoreError."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for name in self:
            path = path_of(self._folder, name)
            begun, options, questions, answered, cost = summary(path)
            told = {key: value for key, value in json.loads(options).items() if value not in (None, [])}
            rows.append({"name": name, "begun": pd.Timestamp(begun), "questions": questions, "answered": answered,
                         "cost_usd": cost, "bytes": path.stat().st_size, "options": told})  # fmt: skip
        columns = ["name", "begun", "questions", "answered", "cost_usd", "bytes", "options"]
        return pd.DataFrame(rows, columns=columns)

    def forget(self, name: str) -> None:
        """Throw a run away: its answers stay in the log, and a new one may have its name.

        Raises:
            UnknownName: there is no such run.
            StoreError: it is under way, or cannot be removed.
        """
        path = path_of(self._folder, name)
        if not path.exists():
            raise UnknownName("run", name, self)
        with held(path):
            try:
                for end in ("-wal", "-shm", ""):  # the file last: what is left of a removal is no other run
                    path.with_name(path.name + end).unlink(missing_ok=True)
            except OSError as error:
                raise StoreError(f"The run {name!r} cannot be thrown away: {error.strerror or error}.") from error

    def __repr__(self) -> str:
        return f"Runs({', '.join(map(repr, self))})"
