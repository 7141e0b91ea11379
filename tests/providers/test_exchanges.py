"""Requests over sockets: how they are written, how long silence may last, and what comes too early or too late."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
import trustme

from molt_magic import errors
from molt_magic.transport import Headers, Transport, connections, http11

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\n"
NOTHING = OK + b"content-length: 0\r\n\r\n"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve, **how: Any) -> AsyncIterator[tuple[Transport, str]]:
    """A transport, and the address of a server for it."""
    transport = Transport(**how)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield transport, f"http://localhost:{server.sockets[0].getsockname()[1]}"
    finally:
        await transport.aclose()
        server.close()
        await asyncio.sleep(0.02)


async def test_a_request_is_written_as_it_always_was() -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            seen.append(head + await reader.readexactly(14 if head.startswith(b"POST") else 0))
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with serving(serve) as (transport, url):
        await transport.post_json(f"{url}/v1/ä b?q=ü#part", {"a": "wörld"}, headers={"authorization": "Bearer k"})
        await transport.get_json(url)
    agent = f"accept: */*\r\naccept-encoding: gzip, deflate\r\nuser-agent: python-httpx/{httpx.__version__}\r\n"
    host = url.removeprefix("http://")
    assert seen[0].decode() == (
        f"POST /v1/%C3%A4%20b?q=%C3%BC HTTP/1.1\r\nhost: {host}\r\n{agent}authorization: Bearer k\r\n"
        'content-type: application/json\r\ncontent-length: 14\r\n\r\n{"a":"wörld"}'
    )
    assert seen[1].decode() == f"GET / HTTP/1.1\r\nhost: {host}\r\n{agent}\r\n"


@pytest.mark.parametrize("name", ["x y", "x:y", "x\r\ny", "", "ä"])
async def test_a_field_with_a_name_that_is_none_is_not_sent(name: str) -> None:
    with pytest.raises(errors.Unauthorized):
        await Transport().post_json("http://localhost:9", {}, headers=Headers({name: "v"}))


async def test_silence_is_counted_from_the_last_byte_and_for_each_request_anew() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK + b"content-length: 9\r\n\r\n")
            for _ in range(9):
                await asyncio.sleep(0.06)
                writer.write(b"x")
        await reader.read()

    async with serving(serve) as (transport, url):
        async with transport.stream("GET", url, silence_s=0.3) as reply:
            assert len((await reply.read()).body) == 9, "longer than that in all"
        await transport.get_json(url)
        begun = time.monotonic()
        with pytest.raises(errors.TimedOut, match="fell silent"):
            async with transport.stream("GET", url, silence_s=0.2):
                pass
        assert 0.15 < time.monotonic() - begun < 2, "though a timer of the first request is set for later"


async def test_the_silence_of_one_request_does_not_end_the_next() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for pause in (0.0, 0.4):
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(pause)
            writer.write(NOTHING)

    async with serving(serve) as (transport, url):
        async with transport.stream("GET", url, silence_s=0.2) as reply:
            await reply.read()
        assert (await transport.post_json(url, None)).status == 200


async def test_an_answer_that_resets_a_large_request_is_read_or_an_error() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with serving(refuse) as (transport, url):
        for _ in range(20):
            try:
                answer = await asyncio.wait_for(transport.post_json(url, {"text": "x" * 9_000_000}), 5)
                assert answer.status == 413
            except errors.ConnectionFailed as error:
                assert error.retryable  # noqa: PT017


async def test_a_connection_whose_request_has_not_left_is_not_used_again() -> None:
    connected = 0

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected += 1
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\n{}")
        if b"POST" not in head:
            return
        await reader.read()

    async with serving(early) as (transport, url):
        assert (await transport.post_json(url, {"text": "x" * 20_000_000})).status == 413
        assert (await transport.get_json(url)).status == 413
    assert connected == 2


async def test_a_server_that_is_too_busy_may_say_so_before_it_is_asked() -> None:
    async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy")

    async with serving(busy) as (transport, url):
        for _ in range(5):
            try:
                assert (await transport.post_json(url, {})).body == b"busy"
            except errors.ConnectionFailed as error:  # its end may come before our question, and reset what it said
                assert "reset" in error.message  # noqa: PT017


async def test_what_is_said_before_tls_is_nobodys_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(theirs)
    authority.configure_trust(ours)
    monkeypatch.setattr(connections, "certificates", lambda: ours)

    listening = socket.create_server(("127.0.0.1", 0))

    def inject() -> None:
        with suppress(OSError):
            while True:
                connected, _ = listening.accept()
                with suppress(OSError), connected:
                    connected.sendall(OK + b"content-length: 6\r\n\r\nforged")
                    with theirs.wrap_socket(connected, server_side=True) as secured:
                        secured.recv(1000)
                        secured.sendall(OK + b"content-length: 4\r\n\r\ntrue")

    thread = threading.Thread(target=inject)
    thread.start()
    transport = Transport()
    try:
        for _ in range(20):
            with pytest.raises(errors.ConnectionFailed, match="TLS"):
                await transport.get_json(f"https://localhost:{listening.getsockname()[1]}")
    finally:
        await transport.aclose()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        await asyncio.to_thread(thread.join)


async def test_closing_ends_what_is_under_way() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as (transport, url):
        asking = asyncio.create_task(transport.post_json(url, {}))
        await asyncio.sleep(0.05)
        await transport.aclose()
        with pytest.raises(errors.ConnectionFailed, match="No answer from localhost"):
            await asyncio.wait_for(asking, 1)


async def test_a_reader_that_waits_holds_the_server_back() -> None:
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"content-length: 30000000\r\n\r\n")
        for _ in range(300):
            writer.write(b"x" * 100_000)
            await writer.drain()
            sent += 100_000

    async with serving(pour) as (transport, url), transport.stream("GET", url) as reply:
        chunks = reply.chunks()
        size = len(await anext(chunks))
        await asyncio.sleep(0.3)
        assert sent < 20_000_000, "what the kernel holds, and no more here"
        assert reply._received.piece.__self__._held <= 2 * http11._HELD_BYTES  # type: ignore[attr-defined]
        async for chunk in chunks:
            size += len(chunk)
        assert size == 30_000_000


async def test_the_key_is_in_no_local_variable_of_an_error() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with serving(hang_up) as (transport, url):
        with pytest.raises(errors.ConnectionFailed) as caught:
            await transport.post_json(url, {}, headers=Headers({"authorization": "Bearer sk-secret"}))
        error: BaseException | None = caught.value
        while error is not None:
            traceback = error.__traceback__
            while traceback is not None:
                if "molt_magic" in traceback.tb_frame.f_code.co_filename:
                    assert not any("sk-secret" in repr(value) for value in traceback.tb_frame.f_locals.values())
                traceback = traceback.tb_next
            error = error.__context__
