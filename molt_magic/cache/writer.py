"""Answers on their way to the disk: known at once, and written a moment later, many in one transaction.

A transaction takes longer than all else that the cache does for a question, and hardly longer for fifty answers than for one.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from weakref import WeakSet

from molt_magic.cache.rows import Fresh, VectorRow, prompts_of
from molt_magic.cache.store import JsonStore
from molt_magic.cache.waiting import Waiting
from molt_magic.soon import Soon

WAIT_S = 0.05  # from the first answer that waits to the transaction
MOST_WAITING = 256  # keys; who gives more brings them to the disk himself
MOST_BYTES = 4 * 2**20  # likewise, and at most ...
SHARE_WAITING = 64  # ... one part in so many of the database's bound


class Writer:
    """A `JsonStore` whose `put` does not wait for the disk.

    What was put is found at once by this process, and within some WAIT_S seconds by others. A process that is killed loses what
    it was given in that time, and nothing but that: answers, which are asked for again. One that ends writes all before.

    Args:
        store: the database.
        embed: gives prompts their vectors; those that have none are not stored. It must not raise.
        failed: told why something could not be written; it is then as if it had never been put.
        written: told the scopes of the prompts that were.
    """

    def __init__(
        self,
        store: JsonStore,
        *,
        embed: Callable[[Sequence[VectorRow]], None],
        failed: Callable[[Exception], None],
        written: Callable[[set[str]], None],
    ) -> None:
        self.store = store
        self._embed = embed
        self._failed = failed
        self._written = written
        self._most_bytes = min(MOST_BYTES, store.max_bytes // SHARE_WAITING)
        self._begin()
        _writers.add(self)

    def _begin(self) -> None:
        """With nothing that waits. So does a process that was forked: what waited then, the first one writes."""
        self._pid = os.getpid()
        self._lock = threading.Lock()  # of what waits
        self._writing = threading.Lock()
        self._waiting = Waiting()
        self._leaving = Waiting()  # those in the transaction that is under way
        self._soon = Soon(self.flush, name="molt-cache-writer", pause_s=WAIT_S)

    def get(self, key: str) -> str | None:
        """The text stored under `key`, or None. Raises StoreError."""
        # what leaves in between is in the store by then
        fresh = self._waiting.texts.get(key) or self._leaving.texts.get(key)
        if fresh is None:
            return self.store.get(key)
        return fresh.text if time.time() < fresh.expires else None

    def put(self, key: str, text: str, *, expire_s: float, row: VectorRow | None = None, also: Sequence[str] = ()) -> None:
        """Store `text` for `expire_s` seconds, under other keys `also`, and the vector of `key` with it.

        Raises:
            StoreError: there is no database that could take it.
        """
        self._own()
        self.store.check()
        now = time.time()
        fresh = Fresh(text, now, now + expire_s, row)
        with self._lock:
            waiting = self._waiting
            waiting.put((key, *also), fresh)
            many = len(waiting.texts) >= MOST_WAITING or waiting.bytes >= self._most_bytes
        if many or not self._soon.want():
            self.flush()

    def of_block(self, block: int) -> list[VectorRow]:
        """Of what waits, the prompts of a block."""
        self._own()
        with self._lock:
            waiting = self._waiting
            return waiting.of_block(block) + [row for row in self._leaving.of_block(block) if not waiting.holds(row)]

    def replaces(self, row: VectorRow) -> bool:
        """Whether another prompt waits to take the place of this one."""
        return self._waiting.holds(row) or self._leaving.holds(row)

    def delete(self, key: str) -> bool:
        """Drop an entry and its vector; whether there was one. Raises StoreError."""
        self.flush()
        return self.store.delete(key)

    def clear(self) -> int:
        """Drop every entry and vector; how many entries there were. Raises StoreError."""
        self.flush()
        return self.store.clear()

    def sizes(self) -> tuple[int, int, int]:
        """Of the store. Raises StoreError."""
        self.flush()
        return self.store.sizes()

    def flush(self) -> None:
        """Bring all that waits to the disk now."""
        self._own()
        with self._writing:
            with self._lock:
                if not self._waiting.texts:
                    return
                leaving = self._leaving = self._waiting
                self._waiting = Waiting()
            try:
                rows = prompts_of(leaving.texts)
                if rows:
                    self._embed(rows)
                self.store.put_all(leaving.texts)
                self._written({row.scope for row in rows if row.vector})
            except Exception as error:  # noqa: BLE001  # nobody waits for it
                self._failed(error)
            finally:
                self._leaving = Waiting()

    def close(self) -> None:
        """Write what waits, and let the thread go; the next `put` begins another."""
        self._own()
        self._soon.close()
        self.flush()

    # -- within

    def _own(self) -> None:
        if self._pid != os.getpid():
            self._begin()


_writers: WeakSet[Writer] = WeakSet()


@atexit.register
def _flush_all() -> None:
    for writer in list(_writers):
        with suppress(OSError):
            if writer.store.directory.exists():  # one that was made for this process alone may be gone
                writer.flush()
