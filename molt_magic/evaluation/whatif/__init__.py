"""What another policy would have cost and scored on the decisions in the log, counting only what is known."""

from __future__ import annotations

from molt_magic.evaluation.whatif.counterfactual import WhatIf, whatif

__all__ = ["WhatIf", "whatif"]
