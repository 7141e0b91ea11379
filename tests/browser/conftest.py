"""A real JupyterLab in the system's Chromium. Nothing leaves the machine: whatever tries is refused, and fails its test."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Playwright, expect, sync_playwright

from tests import servers
from tests.browser import lab as jupyterlab
from tests.browser import notebook as notebooks
from tests.browser.models import Models, configuration
from tests.browser.notebook import Notebook
from tests.browser.watch import Browser, browser

OpenNotebook = Callable[..., Notebook]
OpenFile = Callable[..., Notebook]
LOAD = "%load_ext molt_magic"
expect.set_options(timeout=20_000)  # a slow machine under load; nothing waits that long where all is well


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Where screenshots go: MOLT_ARTEFACTS, or tests/artefacts."""
    folder = Path(os.environ.get("MOLT_ARTEFACTS") or Path(__file__).parents[1] / "artefacts").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# it ends with these tests, as it asks for ever after kernels that have gone: it would knock at what later tests serve there
@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[jupyterlab.Lab]:
    root, home = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("lab")
    with jupyterlab.running(root, home) as running:
        yield running


@pytest.fixture(scope="package")  # it runs an event loop in this thread, which the tests after these need for their own
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def chromium(lab: jupyterlab.Lab, playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(playwright, tmp_path_factory.mktemp("profile"), lab.url) as running:
        yield running


@pytest.fixture(scope="package")
def _models() -> Iterator[Models]:
    with servers.running(Models()) as server:
        yield server


@pytest.fixture
def models(_models: Models) -> Models:
    """The server behind the models; a test says what they answer."""
    _models.answers.clear()
    _models.asked.clear()
    return _models


@pytest.fixture
def watched(chromium: Browser) -> Iterator[Browser]:
    """The browser; after the test nothing must have been asked of the network, complained about, opened or run."""
    chromium.seen.clear()
    yield chromium
    for page in chromium.context.pages[1:]:
        page.close()
    assert chromium.seen.all() == {}


@pytest.fixture
def folder(lab: jupyterlab.Lab, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder that JupyterLab shows, for one test; kernels that were begun in it end with it."""
    path = lab.root / re.sub(r"\W+", "-", request.node.name).strip("-")
    path.mkdir()
    yield path
    lab.end_sessions()


@pytest.fixture
def show(lab: jupyterlab.Lab, watched: Browser, artefacts: Path) -> Callable[[Path], Notebook]:
    """Opens a notebook that is there; returns when its kernel is ready."""

    def shown(path: Path) -> Notebook:
        page = watched.page()
        page.goto(f"{lab.url}lab/tree/{path.relative_to(lab.root)}?token={lab.token}&reset")
        found = Notebook(page, path.parent, artefacts)
        found.wait_for_kernel()
        found.theme("Light")  # the one before may have left another
        return found

    return shown


@pytest.fixture
def notebook(folder: Path, show: Callable[[Path], Notebook], models: Models) -> OpenNotebook:
    """Opens a notebook of the given cells, its models those of `models` and what `more_models` adds."""

    def opened(cells: Sequence[str], more_models: Mapping[str, Mapping[str, Any]] | None = None) -> Notebook:
        (folder / "molt.toml").write_text(configuration(models.url, more_models))
        return show(notebooks.write(folder / "notebook.ipynb", cells))

    return opened


@pytest.fixture
def notebook_file(folder: Path, show: Callable[[Path], Notebook]) -> OpenFile:
    """Opens a copy of a notebook with all that lies beside it; keywords go into the kernel's environment."""

    def opened(path: Path, **environment: str) -> Notebook:
        shutil.copytree(path.parent, folder, dirs_exist_ok=True)
        (folder / jupyterlab.ENVIRONMENT).write_text(json.dumps(environment))
        return show(folder / path.name)

    return opened
