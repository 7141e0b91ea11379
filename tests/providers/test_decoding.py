"""Compressed bodies, whole and in pieces."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Iterable
from itertools import pairwise

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molt_magic.transport import decoding
from molt_magic.transport.decoding import decoded

TEXT = "".join(f"{number}, " for number in range(20_000)).encode()


def bare(body: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(body) + deflate.flush()


HOW = {"gzip": gzip.compress, "deflate": zlib.compress, "deflate without its wrapping": bare, "GZIP": gzip.compress}


async def pieces_of(arriving: Iterable[bytes], codings: str) -> list[bytes]:
    waiting = iter(arriving)

    async def next_piece() -> bytes:
        return next(waiting, b"")

    piece = decoded(next_piece, codings)
    found = []
    while it := await piece():
        found.append(it)
    return found


def read(arriving: Iterable[bytes], codings: str) -> bytes:
    return b"".join(asyncio.run(pieces_of(arriving, codings)))


def as_httpx_reads(arriving: Iterable[bytes], codings: str) -> bytes:
    return b"".join(httpx.Response(200, headers={"content-encoding": codings}, content=iter(arriving)).iter_bytes())


@pytest.mark.parametrize("how", HOW)
def test_a_body_comes_out_as_it_went_in_wherever_it_is_cut(how: str) -> None:
    for body in (b"", b"x", TEXT):
        raw = HOW[how](body)
        for size in (1, 7, 1000, 10**6):
            assert read([raw[start : start + size] for start in range(0, len(raw), size)], how.split()[0]) == body


def test_what_was_compressed_twice_is_unfolded_twice() -> None:
    assert read([zlib.compress(gzip.compress(TEXT))], "gzip, deflate") == TEXT


@pytest.mark.parametrize("codings", ["", "identity", "utf-8", "br"])
def test_what_is_no_compression_is_left_as_it_is(codings: str) -> None:
    assert read([b"hello ", b"world"], codings) == b"hello world"


@pytest.mark.parametrize("codings", ["gzip", "deflate"])
def test_what_is_not_compressed_is_an_error(codings: str) -> None:
    with pytest.raises(httpx.DecodingError):
        read([b"hello ", b"world"], codings)


def test_what_unfolds_to_very_much_comes_a_piece_at_a_time() -> None:
    raw = gzip.compress(b"0" * 20_000_000)
    found = asyncio.run(pieces_of([raw], "gzip"))
    assert sum(map(len, found)) == 20_000_000
    assert max(map(len, found)) <= decoding._MOST_BYTES


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate"]), st.binary(max_size=9), st.lists(st.integers(0, 400)))
@settings(max_examples=100, deadline=None)
def test_bodies_are_read_as_httpx_reads_them(body: bytes, how: str, behind: bytes, cuts: list[int]) -> None:
    """Broken off, with something behind them, with one byte that is wrong."""
    whole = HOW[how](body) + behind
    spoilt = bytes(byte ^ (at == len(behind)) for at, byte in enumerate(whole))
    for raw in (whole, whole[: -len(behind) - 3], spoilt):
        edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
        arriving = [raw[start:end] for start, end in pairwise(edges) if end > start]
        try:
            expected: bytes | None = as_httpx_reads(arriving, how)
        except httpx.DecodingError:
            expected = None
        try:
            found: bytes | None = read(arriving, how)
        except httpx.DecodingError:
            found = None
        assert found == expected
