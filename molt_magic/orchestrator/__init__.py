"""The orchestrator: takes a question, lets a strategy decide, performs what it asks for, and logs what came of it."""

from __future__ import annotations

from molt_magic.orchestrator.comparison import MODES, Comparison, Mode
from molt_magic.orchestrator.core import Orchestrator
from molt_magic.orchestrator.readiness import Readiness
from molt_magic.orchestrator.threads import Threads
from molt_magic.orchestrator.under_way import Asking

__all__ = ["MODES", "Asking", "Comparison", "Mode", "Orchestrator", "Readiness", "Threads"]
