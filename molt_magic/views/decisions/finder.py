"""Searches and sorts a frame of decisions: a hundred thousand rows in a fraction of a second."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from molt_magic.views.decisions.fragments import short
from molt_magic.views.decisions.query import CHOICES, Query
from molt_magic.views.listings import cell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

NONE = "none"  # the choice for decisions without a value
_CHOICE_LIMIT = 80  # characters of a choice
_CUT = 1000  # of a value that is looked at for it
_CHOICES_LIMIT = 200  # choices of a column; rarer ones can be searched for

# Columns whose values never change once they are logged, so that their text is gathered once.
# fmt: off
_SEARCHED = (
    "decision_id", "session", "cell_id", "strategy", "task", "prompt_hash", "prompt", "model", "served_model", "provider",
    "deployment", "fallback_reason", "cache", "baseline_model", "context_action", "status", "error", "reason",
)
# fmt: on
_SAID = "quality_source"  # this one does change: feedback comes later


class Finder:
    """One frame of the ledger, made ready for questions. What is worked out for a column is kept.

    Args:
        frame: of `Ledger`, in the order made.
        before: a finder of an earlier state of the same ledger; what was worked out for it is taken over.
    """

    def __init__(self, frame: pd.DataFrame, before: Finder | None = None) -> None:
        self.frame = frame
        self._texts: list[str] = [] if before is None else before._texts
        self._gathering: threading.Lock = threading.Lock() if before is None else before._gathering
        self._ranks: dict[str, NDArray[np.int64]] = {}
        self._chosen: dict[str, tuple[NDArray[np.int64], list[str]]] = {}
        if before is not None and len(before.frame) == len(frame):  # the same rows: only what was said of them may differ
            self._ranks = {name: ranks for name, ranks in before._ranks.copy().items() if name != "quality"}
            self._chosen = before._chosen.copy()

    def find(self, query: Query) -> NDArray[np.int64]:
        """Positions in the frame of what is asked for, in the order asked for; its page is not looked at.

        What is equal stands newest first, and what is unknown last, whichever way is sorted.
        """
        order = self._order(query.sort, query.descending)
        kept = self._kept(query)
        found: NDArray[np.int64] = order if kept is None else order[kept[order]]
        return found

    def choices(self) -> Mapping[str, list[tuple[str, int]]]:
        """For each column of CHOICES its values and how many decisions have them, the most frequent first."""
        import numpy as np

        found = {}
        for name in CHOICES:
            codes, labels = self._choice(name)
            counted = [(labels[i], int(count)) for i, count in enumerate(np.bincount(codes, minlength=len(labels))) if count]
            found[name] = sorted(counted, key=lambda pair: (-pair[1], pair[0]))[:_CHOICES_LIMIT]
        return found

    def gather(self) -> Sequence[str]:
        """The text of each decision that is searched, gathered at the first search (or before it, on another thread)."""
        with self._gathering:
            if len(self._texts) < len(self.frame):
                self._texts.extend(_texts_of(self.frame.iloc[len(self._texts) :]))
            return self._texts

    def _kept(self, query: Query) -> NDArray[np.bool_] | None:
        """Whether each row passes the filters; None: there is none."""
        frame, kept = self.frame, list[Any]()
        for name in CHOICES:
            if wanted := getattr(query, name):
                codes, labels = self._choice(name)
                kept.append(codes == labels.index(wanted) if wanted in labels else codes < 0)
        if query.cost_from is not None:
            kept.append((frame["cost_usd"] >= query.cost_from).to_numpy())
        if query.cost_to is not None:
            kept.append((frame["cost_usd"] <= query.cost_to).to_numpy())
        if query.time_from is not None:
            kept.append((frame["time"] >= query.time_from).to_numpy())
        if query.before is not None:
            kept.append((frame["time"] < query.before).to_numpy())
        kept += [self._holding(word) for word in query.search.casefold().split()]
        if not kept:
            return None
        passed: NDArray[np.bool_] = kept[0].copy()
        for each in kept[1:]:
            passed &= each
        return passed

    def _holding(self, word: str) -> NDArray[np.bool_]:
        """Whether each row has the word somewhere."""
        import numpy as np

        texts, count = self.gather(), len(self.frame)  # a finder of a later state may have gathered more
        held = np.fromiter((word in texts[i] for i in range(count)), dtype=bool, count=count)
        if any(word in source for source in ("user", "judge", "validator")):
            held |= self.frame[_SAID].map(lambda source: isinstance(source, str) and word in source).to_numpy(dtype=bool)
        return held

    def _order(self, name: str, descending: bool) -> NDArray[np.int64]:
        import numpy as np

        ranks = self._rank(name)
        unknown = ranks < 0
        keys = np.where(unknown, np.iinfo(np.int64).max, -ranks if descending else ranks)
        newest_first = np.argsort(keys[::-1], kind="stable")
        return len(keys) - 1 - newest_first

    def _rank(self, name: str) -> NDArray[np.int64]:
        """The place of each row's value among the column's values; -1: it has none."""
        import pandas as pd

        if name not in self._ranks:
            column = self.frame[name]
            if column.dtype == object:  # text is sorted without regard to case
                column = pd.Series([v.casefold() if isinstance(v, str) else None for v in column], dtype=object)
            self._ranks[name] = pd.factorize(column, sort=True)[0].astype("int64")
        return self._ranks[name]

    def _choice(self, name: str) -> tuple[NDArray[np.int64], list[str]]:
        """Each row's choice as a number, and the choices. Values that are told alike are one choice."""
        import numpy as np
        import pandas as pd

        if name not in self._chosen:
            codes, values = pd.factorize(self.frame[name])
            told = [short(cell(name, str(value)[:_CUT]), _CHOICE_LIMIT) or NONE for value in values] + [NONE]
            labels = list(dict.fromkeys(told))
            at = np.array([labels.index(label) for label in told], dtype="int64")
            self._chosen[name] = at[codes], labels  # -1, no value, is the last of `told`
        return self._chosen[name]


def _texts_of(frame: pd.DataFrame) -> list[str]:
    """For each row the text of its columns, and its time, costs and latency as they are shown."""
    import numpy as np

    moments = np.datetime_as_string(frame["time"].dt.tz_localize(None).to_numpy(), unit="s")
    amounts = [[cell(name, value) for value in frame[name].tolist()] for name in ("cost_usd", "saved_usd", "latency_s")]
    # "none" would be found by whoever looks for "one"
    columns = [[None if value == "none" else value for value in frame[name].tolist()] for name in _SEARCHED]
    return [
        " ".join(filter(None, (moment.replace("T", " "), *row))).casefold()
        for moment, *row in zip(moments.tolist(), *amounts, *columns, strict=True)
    ]
