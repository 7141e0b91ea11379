"""The light columns of every decision, kept up to date with the log: what tables and charts are drawn from."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from molt_magic.log.frame import from_columns
from molt_magic.log.reading import RANK
from molt_magic.log.schema import COLUMNS, JSON_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

    from molt_magic.log import DecisionLog

LIGHT: tuple[str, ...] = tuple(name for name in COLUMNS if name not in JSON_COLUMNS)

# Rows read at a time. Between two reads the log is free for whoever writes; and a hundred thousand rows at once would be as
# many tuples for the garbage collector to look through again and again.
_CHUNK = 1000


class Ledger:
    """Every decision without its candidates and attempts, for threads of one process to share.

    Args:
        log: where the decisions are; it is read at the first `refresh` or the first use of `frame`.
        columns: some of LIGHT, to be read sooner than all of them; `decision_id`, `quality` and `quality_source` among them.

    Reading raises `StoreError` where the log cannot be read; what was read before stays.
    """

    def __init__(self, log: DecisionLog, columns: Sequence[str] = LIGHT) -> None:
        self._log = log
        self._columns = tuple(columns)
        self._lock = threading.Lock()
        self._frame: pd.DataFrame | None = None
        self._first = 0  # row of the oldest decision when it was last read
        self._seq = 0  # of the newest decision that was taken in
        self._said = 0  # and of the newest feedback

    @property
    def read(self) -> bool:
        """Whether the log was read once: `frame` is there at once then."""
        return self._frame is not None

    @property
    def frame(self) -> pd.DataFrame:
        """The columns, typed as in `DecisionLog.to_frame`, in the order made. It is shared: not to be changed in place."""
        if self._frame is None:
            self.refresh()
        assert self._frame is not None
        return self._frame

    def refresh(self) -> bool:
        """Take in what was logged, said of a decision, or pruned since; True when anything changed."""
        with self._lock:
            first = self._log.first_row()
            # where some were pruned, by this kernel or another, all is read again
            old, seq, said_to = (self._frame, self._seq, self._said) if first == self._first else (None, 0, 0)
            # feedback first: every decision it speaks of is then in the log already
            said = self._log.feedback_since(said_to)
            columns, newest = self._read(seq)
            changed = old is None or bool(said) or newest > seq
            frame = self._with(old, columns) if old is None or newest > seq else old
            if said:
                frame, said_to = _folded(frame, said), said[-1][0]
            self._frame, self._first, self._seq, self._said = frame, first, newest, said_to
            return changed

    def _read(self, seq: int) -> tuple[list[list[Any]], int]:
        """The decisions after row `seq`, column by column, and the row of the newest."""
        read: list[list[Any]] = [[] for _ in self._columns]
        while rows := self._log.rows_since(seq, self._columns, limit=_CHUNK):
            seqs, *columns = zip(*rows, strict=True)
            seq = seqs[-1]
            for held, values in zip(read, columns, strict=True):
                held.extend(values)
        return read, seq

    def _with(self, old: pd.DataFrame | None, columns: Sequence[Sequence[Any]]) -> pd.DataFrame:
        """The frame with these rows at its end."""
        import pandas as pd

        new = from_columns(dict(zip(self._columns, columns, strict=True)))
        return new if old is None or old.empty else pd.concat([old, new], ignore_index=True)


def _folded(frame: pd.DataFrame, said: Sequence[tuple[int, str, float, str]]) -> pd.DataFrame:
    """The frame with the newest word of the strongest source as its quality, as `DecisionLog.get` has it."""
    import pandas as pd

    about = {decision_id for _, decision_id, _, _ in said}
    at = {decision_id: i for i, decision_id in enumerate(frame["decision_id"]) if decision_id in about}
    quality, source = frame["quality"].to_numpy(copy=True), frame["quality_source"].to_numpy(copy=True)
    for _, decision_id, score, by in said:
        i = at.get(decision_id)  # None: pruned a moment ago
        if i is not None and RANK[by] >= RANK.get(source[i], 0):
            quality[i], source[i] = score, by
    return frame.assign(quality=quality, quality_source=pd.Series(source, dtype=object))
