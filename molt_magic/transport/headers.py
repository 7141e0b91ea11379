"""Header fields of a request, fit to stand in a traceback."""

from __future__ import annotations


class Headers(dict[str, str]):
    """Header fields, shown without their values: the key is among them, and a verbose traceback shows local variables."""

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"
