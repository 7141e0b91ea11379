"""Bodies as they were before they were compressed for the way."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable

import httpx

NextPiece = Callable[[], Awaitable[bytes]]  # of a body; empty at its end

_MOST_BYTES = 256 * 1024  # of one piece: few compressed ones may be very many
_WINDOWS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}  # what requests say they accept


def decoded(next_piece: NextPiece, codings: str) -> NextPiece:
    """The pieces of a body whose header says `content-encoding: codings`; what is no compression is left as it is.

    They raise httpx.DecodingError where they are not what they are said to be.
    """
    for coding in reversed(codings.lower().split(",")):  # the last was put on last
        if coding.strip() in _WINDOWS:
            next_piece = _Inflating(next_piece, _WINDOWS[coding.strip()]).piece
    return next_piece


class _Inflating:
    def __init__(self, next_piece: NextPiece, window: int) -> None:
        self._next_piece = next_piece
        self._inflate = zlib.decompressobj(window)
        self._compressed = b""  # what has arrived and is still to be taken apart
        self._may_be_bare = window == zlib.MAX_WBITS  # many take deflate to mean it without its wrapping

    async def piece(self) -> bytes:
        while True:
            if not self._compressed:
                self._compressed = await self._next_piece()
                if self._may_be_bare and len(self._compressed) == 1:  # the wrapping begins with two
                    self._compressed += await self._next_piece()
            if not self._compressed:
                return self._inflate.flush()
            if piece := self._inflated():
                return piece

    def _inflated(self) -> bytes:
        if self._inflate.eof:  # what comes behind is nothing
            self._compressed = b""
            return b""
        try:
            piece = self._inflate.decompress(self._compressed, _MOST_BYTES)
        except zlib.error as error:
            if not self._may_be_bare:
                raise httpx.DecodingError(str(error)) from error
            self._may_be_bare = False
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            return self._inflated()
        self._may_be_bare = False
        self._compressed = self._inflate.unconsumed_tail
        return piece
