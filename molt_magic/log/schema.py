"""The log's tables and how they came to be. Migrations are only ever appended: a file of any age can be brought forward."""

from __future__ import annotations

import dataclasses
import json
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from molt_magic.errors import StoreError
from molt_magic.log.written import WRITER
from molt_magic.types import Decision, candidate_of_row

_HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair
JSON_COLUMNS = ("candidates", "attempts")
COLUMNS = tuple(field.name for field in dataclasses.fields(Decision))
OPTIONAL = tuple(field.name for field in dataclasses.fields(Decision) if str(field.type).endswith("| None"))
_NUMBERS = ("int", "float", "float | None")  # the annotations are text here: `from __future__ import annotations` in types
_JSON = tuple((COLUMNS.index(name), name) for name in JSON_COLUMNS)
_TEXTS = tuple(
    i for i, field in enumerate(dataclasses.fields(Decision)) if field.name not in JSON_COLUMNS and field.type not in _NUMBERS
)
_PROMPT = COLUMNS.index("prompt")
_values: Callable[[Decision], tuple[Any, ...]] = attrgetter(
    *(f"{name}_json" if name in JSON_COLUMNS else name for name in COLUMNS)
)

# `PRAGMA user_version` counts the migrations a file has had. Never edit one that was released; append another.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE decisions (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            decision_id TEXT NOT NULL UNIQUE,
            time TEXT NOT NULL,
            session TEXT NOT NULL,
            cell_id TEXT,
            strategy TEXT NOT NULL,
            task TEXT,
            task_score REAL,
            prompt_hash TEXT NOT NULL,
            prompt TEXT,
            model TEXT,
            served_model TEXT,
            provider TEXT,
            deployment TEXT,
            candidates TEXT NOT NULL,
            attempts TEXT NOT NULL,
            n_attempts INTEGER NOT NULL,
            escalations INTEGER NOT NULL,
            fallbacks INTEGER NOT NULL,
            fallback_reason TEXT,
            cache TEXT NOT NULL,
            cache_distance REAL,
            input_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL,
            cached_tokens INTEGER NOT NULL,
            reasoning_tokens INTEGER NOT NULL,
            cost_usd REAL,
            overhead_cost_usd REAL,
            baseline_model TEXT,
            baseline_cost_usd REAL,
            saved_usd REAL,
            latency_s REAL NOT NULL,
            ttft_s REAL,
            overhead_ms REAL NOT NULL,
            predicted_quality REAL,
            quality_threshold REAL,
            quality REAL,
            quality_source TEXT,
            context_action TEXT NOT NULL,
            context_tokens_before INTEGER NOT NULL,
            context_tokens_after INTEGER NOT NULL,
            status TEXT NOT NULL,
            error TEXT,
            reason TEXT NOT NULL
        )
        """,
        "CREATE INDEX decisions_session ON decisions (session, seq)",
        "CREATE INDEX decisions_spent ON decisions (session, status, cost_usd)",  # the budget is asked for before every call
        """
        CREATE TABLE feedback (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            decision_id TEXT NOT NULL,
            time TEXT NOT NULL,
            score REAL NOT NULL CHECK (score BETWEEN 0 AND 1),
            source TEXT NOT NULL CHECK (source IN ('user', 'judge', 'validator'))
        )
        """,
        "CREATE INDEX feedback_decision ON feedback (decision_id, seq)",
        """
        CREATE TABLE outcomes (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            decision_id TEXT NOT NULL,
            model TEXT NOT NULL,
            task TEXT,
            score REAL NOT NULL CHECK (score BETWEEN 0 AND 1),
            source TEXT NOT NULL CHECK (source IN ('validator', 'judge', 'user', 'imported')),
            embedder TEXT NOT NULL,
            vector BLOB NOT NULL
        )
        """,
        # What was logged stays as it was logged; a second opinion is a row of its own.
        "CREATE TRIGGER decisions_stay BEFORE UPDATE ON decisions BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END",
        "CREATE TRIGGER feedback_stays BEFORE UPDATE ON feedback BEGIN SELECT RAISE(ABORT, 'feedback is append-only'); END",
        "CREATE TRIGGER outcomes_stay BEFORE UPDATE ON outcomes BEGIN SELECT RAISE(ABORT, 'outcomes are append-only'); END",
    ),
    (
        "CREATE INDEX decisions_prompt ON decisions (prompt_hash, seq)",  # the recorded answers to a prompt
        "DROP INDEX decisions_spent",
        "CREATE INDEX decisions_spent ON decisions (session, status, deployment, cost_usd)",  # a cassette's answers are free
    ),
    ("ALTER TABLE outcomes ADD COLUMN prompt TEXT",),  # of an imported outcome, which has no decision
    ("ALTER TABLE decisions ADD COLUMN promise TEXT", "ALTER TABLE decisions ADD COLUMN propensity REAL"),
    ("CREATE INDEX decisions_day ON decisions (time, status, deployment, cost_usd)",),  # what a day cost, of all sessions
    (
        # what pruned decisions cost, so that a budget goes on counting it
        """
        CREATE TABLE pruned (
            session TEXT NOT NULL,
            time TEXT NOT NULL,
            cost_usd REAL NOT NULL,
            unknown INTEGER NOT NULL,
            PRIMARY KEY (session, time)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX pruned_day ON pruned (time, cost_usd, unknown)",
        "CREATE INDEX outcomes_decision ON outcomes (decision_id)",
        # an outcome may be given the prompt of its decision when that goes; nothing else of it ever changes
        "DROP TRIGGER outcomes_stay",
        """
        CREATE TRIGGER outcomes_stay BEFORE UPDATE ON outcomes
        WHEN OLD.prompt IS NOT NULL OR NEW.seq IS NOT OLD.seq OR NEW.decision_id IS NOT OLD.decision_id
            OR NEW.model IS NOT OLD.model OR NEW.task IS NOT OLD.task OR NEW.score IS NOT OLD.score
            OR NEW.source IS NOT OLD.source OR NEW.embedder IS NOT OLD.embedder OR NEW.vector IS NOT OLD.vector
        BEGIN SELECT RAISE(ABORT, 'outcomes are append-only'); END
        """,
    ),
    (
        # all that sums look at: else those over the whole log would read every page of every decision for them. It begins
        # with the time, so that a new row goes to its end
        "DROP INDEX decisions_day",
        """
        CREATE INDEX decisions_day ON decisions (
            time, status, deployment, cost_usd, model, provider, strategy, cache, input_tokens, output_tokens, saved_usd
        )
        """,
    ),
    ("DROP INDEX decisions_session",),  # decisions_spent begins with the session too, and every index is written with every row
)


def migrate(connection: sqlite3.Connection, path: object) -> None:
    """Bring the file forward to this version; several processes may try at once.

    Raises:
        StoreError: the file is newer than this code, or is another program's.
        sqlite3.Error: it cannot be read or written.
    """
    found = _version(connection, path)
    if found == len(MIGRATIONS):
        return
    if found == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that a pruned file can shrink a little at a time
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection, path)  # another process may have been first
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, path: object) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise StoreError(
            f"The log {path} was written by a newer molt_magic (version {version}, this one knows {len(MIGRATIONS)}).",
            fix="Update with: pip install -U molt-magic; or set MOLT_HOME to another folder.",
        )
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if (version > 0) != ("decisions" in tables) or (version == 0 and tables):
        raise StoreError(f"{path} is a database of another program.", fix="Set MOLT_HOME to another folder.")
    return version


def to_row(decision: Decision, *, prompts: bool) -> list[Any]:
    """A decision as the values of COLUMNS; without its prompt anywhere in it if `prompts` is False."""
    values = list(_values(decision))
    if not prompts:
        prompt = decision.prompt
        values = [without_prompt(value, prompt) for value in values]
        values[_PROMPT] = None
    for place, name in _JSON:
        text = values[place]
        if text is None or not prompts:
            given = getattr(decision, name)
            text = WRITER.encode(given if prompts else without_prompt(given, decision.prompt))
        if not text.isascii():
            # half of a broken emoji, as its escape: the reader must get text, not the half again, which no file could hold
            text = _HALF.sub(lambda half: f"\\\\u{ord(half.group()):04x}", text)
        values[place] = text
    for place in _TEXTS:
        value = values[place]
        if isinstance(value, str) and not value.isascii():
            values[place] = storable(value)
    return values


def from_row(row: Sequence[Any]) -> Decision:
    """A row of COLUMNS as a Decision."""
    values = dict(zip(COLUMNS, row, strict=True))
    for name in JSON_COLUMNS:
        values[name] = tuple(json.loads(values[name]))
    values["candidates"] = tuple(map(candidate_of_row, values["candidates"]))
    return Decision(**values)


def storable(value: Any) -> Any:
    """Text that UTF-8 can hold: a lone surrogate (half of a broken emoji) is written as its escape."""
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def without_prompt(value: Any, prompt: str | None) -> Any:
    """`value` without messages, and with the prompt's text, where an error or a reason quotes it, taken out."""
    if isinstance(value, str):
        return value.replace(prompt, "[prompt]") if prompt and prompt.strip() and len(prompt) > 3 else value
    if isinstance(value, Mapping):
        return {name: without_prompt(part, prompt) for name, part in value.items() if name not in ("messages", "prompt")}
    if isinstance(value, (list, tuple)):
        return [without_prompt(part, prompt) for part in value]
    return value
