"""What molt_magic costs on this machine, beside raw httpx and, where they are installed, beside others. `molt bench`."""

from __future__ import annotations

from molt_magic.bench.report import Report, Row, Target
from molt_magic.bench.rounds import Figure
from molt_magic.bench.run import FULL, PARTS, QUICK, Sizes, run

__all__ = ["FULL", "PARTS", "QUICK", "Figure", "Report", "Row", "Sizes", "Target", "run"]
