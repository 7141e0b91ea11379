"""One request and its answer over HTTP, the same for every dialect."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

from molt_magic.errors import BadRequest, ContentFiltered, MalformedAnswer, ProviderError, StreamInterrupted
from molt_magic.providers.faults import Fault, Said, to_error, unreadable
from molt_magic.providers.sound import ODD, sound, with_whole_characters
from molt_magic.providers.sse import Event, Events
from molt_magic.providers.vendors import Endpoint
from molt_magic.transport import Answer, Headers, Reply, Transport, limit
from molt_magic.types import Call, Completion, ModelSpec

_DRAIN_S = 0.2  # how long the end of a finished stream is waited for, so that its connection can be used again
_MOST_TEXT = 2_000_000  # characters of one answer: half a million tokens, several times what the longest answers have
_TAIL_S = 2.0  # how long more events are waited for once an answer is whole: token counts may come after its finish reason


@dataclass(slots=True)
class Wire:
    """A request as it goes over the wire."""

    url: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    def __post_init__(self) -> None:
        self.headers = Headers(self.headers)


class Reader(Protocol):
    """Puts one streamed answer together."""

    done: bool  # the answer is whole: its terminal marker was seen
    ended: bool  # nothing more will come

    def feed(self, event: Event) -> str:
        """Take an event, return the new text. Raises Said where it is an error, KeyError and the like where it is odd."""
        ...

    def completion(self) -> Completion:
        """What has arrived so far."""
        ...


class Dialect(Protocol):
    """A wire format: how a call is written and how its answer is read."""

    name: str

    def request(self, spec: ModelSpec, endpoint: Endpoint, call: Call, *, stream: bool) -> Wire:
        """The request. Raises BadRequest for what the dialect cannot say."""
        ...

    def reader(self, spec: ModelSpec) -> Reader:
        """For a streamed answer."""
        ...

    def whole(self, spec: ModelSpec, data: Any) -> Completion:
        """A whole answer. Raises Said where it is an error, KeyError and the like where it is not the dialect's."""
        ...

    def fault(self, status: int, data: Any) -> Fault:
        """An error body, parsed; `data` is a str where it was no JSON."""
        ...


async def ask(
    dialect: Dialect,
    transport: Transport,
    endpoint: Endpoint,
    spec: ModelSpec,
    call: Call,
    *,
    on_delta: Callable[[str], None],
    provider: str | None = None,
) -> Completion:
    """Ask once and read the answer, streamed unless `call.params` has `stream=False`.

    Args:
        provider: named in errors; the dialect's name by default.

    Raises:
        ProviderError: of the kind that fits; StreamInterrupted with the partial text where some had arrived.
    """
    exchange = _Exchange(dialect, endpoint, spec, provider or dialect.name, on_delta)
    if call.params.get("n") not in (None, 1):
        raise BadRequest("One answer is read from a call, n is not.", provider=exchange.provider, fix="Ask n times instead.")
    stream = bool(call.params.get("stream", True))
    try:
        wire = dialect.request(spec, endpoint, call, stream=stream)
    except ODD as error:
        raise BadRequest(
            f"The parameters cannot be written for the {dialect.name} API ({type(error).__name__}: {error}).",
            provider=exchange.provider,
            fix="Give each parameter the type that OpenAI's chat completions name for it.",
        ) from None
    if not stream:
        answer = await transport.post_json(wire.url, wire.body, headers=wire.headers, provider=exchange.provider)
        return exchange.whole(answer)
    reader = dialect.reader(spec)
    try:
        async with transport.stream(
            "POST", wire.url, headers=wire.headers, json=wire.body, provider=exchange.provider
        ) as reply:
            return await exchange.read(reply, reader)
    except StreamInterrupted:
        raise
    except ProviderError as error:  # the transport's own limits too: they are told when its block is left
        if reader.done:
            return exchange.finished(reader)
        if reader.completion().text:
            raise exchange.interrupted(error.message, reader, error.fix) from None
        raise


async def _beginning(chunks: AsyncIterator[bytes]) -> bytes:
    """The first bytes of a body, up to the first that is visible; the body without its leading blanks."""
    async for chunk in chunks:
        if begun := chunk.removeprefix(b"\xef\xbb\xbf").lstrip():
            return begun
    return b""


async def _next(chunks: AsyncIterator[bytes], events: Events) -> list[Event] | None:
    """The next events of a stream; None at its end."""
    async for chunk in chunks:
        if found := events.take(chunk):
            return found
    return events.end() or None


def _is_stream(begun: bytes, kind: str) -> bool:
    """Whether a body holds events. Its beginning decides over its content type, which some servers set wrongly."""
    if not begun or begun.startswith((b"{", b"[", b"<")):
        return not begun and "json" not in kind and "html" not in kind
    return "event-stream" in kind or begun.startswith((b"data:", b"event:", b":", b"id:", b"retry:"))


@dataclass(slots=True)
class _Exchange:
    dialect: Dialect
    endpoint: Endpoint
    spec: ModelSpec
    provider: str
    on_delta: Callable[[str], None]

    def whole(self, answer: Answer) -> Completion:
        try:
            data = answer.json(self.provider)
        except MalformedAnswer:
            if answer.status < 300:
                raise
            data = unreadable(answer)
        if answer.status >= 300:
            raise self.error(self._fault(answer.status, data), answer.headers)
        try:
            return self.checked(self.dialect.whole(self.spec, data))
        except Said as said:
            raise self.error(said.fault, answer.headers) from None
        except ODD:
            raise self.odd(answer.status) from None

    async def read(self, reply: Reply, reader: Reader) -> Completion:
        """The answer to a request for a stream: read as it comes, or at once where the server sent it at once."""
        if reply.status >= 300:
            return self.whole(await reply.read())
        async with aclosing(reply.chunks()) as chunks:
            begun = await _beginning(chunks)
            if not _is_stream(begun, reply.headers.get("content-type", "")):
                rest = [chunk async for chunk in chunks]
                return self.whole(Answer(reply.status, reply.headers, b"".join([begun, *rest])))
            await self._follow(begun, chunks, reader, reply)
            if reader.ended:
                with suppress(ProviderError, TimeoutError), limit(_DRAIN_S):
                    async for _ in chunks:
                        pass
        if not reader.done:
            raise self.interrupted("it ended without its end mark", reader, "Ask again.")
        return self.finished(reader)

    async def _follow(self, begun: bytes, chunks: AsyncIterator[bytes], reader: Reader, reply: Reply) -> None:
        """Hand the text over as it arrives, until the end mark or the end of the stream."""
        events = Events()
        found: list[Event] | None = events.take(begun)
        half = ""  # of a character whose other half comes with the next piece
        length = 0  # characters
        while found is not None:
            for event in found:
                if text := half + self._feed(reader, event, reply):
                    half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
                    if text := with_whole_characters(text.removesuffix(half)):
                        self.on_delta(text)
                    length += len(text)
                    if length > _MOST_TEXT:
                        message = f"The answer is longer than {_MOST_TEXT:,} characters."
                        raise MalformedAnswer(message, provider=self.provider, fix="Set max_tokens lower.", retryable=False)
                if reader.ended:
                    return
            if not reader.done:
                found = await _next(chunks, events)
                continue
            try:
                with limit(_TAIL_S):
                    found = await _next(chunks, events)
            except TimeoutError:
                return

    def _feed(self, reader: Reader, event: Event, reply: Reply) -> str:
        try:
            return reader.feed(event)
        except Said as said:
            raise self.error(said.fault, reply.headers) from None
        except ODD:
            raise self.odd(reply.status) from None

    def _fault(self, status: int, data: Any) -> Fault:
        try:
            return self.dialect.fault(status, data)
        except ODD:
            return Fault(status, data if isinstance(data, str) else json.dumps(data))

    def interrupted(self, why: str, reader: Reader, fix: str) -> StreamInterrupted:
        partial = sound(replace(reader.completion(), tool_calls=()), self.spec)  # half a call is none
        return StreamInterrupted(
            f"The stream of {self.spec.name} broke: {why}",
            partial=partial if partial.text else None,
            provider=self.provider,
            fix=fix,
        )

    def finished(self, reader: Reader) -> Completion:
        """The whole answer of a stream."""
        try:
            return self.checked(reader.completion())
        except ODD:
            raise self.odd(200) from None

    def checked(self, completion: Completion) -> Completion:
        """The completion, unless the provider withheld all of it."""
        if completion.finish_reason == "content_filter" and not completion.text:
            refused = ContentFiltered(
                f"{self.provider} withheld the answer of {self.spec.name} for its content.",
                provider=self.provider,
                status=200,
                fix="Rephrase the prompt, or use another model.",
            )
            refused.withheld = sound(completion, self.spec)
            raise refused
        return sound(completion, self.spec)

    def error(self, fault: Fault, headers: Mapping[str, str]) -> ProviderError:
        return to_error(fault, provider=self.provider, model=self.spec.name, headers=headers, key=self.endpoint.key)

    def odd(self, status: int) -> MalformedAnswer:
        return MalformedAnswer(
            f"The answer for {self.spec.name} does not have the shape of the {self.dialect.name} API.",
            provider=self.provider,
            status=status,
            fix="Check base_url and the model's provider.",
        )
