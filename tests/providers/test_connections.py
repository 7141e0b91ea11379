"""Connections that are kept alive: used again, at most so many at once, and not when their server has closed them."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest
import trustme

from molt_magic import errors
from molt_magic.transport import Transport, connections, dial
from molt_magic.transport.connections import POOL
from tests import servers

pytestmark = pytest.mark.anyio


class Keeping:
    """A server that keeps connections; what it is asked for is how many bytes to answer with."""

    def __init__(self, *, pause_s: float = 0.0, closes: bool = False, adds: bytes = b"") -> None:
        self.pause_s, self.closes, self.adds = pause_s, closes, adds
        self.connections = self.requests = self.at_once = self.most_at_once = 0
        self.url = ""
        self.serving: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        asked = False  # by somebody else on this machine a port may be tried that was theirs a moment ago
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if not asked:
                    asked = True
                    self.connections += 1
                    self.at_once += 1
                    self.most_at_once = max(self.most_at_once, self.at_once)
                size = int(head.split(b" ", 2)[1].rpartition(b"/")[2])
                self.requests += 1
                await asyncio.sleep(self.pause_s)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size)
                await writer.drain()
                if self.adds:
                    await asyncio.sleep(0.01)
                    writer.write(self.adds)
                if self.closes:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.at_once -= asked
            writer.close()


@asynccontextmanager
async def running(keeping: Keeping, tls: ssl.SSLContext | None = None) -> AsyncIterator[Transport]:
    transport = Transport()
    server = await asyncio.start_server(keeping.serve, "127.0.0.1", 0, ssl=tls)
    keeping.url = f"{'https' if tls else 'http'}://localhost:{server.sockets[0].getsockname()[1]}"
    try:
        yield transport
    finally:
        await transport.aclose()
        server.close()
        for serving in keeping.serving:  # which may not have seen yet that its connection is closed
            serving.cancel()
        await asyncio.gather(*keeping.serving, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    """Until the servers have noticed what the clients did."""
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.005)


async def get(transport: Transport, keeping: Keeping, size: int = 2) -> None:
    answer = await transport.get_json(f"{keeping.url}/{size}")
    assert len(answer.body) == size


async def test_requests_one_after_the_other_share_a_connection() -> None:
    keeping = Keeping()
    async with running(keeping) as transport:
        for size in (2, 3_000_000, 0, 5):
            await get(transport, keeping, size)
    assert (keeping.requests, keeping.connections) == (4, 1)


async def test_so_many_are_open_at_once_and_the_rest_wait() -> None:
    keeping = Keeping(pause_s=0.8)
    async with running(keeping) as transport:
        await asyncio.gather(*(get(transport, keeping) for _ in range(POOL + 20)))
    assert (keeping.requests, keeping.most_at_once) == (POOL + 20, POOL)
    assert keeping.connections == POOL, "they are used again"


async def test_a_connection_that_its_server_has_closed_is_not_used_again() -> None:
    keeping = Keeping(closes=True)
    async with running(keeping) as transport:
        for _ in range(5):
            await get(transport, keeping)
            await asyncio.sleep(0.02)  # until the end of it has arrived
    assert (keeping.requests, keeping.connections) == (5, 5)


async def test_a_response_that_is_left_in_the_midst_ends_its_connection() -> None:
    keeping = Keeping()
    async with running(keeping) as transport:
        for _ in range(3):
            async with transport.stream("GET", f"{keeping.url}/9000000") as reply:
                async for _ in reply.chunks():
                    break
        await get(transport, keeping)
    assert (keeping.requests, keeping.connections) == (4, 4)


async def test_cancelled_requests_give_their_places_back() -> None:
    keeping = Keeping(pause_s=0.05)
    async with running(keeping) as transport:
        asking = [asyncio.create_task(get(transport, keeping)) for _ in range(POOL + 20)]
        await asyncio.sleep(0.01)
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await asyncio.wait_for(asyncio.gather(*(get(transport, keeping) for _ in range(POOL))), 30)


async def test_a_connection_that_says_what_nobody_asked_for_is_not_used_again() -> None:
    keeping = Keeping(adds=b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong")
    async with running(keeping) as transport:
        for _ in range(3):
            await get(transport, keeping)
            await asyncio.sleep(0.05)
    assert (keeping.requests, keeping.connections) == (3, 3)


async def test_a_connection_that_was_closed_while_the_loop_was_busy_is_not_used_again() -> None:
    keeping = Keeping(closes=True)
    with servers.running(keeping):
        transport = Transport()
        for _ in range(3):
            await get(transport, keeping)
            time.sleep(0.05)  # a cell that computes
        await transport.aclose()
    assert (keeping.requests, keeping.connections) == (3, 3)


async def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "KEPT_S", 0.02)
    keeping = Keeping()
    async with running(keeping) as transport:
        await asyncio.gather(*(get(transport, keeping) for _ in range(3)))
        await asyncio.sleep(0.05)
        await get(transport, keeping)
        await until(lambda: keeping.at_once == 1)  # those that were not needed again are closed as well
        assert keeping.connections == 4
        assert len(transport._connections()._kept._open) == 1


async def test_idle_connections_to_one_server_make_room_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "POOL", 3)
    first, second = Keeping(pause_s=0.05), Keeping(pause_s=0.05)
    async with running(first) as transport, running(second):
        await asyncio.gather(*(get(transport, first) for _ in range(5)))
        await asyncio.gather(*(get(transport, second) for _ in range(2)))
        await until(lambda: (first.at_once, second.at_once) == (1, 2))
        await asyncio.gather(get(transport, first), get(transport, second))
    assert (first.connections, second.connections) == (3, 2)


async def test_connections_with_tls_are_kept_and_end_like_those_without(monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(theirs)
    authority.configure_trust(ours)
    monkeypatch.setattr(connections, "certificates", lambda: ours)
    keeping, closing = Keeping(), Keeping(closes=True)
    async with running(keeping, theirs) as transport, running(closing, theirs):
        for size in (2, 3_000_000, 0):
            await get(transport, keeping, size)
        async with transport.stream("GET", f"{keeping.url}/9000000") as reply:
            assert await anext(reply.chunks())
        for _ in range(2):
            await get(transport, closing)
            await asyncio.sleep(0.02)
        await until(lambda: keeping.at_once == 0)
    assert (keeping.connections, closing.connections) == (1, 2)


async def test_a_server_that_does_not_shake_hands_is_not_waited_for() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    transport = Transport(connect_s=0.1)
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        with pytest.raises(errors.TimedOut, match="No connection to localhost"):
            await transport.get_json(f"https://localhost:{server.sockets[0].getsockname()[1]}")
        await transport.aclose()
        await asyncio.sleep(0.02)  # until the server's end is closed as well


async def test_an_answer_that_comes_before_a_large_request_has_left_is_read() -> None:
    read = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\n{}")
        await read.wait()
        writer.close()

    transport = Transport()
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        url = f"http://localhost:{server.sockets[0].getsockname()[1]}"
        assert (await transport.post_json(url, {"text": "x" * 20_000_000})).status == 413
        read.set()
        await transport.aclose()
        await asyncio.sleep(0.02)


async def test_what_the_environment_names_as_a_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append((head.split("\r\n")[0], await reader.readexactly(7)))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n" + b"[12]")
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        transport = Transport()
        with pytest.warns(UserWarning, match="plain http"):
            answer = await transport.post_json("http://models.example/v1", {"q": 1})
        await transport.aclose()
    assert answer.json() == [12]
    assert asked == [("POST http://models.example/v1 HTTP/1.1", b'{"q":1}')]


@pytest.mark.skipif(sys.platform != "linux", reason="a full queue of connections is silent on Linux only")
async def test_a_silent_address_of_a_name_does_not_keep_the_next_from_being_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    keeping = Keeping()
    async with running(keeping) as transport:
        port = int(keeping.url.rpartition(":")[2])
        with ExitStack() as sockets:
            silent = sockets.enter_context(socket.socket())
            silent.bind(("127.0.0.2", port))
            silent.listen(0)
            for _ in range(3):  # its queue is full: who connects hears nothing
                filling = sockets.enter_context(socket.socket())
                filling.setblocking(False)
                filling.connect_ex(("127.0.0.2", port))
            monkeypatch.setattr(dial, "_addresses", _answering(["127.0.0.2", "127.0.0.3", "127.0.0.1"]))
            begun = time.monotonic()
            await get(transport, keeping)
            assert 0.2 < time.monotonic() - begun < 2

            monkeypatch.setattr(dial, "_addresses", _answering(["127.0.0.2"]))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(get(Transport(), keeping), 0.1)
            with pytest.raises(errors.TimedOut, match="No connection"):
                await get(Transport(connect_s=0.1), keeping)


async def test_connecting_that_is_cancelled_leaves_no_socket() -> None:
    keeping = Keeping(pause_s=0.3)
    async with running(keeping) as transport:
        for turns in range(40):
            asking = asyncio.create_task(get(transport, keeping))
            for turn in range(turns):
                await asyncio.sleep(0.0005 if turn % 2 else 0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await until(lambda: keeping.at_once == 0)
        gc.collect()  # an open socket that nobody holds is an error of the tests


def _answering(addresses: list[str]) -> Any:
    async def answer(*_: object) -> list[str]:
        return list(addresses)

    return answer
