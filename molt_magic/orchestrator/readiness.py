"""What is ready to answer and what is missing, for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a model can be used now."""

    model: str
    provider: str
    served: str  # the provider's id of it
    ready: bool
    reason: str  # why not; otherwise "ready", and which of its deployments are cooling down
    fix: str  # the command or setting that makes it ready
