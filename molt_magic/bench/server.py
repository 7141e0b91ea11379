"""A chat server that costs next to nothing: OpenAI's dialect, the same answer to everyone, whole or streamed, kept alive.

It runs in a process of its own, by its path and with the standard library alone, so that it is up at once and shares neither
interpreter nor lock with what is measured. It ends when its standard input does, hence with whoever started it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ANSWER = (
    "Photosynthesis turns light into sugar: chlorophyll takes up red and blue light, water is split, oxygen is given off, and "
    "what is won in this way binds carbon dioxide from the air. Most of what lives on land and in the sea feeds on it."
)
SERVED = "bench-1"
_PIECES = 24  # of a streamed answer, each written on its own
_USAGE = {"prompt_tokens": 18, "completion_tokens": 52, "total_tokens": 70}
_READY_S = 20.0
_END_S = 5.0


@contextmanager
def running() -> Iterator[str]:
    """The server, on a free port of 127.0.0.1; gives its address up to `/v1`.

    Raises:
        OSError: it does not start.
    """
    child = subprocess.Popen(  # noqa: S603  # our own file in our own interpreter
        [sys.executable, "-I", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C in a terminal is for us; the child ends with its input
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        port = child.stdout.readline().strip()
        if not port.isdigit():
            raise OSError(f"The bench's server did not start (exit code {child.wait(_READY_S)}).")
        yield f"http://127.0.0.1:{int(port)}/v1"
    finally:
        child.stdin.close()
        child.stdout.close()
        try:
            child.wait(_END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _whole() -> bytes:
    message = {"role": "assistant", "content": ANSWER}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    body = json.dumps({**_head("chat.completion"), "choices": [choice], "usage": _USAGE}).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _streamed() -> list[bytes]:
    size = -(-len(ANSWER) // _PIECES)
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": ANSWER[start : start + size]}, None) for start in range(0, len(ANSWER), size)]
    deltas += [({}, "stop")]
    head = _head("chat.completion.chunk")
    events = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": why}]} for delta, why in deltas]
    events += [{**head, "choices": [], "usage": _USAGE}]
    lines = [f"data: {json.dumps(event)}\n\n".encode() for event in events] + [b"data: [DONE]\n\n"]
    chunks = [b"%x\r\n%s\r\n" % (len(line), line) for line in lines]
    opening = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return [opening + chunks[0], *chunks[1:-1], chunks[-1] + b"0\r\n\r\n"]


def _head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-bench", "object": kind, "created": 1_700_000_000, "model": SERVED}


class _Chat(asyncio.Protocol):
    """One connection: a request at a time, answered as soon as its body is whole."""

    whole = _whole()
    streamed = _streamed()
    transport: asyncio.Transport

    def __init__(self) -> None:
        self.held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.held += data
        while (end := self.held.find(b"\r\n\r\n") + 4) > 3:
            head = self.held[:end].lower()
            length = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0] or 0)
            if len(self.held) < end + length:
                return
            body, self.held = self.held[end : end + length], self.held[end + length :]
            if b'"stream":true' in body or b'"stream": true' in body:
                for piece in self.streamed:
                    self.transport.write(piece)
            else:
                self.transport.write(self.whole)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(_Chat, "127.0.0.1", 0)
    sys.stdout.write(f"{listening.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)  # returns when whoever started us closes it, or is gone
    listening.close()


if __name__ == "__main__":
    asyncio.run(_serve())
