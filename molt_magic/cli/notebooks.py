"""Where the notebooks are, and opening them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from molt_magic.errors import InputError

QUICKSTART = "01_quickstart.ipynb"
PACKAGE = Path(__file__).parents[1]


def folder() -> Path:
    """The notebooks: in the installed package, else in the checkout it is run from. Raises InputError."""
    for found in (PACKAGE / "notebooks", PACKAGE.parent / "notebooks"):
        if (found / QUICKSTART).is_file():
            return found
    raise InputError("The notebooks are not there.", fix="Reinstall molt-magic, or run molt from a checkout.")


def in_checkout() -> bool:
    """Whether this package is run from its own source tree."""
    return (PACKAGE.parent / "pyproject.toml").is_file()


def writable(to: Path | None) -> Path:
    """The notebooks where a person may change them: a checkout's own, else copies. What is there already is not overwritten.

    Args:
        to: where to copy them; None: `./molt-notebooks` where they are installed.
    """
    source = folder()
    if to is None and in_checkout():
        return source
    target = (to or Path("molt-notebooks")).expanduser().absolute()
    for file in sorted(source.rglob("*")):
        copy = target / file.relative_to(source)
        if file.is_file() and "__pycache__" not in file.parts and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    return target


def open_lab(where: Path, *, browser: bool, flags: Sequence[str] = ()) -> int:
    """Run JupyterLab in a folder until it ends; returns its exit code. Raises InputError where there is none."""
    if find_spec("jupyterlab") is None:
        raise InputError("JupyterLab is not installed.", fix="pip install jupyterlab")
    command = [sys.executable, "-m", "jupyterlab", str(where / QUICKSTART), f"--ServerApp.root_dir={where}"]
    command += [*([] if browser else ["--no-browser"]), *flags]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own interpreter, arguments of the person who runs it
