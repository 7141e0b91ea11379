"""Every way in which asking a model goes wrong that we know of: how it is served, and what must come of it."""

from __future__ import annotations

import gzip
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Literal

from tests.providers.dialects import Wire
from tests.servers import Answer, Asked, as_json, head, stream, whole

Where = Literal["server", "nobody", "no such host", "untrusted", "plain", "mute"]

# for what only a time limit ends
SILENT: Mapping[str, Any] = {"first_token_s": 0.8}
ENDLESS: Mapping[str, Any] = {"total_s": 1.5, "retries": 0}  # long enough for a good answer, and for a first token
MEGABYTE = b" " * 1_000_000


@dataclass(frozen=True)
class Fault:
    """One fault, and the right next step.

    `retried`: the same deployment is asked again. `elsewhere`: another deployment of the model is asked, before any wait.
    `then`: the model that is asked next of three: `second` is the first one's neighbour (same provider, smaller window),
    `third` is of another provider and has a larger window; None: text has reached the user, so it is kept and nobody is asked.
    """

    name: str
    kind: str  # of the error
    answer: Callable[[Wire, Asked], Answer] | None = None
    retried: bool = False
    elsewhere: bool = True
    then: Literal["second", "third"] | None = "second"
    text: str = ""  # how the text that is kept begins
    where: Where = "server"  # which address leads to it
    network: Mapping[str, Any] = field(default_factory=dict)  # limits under which it shows
    waits_s: float = 0.0  # at least this long before it is retried
    heavy: bool = False  # too dear to be crossed with everything

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def _told(asked: Asked) -> str:
    """What a careless server says of a request: all of it, the key included."""
    shown = {name: value for name, value in asked.headers.items() if name in ("authorization", "x-api-key", "x-goog-api-key")}
    return f"what the server says, with {shown}"


def _status(status: int, headers: Callable[[], Mapping[str, str]] = dict, message: str = "", **codes: str) -> Any:
    """An error as each dialect writes it; `codes`: its code by provider."""

    def answer(wire: Wire, asked: Asked) -> Answer:
        code = codes.get(wire.provider, "")
        return as_json(status, wire.error(status, message or _told(asked), code), headers())

    return answer


def _raw(*pieces: bytes, **how: Any) -> Any:
    return lambda wire, asked: Answer(pieces, **how)


def _body(body: bytes | str, content_type: str, status: int = 200, **headers: str) -> Any:
    return lambda wire, asked: whole(status, body, {"content-type": content_type, **headers})


def _events(choose: Callable[[Wire], Any], **how: Any) -> Any:
    return lambda wire, asked: stream(choose(wire), **how)


def _for_ever(choose: Callable[[Wire], tuple[Any, bytes | str]], pause_s: float) -> Any:
    """Some events, and then one of them without end."""

    def answer(wire: Wire, asked: Asked) -> Answer:
        events, again = choose(wire)
        began = stream(list(events), hold=True)
        data = again.encode() if isinstance(again, str) else again
        piece = b"%x\r\n%s\r\n" % (len(data), data)
        return Answer(itertools.chain(began.pieces, itertools.repeat(piece)), pause_s=pause_s)

    return answer


def _drip(begun: bytes, piece: bytes, pause_s: float) -> Any:
    return lambda wire, asked: Answer(itertools.chain([begun], itertools.repeat(piece)), pause_s=pause_s)


def _large(kind: str, *, chunked: bool) -> Any:
    """A hundred megabytes."""
    if chunked:
        piece = b"%x\r\n%s\r\n" % (len(MEGABYTE), MEGABYTE)
        begun = head(200, {"content-type": kind, "transfer-encoding": "chunked"}) + b"1\r\n{\r\n"
        return lambda wire, asked: Answer([begun, *[piece] * 100, b"0\r\n\r\n"])
    begun = head(200, {"content-type": kind, "content-length": "100000000"})
    return lambda wire, asked: Answer([begun, *[MEGABYTE] * 100])


def _long(wire: Wire, asked: Asked) -> Answer:
    """A hundred megabytes of text."""
    piece = wire.pieces[0].replace("Hello ", "Hello " * 50_000)
    return stream([*wire.opening, *[piece] * 330, *wire.ending])


def _inside(wire: Wire, asked: Asked) -> str:
    """An error as it comes in the middle of a stream."""
    from tests.providers.dialects import sse

    code = {"anthropic": "overloaded_error", "gemini": "UNAVAILABLE", "openai": "overloaded_error"}[wire.provider]
    return sse(wire.error(503, _told(asked), code), "error" if wire.provider == "anthropic" else "")


CONNECTION = (
    Fault("connection refused", "connection", retried=True, where="nobody"),
    Fault("no such host", "connection", retried=True, where="no such host"),
    Fault("certificate not trusted", "connection", where="untrusted"),
    Fault("http where https was said", "connection", where="plain"),
    Fault("TLS never answered", "timeout", retried=True, where="mute", network={"connect_s": 0.6}),
    Fault("closed without a byte", "connection", _raw(), retried=True),
    Fault("reset without a byte", "connection", _raw(abort=True), retried=True),
    Fault("not HTTP", "connection", _raw(b"SSH-2.0-OpenSSH_9.6\r\n"), retried=True),
    Fault("headers without end", "connection", _drip(b"HTTP/1.1 200 OK\r\n", b"x-more: and more\r\n" * 100, 0.0), retried=True),
    Fault("one header of a megabyte", "connection", _raw(b"HTTP/1.1 200 OK\r\nx: ", MEGABYTE, b"\r\n\r\n"), retried=True),
)

SILENCE = (
    Fault("silence before the first byte", "timeout", _raw(hold=True), retried=True, network=SILENT),
    Fault(
        "silence after the headers",
        "timeout",
        _raw(head(200, {"content-type": "text/event-stream"}), hold=True),
        retried=True,
        network=SILENT,
    ),
    Fault("silence before the first token", "timeout", _events(lambda w: w.opening, hold=True), retried=True, network=SILENT),
    Fault(
        "silence after the first token",
        "interrupted",
        _events(lambda w: [*w.opening, w.pieces[0]], hold=True),
        then=None,
        text="Hello ",
        network=SILENT,
    ),
    Fault("headers that drip", "timeout", _drip(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n", 0.1), network=ENDLESS, elsewhere=False),
    Fault(
        "only preliminary answers",
        "timeout",
        _drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01),
        network=ENDLESS,
        elsewhere=False,
    ),
    Fault(
        "a body that drips",
        "timeout",
        _drip(head(200, {"content-type": "application/json"}) + b"{", b" ", 0.1),
        network=ENDLESS,
        elsewhere=False,
    ),
    Fault(
        "pings and nothing else",
        "timeout",
        _for_ever(lambda w: (w.opening, ": ping\n\n"), 0.05),
        network=ENDLESS,
        elsewhere=False,
    ),
    Fault(
        "pings after the first token",
        "interrupted",
        _for_ever(lambda w: ([*w.opening, w.pieces[0]], ": ping\n\n"), 0.05),
        then=None,
        text="Hello ",
        network=ENDLESS,
    ),
    Fault(
        "text without end",
        "interrupted",
        _for_ever(lambda w: (w.opening, w.pieces[0]), 0.02),
        then=None,
        text="Hello Hello Hello ",
        network=ENDLESS,
    ),
)

_NOT_THIS_KEY: Mapping[str, Any] = {"retried": False, "elsewhere": True}
_NOT_THIS_QUESTION: Mapping[str, Any] = {"retried": False, "elsewhere": False}
STATUS = (
    Fault("400", "bad_request", _status(400), **_NOT_THIS_QUESTION),
    Fault("401", "bad_key", _status(401), **_NOT_THIS_KEY),
    Fault("402", "quota", _status(402), **_NOT_THIS_KEY),
    Fault("403", "bad_key", _status(403), **_NOT_THIS_KEY),
    Fault("404", "unknown_model", _status(404), **_NOT_THIS_KEY),
    Fault("408", "timeout", _status(408), retried=True),
    Fault("409", "bad_request", _status(409), retried=True),
    Fault("413", "bad_request", _status(413), **_NOT_THIS_QUESTION),
    Fault("422", "bad_request", _status(422), **_NOT_THIS_QUESTION),
    Fault("429", "rate_limit", _status(429), retried=True),
    Fault("429 for a second", "rate_limit", _status(429, lambda: {"retry-after": "1"}), retried=True, waits_s=1.0),
    Fault(
        "429 until a date",
        "rate_limit",
        _status(429, lambda: {"retry-after": formatdate(time.time() + 3, usegmt=True)}),
        retried=True,
        waits_s=0.9,  # a date has whole seconds, and a busy machine takes its time
    ),
    Fault("429 for an hour", "rate_limit", _status(429, lambda: {"retry-after": "3600"})),
    Fault(
        "429 that does not pass",
        "quota",
        lambda wire, asked: as_json(
            429,
            {
                "openai": wire.error(429, "You exceeded your current quota", "insufficient_quota"),
                "anthropic": wire.error(429, "Your credit balance is too low", "billing_error"),
                "gemini": {
                    "error": {
                        "code": 429,
                        "message": "You exceeded your current quota",
                        "status": "RESOURCE_EXHAUSTED",
                        "details": [{"violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]}],
                    }
                },
            }[wire.provider],
        ),
        **_NOT_THIS_KEY,
    ),
    Fault("500", "server_error", _status(500), retried=True),
    Fault("502", "server_error", _status(502), retried=True),
    Fault("502 in HTML", "server_error", _body("<html><h1>502 Bad Gateway</h1></html>", "text/html", 502), retried=True),
    Fault("503", "server_error", _status(503), retried=True),
    Fault("503 for a second", "server_error", _status(503, lambda: {"retry-after": "1"}), retried=True, waits_s=1.0),
    Fault("504", "server_error", _status(504), retried=True),
    Fault("529", "server_error", _status(529, anthropic="overloaded_error"), retried=True),
    Fault(
        "context too long",
        "context_too_long",
        _status(
            400,
            message="The input token count exceeds the maximum number of tokens allowed: the prompt is too long",
            openai="context_length_exceeded",
        ),
        **_NOT_THIS_QUESTION,
        then="third",
    ),
    Fault(
        "content filtered",
        "content_filter",
        lambda wire, asked: (
            as_json(200, {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {}})
            if wire.provider == "gemini"
            else as_json(400, wire.error(400, "Output blocked by content filtering policy", "content_filter"))
        ),
        **_NOT_THIS_QUESTION,
        then="third",
    ),
)

REDIRECTS = tuple(Fault(f"redirect {status}", "connection") for status in (301, 302, 303, 307, 308))

BODIES = (
    Fault("HTML", "malformed", _body("<!doctype html><title>Sign in</title>", "text/html"), retried=True),
    Fault("HTML that says it is JSON", "malformed", _body("<html>Sign in</html>", "application/json"), retried=True),
    Fault("plain text", "malformed", _body("It works!", "text/plain"), retried=True),
    Fault("bytes", "malformed", _body(bytes(range(256)) * 8, "application/octet-stream"), retried=True),
    Fault("truncated JSON", "malformed", _body('{"choices": [{"mess', "application/json"), retried=True),
    Fault(
        "JSON that breaks off",
        "connection",
        lambda wire, asked: whole(200, '{"choices": [', {"content-type": "application/json"}, length=500),
        retried=True,
    ),
    Fault("empty JSON", "malformed", _body("", "application/json"), retried=True),
    Fault("empty stream", "interrupted", _body("", "text/event-stream"), retried=True),
    Fault("204", "interrupted", _raw(head(204, {})), retried=True),
    Fault("brackets without end", "malformed", _body("[" * 200_000, "application/json"), retried=True),
    Fault("not the dialect", "malformed", _body('{"hello": "world"}', "application/json"), retried=True),
    Fault("not gzip", "malformed", _body(b"not gzip", "application/json", **{"content-encoding": "gzip"}), retried=True),
    Fault(
        "error inside a 200",
        "server_error",
        lambda wire, asked: as_json(200, wire.error(503, _told(asked), "overloaded_error")),
        retried=True,
    ),
    Fault("a hundred megabytes", "malformed", _large("application/json", chunked=False), elsewhere=False),
    Fault("a hundred megabytes in chunks", "malformed", _large("application/json", chunked=True), elsewhere=False, heavy=True),
    Fault(
        "a gzip bomb",
        "malformed",
        _body(gzip.compress(b"[" + b" " * 100_000_000), "application/json", **{"content-encoding": "gzip"}),
        elsewhere=False,
        heavy=True,
    ),
    Fault("a hundred megabytes of text", "interrupted", _long, then=None, text="Hello " * 50_000, heavy=True),
)

STREAMS = (
    Fault("dropped before the first token", "connection", _events(lambda w: w.opening, cut=True), retried=True),
    Fault("ended before the first token", "interrupted", _events(lambda w: w.opening), retried=True),
    Fault(
        "dropped after the first token",
        "interrupted",
        _events(lambda w: [*w.opening, w.pieces[0]], cut=True),
        then=None,
        text="Hello ",
    ),
    Fault(
        "ended after the first token",
        "interrupted",
        _events(lambda w: [*w.opening, w.pieces[0]]),
        then=None,
        text="Hello ",
    ),
    Fault(
        "dropped before the end mark",
        "interrupted",
        _events(lambda w: w.events[: len(w.opening) + len(w.pieces)], cut=True),
        then=None,
        text="Hello wörld",
    ),
    Fault("garbage before the first token", "malformed", _events(lambda w: [*w.opening, "data: {oops\n\n"]), retried=True),
    Fault(
        "garbage after the first token",
        "interrupted",
        _events(lambda w: [*w.opening, w.pieces[0], "data: {oops\n\n", *w.ending]),
        then=None,
        text="Hello ",
    ),
    Fault(
        "an error before the first token",
        "server_error",
        lambda wire, asked: stream([*wire.opening, _inside(wire, asked)]),
        retried=True,
    ),
    Fault(
        "an error after the first token",
        "interrupted",
        lambda wire, asked: stream([*wire.opening, wire.pieces[0], _inside(wire, asked)]),
        then=None,
        text="Hello ",
    ),
)

FAULTS = (*CONNECTION, *SILENCE, *STATUS, *REDIRECTS, *BODIES, *STREAMS)
