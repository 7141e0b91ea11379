"""Hand-made decisions as the frame that the log's ledger keeps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from molt_magic.log.frame import from_columns
from molt_magic.log.ledger import LIGHT
from molt_magic.types import Decision
from tests.views.samples import DECISION

NOW = pd.Timestamp("2026-11-24 12:30:00", tz="UTC")


# fmt: off
def decided(*, hours_ago: float = 1.0, **changes: Any) -> Decision:
    """A plain decision by `small`: $0.01 spent, $0.09 saved, a second, not scored; differing as told."""
    plain = {"cost_usd": 0.01, "baseline_cost_usd": 0.10, "saved_usd": 0.09, "latency_s": 1.0, "model": "small",
             "strategy": "rule", "provider": "openai", "escalations": 0, "fallbacks": 0, "cache": "miss", "status": "ok"}
    time = datetime(2026, 11, 24, 12, 30, tzinfo=UTC) - timedelta(hours=hours_ago)
    return replace(DECISION, **{**plain, "time": time.isoformat(), **changes})
# fmt: on


def frame(*decisions: Decision) -> pd.DataFrame:
    """Decisions as `Ledger.frame`."""
    return from_columns({name: [getattr(d, name) for d in decisions] for name in LIGHT})
