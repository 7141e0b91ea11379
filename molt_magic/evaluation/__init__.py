"""How good is the routing? Outcome tables, strategies driven by recorded outcomes, figures with intervals, promises."""

from __future__ import annotations

from molt_magic.evaluation.bootstrap import Difference
from molt_magic.evaluation.calibrate import Policy, calibrate
from molt_magic.evaluation.evaluate import STRATEGIES, evaluate
from molt_magic.evaluation.report import Report
from molt_magic.evaluation.tables import from_log, read_outcomes, split

__all__ = ["STRATEGIES", "Difference", "Policy", "Report", "calibrate", "evaluate", "from_log", "read_outcomes", "split"]
