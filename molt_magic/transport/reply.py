"""What comes back: a whole response, or one that is still to be read."""

from __future__ import annotations

import json as jsonlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from molt_magic.errors import MalformedAnswer
from molt_magic.frozen import fast_init
from molt_magic.transport.connections import Received
from molt_magic.transport.decoding import NextPiece, decoded
from molt_magic.transport.failures import CHECK_URL, FAILURES, too_large, translate


@fast_init
@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    def json(self, provider: str = "") -> Any:
        """The body as JSON. Raises MalformedAnswer where it is something else."""
        try:
            return jsonlib.loads(self.body)
        except (ValueError, RecursionError):  # the second: brackets within brackets without end
            message = f"The server answered {self.status} with {self.kind}, not with JSON."
            raise MalformedAnswer(message, provider=provider, status=self.status, fix=CHECK_URL) from None

    @property
    def kind(self) -> str:
        """What the body is, in words, for messages."""
        if not self.body.strip():
            return "an empty body"
        html = "html" in self.headers.get("content-type", "") or self.body.lstrip()[:1] == b"<"
        return "a web page" if html else "text"


class Reply:
    """A response whose body is still to be read, once: with `chunks` or with `read`."""

    def __init__(self, received: Received, *, url: str, max_bytes: int, provider: str) -> None:
        self.status = received.status
        self.headers: Mapping[str, str] = received.headers  # names in lower case
        self._received = received
        self._url = url
        self._max_bytes = max_bytes
        self._provider = provider

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives, decompressed. Raises ProviderError: broken off, silent for too long, too large."""
        next_piece, room = self._body(), self._max_bytes
        while True:
            try:  # around the read only: what the reader raises is the reader's
                piece = await next_piece()
            except FAILURES as error:
                raise translate(error, self._url, self._provider) from None
            if not piece:
                return
            if piece[:room]:
                yield piece[:room]
            room -= len(piece)
            if room < 0:
                raise too_large(self._max_bytes, self._provider)

    async def read(self) -> Answer:
        """The rest of the body at once; raises the same."""
        next_piece, size = self._body(), 0
        pieces = []
        try:
            while piece := await next_piece():
                size += len(piece)
                if size > self._max_bytes:
                    raise too_large(self._max_bytes, self._provider)
                pieces.append(piece)
        except FAILURES as error:
            raise translate(error, self._url, self._provider) from None
        return Answer(self.status, self.headers, b"".join(pieces))

    def _body(self) -> NextPiece:
        """What gives the next piece of the body, and nothing at its end."""
        told = self.headers.get("content-length", "")
        if told.isdecimal() and int(told) > self._max_bytes:  # need not be read to be refused
            raise too_large(self._max_bytes, self._provider)
        codings = self.headers.get("content-encoding")
        return decoded(self._received.piece, codings) if codings else self._received.piece

    async def aclose(self) -> None:
        """End the request, whether it was read to its end or not."""
        await self._received.aclose()
