"""What a decision log says: decisions with what was said of them later, outcomes, and sums over them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex

from molt_magic.errors import InputError, UnknownName
from molt_magic.log.schema import COLUMNS, from_row
from molt_magic.types import SOURCE_RANK, Decision, Outcome

if TYPE_CHECKING:
    import pandas as pd

    from molt_magic.log.database import Database

RANK = SOURCE_RANK
_RANKED = "CASE source WHEN 'user' THEN 3 WHEN 'judge' THEN 2 ELSE 1 END"
# the text of an outcome is that of its decision, unless it was imported
_TEXT = "COALESCE(outcomes.prompt, (SELECT prompt FROM decisions AS d WHERE d.decision_id = outcomes.decision_id), '')"
_READ = f"seq, decision_id, model, task, score, source, embedder, vector, {_TEXT}"
_LIST = ", ".join(COLUMNS)
_ASKED_AT_ONCE = 999  # ids in one statement; before 3.32 SQLite took no more
_QUALITY, _QUALITY_SOURCE = COLUMNS.index("quality"), COLUMNS.index("quality_source")


class Reading:
    """The reading half of a `DecisionLog`; see there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: Database | None = None

    @property
    def _database(self) -> Database:
        if self._opened is None:
            from molt_magic.log.database import Database  # sqlite3 is not loaded by importing the package

            self._opened = Database(self.path, synchronous="NORMAL", flushed=True)
        return self._opened

    def get(self, decision_id: str) -> Decision | None:
        """The decision, its quality as of now, or None."""
        return self._one("WHERE decision_id = ?", (decision_id,))

    def last(self, session: str | None = None) -> Decision | None:
        """The newest decision (of a session), or None."""
        newest = "WHERE seq = (SELECT MAX(seq) FROM decisions"
        return self._one(f"{newest})", ()) if session is None else self._one(f"{newest} WHERE session = ?)", (session,))

    def columns_of(self, ids: Sequence[str], columns: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        """These columns, as they are stored, of the decisions with these ids; those that are not in the log are left out.

        What was said of a decision later is not folded in.
        """
        found: dict[str, tuple[Any, ...]] = {}
        with self._database.reading() as connection:
            for start in range(0, len(ids), _ASKED_AT_ONCE):
                asked = tuple(ids[start : start + _ASKED_AT_ONCE])
                marks = ", ".join("?" * len(asked))
                query = f"SELECT decision_id, {', '.join(columns)} FROM decisions WHERE decision_id IN ({marks})"  # noqa: S608  # our own names
                found.update((decision_id, tuple(rest)) for decision_id, *rest in connection.execute(query, asked))
        return found

    def answers(self, prompt_hash: str, limit: int = 100) -> list[tuple[str, Mapping[str, Any]]]:
        """Whole answers to a prompt by its hash, from its newest `limit` decisions, newest first: (decision_id, attempt)."""
        import json

        query = "SELECT decision_id, attempts FROM decisions WHERE prompt_hash = ? ORDER BY seq DESC LIMIT ?"
        with self._database.reading() as connection:
            rows = connection.execute(query, (prompt_hash, limit)).fetchall()
        found = [(decision_id, attempt) for decision_id, attempts in rows for attempt in reversed(json.loads(attempts))]
        return [
            (decision_id, attempt)
            for decision_id, attempt in found
            if attempt["purpose"] == "answer"
            and attempt["text"]
            and not attempt["error"]
            and attempt["finish_reason"] == "stop"
        ]

    def to_frame(self, limit: int | None = None, *, ids: Sequence[str] | None = None) -> pd.DataFrame:
        """Decisions in the order they were made, a column a field of `Decision`; with `limit` only the newest.

        `time` is datetime64 in UTC, counts are int64, costs and scores float64 with NaN for unknown, `candidates` and
        `attempts` are lists of dicts, the rest is text or None.

        Args:
            ids: these decisions only, in this order; `limit` does not apply. Those that are not in the log are left out.

        Raises:
            InputError: the limit is negative, or no whole number.
        """
        from molt_magic.log.frame import to_frame

        if ids is not None:
            return to_frame(self._named(ids))
        count = -1 if limit is None else whole(limit, "A limit of {} rows makes no sense.")
        rows = self._rows("ORDER BY seq DESC LIMIT ?", (count,))
        return to_frame(rows[::-1])

    def rows_since(self, seq: int, columns: Sequence[str], limit: int) -> list[tuple[Any, ...]]:
        """The first `limit` decisions after row `seq` (0: all), oldest first: the row, then these columns as they are stored.

        What was said of a decision later is not folded in; see `feedback_since`.
        """
        query = f"SELECT seq, {', '.join(columns)} FROM decisions WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608  # our own names
        with self._database.reading() as connection:
            return connection.execute(query, (seq, limit)).fetchall()

    def version(self) -> tuple[int, int, int]:
        """Differs from what it was before wherever anything was written meanwhile: by this process at once, by any other some
        50 ms later."""
        return self._database.version()

    def last_row(self) -> int:
        """The row of the newest decision, for `rows_since`; 0: there is none."""
        with self._database.reading() as connection:
            return int(connection.execute("SELECT COALESCE(MAX(seq), 0) FROM decisions").fetchone()[0])

    def first_row(self) -> int:
        """The row of the oldest decision; once all are pruned, that of the next one."""
        query = """
            SELECT COALESCE((SELECT MIN(seq) FROM decisions),
                (SELECT seq + 1 FROM sqlite_sequence WHERE name = 'decisions'), 1)
        """
        with self._database.reading() as connection:
            return int(connection.execute(query).fetchone()[0])

    def feedback_since(self, seq: int) -> list[tuple[int, str, float, str]]:
        """What was said after row `seq` (0: ever), oldest first: the row, decision_id, score, source."""
        query = "SELECT seq, decision_id, score, source FROM feedback WHERE seq > ? ORDER BY seq"
        with self._database.reading() as connection:
            return connection.execute(query, (seq,)).fetchall()

    def marked(self) -> dict[str, str]:
        """When decisions were last marked by feedback: ISO 8601, UTC, by decision_id."""
        with self._database.reading() as connection:
            return dict(connection.execute("SELECT decision_id, MAX(time) FROM feedback GROUP BY decision_id").fetchall())

    def outcomes(self, limit: int = 20_000) -> list[Outcome]:
        """The newest outcomes, newest last; of several for one model in one decision only the strongest, newest word."""
        newest = f"SELECT {_READ} FROM outcomes ORDER BY seq DESC LIMIT ?"  # noqa: S608  # our own column names
        with self._database.reading() as connection:
            found = [(seq, Outcome(*row)) for seq, *row in connection.execute(newest, (limit,))]
        strongest: dict[tuple[str, str], tuple[int, Outcome]] = {}
        for seq, outcome in reversed(found):
            about = (outcome.decision_id, outcome.model)
            held = strongest.get(about)
            if held is None or RANK.get(outcome.source, 0) >= RANK.get(held[1].source, 0):
                strongest[about] = (seq, outcome)
        return [outcome for _, outcome in sorted(strongest.values(), key=lambda pair: pair[0])]

    def outcomes_since(self, rowid: int, limit: int | None = None) -> tuple[list[Outcome], int]:
        """The outcomes written after row `rowid` (0: all), oldest first, and the row to ask from next time.

        Args:
            limit: so many at most; None: all.
        """
        query = f"SELECT {_READ} FROM outcomes WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608  # our own column names
        with self._database.reading() as connection:
            found = connection.execute(query, (rowid, -1 if limit is None else limit)).fetchall()
        return [Outcome(*row) for _, *row in found], found[-1][0] if found else rowid

    def first_outcome(self) -> int:
        """The row of the oldest outcome; once all are pruned, and before there was any, that of the next one."""
        query = """
            SELECT COALESCE((SELECT MIN(seq) FROM outcomes), (SELECT seq + 1 FROM sqlite_sequence WHERE name = 'outcomes'), 1)
        """
        with self._database.reading() as connection:
            return int(connection.execute(query).fetchone()[0])

    def last_outcome(self) -> int:
        """The row of the newest outcome, for `outcomes_since`; 0: there is none."""
        with self._database.reading() as connection:
            return int(connection.execute("SELECT COALESCE(MAX(seq), 0) FROM outcomes").fetchone()[0])

    def totals(
        self, by: Literal["model", "provider", "strategy"] = "model", session: str | None = None
    ) -> list[Mapping[str, Any]]:
        """A row a model, provider or strategy, dearest first; dry runs are left out.

        Keys: the name of `by`, `decisions`, `cached`, `errors`, `input_tokens`, `output_tokens`, `cost_usd` and `saved_usd`
        (USD, of those that are known; None if none is), `unknown_costs` (decisions without a known cost).

        Raises:
            UnknownName: `by` is none of the three.
        """
        if by not in ("model", "provider", "strategy"):
            raise UnknownName("grouping", by, ("model", "provider", "strategy"))
        query = f"""
            SELECT {by}, COUNT(*) AS decisions, SUM(cache IN ('exact', 'semantic')) AS cached, SUM(status = 'error') AS errors,
                SUM(input_tokens) AS input_tokens, SUM(output_tokens) AS output_tokens,
                SUM(cost_usd) AS cost_usd, SUM(saved_usd) AS saved_usd, SUM(cost_usd IS NULL) AS unknown_costs
            FROM decisions WHERE status != 'planned' {"" if session is None else "AND session = :session"}
            GROUP BY {by} ORDER BY cost_usd DESC, decisions DESC
        """  # noqa: S608  # `by` was checked above
        with self._database.reading() as connection:
            cursor = connection.execute(query, {"session": session})
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def spent(self, session: str) -> float:
        """USD spent in a session, as far as prices are known; dry runs and answers from a cassette cost nothing."""
        return self.spending(session)[0]

    def spending(
        self, session: str | None = None, *, since: str = "", until: str = "~", after: int = 0, through: int | None = None
    ) -> tuple[float, int]:
        """USD spent in a session (None: in all), and how many decisions had a call whose price is not known.

        Dry runs and answers from a cassette cost nothing. Of a decision with a call of unknown price its other calls count.

        Args:
            since, until: ISO 8601, UTC, as decisions have it; from the first, and before the second.
            after, through: rows; after the first, up to the second. What was pruned counts only where `after` is 0: who asks
                for what is new has counted it before.
        """
        # a plus keeps SQLite from its indices: what is new is few rows, and those of a day or a session are many
        direct = "+" if after else ""
        of: list[tuple[str, Any]] = [(f"{direct}session = ?", session)] if session is not None else []
        of += [(f"{direct}time >= ?", since), (f"{direct}time < ?", until)] if since or until != "~" else []
        rows = [(clause, row) for clause, row in (("seq > ?", after or None), ("seq <= ?", through)) if row is not None]
        where = " AND ".join(["status != 'planned'", "deployment IS NOT 'cassette'", *(clause for clause, _ in (*of, *rows))])
        given = [value for _, value in (*of, *rows)]
        known = f"SELECT COALESCE(SUM(cost_usd), 0.0), COUNT(*) - COUNT(cost_usd) FROM decisions WHERE {where}"  # noqa: S608  # constants
        parts = f"""
            SELECT COALESCE(SUM(json_extract(a.value, '$.cost_usd')), 0.0)
            FROM decisions, json_each(attempts) AS a WHERE {where} AND cost_usd IS NULL
        """  # noqa: S608  # constants
        gone = f"""
            SELECT COALESCE(SUM(cost_usd), 0.0), COALESCE(SUM(unknown), 0) FROM pruned
            WHERE {" AND ".join(clause for clause, _ in of) or 1}
        """  # noqa: S608  # constants
        with self._database.reading() as connection:
            usd, unknown = connection.execute(known, given).fetchone()
            if unknown:
                usd += connection.execute(parts, given).fetchone()[0]
            pruned, unpriced = (0.0, 0) if after else connection.execute(gone, [value for _, value in of]).fetchone()
        return float(usd + pruned), int(unknown + unpriced)

    def stats(self) -> Mapping[str, Any]:
        """The path, how many decisions and outcomes there are, and the bytes on disk."""
        with self._database.reading() as connection:
            decisions = connection.execute("SELECT COUNT(*) FROM decisions").fetchone()[0]
            outcomes = connection.execute("SELECT COUNT(*) FROM outcomes").fetchone()[0]
            size = self._bytes()
        return {"path": str(self.path), "decisions": decisions, "outcomes": outcomes, "bytes": size}

    def export(self, path: Path, frame: pd.DataFrame | None = None) -> Path:
        """Write the log, or `frame`, as .csv, .jsonl or .parquet by the ending of `path`; see `log.frame.export`.

        Raises:
            InputError: another ending, or pyarrow is missing for parquet.
            StoreError: the file cannot be written.
        """
        from molt_magic.log.frame import export

        return export(self.to_frame() if frame is None else frame, Path(path).expanduser())

    # -- within

    def _bytes(self) -> int:
        """On disk, the journal included."""
        files = [self.path.with_name(self.path.name + end) for end in ("", "-wal")]
        return sum(file.stat().st_size for file in files if file.exists())

    def _one(self, tail: str, given: tuple[Any, ...]) -> Decision | None:
        rows = self._rows(tail, given)
        return from_row(rows[0]) if rows else None

    def _rows(self, tail: str, given: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Decisions with what was said of them later folded into their quality."""
        chosen = f"SELECT {_LIST} FROM decisions {tail}"  # noqa: S608  # our own column names
        with self._database.reading() as connection:
            rows = connection.execute(chosen, given).fetchall()
            said = connection.execute(
                f"""
                    SELECT decision_id, score, source FROM feedback
                    WHERE decision_id IN (SELECT decision_id FROM decisions {tail}) ORDER BY {_RANKED}, seq
                """,  # noqa: S608  # constants
                given,
            ).fetchall()
        last_word = {decision_id: (score, source) for decision_id, score, source in said}
        return [_folded(row, last_word.get(row[0])) for row in rows] if last_word else rows

    def _named(self, ids: Sequence[str]) -> list[tuple[Any, ...]]:
        """The decisions of these ids, in their order."""
        found: dict[str, tuple[Any, ...]] = {}
        for start in range(0, len(ids), _ASKED_AT_ONCE):
            asked = tuple(ids[start : start + _ASKED_AT_ONCE])
            rows = self._rows(f"WHERE decision_id IN ({', '.join('?' * len(asked))})", asked)
            found.update((row[0], row) for row in rows)
        return [found[decision_id] for decision_id in ids if decision_id in found]


def whole(count: SupportsIndex, story: str) -> int:
    """A number of rows as SQLite takes it. Raises InputError: it is negative, or no whole number.

    Args:
        story: what the error says, with a place for what was given.
    """
    if not isinstance(count, SupportsIndex) or index(count) < 0:
        raise InputError(story.format(count), fix="Give 0 or more, a whole number.")
    return min(index(count), sys.maxsize)


def _folded(row: tuple[Any, ...], said: tuple[float, str] | None) -> tuple[Any, ...]:
    if said is None or RANK[said[1]] < RANK.get(row[_QUALITY_SOURCE], 0):
        return row
    changed = list(row)
    changed[_QUALITY], changed[_QUALITY_SOURCE] = said
    return tuple(changed)
