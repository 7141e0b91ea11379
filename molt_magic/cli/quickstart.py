"""`molt quickstart`: the first notebook, run without a browser, and what it decided."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molt_magic.cli import notebooks, weights
from molt_magic.config import load_settings
from molt_magic.errors import InputError
from molt_magic.result import usd
from molt_magic.views import listings
from molt_magic.views.progress import TerminalProgress
from molt_magic.views.tables import Page

if TYPE_CHECKING:
    from molt_magic.config import Settings

LADDER = ("qwen-local-small", "qwen-local")
SMALL = ("smollm-local", "qwen-local-small")
CELL_S = 1800  # the longest a cell may take, in seconds: two slow cores and a cold disk


def run(*, small: bool) -> Page:
    """Fetch what is missing, run the notebook in a copy and with a log of its own, and tell its decisions.

    The user's log and cache stay as they are, so that every run shows the same; the weights are the user's.

    Raises:
        InputError: the notebook failed, or what runs it is not installed.
        WeightsError: the weights could not be had.
    """
    notebook = notebooks.folder() / notebooks.QUICKSTART
    settings = load_settings()
    for line in weights.pull(settings, SMALL if small else LADDER):
        print(line, file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="molt-quickstart-") as name:
        work = Path(name)
        environ = environment(settings, work, small=small)
        execute(notebook, work, environ)
        return decisions(load_settings(environ=environ, cwd=work))


def environment(settings: Settings, work: Path, *, small: bool) -> dict[str, str]:
    """The kernel's environment: its own state, the user's weights, and with `small` the small ladder.

    Keys are left out: a first run spends nobody's money.
    """
    from molt_magic.providers.vendors import key_variables

    chosen = {"MOLT_CASCADE_LADDER": ",".join(SMALL), "MOLT_MODEL": SMALL[-1]} if small else {}
    if notebooks.in_checkout():  # the kernel must find this package, installed or not
        chosen["PYTHONPATH"] = os.pathsep.join(filter(None, [str(notebooks.PACKAGE.parent), os.environ.get("PYTHONPATH", "")]))
    # nor a cassette's mode: this is a run with real models
    kept = {name: value for name, value in os.environ.items() if name not in {*key_variables(), "MOLT_CASSETTE"}}
    return {**kept, **chosen, "MOLT_HOME": str(work / "home"), "MOLT_MODELS": str(settings.models_dir)}


def execute(notebook: Path, work: Path, environ: Mapping[str, str]) -> None:
    """Run a copy of the notebook with this interpreter's kernel. Raises InputError with the cell's own error."""
    try:
        import nbformat
        from jupyter_client.kernelspec import KernelSpecManager
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    except ImportError as error:
        raise InputError(f"{error.name} is not installed.", fix="pip install 'molt-magic[local]'") from None
    copy = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]  # nbformat's reader has no types
    # a kernel of the same name in the user's folder may belong to another Python: only this one is to be found
    spec = work / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "--log-level=ERROR", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}), encoding="utf-8")
    specs = KernelSpecManager(kernel_dirs=[str(work / "kernels")], ensure_native_kernel=False)
    progress = TerminalProgress(sys.stderr)
    count = len(copy.cells)

    def starts(*, cell_index: int, **_cell: Any) -> None:
        progress(f"running {notebook.name}", (cell_index + 1) / count)

    client = NotebookClient(
        copy,
        timeout=CELL_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(work)}},
        on_cell_execute=starts,
    )
    client.km = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs)  # set later, it is the client's to end
    try:
        client.execute(env=dict(environ))
    except CellExecutionError as error:
        raise InputError(
            f"The notebook failed: {error.ename}: {error.evalue}", fix="molt doctor says what is missing."
        ) from None
    except (CellTimeoutError, DeadKernelError) as error:
        raise InputError(f"The notebook failed: {error}", fix="molt doctor says what is missing.") from None
    finally:
        progress.close()


def decisions(settings: Settings) -> Page:
    """The decisions of a log as a table, with what they cost together."""
    from molt_magic.orchestrator import Orchestrator

    with Orchestrator(settings=settings) as orch:
        frame = orch.log.to_frame()
    rows = [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
    if not rows:
        raise InputError("The notebook ran and decided nothing.", fix="Its first cells may have been changed; see molt open.")
    escalated, cached = int(frame["escalations"].sum()), int(frame["cache"].isin(["exact", "semantic"]).sum())
    saved = frame["saved_usd"].dropna()
    story = (
        f"{len(rows)} decisions, {escalated} escalations, {cached} from the cache, cost {usd(float(frame['cost_usd'].sum()))}"
    )
    columns = [name for name in listings.LOG_COLUMNS if name != "time"]
    return Page(
        (listings.log(rows, "Decisions", columns), f"{story}, saved {usd(float(saved.sum())) if len(saved) else 'unknown'}.")
    )
