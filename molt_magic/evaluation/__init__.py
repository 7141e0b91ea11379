"""How good is the routing? Outcome tables, strategies driven by recorded outcomes, figures with intervals, promises."""

from __future__ import annotations

from molt_magic.evaluation.bootstrap import Difference
from molt_magic.evaluation.calibrate import Policy, calibrate
from molt_magic.evaluation.cascades import FittedCascade, fit_cascade
from molt_magic.evaluation.drift import Drift, drift
from molt_magic.evaluation.evaluate import STRATEGIES, evaluate
from molt_magic.evaluation.report import Report
from molt_magic.evaluation.tables import from_log, read_outcomes, split
from molt_magic.evaluation.whatif import WhatIf

__all__ = [
    "STRATEGIES",
    "Difference",
    "Drift",
    "FittedCascade",
    "Policy",
    "Report",
    "WhatIf",
    "calibrate",
    "drift",
    "evaluate",
    "fit_cascade",
    "from_log",
    "read_outcomes",
    "split",
]
