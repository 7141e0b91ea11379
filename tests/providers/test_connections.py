"""Connections that are kept alive: used again, at most so many at once, and not when their server has closed them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from molt_magic.transport import Transport
from molt_magic.transport.client import POOL

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
async def running(keeping: Keeping) -> AsyncIterator[Transport]:
    transport = Transport()
    server = await asyncio.start_server(keeping.serve, "127.0.0.1", 0)
    keeping.url = f"http://localhost:{server.sockets[0].getsockname()[1]}"
    try:
        yield transport
    finally:
        await transport.aclose()
        server.close()


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
    keeping = Keeping(pause_s=0.3)
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
