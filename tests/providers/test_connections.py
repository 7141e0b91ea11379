"""Connections that are kept alive: used again, at most so many at once, and not when their server has closed them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trustme

from molt_magic.transport.connections import Connections

pytestmark = pytest.mark.anyio


class Keeping:
    """A server that keeps connections; what it is asked for is how many bytes to answer with."""

    def __init__(self, *, pause_s: float = 0.0, closes: bool = False) -> None:
        self.pause_s, self.closes = pause_s, closes
        self.connections = self.requests = self.at_once = self.most_at_once = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.split(b" ", 2)[1].rpartition(b"/")[2])
                self.requests += 1
                await asyncio.sleep(self.pause_s)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size)
                await writer.drain()
                if self.closes:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.at_once -= 1
            writer.close()


@asynccontextmanager
async def running(keeping: Keeping, *, most: int = 200, authority: trustme.CA | None = None) -> AsyncIterator[Connections]:
    trusted, tls = ssl.create_default_context(), None
    if authority is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(tls)
        authority.configure_trust(trusted)
    connections = Connections(trusted, most=most, most_idle=100)
    server = await asyncio.start_server(keeping.serve, "127.0.0.1", 0, ssl=tls)
    keeping.url = f"http{'s' if tls else ''}://localhost:{server.sockets[0].getsockname()[1]}"
    try:
        yield connections
    finally:
        await connections.aclose()
        server.close()


async def ask(connections: Connections, keeping: Keeping, size: int) -> httpx.Response:
    return await connections.send("GET", httpx.URL(f"{keeping.url}/{size}"), {}, None, connect_s=5.0, silence_s=5.0)


async def get(connections: Connections, keeping: Keeping, size: int = 2) -> None:
    response = await ask(connections, keeping, size)
    assert len(await response.aread()) == size
    await response.aclose()


@pytest.mark.parametrize("encrypted", [False, True])
async def test_requests_one_after_the_other_share_a_connection(encrypted: bool) -> None:
    keeping = Keeping()
    async with running(keeping, authority=trustme.CA() if encrypted else None) as connections:
        for size in (2, 3_000_000, 0, 5):
            await get(connections, keeping, size)
    assert (keeping.requests, keeping.connections) == (4, 1)


async def test_so_many_are_open_at_once_and_the_rest_wait() -> None:
    keeping = Keeping(pause_s=0.01)
    async with running(keeping, most=3) as connections:
        await asyncio.gather(*(get(connections, keeping) for _ in range(20)))
    assert (keeping.requests, keeping.most_at_once) == (20, 3)
    assert keeping.connections <= 4, "they are used again"


async def test_a_connection_that_its_server_has_closed_is_not_used_again() -> None:
    keeping = Keeping(closes=True)
    async with running(keeping) as connections:
        for _ in range(5):
            await get(connections, keeping)
            await asyncio.sleep(0.02)  # until the end of it has arrived
    assert (keeping.requests, keeping.connections) == (5, 5)


async def test_a_response_that_is_left_in_the_midst_ends_its_connection_and_gives_its_place_back() -> None:
    keeping = Keeping()
    async with running(keeping, most=1) as connections:
        for _ in range(3):
            response = await ask(connections, keeping, 9_000_000)
            async for _ in response.aiter_bytes():
                break
            await response.aclose()
        await get(connections, keeping)
    assert (keeping.requests, keeping.connections) == (4, 4)


async def test_cancelled_requests_give_their_places_back() -> None:
    keeping = Keeping(pause_s=0.05)
    async with running(keeping, most=2) as connections:
        asking = [asyncio.create_task(get(connections, keeping)) for _ in range(6)]
        await asyncio.sleep(0.01)
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await asyncio.wait_for(asyncio.gather(get(connections, keeping), get(connections, keeping)), 5)
