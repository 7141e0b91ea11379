"""Many requests at once to servers that do everything wrong, some left and some cancelled: none gets another's answer."""

from __future__ import annotations

import asyncio
import gc
import random
from typing import Any

import pytest

from molt_magic import errors
from molt_magic.transport import Transport, connections

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\n"
PLACES = 10


class Turmoil:
    """Answers with the last part of the path, in a way that is drawn by lot."""

    def __init__(self, lot: random.Random) -> None:
        self.lot = lot

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self.answered(reader, writer):
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer a request; whether there may be another."""
        head = await reader.readuntil(b"\r\n\r\n")
        said = head.split(b" ")[1].rpartition(b"/")[2]
        whole = OK + b"content-length: %d\r\n\r\n%b" % (len(said), said)
        how = self.lot.choice(
            ["well", "well", "late", "chunks", "large", "more", "unread", "silent", "reset", "close", "short", "garbage", "end"]
        )
        if how == "unread":
            writer.write(whole)
            return False
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0))
        if how == "late":
            await asyncio.sleep(self.lot.random() * 0.05)
        elif how == "chunks":
            writer.write(OK + b"transfer-encoding: chunked\r\n\r\n")
            for byte in said:
                writer.write(b"1\r\n%c\r\n" % byte)
                await asyncio.sleep(0)
            writer.write(b"0\r\n\r\n")
            return True
        elif how == "large":
            writer.write(OK + b"content-length: 1000000\r\n\r\n" + said.ljust(1_000_000))
            return True
        elif how == "more":
            writer.write(whole + OK + b"content-length: 5\r\n\r\nwrong")
            return True
        elif how == "silent":
            await asyncio.sleep(0.3)
        elif how == "reset":
            writer.transport.abort()
            return False
        elif how in ("close", "short", "garbage", "end"):
            odd = {"close": b"", "short": whole[:-1], "garbage": b"garbage", "end": OK + b"\r\n" + said}
            writer.write(odd[how])
            return False
        writer.write(whole)
        return True


async def ask(transport: Transport, url: str, said: str, lot: random.Random) -> bytes:
    """What is said to this request, or to its beginning; the same as `said` where it was answered at all."""
    try:
        if lot.random() < 0.4:
            size = lot.choice([1, 10, 1_000_000])
            return (await transport.post_json(f"{url}/{said}", {"text": "x" * size})).body.strip()
        async with transport.stream("GET", f"{url}/{said}", silence_s=0.1) as reply:
            if lot.random() < 0.5:
                return (await reply.read()).body.strip()
            async for chunk in reply.chunks():
                return said.encode() if said.encode().startswith(chunk.strip()) else chunk
    except errors.ProviderError:
        pass
    return said.encode()


@pytest.mark.parametrize("seed", range(3))
async def test_nobody_gets_the_answer_of_another_and_nothing_is_left(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "POOL", PLACES)
    monkeypatch.setattr(connections, "KEPT_S", 0.1)
    lot = random.Random(seed)
    servers = [await asyncio.start_server(Turmoil(lot).serve, "127.0.0.1", 0) for _ in range(3)]
    urls = [f"http://localhost:{server.sockets[0].getsockname()[1]}" for server in servers]
    transport = Transport(total_s=0.25)
    numbers = iter(range(1000, 1400))

    async def keep_asking() -> None:
        for number in numbers:
            asking = asyncio.create_task(ask(transport, lot.choice(urls), str(number), lot))
            if lot.random() < 0.2:
                await asyncio.sleep(lot.choice([0, 0.001, 0.02]))
                asking.cancel()
            (answer,) = await asyncio.gather(asking, return_exceptions=True)
            assert answer == str(number).encode() or isinstance(answer, asyncio.CancelledError)

    await asyncio.gather(*(keep_asking() for _ in range(3 * PLACES)))
    kept: Any = transport._connections()._kept
    assert kept._places._value == PLACES
    assert len(kept._open) == sum(map(len, kept._idle.values())) <= PLACES
    await transport.aclose()
    for server in servers:
        server.close()
    await asyncio.sleep(0.4)  # until those that were silent have noticed
    gc.collect()  # an open socket that nobody holds is an error of the tests
