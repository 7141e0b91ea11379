"""HTTP/1.1 as servers speak it: whole or in pieces, broken off, without end, or something else altogether."""

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molt_magic.transport.http11 import Connection, Exchange

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = {"content-length": "5"}
CHUNKED = {"transfer-encoding": "chunked"}

# what a server says; status, headers and body of it; whether the connection is used again
WHOLE: dict[str, tuple[bytes, int, dict[str, str], bytes, bool]] = {
    "length": (OK + b"Content-Length: 5\r\n\r\nhello", 200, LENGTH, b"hello", True),
    "nothing": (OK + b"content-length: 0\r\n\r\n", 200, {"content-length": "0"}, b"", True),
    "fields": (
        OK + b"A: 1\r\nb:\r\nC:\t x y \t\r\nd: caf\xe9\r\na:  2\r\ncontent-length: 5\r\n\r\nhello",
        *(200, {"a": "1, 2", "b": "", "c": "x y", "d": "caf\xe9", **LENGTH}, b"hello", True),
    ),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", 200, CHUNKED, b"hello", True),
    "extensions": (
        OK + b'transfer-encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3;c="d"\r\nllo\r\n0;e\r\n\r\n',
        *(200, CHUNKED, b"hello", True),
    ),
    "trailers": (
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\na: late\r\nb: later\r\n\r\n",
        *(200, CHUNKED, b"hello", True),
    ),
    "until the end": (OK + b"a: b\r\n\r\nhello", 200, {"a": "b"}, b"hello", False),
    "close": (
        OK + b"connection: close\r\ncontent-length: 5\r\n\r\nhello",
        200,
        {"connection": "close", **LENGTH},
        b"hello",
        False,
    ),
    "1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", 200, LENGTH, b"hello", False),
    "1.0 until the end": (b"HTTP/1.0 200 OK\r\n\r\nhello", 200, {}, b"hello", False),
    "100": (b"HTTP/1.1 100 Continue\r\nx: y\r\n\r\n" + OK + b"content-length: 5\r\n\r\nhello", 200, LENGTH, b"hello", True),
    "103": (b"HTTP/1.1 103 Hints\r\nlink: y\r\n\r\n" * 3 + OK + b"content-length: 5\r\n\r\nhello", 200, LENGTH, b"hello", True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, {}, b"", True),
    "304": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304, LENGTH, b"", True),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 5\r\n\r\nhello", 200, LENGTH, b"hello", True),
    "an upgrade is offered": (
        OK + b"upgrade: h2c\r\nconnection: upgrade\r\ncontent-length: 5\r\n\r\nhello",
        *(200, {"upgrade": "h2c", "connection": "upgrade", **LENGTH}, b"hello", True),
    ),
    "more than was asked for": (OK + b"content-length: 5\r\n\r\nhello" + OK, 200, LENGTH, b"hello", False),
    "another answer": (
        OK + b"content-length: 5\r\n\r\nhello" + b"HTTP/1.1 500 No\r\nx: y\r\ncontent-length: 2\r\n\r\nno",
        *(200, LENGTH, b"hello", False),
    ),
    "nonsense behind it": (
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nwhat?",
        200,
        CHUNKED,
        b"hello",
        False,
    ),
}

WRONG: dict[str, bytes] = {
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "HTML": b"<html>",
    "HTTP/2": b"HTTP/2 200 OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n",
    "a status of four": b"HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n",
    "a status below all": b"HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n",
    "a field without a name": OK + b": x\r\n\r\n",
    "a field without a colon": OK + b"x\r\n\r\n",
    "a name with a blank": OK + b"x : y\r\n\r\n",
    "a zero byte": OK + b"x: \x00\r\n\r\n",
    "two lengths": OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    "a length and chunks": OK + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length that is none": OK + b"content-length: five\r\n\r\nhello",
    "a length below zero": OK + b"content-length: -5\r\n\r\nhello",
    "an endless length": OK + b"content-length: 99999999999999999999999\r\n\r\nhello",
    "a chunk that is none": OK + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk that is longer": OK + b"transfer-encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
    "an encoding nobody asked for": OK + b"transfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "an encoding until the end": OK + b"transfer-encoding: gzip\r\n\r\nhello",
    "websocket": b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nxx",
    "an upgrade to nothing": b"HTTP/1.1 101 Switching\r\n\r\n",
}


class Wire:
    """What a connection writes to and asks for; nothing is behind it."""

    def __init__(self) -> None:
        self.paused = self.aborted = False

    def write(self, data: bytes) -> None: ...

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def abort(self) -> None:
        self.aborted = True

    def get_write_buffer_size(self) -> int:
        return 0


def asked() -> tuple[Connection, Exchange, Wire]:
    """A connection that awaits an answer."""
    connection, wire = Connection(), Wire()
    connection.connection_made(wire)  # type: ignore[arg-type]
    return connection, connection.ask(b"?", None), wire


async def read(exchange: Exchange) -> bytes:
    await exchange.begun()
    pieces = []
    while piece := await exchange.piece():
        pieces.append(piece)
    return b"".join(pieces)


async def heard(pieces: Iterable[bytes], *, ends: bool) -> tuple[int, dict[str, str], bytes, bool]:
    """Status, headers and body of what arrives in pieces, and whether its connection is used again."""
    connection, exchange, _ = asked()
    for piece in pieces:
        connection.data_received(piece)
    if ends:
        connection.eof_received()
    body = await asyncio.wait_for(read(exchange), 1)
    return exchange.status, exchange.headers, body, connection.release()


@pytest.mark.parametrize("name", WHOLE)
async def test_an_answer_is_read_wherever_it_is_cut(name: str) -> None:
    raw, *expected = WHOLE[name]
    ends = "until the end" in name
    assert await heard([raw], ends=ends) == tuple(expected)
    assert await heard([raw[i : i + 1] for i in range(len(raw))], ends=ends) == tuple(expected)
    for cut in range(1, len(raw)):
        assert await heard([raw[:cut], raw[cut:]], ends=ends) == tuple(expected)


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_no_answer_is_an_error_wherever_it_is_cut(name: str) -> None:
    raw = WRONG[name]
    for pieces in ([raw], [raw[i : i + 1] for i in range(len(raw))], *([raw[:cut], raw[cut:]] for cut in range(1, len(raw)))):
        connection, exchange, _ = asked()
        for piece in pieces:
            connection.data_received(piece)
        connection.eof_received()
        with pytest.raises(httpx.RemoteProtocolError):
            await asyncio.wait_for(read(exchange), 1)
        assert not connection.release()


@pytest.mark.parametrize(
    "name", [name for name in WHOLE if name not in ("more than was asked for", "another answer", "nonsense behind it")]
)
async def test_an_answer_that_breaks_off_is_an_error(name: str) -> None:
    raw = WHOLE[name][0]
    for end in range(len(raw) if "until the end" not in name else raw.index(b"\r\n\r\n") + 4):
        for lost in (None, ConnectionResetError(104, "reset")):
            connection, exchange, _ = asked()
            if end:
                connection.data_received(raw[:end])
            connection.connection_lost(lost)
            with pytest.raises(httpx.RemoteProtocolError, match="reset" if lost else "closed the connection"):
                await asyncio.wait_for(read(exchange), 1)
            assert not connection.release()


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_body_comes_out_as_it_went_in(data: Any) -> None:
    parts = data.draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6))
    body = b"".join(parts)
    how = data.draw(st.sampled_from(["length", "chunks", "end"]))
    status = data.draw(st.integers(200, 599).filter(lambda status: status not in (204, 304)))
    names = st.text("abcXYZ-_09", min_size=1, max_size=9).filter(lambda name: name.lower() not in ("connection", "upgrade"))
    fields = data.draw(st.dictionaries(names, st.text(st.characters(min_codepoint=33, max_codepoint=126)), max_size=5))
    raw = b"HTTP/1.1 %d Status\r\n" % status + b"".join(f"{k}: {v}\r\n".encode() for k, v in fields.items())
    if how == "length":
        raw += b"content-length: %d\r\n\r\n%b" % (len(body), body)
    elif how == "chunks":
        raw += (
            b"transfer-encoding: chunked\r\n\r\n"
            + b"".join(b"%X\r\n%b\r\n" % (len(part), part) for part in parts)
            + b"0\r\n\r\n"
        )
    else:
        raw += b"\r\n" + body
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    pieces = [raw[start:end] for start, end in itertools.pairwise([0, *cuts, len(raw)]) if end > start]
    found = asyncio.run(heard(pieces, ends=how == "end"))
    assert (found[0], found[2], found[3]) == (status, body, how != "end")
    assert {key.lower() for key in fields} <= set(found[1])


@pytest.mark.parametrize(
    "again",
    [
        (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nx: ", b"y" * 1000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 20),
        (b"\r\n", b"\r\n" * 100),
        (OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", b"x: y\r\n" * 100),
        (OK + b"transfer-encoding: chunked\r\n\r\n5;", b"x" * 1000),
    ],
    ids=["fields", "one field", "preliminary answers", "blank lines", "trailers", "one extension"],
)
async def test_what_has_no_end_and_is_no_body_is_an_error(again: tuple[bytes, bytes]) -> None:
    connection, exchange, _ = asked()
    for piece in (again[0], *[again[1]] * 1000):
        connection.data_received(piece)
    with pytest.raises(httpx.RemoteProtocolError, match="do not end"):
        await asyncio.wait_for(read(exchange), 1)


async def test_tiny_chunks_without_number_are_a_body() -> None:
    connection, exchange, _ = asked()
    connection.data_received(OK + b"transfer-encoding: chunked\r\n\r\n")
    for _ in range(50_000):
        connection.data_received(b"1\r\nx\r\n")
    connection.data_received(b"0\r\n\r\n")
    assert len(await read(exchange)) == 50_000


async def test_what_is_not_read_makes_the_server_wait() -> None:
    connection, exchange, wire = asked()
    connection.data_received(OK + b"content-length: 3000000\r\n\r\n")
    for _ in range(3):
        while not wire.paused:
            connection.data_received(b"x" * 50_000)
        assert len(await exchange.piece()) == 300_000
        assert not wire.paused
    for _ in range(42):
        connection.data_received(b"x" * 50_000)
    assert connection.release(), "it is whole"
    assert not wire.paused, "or nobody would hear its end"


async def test_a_body_that_comes_in_one_piece_is_copied_once() -> None:
    connection, exchange, _ = asked()
    body = b"x" * 100_000
    connection.data_received(OK + b"content-length: 100000\r\n\r\n" + body)
    (held,) = exchange._pieces
    assert await exchange.piece() is held


async def test_an_exchange_is_gone_once_it_is_over() -> None:
    gc.disable()
    try:
        for raw in (WHOLE["chunks"][0], OK):
            connection, exchange, _ = asked()
            connection.data_received(raw)
            if not connection.release():
                connection.close()
            gone = weakref.ref(exchange)
            del exchange
            assert gone() is None
    finally:
        gc.enable()


async def test_an_exchange_that_was_left_gets_nothing_of_the_next() -> None:
    connection, first, _ = asked()
    connection.data_received(WHOLE["length"][0])
    assert connection.release()
    second = connection.ask(b"?", None)
    connection.data_received(OK + b"content-length: 2\r\n\r\nno")
    assert (await read(first), await read(second)) == (b"hello", b"no")


async def test_an_interrupt_while_an_answer_is_read_is_no_fault_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(exchange: Exchange, piece: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Exchange, "on_body", interrupted)
    connection, _, _ = asked()
    with pytest.raises(KeyboardInterrupt):
        connection.data_received(WHOLE["length"][0])
