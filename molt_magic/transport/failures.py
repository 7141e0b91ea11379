"""Every exception of the HTTP client, mapped into the error tree."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from urllib.parse import urlsplit

import httpx

from molt_magic.errors import ConfigError, ConnectionFailed, MalformedAnswer, ProviderError, TimedOut

CHECK_URL = "Check that base_url is the address of an API (OpenAI-compatible ones usually end in /v1)."

# httpx's; what goes without it raises the same
FAILURES: tuple[type[Exception], ...] = (
    *(httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict, ssl.SSLError),
)


@lru_cache(maxsize=256)
def is_loopback(url: str) -> bool:
    """Whether a URL names this machine."""
    host = ""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or no URL at all
        return host.endswith(".localhost")


def host_of(url: str) -> str:
    """Host and port of a URL, for messages: never its path, query or user."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "the address") + (f":{parts.port}" if parts.port else "")
    except ValueError:  # a port that is no number
        return "the address"


@contextmanager
def mapped(url: str, provider: str) -> Iterator[None]:
    """Turn every exception of the HTTP client into one of ours.

    `from None`, so that no traceback shows the client's exception: it holds the request, and the request the key.
    """
    try:
        yield
    except FAILURES as error:
        raise translate(error, url, provider) from None


@contextmanager
def proxies_understood() -> Iterator[None]:
    """Turn what making a client raises over a proxy in the environment into a ConfigError."""
    try:
        yield
    except ImportError as error:  # a SOCKS proxy needs a package of its own
        # httpx says which package; not the address, which may hold a password
        raise ConfigError(f"The proxy of the environment cannot be used: {error}", fix="pip install 'httpx[socks]'") from None
    except (ValueError, httpx.InvalidURL) as error:
        fix = "Check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY."
        kind = type(error).__name__  # its words may hold the address, and that a password
        raise ConfigError(f"A proxy variable of the environment is wrong ({kind}).", fix=fix) from None


def translate(error: Exception, url: str, provider: str) -> ProviderError:
    """Our error for an exception of the HTTP client."""
    where = host_of(url)
    if isinstance(error, httpx.ConnectTimeout):
        return timed_out(f"No connection to {where} in time.", "network.connect_s", provider)
    if isinstance(error, httpx.TimeoutException):
        return timed_out(f"{where} fell silent for too long.", "network.first_token_s", provider)
    if isinstance(error, (httpx.DecodingError, httpx.TooManyRedirects)):
        message = f"The answer of {where} cannot be read ({type(error).__name__})."
        return MalformedAnswer(message, provider=provider, fix=CHECK_URL)
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol)):
        return not_an_address(provider)
    if isinstance(error, httpx.LocalProtocolError):
        return ConnectionFailed(
            f"The request to {where} cannot be sent ({type(error).__name__}).",
            provider=provider,
            fix="Check base_url and the key for stray characters.",
            retryable=False,
        )
    refused = _tls(error)
    if refused is not None:
        return _untrusted(where, refused, provider)
    reason = str(error) or type(error).__name__
    fix = "Check that the server runs." if is_loopback(url) else "Check the network, the proxy and base_url."
    return ConnectionFailed(f"No answer from {where}: {reason}", provider=provider, fix=fix)


def _tls(error: BaseException | None) -> ssl.SSLError | None:
    """The TLS error that lasts among the causes of an exception: a handshake that breaks off may go well the next time."""
    while error is not None:
        lasts = isinstance(error, ssl.SSLCertVerificationError) or "WRONG_VERSION_NUMBER" in str(error)
        if isinstance(error, ssl.SSLError) and lasts:
            return error
        error = error.__cause__ or error.__context__
    return None


def _untrusted(where: str, error: ssl.SSLError, provider: str) -> ConnectionFailed:
    """For a server that does not prove who it is, or does not speak TLS at all."""
    if isinstance(error, ssl.SSLCertVerificationError):
        message = f"The certificate of {where} is not trusted: {error.verify_message.rstrip('.')}."
        fix = "Check base_url; for a certificate authority of your own set SSL_CERT_FILE."
    else:
        message, fix = f"{where} does not speak TLS.", "Check base_url: it may be http, not https."
    return ConnectionFailed(message, provider=provider, fix=fix, retryable=False)


def not_an_address(provider: str = "") -> ConnectionFailed:
    """For a URL that no request can be sent to."""
    fix = "Set it to something like https://host/v1."
    return ConnectionFailed("base_url is not an http(s) address.", provider=provider, fix=fix, retryable=False)


def with_password() -> ConnectionFailed:
    """For a URL that holds a user name or password: addresses are shown and logged."""
    fix = "Leave them out of it, put the key into a variable and name that in api_key_env."
    return ConnectionFailed("The address holds a user name or password.", fix=fix, retryable=False)


def timed_out(message: str, setting: str, provider: str) -> TimedOut:
    """A TimedOut that names the setting to raise."""
    return TimedOut(message, provider=provider, fix=f"Try again, or raise {setting}.")


def too_large(limit: int, provider: str) -> MalformedAnswer:
    """An answer over the size limit (bytes)."""
    message = f"The answer is larger than {limit / 1e6:g} MB."  # and would be again: it is not asked for twice
    return MalformedAnswer(message, provider=provider, fix="Set max_tokens lower.", retryable=False)
