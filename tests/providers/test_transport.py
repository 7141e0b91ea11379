"""The transport: every exception of the HTTP client is mapped, downloads go on, plain HTTP is warned about."""

from __future__ import annotations

import asyncio
import inspect
import stat
import warnings
from pathlib import Path

import httpx
import pytest

from molt_magic import errors
from molt_magic.transport import Headers, Transport, is_loopback
from molt_magic.transport.failures import mapped, translate
from tests.servers import Answer, Server, as_json, running, whole

URL = "https://api.example.com/v1/chat?key=secret"


def _exceptions() -> list[type[Exception]]:
    found = [e for _, e in inspect.getmembers(httpx, inspect.isclass) if issubclass(e, Exception)]
    return [e for e in found if not issubclass(e, Warning)]


def _make(kind: type[Exception]) -> Exception:
    request = httpx.Request("POST", URL, headers={"authorization": "Bearer sk-secret"})
    if kind is httpx.HTTPStatusError:
        return kind("status", request=request, response=httpx.Response(500))
    if issubclass(kind, httpx.RequestError):
        return kind("what happened", request=request)
    try:
        return kind("what happened")
    except TypeError:
        return kind()


def test_httpx_has_the_exceptions_this_was_written_for() -> None:
    assert len(_exceptions()) >= 25


@pytest.mark.parametrize("kind", _exceptions(), ids=lambda kind: kind.__name__)
def test_every_exception_of_httpx_is_mapped(kind: type[Exception]) -> None:
    with pytest.raises(errors.ProviderError) as caught, mapped(URL, "openai"):
        raise _make(kind)
    error = caught.value
    assert error.provider == "openai"
    assert error.fix
    assert "secret" not in str(error)
    assert error.__suppress_context__


@pytest.mark.parametrize(
    ("kind", "expected", "retryable"),
    [
        (httpx.ConnectTimeout, errors.TimedOut, True),
        (httpx.ReadTimeout, errors.TimedOut, True),
        (httpx.WriteTimeout, errors.TimedOut, True),
        (httpx.PoolTimeout, errors.TimedOut, True),
        (httpx.ConnectError, errors.ConnectionFailed, True),
        (httpx.ReadError, errors.ConnectionFailed, True),
        (httpx.RemoteProtocolError, errors.ConnectionFailed, True),
        (httpx.ProxyError, errors.ConnectionFailed, True),
        (httpx.UnsupportedProtocol, errors.ConnectionFailed, False),
        (httpx.InvalidURL, errors.ConnectionFailed, False),
        (httpx.LocalProtocolError, errors.ConnectionFailed, False),
        (httpx.DecodingError, errors.MalformedAnswer, True),
    ],
)
def test_an_exception_has_the_kind_that_a_fallback_needs(
    kind: type[Exception], expected: type[errors.ProviderError], retryable: bool
) -> None:
    error = translate(_make(kind), URL, "")
    assert type(error) is expected
    assert error.retryable is retryable


@pytest.mark.anyio
@pytest.mark.parametrize("url", ["ftp://host/x", "nonsense", "http://", "http://[", "http://host:port/"])
async def test_an_address_that_is_none_says_so(url: str) -> None:
    transport = Transport()
    with pytest.raises(errors.ConnectionFailed) as caught:
        await transport.get_json(url)
    assert not caught.value.retryable
    await transport.aclose()


@pytest.mark.anyio
async def test_a_body_that_does_not_decompress_is_malformed(server: Server) -> None:
    server.answer(whole(200, b"not gzip", {"content-encoding": "gzip"}))
    transport = Transport()
    with pytest.raises(errors.MalformedAnswer):
        await transport.get_json(server.url)
    await transport.aclose()


@pytest.mark.anyio
async def test_a_compressed_flood_is_stopped_at_the_limit(server: Server) -> None:
    import gzip

    server.answer(whole(200, gzip.compress(b"0" * 20_000_000), {"content-encoding": "gzip"}))
    transport = Transport(max_bytes=1_000_000)
    with pytest.raises(errors.MalformedAnswer, match="larger than 1 MB"):
        await transport.get_json(server.url)
    await transport.aclose()


@pytest.mark.anyio
async def test_json_is_posted_and_any_status_comes_back(server: Server) -> None:
    server.answer(as_json(418, {"a": 1}, {"X-Name": "v"}))
    transport = Transport()
    answer = await transport.post_json(server.url, {"q": "wörld"}, headers={"authorization": "Bearer k"})
    assert (answer.status, answer.json(), answer.headers["x-name"]) == (418, {"a": 1}, "v")
    assert server.asked[0].json == {"q": "wörld"}
    assert server.asked[0].headers["content-type"] == "application/json"
    await transport.aclose()


@pytest.mark.anyio
async def test_a_key_that_cannot_be_sent_is_in_no_local_variable_of_its_error(server: Server) -> None:
    with pytest.raises(errors.Unauthorized) as caught:
        await Transport().post_json(server.url, {}, headers=Headers({"authorization": "Bearer sk-secret\n"}))
    frames = [each.frame for each in caught.traceback if "molt_magic" in str(each.path)]
    assert len(frames) >= 3
    assert not any("sk-secret" in repr(value) for frame in frames for value in frame.f_locals.values())


def test_each_event_loop_has_connections_of_its_own(server: Server) -> None:
    server.answer(as_json(200, {}))
    transport = Transport()

    async def once() -> int:
        answer = await transport.get_json(server.url)
        await transport.aclose()
        return answer.status

    assert [asyncio.run(once()) for _ in range(3)] == [200, 200, 200]


def test_code_that_is_not_async_can_ask(server: Server) -> None:
    server.answer(as_json(200, {"a": 1}))
    answer = Transport().request("POST", server.url, json={"q": 1})
    assert answer.json() == {"a": 1}
    server.answer(Answer([b"HTTP/1.1 200 OK\r\n\r\n"], hold=True))
    with pytest.raises(errors.TimedOut):
        Transport().request("GET", server.url, total_s=0.2)


def test_plain_http_to_another_machine_is_warned_about_once(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = Transport(connect_s=0.05)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # so that nothing leaves this machine
    with pytest.warns(UserWarning, match=r"models\.example is reached over plain http"), pytest.raises(errors.ProviderError):
        transport.request("GET", "http://models.example/v1")
    with warnings.catch_warnings(action="error"), pytest.raises(errors.ProviderError):
        transport.request("GET", "http://models.example/v1")


def test_this_machine_is_reached_past_a_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    server.answer(as_json(200, {}))
    assert Transport().request("GET", server.url).status == 200


def test_a_proxy_that_cannot_be_used_is_an_error_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://127.0.0.1:9")
    with pytest.raises(errors.ConfigError) as caught:
        Transport().request("GET", "https://models.example/v1")
    assert "PROXY" in caught.value.fix


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:1/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:1", True),
        ("http://127.0.0.1.example.com", False),
        ("http://localhost.example.com", False),
        ("https://api.openai.com", False),
    ],
)
def test_loopback_is_told_from_names_that_look_like_it(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected


# -- downloads ----------------------------------------------------------------------------------------------------------

DATA = bytes(range(256)) * 400


def _range(start: int) -> dict[str, str]:
    return {"content-range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"}


def test_a_file_is_fetched_with_its_progress_for_the_user_only(server: Server, tmp_path: Path) -> None:
    server.answer(whole(200, DATA))
    part = tmp_path / "models" / "file.part"
    seen: list[tuple[int, int | None]] = []
    assert Transport().download(server.url, part, lambda done, total: seen.append((done, total))) == len(DATA)
    assert part.read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert stat.S_IMODE(part.stat().st_mode) == 0o600
    assert stat.S_IMODE(part.parent.stat().st_mode) == 0o700


def test_a_part_is_continued(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "file.part"
    part.write_bytes(DATA[:1000])
    server.answer(whole(206, DATA[1000:], _range(1000)))
    assert Transport().download(server.url, part) == len(DATA)
    assert part.read_bytes() == DATA
    assert server.asked[0].headers["range"] == "bytes=1000-"


def test_a_download_that_breaks_goes_on_by_itself(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "file.part"
    server.answer(whole(200, DATA[:5000], length=len(DATA)), whole(206, DATA[5000:], _range(5000)))
    assert Transport().download(server.url, part) == len(DATA)
    assert part.read_bytes() == DATA


def test_a_server_without_ranges_starts_the_file_again(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "file.part"
    part.write_bytes(b"other bytes")
    server.answer(whole(200, DATA))
    assert Transport().download(server.url, part) == len(DATA)
    assert part.read_bytes() == DATA


def test_a_whole_part_needs_no_byte(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "file.part"
    part.write_bytes(DATA)
    server.answer(whole(416, "", {"content-range": f"bytes */{len(DATA)}"}))
    assert Transport().download(server.url, part) == len(DATA)


def test_a_part_that_is_too_long_is_dropped(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "file.part"
    part.write_bytes(DATA + b"more")
    server.answer(whole(416, "", {"content-range": f"bytes */{len(DATA)}"}), whole(200, DATA))
    with pytest.raises(errors.ConnectionFailed, match="another file"):
        Transport().download(server.url, part)
    assert Transport().download(server.url, part) == len(DATA)


def test_a_download_that_makes_no_headway_gives_up_and_keeps_the_part(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "file.part"
    part.write_bytes(DATA[:1000])
    server.answer(whole(206, b"", _range(1000), length=len(DATA) - 1000))
    with pytest.raises(errors.ConnectionFailed):
        Transport().download(server.url, part)
    assert part.read_bytes() == DATA[:1000]
    assert 1 < len(server.asked) < 10


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, errors.BadRequest), (403, errors.BadRequest), (500, errors.ServerError), (429, errors.ServerError)],
)
def test_a_refused_file_writes_nothing(server: Server, tmp_path: Path, status: int, kind: type[Exception]) -> None:
    server.answer(whole(status, "no"))
    with pytest.raises(kind):
        Transport().download(server.url, tmp_path / "file.part")
    assert list(tmp_path.iterdir()) == []


def test_a_download_follows_redirects_on_this_machine_but_not_to_plain_http_elsewhere(server: Server, tmp_path: Path) -> None:
    with running() as other:
        other.answer(whole(200, DATA))
        server.answer(whole(302, "", {"location": f"{other.url}/file"}))
        assert Transport().download(server.url, tmp_path / "file.part") == len(DATA)
        assert other.asked[0].path == "/file"
    server.answer(whole(302, "", {"location": "http://models.example/file"}))
    with pytest.raises(errors.ConnectionFailed, match="not https"):
        Transport().download(server.url, tmp_path / "other.part")


def test_what_on_progress_raises_ends_the_download_and_keeps_the_part(server: Server, tmp_path: Path) -> None:
    server.answer(whole(200, DATA))

    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Transport().download(server.url, tmp_path / "file.part", stop)
    assert (tmp_path / "file.part").exists()
