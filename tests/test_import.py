"""What importing and loading may cost, and the public names."""

from __future__ import annotations

import subprocess
import sys

import pytest

import molt_magic

# heavy, or only of use once a question is asked
# fmt: off
LATE = (
    "pandas", "ipywidgets", "tiktoken", "genai_prices", "wordllama", "onnxruntime", "httpx", "httptools", "numpy",
    "matplotlib", "tokenizers", "diskcache", "hnswlib", "markdown_it", "nh3", "safetensors", "sqlite3",
)
# fmt: on

IMPORT = "import molt_magic"
EXTENSION = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
assert shell.run_cell("%load_ext molt_magic").success
assert shell.find_cell_magic("route") is not None
"""


def loaded_by(code: str) -> set[str]:
    """The modules of `LATE` that a fresh Python loads for `code`."""
    program = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*(set({LATE!r}) & (set(sys.modules) - before)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    return set(done.stdout.split())


@pytest.mark.parametrize("code", [IMPORT, EXTENSION], ids=["import", "load_ext"])
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str) -> None:
    assert loaded_by(code) == set()


def test_the_check_itself_sees_a_module_that_is_loaded() -> None:
    assert loaded_by("import numpy") >= {"numpy"}


@pytest.mark.parametrize("name", molt_magic.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(molt_magic, name) is not None
    assert name in dir(molt_magic)


def test_public_names_are_the_documented_ones() -> None:
    assert {"Orchestrator", "Result", "Settings", "MoltError", "UnknownName", "load_settings"} <= set(molt_magic.__all__)


def test_every_error_of_the_tree_is_public() -> None:
    from molt_magic import errors

    tree = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.MoltError)}
    assert tree <= set(molt_magic.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Orchestrater'"):
        _ = molt_magic.Orchestrater


def test_reaching_the_orchestrator_teaches_results_to_draw_themselves() -> None:
    program = (
        "import molt_magic; molt_magic.Orchestrator\n"
        "from molt_magic.result import Result; from tests.views.samples import result\n"
        "print(sorted(result()._repr_mimebundle_()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "['text/html', 'text/markdown', 'text/plain']"
