"""The vocabulary: frozen records, a line per field, no logic that does I/O.

Units: money in USD, time in seconds unless a name says otherwise, sizes in tokens.
`None` for a cost means "the price is unknown", never "free".
"""

from molt_magic.types.attempt import (
    Attempt,
    CacheState,
    Call,
    Completion,
    ContextAction,
    Event,
    OnEvent,
    Purpose,
    Retry,
    Usage,
    Verdict,
)
from molt_magic.types.candidate import Candidate, Predicted, Predictions
from molt_magic.types.decision import NOT_ASSESSED, SOURCE_RANK, Decision, Outcome, candidate_of_row
from molt_magic.types.model import UNPRICED, Deployment, ModelSpec, Prices, Route, Weights
from molt_magic.types.request import NO_PARAMS, Deadline, Message, Request, Role
from molt_magic.types.strategy import Check, Checking, Choice, Flow, Situation, Strategy, TaskGuess

__all__ = [
    "NOT_ASSESSED",
    "NO_PARAMS",
    "SOURCE_RANK",
    "UNPRICED",
    "Attempt",
    "CacheState",
    "Call",
    "Candidate",
    "Check",
    "Checking",
    "Choice",
    "Completion",
    "ContextAction",
    "Deadline",
    "Decision",
    "Deployment",
    "Event",
    "Flow",
    "Message",
    "ModelSpec",
    "OnEvent",
    "Outcome",
    "Predicted",
    "Predictions",
    "Prices",
    "Purpose",
    "Request",
    "Retry",
    "Role",
    "Route",
    "Situation",
    "Strategy",
    "TaskGuess",
    "Usage",
    "Verdict",
    "Weights",
    "candidate_of_row",
]
