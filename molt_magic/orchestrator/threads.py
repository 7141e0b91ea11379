"""Conversations by name. Asking again from the same cell replaces that cell's turn instead of adding one."""

from __future__ import annotations

import threading

from molt_magic.context import Turn, paired
from molt_magic.errors import UnknownName
from molt_magic.types import Message


class Threads:
    """The conversations of one orchestrator, kept in memory: re-running a notebook rebuilds them."""

    def __init__(self) -> None:
        self._turns: dict[str, dict[str, Turn]] = {}
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
            return paired(found)

    def record(self, name: str, key: str, turn: Turn) -> None:
        """Add the turn `key`, what its question brought and what came of it, or replace it where it stands."""
        with self._lock:
            self._turns.setdefault(name, {})[key] = turn

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
