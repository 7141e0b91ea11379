"""Conversations by name. Asking again from the same cell replaces that cell's turn instead of adding one."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from molt_magic.context import Turn, paired
from molt_magic.errors import UnknownName
from molt_magic.types import Message

MOST_ASKED = 4096  # questions, the last ones, of which is known how much history they were given


class Threads:
    """The conversations of one orchestrator, kept in memory: re-running a notebook rebuilds them."""

    def __init__(self) -> None:
        self._turns: dict[str, dict[str, Turn]] = {}
        self._asked: dict[tuple[str, str], int] = {}  # thread and turn -> messages of history that its question was given
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Names of the conversations, the oldest first."""
        with self._lock:
            return list(self._turns)

    def messages(self, name: str) -> tuple[Message, ...]:
        """All turns of a conversation. Raises UnknownName."""
        with self._lock:
            if name not in self._turns:
                raise UnknownName("thread", name, self._turns)
            return tuple(message for turn in self._turns[name].values() for message in turn)

    def history(self, name: str, key: str) -> tuple[Message, ...]:
        """What was said before the turn `key`; all that was said when there is no such turn yet. Tool calls that nobody has
        answered are left out, but for those of the last answer, and so are results whose call a cell has replaced."""
        with self._lock:
            found: list[Message] = []
            for turn_key, turn in self._turns.get(name, {}).items():
                if turn_key == key:
                    break
                found += turn
            history = paired(found)
            self._note(name, key, len(history))
            return history

    def record(self, name: str, key: str, messages: Sequence[Message], answer: Message) -> None:
        """Add the turn `key`, or replace it where it stands.

        Args:
            messages: of the request: the history that this turn's question was given, and after it what the question brought.
            answer: what came of it.
        """
        spoken = tuple(message for message in messages if message.role != "system")
        with self._lock:
            # by what it was given: by now the thread may have been reset, or have another turn
            brought = spoken[self._asked.get((name, key), 0) :]
            self._turns.setdefault(name, {})[key] = (*brought, answer)

    def reset(self, name: str | None = None) -> int:
        """Forget one conversation, or all; returns how many. Raises UnknownName."""
        with self._lock:
            if name is None:
                count = len(self._turns)
                self._turns.clear()
                return count
            if name not in self._turns:
                raise UnknownName("thread", name, self._turns)
            del self._turns[name]
            return 1

    def _note(self, name: str, key: str, count: int) -> None:
        """Keep how much history a question was given. Most are recorded soon; those that fail never are."""
        self._asked.pop((name, key), None)
        self._asked[name, key] = count
        if len(self._asked) > MOST_ASKED:
            del self._asked[next(iter(self._asked))]
