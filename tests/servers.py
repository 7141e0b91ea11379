"""Local HTTP servers for the tests: real sockets, and every way to break an answer."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What the server sends, byte by byte."""

    pieces: Iterable[bytes]  # without end for an answer without end
    hold: bool = False  # after the pieces, say nothing until the client goes away or the server ends
    abort: bool = False  # after the pieces, reset the connection
    pause_s: float = 0.0  # between the pieces


def whole(status: int, body: bytes | str, headers: Mapping[str, str] | None = None, *, length: int | None = None) -> Answer:
    """A response with a length; a `length` that is too large makes it one that breaks off."""
    data = body.encode() if isinstance(body, str) else body
    fields = {"content-length": str(len(data) if length is None else length), **(headers or {})}
    return Answer([head(status, fields) + data])


def as_json(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Answer:
    return whole(status, json.dumps(value), {"content-type": "application/json", **(headers or {})})


def stream(
    events: Sequence[bytes | str],
    *,
    hold: bool = False,
    cut: bool = False,
    content_type: str = "text/event-stream",
    pause_s: float = 0.0,
) -> Answer:
    """Server-sent events, chunked. `hold`: fall silent after the last; `cut`: end without the last chunk."""
    pieces = [head(200, {"content-type": content_type, "transfer-encoding": "chunked"})]
    for event in events:
        data = event.encode() if isinstance(event, str) else event
        pieces.append(b"%x\r\n%s\r\n" % (len(data), data))
    if not hold and not cut:
        pieces.append(b"0\r\n\r\n")
    return Answer(pieces, hold=hold, pause_s=pause_s)


def head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", "connection: close", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@dataclass
class Server:
    """Answers requests from a script, in order; the last answer is repeated."""

    url: str = ""
    script: list[Answer] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)  # a client went away from an answer that was held
    open: int = 0  # connections

    def answer(self, *answers: Answer) -> None:
        self.script = list(answers)

    def choose(self, asked: Asked) -> Answer:
        """What is answered to a request."""
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            self.asked.append(await _request(reader))
            answer = self.choose(self.asked[-1])
            for piece in answer.pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(answer.pause_s)
            if answer.hold:
                await reader.read()
                self.left.set()
            if answer.abort:
                writer.transport.abort()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            self.open -= 1
            writer.close()


class Serves(Protocol):
    """What `running` runs, and tells its address."""

    url: str

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None: ...


S = TypeVar("S", bound=Serves)


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ", 2)
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, body)


@contextmanager
def running(server: S | None = None, tls: ssl.SSLContext | None = None) -> Iterator[S]:
    """A server (a plain one, unless one is given) on a free port of 127.0.0.1, in a thread of its own."""
    server = server or Server()  # type: ignore[assignment]
    ready, over = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        loops.append(asyncio.get_running_loop())
        ready.set()
        await over.wait()
        listening.close()

    # run, and not a loop by hand: it cancels who is still served and waits until their sockets are closed
    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield server
    finally:
        loops[0].call_soon_threadsafe(over.set)
        thread.join(5)
