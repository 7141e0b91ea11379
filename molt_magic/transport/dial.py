"""Reaching a server: its name, TCP and TLS."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from itertools import zip_longest

import httpx

from molt_magic.transport.http11 import Connection

_NEXT_S = 0.25  # until the next address of a host is tried beside the last (RFC 8305 recommends it)

_Connected = tuple[asyncio.Transport, Connection]


async def connect(host: str, port: int, *, tls: ssl.SSLContext | None, timeout_s: float) -> Connection:
    """A connection to a server.

    Args:
        tls: whom to trust; None: without TLS.
        timeout_s: for TCP, and once more for the handshake of TLS.

    Raises:
        httpx.ConnectTimeout: it took longer.
        httpx.ConnectError: the name is not known, nobody listens there, or the handshake fails.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            transport, connection = await _reached(loop, host, port)
        if tls is not None:
            async with asyncio.timeout(timeout_s):
                secured = await loop.start_tls(transport, connection, tls, server_hostname=host)
            if secured is None or connection.spoke_first:  # what came in the clear is nobody's answer
                (secured or transport).abort()
                raise httpx.ConnectError("it speaks before TLS does")
            connection.connection_made(secured)
        return connection
    except TimeoutError:
        raise httpx.ConnectTimeout("it took too long") from None
    except (ssl.SSLError, socket.gaierror) as error:
        raise httpx.ConnectError(str(error)) from error
    except OSError as error:
        raise httpx.ConnectError("All connection attempts failed") from error


async def _reached(loop: asyncio.AbstractEventLoop, host: str, port: int) -> _Connected:
    """The first of a host's addresses to answer. Raises OSError, the last one's, where none does.

    asyncio has the same in `create_connection(happy_eyeballs_delay=)`; cancelled, it leaves sockets open, and uvloop has none.
    """
    addresses = [host] if _is_address(host) else await _addresses(loop, host, port)
    trying: set[asyncio.Task[_Connected]] = set()
    failed: BaseException | None = None
    try:
        while addresses or trying:
            if addresses:
                trying.add(loop.create_task(loop.create_connection(Connection, addresses.pop(0), port)))
            done, trying = await asyncio.wait(
                trying, timeout=_NEXT_S if addresses else None, return_when=asyncio.FIRST_COMPLETED
            )
            for each in done:
                failed = each.exception()
                if failed is None:
                    trying |= done - {each}
                    return each.result()
    finally:
        for each in trying:
            each.add_done_callback(_hang_up)
            each.cancel()
    raise failed or OSError("it has no address")


def _hang_up(trying: asyncio.Task[_Connected]) -> None:
    """Close what was reached when another had been already."""
    if not trying.cancelled() and trying.exception() is None:
        trying.result()[0].abort()


async def _addresses(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[str]:
    """Those of a name, of IPv6 and IPv4 in turn: often one of them leads nowhere."""
    families: dict[int, list[str]] = {}
    for family, _, _, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        families.setdefault(family, []).append(str(address[0]))
    return [address for row in zip_longest(*families.values()) for address in row if address is not None]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
