"""Values of a row that know their JSON text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self


class Written(tuple[Mapping[str, Any], ...]):
    """What a JSON column of a decision holds, with its text: whoever makes the values writes that in half the time.

    It is a tuple in every other way. The text is what `log.schema` would write of the values.
    """

    text: str

    @classmethod
    def of(cls, values: Iterable[Mapping[str, Any]], text: str) -> Self:
        """Args: text: the JSON of `values`, without spaces."""
        made = cls(values)
        made.text = text
        return made
