"""A real IPython with the magics loaded over scripted models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from molt_magic import magics
from molt_magic.magics import RouteMagics
from molt_magic.orchestrator import Orchestrator


@dataclass
class Ran:
    """What running a cell showed."""

    value: Any
    error: BaseException | None
    outputs: list[dict[str, str]] = field(default_factory=list)  # mime bundles, in order
    stdout: str = ""
    stderr: str = ""


@dataclass
class Notebook:
    """Runs cells the way a kernel does."""

    shell: InteractiveShell
    session: RouteMagics

    @property
    def orchestrator(self) -> Orchestrator:
        return self.session.orchestrator

    def run(self, source: str, *, cell_id: str | None = None) -> Ran:
        with capture_output() as captured:
            done = self.shell.run_cell(source, store_history=True, cell_id=cell_id)
        outputs = [output.data for output in captured.outputs if output.data]
        error = done.error_before_exec or done.error_in_exec
        return Ran(done.result, error, outputs, captured.stdout, captured.stderr)

    def __getitem__(self, name: str) -> Any:
        return self.shell.user_ns[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.shell.user_ns[name] = value


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    shell = InteractiveShell.instance()
    before = set(shell.user_ns)
    yield shell
    magics.unload(shell)
    for name in set(shell.user_ns) - before:  # shell.reset() does more, and takes most of a second
        del shell.user_ns[name]


MakeNotebook = Callable[..., Notebook]


@pytest.fixture
def notebook(shell: InteractiveShell, orchestrator: Callable[..., Orchestrator]) -> MakeNotebook:
    """Starts a notebook whose models, `small` and `big`, answer from a script."""

    def start(script: Any = None, **options: Any) -> Notebook:
        script = {"small": "Small says so.", "big": "Big says so."} if script is None else script
        session = RouteMagics(shell, make=lambda: orchestrator(script, **options))
        return Notebook(shell, magics.load(shell, session))

    return start
