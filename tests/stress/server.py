"""An OpenAI-compatible server that takes its time, answers by what it is asked, and counts who asked what at once."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests import servers
from tests.servers import Answer, Server


@dataclass
class ChatServer(Server):
    """Answers every chat request after `takes_s` seconds, the same text to the same request.

    Who asks is told by the key: every process of a test has its own.
    """

    takes_s: float = 0.01
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)  # (key, digest of the body) -> how often
    most_at_once: int = 0  # of one body under one key
    under_way: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        who = None
        try:
            asked = await servers._request(reader)
            who = (asked.headers.get("authorization", ""), hashlib.sha256(asked.body).hexdigest()[:16])
            self.requests[who] += 1
            self.under_way[who] += 1
            self.most_at_once = max(self.most_at_once, self.under_way[who])
            await asyncio.sleep(self.takes_s)
            for piece in _answer(asked.json).pieces:
                writer.write(piece)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # a process that was killed
        finally:
            if who is not None:
                self.under_way[who] -= 1
            writer.close()


def _answer(body: Any) -> Answer:
    text = _reply(body["messages"])
    usage = {"prompt_tokens": 12, "completion_tokens": 1 + len(text) // 4, "total_tokens": 13 + len(text) // 4}
    named = {"id": "c", "model": f"{body['model']}-served"}
    if not body.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return servers.as_json(200, {**named, "object": "chat.completion", "choices": [choice], "usage": usage})
    chunk = {**named, "object": "chat.completion.chunk"}
    half = len(text) // 2
    deltas = [({"content": text[:half]}, None), ({"content": text[half:]}, None), ({}, "stop")]
    events = [{**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": why}]} for delta, why in deltas]
    events[-1]["usage"] = usage
    return servers.stream([*(f"data: {json.dumps(event)}\n\n" for event in events), "data: [DONE]\n\n"])


def _reply(messages: list[Any]) -> str:
    """A mark of 1 to 10 for a judge, a sentence for everybody else; both by what is asked and by nothing else."""
    asked = json.dumps(messages, sort_keys=True)
    digest = hashlib.sha256(asked.encode()).hexdigest()
    if "You mark an answer" in asked:
        return json.dumps({"score": 1 + int(digest, 16) % 10, "reason": "by its digest"})
    return f"The answer to that is {digest[:12]}."
