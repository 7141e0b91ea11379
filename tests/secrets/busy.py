"""A session that uses everything that writes to disk; run as a program, so that its umask is its own.

python -m tests.secrets.busy UMASK PROMPTS, with MOLT_HOME set; prints the answers' number when all is closed.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from molt_magic import BadRequest, MoltError, Orchestrator, load_settings
from molt_magic.types import Call
from tests.scripted import ScriptedProviders

# words that are in every prompt, and so in every answer, summary, error and reason below
WORDS = ("xylophone", "quagmire", "zeppelin")
SENTENCE = f"What do a {WORDS[0]}, a {WORDS[1]} and a {WORDS[2]} have in common?"
MODEL = {"provider": "openai", "context_window": 8000, "api_key_env": "NONE", "input_usd_per_mtok": 1.0}


def says(call: Call) -> str | MoltError:
    """An answer that repeats what was asked; a judge's opinion that does; an error that does."""
    text = call.messages[-1].text
    if call.purpose == "judge":
        return f'{{"score": 0.4, "reason": "it is about a {WORDS[0]} in a {WORDS[1]}"}}'
    if call.purpose == "summary":
        return f"A {WORDS[0]} in a {WORDS[1]}."
    if "fail" in text:
        return BadRequest(f"openai answered 400 for small: your prompt  {text.upper()!r} is odd", provider="openai", status=400)
    return f"You asked: {text} I say 42."


def picky(answer: str) -> bool:
    raise ValueError(f"no, not {answer}")


def main(prompts: bool) -> int:
    """Ask, fail, summarise, remember, grade, learn, fit; returns how many decisions were logged."""
    values = {f"models.{name}": {**MODEL, "model": name, "output_usd_per_mtok": 2.0} for name in ("small", "big")}
    limits = {"context.max_tokens": 800, "context.keep_turns": 1, "budget.day_usd": 5.0}
    settings = load_settings(cwd=Path("/")).with_values(
        {"catalog": "none", "log.prompts": prompts, "cascade.ladder": ("small", "big"), **values, **limits}
    )
    with Orchestrator(settings=settings, providers=ScriptedProviders({"small": says, "big": says})) as orch:  # type: ignore[arg-type]
        ids = []
        for number, strategy in enumerate(("semantic", "arbitrage", "cascade", "direct", "direct")):
            checks = ["nonempty", "judge:big"] if strategy == "cascade" else ["regex:42"]
            result = orch.route(f"{SENTENCE} ({number // 2})", strategy=strategy, validate=checks)
            ids.append(result.decision.decision_id)
        orch.route(SENTENCE, strategy="cascade", validate=["regex:43", picky])
        for strategy in ("cascade", "direct"):
            with suppress(MoltError):
                orch.route(f"{SENTENCE} Now fail.", strategy=strategy)
        for mode in ("summary", "memory"):
            orch.configure({"context.mode": mode})
            for turn in range(5):
                with suppress(MoltError):
                    orch.route(f"{turn}: {SENTENCE * 6}", model="small", thread=mode)
        for decision_id in ids:
            orch.feedback(decision_id, 1.0)
        orch.classifier.add([(SENTENCE, "instruments")])
        orch.learn(_table())
        while prompts and not orch._parts.quality.refit():  # a fit in the background is under way
            time.sleep(0.05)
        orch.route(f"{SENTENCE} Once more.", strategy="arbitrage")
        orch.compare(SENTENCE, ["cascade", "big"])
        return len(orch.log.to_frame())


def _table():  # type: ignore[no-untyped-def]  # pandas is imported where a frame is built
    import pandas as pd

    rows = [
        {"prompt_id": str(i), "prompt": f"{SENTENCE} {i}", "model": model, "score": float(i % 2), "cost_usd": 0.01}
        for i in range(220)
        for model in ("small", "big")
    ]
    return pd.DataFrame(rows)


if __name__ == "__main__":
    os.umask(int(sys.argv[1], 8))
    print(main(sys.argv[2] == "prompts"))
