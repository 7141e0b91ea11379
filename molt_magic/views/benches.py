"""What the bench measured, as a table a group."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from molt_magic.views.tables import Page, Table

if TYPE_CHECKING:
    from molt_magic.bench import Report, Row, Target

_BUSY = 0.5  # of the processors, before the bench began
_OVER = {"import": "Over without it"}
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


def report(found: Report) -> Page:
    """The rows by their groups, and what they were measured on."""
    tables = [_table(group, list(rows)) for group, rows in groupby(found.rows, key=lambda row: row.group)]
    return Page((*tables, _story(found)))


def _table(group: str, rows: list[Row]) -> Table:
    columns = ["What", "Median", "Quartiles"]
    cpu, over, target = any(row.cpu for row in rows), any(row.over for row in rows), any(row.target for row in rows)
    columns += ["CPU"] if cpu else []
    columns += [_OVER.get(group, "Over raw httpx")] if over else []
    columns += ["Target"] if target else []
    noted = any(row.note or row.counts for row in rows)
    columns += ["Note"] if noted else []
    lines = []
    for row in rows:
        line = [row.name, *_figure(row)]
        line += [_amount(row.cpu.median, "s") if row.cpu else ""] if cpu else []
        line += [_amount(row.over.median, "s") if row.over else ""] if over else []
        line += [_target(row)] if target else []
        line += [row.note or _counts(row)] if noted else []
        lines.append(line)
    return Table(f"{group[0].upper()}{group[1:]}", columns, lines)


def _figure(row: Row) -> tuple[str, str]:
    if row.figure is None:
        return "", ""
    first, third = row.figure.quartiles
    return _amount(row.figure.median, row.unit), f"{_amount(first, row.unit)} to {_amount(third, row.unit)}"


def _target(row: Row) -> str:
    target = row.target
    if target is None:
        return ""
    met = target.met(row)
    said = "" if met is None else "met: " if met else "missed: "
    return f"{said}{_wanted(target, row)}"


def _wanted(target: Target, row: Row) -> str:
    unit = "s" if target.about == "over" else row.unit
    aim = f", better {_amount(target.aim, unit)}" if target.aim is not None else ""
    return f"{'at least' if target.at_least else 'at most'} {_amount(target.value, unit)}{aim}"


def _counts(row: Row) -> str:
    counts = row.counts
    if not counts:
        return ""
    embedded = f", {counts['embedded']:,} texts embedded" if "embedded" in counts else ""
    return f"{counts['hits']:,} of {counts['asked']:,} found{embedded}"


def _amount(value: float, unit: str) -> str:
    """A number for people, three digits of it."""
    if unit == "calls/s":
        return f"{value:,.0f} /s"
    if unit == "share":
        return f"{value:.3f}" if value < 10 else f"{value:,.1f}"
    scale, name = next(((scale, name) for scale, name in _UNITS if abs(value) >= scale), _UNITS[-1])
    told = abs(value) / scale
    digits = 0 if told >= 100 else 1 if told >= 10 else 2
    return f"{value / scale:.{digits}f} {name}"


def _story(found: Report) -> str:
    machine = found.machine
    load, cpus = machine["load"], machine["cpus"]
    told = (
        f"{cpus} processors, Python {machine['python']}, {machine['platform']}; fsync takes {_amount(machine['fsync_s'], 's')}."
    )
    took_part = [f"{name} {version}" for name, version in machine["versions"].items() if version]
    told += f"\n{', '.join(took_part)}."
    if load is not None and cpus and load > _BUSY * cpus:
        told += f"\nThe machine was busy before it began (load {load:.1f}). Run it again when it is quiet: it can do better."
    return told
