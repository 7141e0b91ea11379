"""Header fields, fit to stand in a traceback: the key is among them, and a verbose traceback shows local variables."""

from __future__ import annotations

from collections.abc import Iterable


class Headers(dict[str, str]):
    """Header fields, shown without their values."""

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"


def read(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header fields as they came over the wire, names in lower case; what is told several times is joined by commas."""
    found: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found
