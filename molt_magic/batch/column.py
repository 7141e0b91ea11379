"""What was given, read as prompts in order, and which of them are different questions."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from molt_magic.errors import InputError, MoltError, UnknownName
from molt_magic.orchestrator import question
from molt_magic.serial import canonical_key, message_to_json
from molt_magic.types import Message

DEFAULT = "prompt"  # the column of a frame, where none is named
EMPTY = "input: the row is empty"


@dataclass(frozen=True, slots=True)
class Column:
    """Prompts by position, taken from where they are when they are wanted: a copy of a long column would be a second one."""

    prompts: Sequence[Any]
    index: Any  # a pandas Index for the frame that comes back; None: 0, 1, 2, ...

    def prompt(self, row: int) -> Any:
        """The prompt of a row as a question takes it."""
        return _as_list(self.prompts[row])


def read(given: object, column: str | None) -> Column:
    """The prompts of a Series, a list or another iterable of them, or of a frame's column.

    Raises:
        InputError: it is none of these, or a text by itself.
        UnknownName: the frame has no such column.
    """
    import pandas as pd

    if isinstance(given, pd.DataFrame):
        name = DEFAULT if column is None else column
        if not isinstance(name, Hashable):
            raise InputError(f"A frame's column is wanted, not {name!r}.", fix='Name one: column="prompt".')
        if name not in given.columns:
            raise UnknownName("column", str(name), map(str, given.columns))
        given = given[name]
        if isinstance(given, pd.DataFrame):
            raise InputError(f"The frame has several columns {name!r}.", fix="Give one of them as a Series.")
    elif column is not None:
        raise InputError("Only a frame has columns to choose from.", fix="Leave out column=, or give the frame.")
    if isinstance(given, pd.Series):
        return Column(given.array, given.index)  # type: ignore[arg-type]  # it has a length and items by position
    if isinstance(given, str | bytes | Mapping | Set) or not isinstance(given, Iterable):
        what = "one text" if isinstance(given, str) else f"a {type(given).__name__}"
        raise InputError(f"A column of prompts is wanted, not {what}.", fix="Give a Series, a list, or a frame with column=.")
    prompts = given if isinstance(given, Sequence) else list(given)
    if len(prompts) and isinstance(prompts[0], Message | Mapping):
        raise InputError("A column of prompts is wanted, not the messages of one.", fix="Put them into a list of their own.")
    return Column(prompts, None)


@dataclass(slots=True)
class Questions:
    """The different questions of a column, in the order in which they first come."""

    keys: list[bytes] = field(default_factory=list)  # a digest of each one's messages
    rows: array[int] = field(default_factory=lambda: array("l"))  # the first row of each
    of_row: array[int] = field(default_factory=lambda: array("l"))  # the question of each row; -1: it holds none
    unread: dict[int, str] = field(default_factory=dict)  # rows that hold no question -> why

    def __len__(self) -> int:
        return len(self.keys)


def different(column: Column) -> Questions:
    """Find the questions; a row that cannot be read as one says why and does not disturb the others."""
    found = Questions()
    known: dict[bytes, int] = {}
    for row in range(len(column.prompts)):
        prompt = column.prompt(row)
        number = -1
        if is_empty(prompt):
            found.unread[row] = EMPTY
        else:
            try:
                key = key_of(prompt)
            except MoltError as error:
                found.unread[row] = f"{error.kind}: {error.message}"
            else:
                number = known.setdefault(key, len(found.keys))
                if number == len(found.keys):
                    found.keys.append(key)
                    found.rows.append(row)
        found.of_row.append(number)
    return found


def is_empty(prompt: object) -> bool:
    """Whether a cell holds nothing: None, NaN, NA, blank text, no messages."""
    if prompt is None or (isinstance(prompt, str) and not prompt.strip()):
        return True
    if isinstance(prompt, Sequence):
        return not len(prompt)
    try:
        return bool(prompt != prompt)  # NaN and NaT
    except TypeError:  # pandas.NA says neither yes nor no
        return True
    except ValueError:  # a table in a cell
        return False


def key_of(prompt: question.Prompt) -> bytes:
    """A digest by which a question is known again; the same for a text and for one user message that says it.

    Raises:
        InputError, UnknownName: it is no question.
    """
    messages = question.messages_of(prompt)
    first = messages[0]
    if len(messages) == 1 and isinstance(first.content, str) and not first.tool_calls:
        return hashlib.sha256(b"text\n" + first.content.encode()).digest()
    return bytes.fromhex(canonical_key({"messages": [message_to_json(message) for message in messages]}))


def _as_list(prompt: Any) -> Any:
    """Messages as they come out of a Parquet file are an array of NumPy."""
    return prompt.tolist() if hasattr(prompt, "tolist") and getattr(prompt, "ndim", 0) == 1 else prompt
