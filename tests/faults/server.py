"""A server that says, by the path it is asked on, one of the faults or a good answer; and addresses where nobody speaks."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import trustme

from tests.faults.catalogue import FAULTS, Fault
from tests.providers.dialects import WIRES, Wire
from tests.servers import Answer, Asked, Server, running, stream, whole

BY_NAME = {str(fault): fault for fault in FAULTS}
BY_PROVIDER = {wire.provider: wire for wire in WIRES}


@dataclass
class FaultServer(Server):
    """Paths begin with `/bad/FAULT/PROVIDER` or `/good/MODEL/PROVIDER`."""

    elsewhere: str = ""  # where a redirect leads
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # (bad or a model's name, the question) -> requests

    def choose(self, asked: Asked) -> Answer:
        _, kind, name, provider, *_ = asked.path.split("/")
        wire = BY_PROVIDER[provider]
        self.counts[kind if kind == "bad" else name, _question(asked, wire)] += 1
        if kind == "good":
            return stream(wire.events)
        fault = BY_NAME[name]
        if name.startswith("redirect"):
            return whole(int(name.removeprefix("redirect-")), "", {"location": f"{self.elsewhere}/bad/{name}/{provider}"})
        assert fault.answer is not None
        return fault.answer(wire, asked)


def _question(asked: Asked, wire: Wire) -> str:
    body = asked.json
    if wire.provider == "gemini":
        return str(body["contents"][-1]["parts"][0]["text"])
    return str(body["messages"][-1]["content"])


class Mute(Server):
    """Takes connections and says nothing."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while await reader.read(1000):
                pass
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()


class Plain(Server):
    """Answers whatever comes as a web server that was not asked in HTTP."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            await reader.read(1000)
            writer.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()


@dataclass(frozen=True)
class World:
    """All servers of the tests."""

    main: FaultServer
    other_host: Server  # where redirects lead: it must never be asked
    untrusted: Server
    mute: Mute
    plain: Plain
    closed_port: int

    def bad(self, fault: Fault, provider: str) -> str:
        """The base URL at which a fault is met."""
        path = f"/bad/{fault}/{provider}"
        return {
            "server": self.main.url,
            "nobody": f"http://127.0.0.1:{self.closed_port}",
            "no such host": "https://fault.invalid",
            "untrusted": self.untrusted.url,
            "plain": self.plain.url.replace("http://", "https://"),
            "mute": self.mute.url.replace("http://", "https://"),
        }[fault.where] + path

    def good(self, model: str, provider: str) -> str:
        """The base URL at which a model answers."""
        return f"{self.main.url}/good/{model}/{provider}"

    @property
    def servers(self) -> tuple[Server, ...]:
        return (self.main, self.other_host, self.untrusted, self.mute, self.plain)

    @property
    def ports(self) -> set[int]:
        return {int(server.url.rsplit(":", 1)[1]) for server in self.servers}

    @property
    def open(self) -> int:
        """Connections that the servers hold."""
        return sum(server.open for server in self.servers)


@contextmanager
def world() -> Iterator[World]:
    """The servers, running."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)  # of an authority that nobody trusts
    with ExitStack() as stack, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and never listens: the port refuses, and nobody else gets it
        other_host = stack.enter_context(running())
        main = stack.enter_context(running(FaultServer(elsewhere=other_host.url)))
        untrusted = stack.enter_context(running(tls=tls))
        mute = stack.enter_context(running(Mute()))
        plain = stack.enter_context(running(Plain()))
        yield World(main, other_host, untrusted, mute, plain, nobody.getsockname()[1])
