"""A key in the environment, sent back by a hostile server in every way: it is in no output, file, traceback or process."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from molt_magic import MoltError, Orchestrator, load_settings
from molt_magic.embed import make_embedder
from molt_magic.errors import ConfigError
from molt_magic.log.frame import export
from molt_magic.providers.local.engine import Engine, Plan
from molt_magic.providers.local.wheels import _Fetch
from molt_magic.validators.execute import run
from molt_magic.views import doctor
from tests.secrets.hostile import DOTENV, EVERY_KEY, KEYS, MANNERS, Hostile, traces, traces_in
from tests.servers import Server, running

VARIABLES = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "gemini": "GOOGLE_API_KEY"}
PACKAGE = str(Path(sys.modules["molt_magic"].__file__ or "").parent)


def models(url: str) -> dict[str, dict[str, Any]]:
    """A model for every manner and provider, and two with keys of no vendor's."""
    common = {"context_window": 8000, "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0, "can": ["tools"]}
    found = {
        f"{how}-{provider}": {"provider": provider, "base_url": f"{url}/{how}/{provider}", "api_key_env": variable}
        for how in MANNERS
        for provider, variable in VARIABLES.items()
    }
    for name, variable in (("own", "OUR_GATEWAY_TOKEN"), ("dotenv", "DOTENV_TOKEN")):
        found[name] = {"provider": "openai", "base_url": f"{url}/answer/openai", "api_key_env": variable}
    return {name: {"model": "gpt-4o", **common, **table} for name, table in found.items()}


class World:
    """An orchestrator over a hostile server, and everything it has said."""

    def __init__(self, folder: Path, server: Hostile, other: Server) -> None:
        self.folder, self.server, self.other = folder, server, other
        (folder / ".env").write_text("".join(f"{name}={key}\n" for name, key in DOTENV.items()))
        environ = {**KEYS, "MOLT_HOME": str(folder / "home")}
        values: dict[str, Any] = {"catalog": "none", "network.retries": 0}
        values |= {f"models.{name}": table for name, table in models(server.url).items()}
        values |= {"routes.simple_qa": {"primary": "400-openai", "fallback": "answer-openai"}}
        values |= {"cascade.ladder": ("401-openai", "answer-openai", "answer-anthropic")}
        self.orch = Orchestrator(settings=load_settings(cwd=folder, environ=environ).with_values(values))
        self.said = io.StringIO()

    def ask(self, **options: Any) -> None:
        """Ask, and keep whatever a person could come to see of it."""
        events: list[object] = []
        try:
            self.hear(self.orch.route("Two and two?", on_event=events.append, deadline=20, **options))
        except MoltError as error:
            for told in everything_of(error):
                assert traces(told) == []
            self.hear(error.result)
        self.hear(*events)

    def shown(self) -> list[str]:
        """Traces of a key in what was said since the last look."""
        said, self.said = self.said.getvalue(), io.StringIO()
        assert said
        return traces(said)

    def hear(self, *things: Any) -> None:
        for thing in things:
            self.said.write(f"{thing!r}\n{thing}\n")
            for part in ("text", "attempts", "decision", "explain"):
                value = getattr(thing, part, None)
                self.said.write(f"{value() if callable(value) else value!r}\n")
            if hasattr(thing, "render"):
                self.said.write(json.dumps(thing._repr_mimebundle_(), default=str))


def everything_of(error: BaseException | None, seen: frozenset[int] = frozenset()) -> Iterator[str]:
    """What an error says, and every local variable of our frames of it and of what it came of: a verbose traceback."""
    if error is None or id(error) in seen:
        return
    yield from (str(error), repr(error), repr(vars(error)))
    frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename.startswith(PACKAGE):
            yield from (repr(value) for value in list(frame.tb_frame.f_locals.values()))
        frame = frame.tb_next
    for cause in (error.__cause__, error.__context__):
        yield from everything_of(cause, seen | {id(error)})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    handler = logging.StreamHandler(heard := io.StringIO())
    logging.getLogger("molt_magic").addHandler(handler)
    logging.getLogger("molt_magic").setLevel(logging.DEBUG)
    with running() as other, running(Hostile(elsewhere=other.url)) as server, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        made = World(tmp_path_factory.mktemp("canary"), server, other)
        yield made
        made.orch.close()
    logging.getLogger("molt_magic").removeHandler(handler)
    logging.getLogger("molt_magic").setLevel(logging.NOTSET)
    assert "openai" in heard.getvalue()
    assert traces(heard.getvalue()) == []
    assert [str(each.message) for each in warned if traces(str(each.message))] == []
    assert traces_in(made.folder) == {}  # once everything is closed as well


@pytest.mark.parametrize("provider", VARIABLES)
@pytest.mark.parametrize("how", MANNERS)
def test_what_a_provider_sends_back_is_shown_and_kept_without_the_key(world: World, how: str, provider: str) -> None:
    asked = len(world.server.asked)
    for stream in (True, False):
        world.ask(model=f"{how}-{provider}", stream=stream, cache=stream)
    assert len(world.server.asked) > asked
    assert world.shown() == []
    assert world.other.asked == []  # no redirect is followed


@pytest.mark.parametrize("name", ["own", "dotenv"])
def test_a_key_of_no_vendor_s_is_taken_out_too(world: World, name: str) -> None:
    world.ask(model=name)
    assert world.server.asked[-1].headers["authorization"].removeprefix("Bearer ") in EVERY_KEY
    assert world.shown() == []
    assert traces_in(world.folder) == {}


def test_every_strategy_every_view_and_every_file_is_without_the_key(world: World) -> None:
    orch, folder = world.orch, world.folder
    for strategy in ("rule", "semantic", "arbitrage", "cascade", "direct"):
        world.ask(strategy=strategy, validate=["nonempty", "judge:answer-openai"], task="simple_qa", thread="t")
    with suppress(MoltError):
        world.hear(asyncio.run(orch.aroute("And awaited?", model="answer-openai")))
    world.hear(orch.compare("Two and two?", ["rule", "answer-anthropic", "500-gemini"]).to_json())
    orch.configure({"cassette.file": str(folder / "tape.jsonl")})
    world.ask(model="answer-openai")
    assert (folder / "tape.jsonl").stat().st_size > 500
    orch.configure({"cassette.file": None})
    frame = orch.log.to_frame()
    world.hear(frame.to_json(), *orch.readiness(), doctor.page(doctor.examine(lambda: orch)))
    for name in ("log.csv", "log.jsonl"):
        export(frame, folder / name)
    assert "[key removed]" in (folder / "log.csv").read_text()
    assert world.shown() == []
    assert traces_in(folder) == {}


def test_nothing_that_an_orchestrator_is_made_of_shows_a_key(world: World) -> None:
    world.ask(model="answer-openai")
    seen: set[int] = set()
    waiting: list[Any] = [world.orch]
    ours = 0
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, str | bytes | int | float | type(None) | os._Environ):
            continue
        seen.add(id(thing))
        if type(thing).__module__.startswith("molt_magic"):
            ours += 1
            assert traces(repr(thing)) == []
        waiting += list(getattr(thing, "__dict__", {}).values())
        slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
        waiting += [getattr(thing, name) for name in slots if isinstance(name, str) and hasattr(thing, name)]
        if isinstance(thing, Mapping | list | tuple | set | frozenset):
            waiting += list(thing.values() if isinstance(thing, Mapping) else thing)
    assert ours > 100


# a notebook


CELLS = """\
%load_ext molt_magic
%xmode Verbose
%%route -m answer-openai -o first
Two and two?
first
%%route -m 401-openai
Two and two?
from molt_magic import current; current().route("two", model="500-anthropic")
current().route("two", model="no-http-openai")
%%route -s cascade -v regex:zzz
Two and two?
%%route --compare rule,answer-anthropic,400-gemini
Two and two?
%%route -m broken-openai --interact
Two and two?
%route explain
%route log --interact
%route dashboard
%route compare answer-openai,500-openai
%route export log.csv
%route export log.parquet
%route doctor
%route config
%route models
%%route -m answer-gemini --thread t
And once more?
%route cassette record tape.jsonl
%%route -m answer-openai
On the tape?
"""


def test_no_output_widget_or_export_of_a_notebook_shows_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = CELLS.splitlines()
    cells = [f"{line}\n{lines[i + 1]}" if line.startswith("%%") else line for i, line in enumerate(lines)]
    cells = [cell for i, cell in enumerate(cells) if not (i and lines[i - 1].startswith("%%"))]
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    monkeypatch.setenv("MOLT_HOME", str(tmp_path / "home"))
    with running() as other, running(Hostile(elsewhere=other.url)) as server:
        text = ['[defaults]\ncatalog = "none"\n[network]\nretries = 0\n[cascade]\nladder = ["401-openai", "answer-openai"]']
        text += ['[routes.simple_qa]\nprimary = "400-openai"\nfallback = "answer-openai"']
        for name, table in models(server.url).items():
            text.append(f'[models."{name}"]\n' + "\n".join(f"{field} = {json.dumps(value)}" for field, value in table.items()))
        (tmp_path / "molt.toml").write_text("\n".join(text))
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        resources = {"metadata": {"path": str(tmp_path)}}
        NotebookClient(notebook, timeout=120, allow_errors=True, store_widget_state=True, resources=resources).execute()
    nbformat.write(notebook, tmp_path / "run.ipynb")
    saved = (tmp_path / "run.ipynb").read_text("utf-8")
    assert "application/vnd.jupyter.widget-state+json" in saved
    kinds = [output["output_type"] for cell in notebook.cells for output in cell.get("outputs", [])]
    assert kinds.count("error") >= 4
    assert "[key removed]" in saved
    assert traces(saved) == []
    import pandas as pd

    assert traces(pd.read_parquet(tmp_path / "log.parquet").to_json()) == []
    assert (tmp_path / "tape.jsonl").exists()
    assert traces_in(tmp_path) == {}


# processes of our own


def environment_of(pid: int) -> bytes:
    """The environment of a process, once it runs the program it was started for."""
    own = Path(f"/proc/{os.getpid()}/cmdline").read_bytes()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(OSError):
            if (line := Path(f"/proc/{pid}/cmdline").read_bytes()) and line != own:
                return Path(f"/proc/{pid}/environ").read_bytes()
        time.sleep(0.001)
    raise TimeoutError(pid)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, key in {**KEYS, "SOME_PROGRAM_S_NAME": KEYS["OPENAI_API_KEY"]}.items():
        monkeypatch.setenv(name, key)


@pytest.mark.usefixtures("keys")
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at processes as Linux shows them")
def test_pip_is_given_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as index:
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        monkeypatch.setenv("PIP_RETRIES", "0")
        fetch = _Fetch.start("no-such-wheel", tmp_path)
        try:
            found = environment_of(fetch.process.pid)
        finally:
            fetch.drop()
    assert b"PIP_INDEX_URL" in found
    assert traces(found) == []


@pytest.mark.usefixtures("keys")
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at processes as Linux shows them")
def test_local_engine_is_given_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.gguf").write_bytes(b"none")
    started: list[int] = []
    popen = subprocess.Popen

    class Noted(popen):  # type: ignore[type-arg,misc,valid-type]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            started.append(self.pid)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    plan = Plan("m", "m", tmp_path / "model.gguf", context_tokens=256)

    def start() -> None:
        with suppress(MoltError):
            Engine.start(plan)

    thread = threading.Thread(target=start)
    thread.start()
    while not started:
        time.sleep(0.001)
    found = environment_of(started[0])
    thread.join(60)
    assert b"PATH=" in found
    assert traces(found) == []


@pytest.mark.usefixtures("keys")
def test_answer_that_is_tested_sees_no_key() -> None:
    tests = "import os\nassert not [value for value in os.environ.values() if 'canary' in value.lower()]"
    assert run("x = 1", tests).accepted


# addresses that hold a password


def test_address_with_a_password_is_refused_wherever_it_comes_from(tmp_path: Path) -> None:
    address = f"https://user:{DOTENV['DOTENV_TOKEN']}@gateway.example/v1"  # it looks like no vendor's key
    settings = load_settings(cwd=tmp_path, environ={"MOLT_HOME": str(tmp_path), "OPENAI_BASE_URL": address, **KEYS})
    for values in ({"models.m": {"provider": "openai", "model": "m", "base_url": address}}, {"embed.base_url": address}):
        with pytest.raises(ConfigError, match="holds a user name or password") as refused:
            settings.with_values(values)
        assert traces(str(refused.value)) == []
    with Orchestrator(settings=settings) as orch:
        (row,) = [row for row in orch.readiness() if row.model == "gpt-5"]
    assert row.reason == "the address in OPENAI_BASE_URL holds a user name or password"
    embedder = make_embedder(provider="openai", model="e", base_url=address, api_key_env=None, secret=settings.secret)
    with pytest.raises(MoltError, match="user name or password") as error:
        embedder.embed(["text"])
    assert traces(str(error.value)) == []
