"""What the bench found: rows of figures, their targets, and all of it as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from molt_magic.bench.rounds import Figure
from molt_magic.errors import InputError

Unit = Literal["s", "calls/s", "share"]


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be."""

    value: float  # in the unit of what it is about
    about: Literal["median", "over"] = "median"
    at_least: bool = False  # otherwise at most
    aim: float | None = None  # better still

    def met(self, row: Row) -> bool | None:
        """Whether a row reaches it; None: there is no figure."""
        figure = row.over if self.about == "over" else row.figure
        if figure is None:
            return None
        return figure.median >= self.value if self.at_least else figure.median <= self.value


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was measured."""

    group: str
    name: str
    figure: Figure | None  # None: it could not be measured, `note` says why
    unit: Unit = "s"
    cpu: Figure | None = None  # of this process, seconds a call
    over: Figure | None = None  # beyond what the group is compared with, seconds
    target: Target | None = None
    note: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)  # such as hits among what was asked

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"group": self.group, "name": self.name, "unit": self.unit, "figure": _told(self.figure)}
        told |= {"cpu": _told(self.cpu), "over": _told(self.over)}
        told["target"] = None
        if self.target is not None:
            target = self.target
            told["target"] = {
                "value": target.value,
                "about": target.about,
                "at_least": target.at_least,
                "aim": target.aim,
                "met": target.met(self),
            }
        return {**told, "note": self.note, "counts": dict(self.counts)}


@dataclass(frozen=True, slots=True)
class Report:
    """A run of the bench."""

    machine: Mapping[str, Any]
    sizes: Mapping[str, Any]
    rows: Sequence[Row]

    def as_json(self) -> dict[str, Any]:
        """Everything, every round's figure too: seconds, calls a second, shares."""
        return {"machine": dict(self.machine), "sizes": dict(self.sizes), "rows": [row.as_json() for row in self.rows]}

    def write(self, path: Path) -> None:
        """As JSON into a file. Raises InputError where it cannot be written."""
        try:
            path.write_text(json.dumps(self.as_json(), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}.", fix="Name another file with --json.") from None


def _told(figure: Figure | None) -> dict[str, Any] | None:
    if figure is None:
        return None
    first, third = figure.quartiles
    return {"median": figure.median, "quartiles": [first, third], "rounds": list(figure.rounds)}
