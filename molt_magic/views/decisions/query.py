"""What a person asks of the table of decisions: which of them, in which order, which page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from molt_magic.errors import InputError, UnknownName

# the columns a person looks at first
# fmt: off
SHOWN = (
    "time", "prompt", "strategy", "task", "model", "status", "cache", "cost_usd", "saved_usd", "latency_s", "quality",
    "n_attempts", "escalations",
)
# fmt: on
CHOICES = ("strategy", "model", "cache", "status")  # columns of few values, to choose one from
PAGE_SIZES = (10, 20, 50, 100)


@dataclass(frozen=True, slots=True)
class Query:
    """Filters, an order and a page. What is empty or None filters nothing.

    Attributes:
        search: words that must all occur in a decision, in any column, in any case.
        strategy, model, cache, status: as `Finder.choices` spells them.
        cost_from, cost_to: USD; with either, decisions of unknown cost are left out.
        time_from, time_to: UTC; `time_to` counts to the end of its minute.
        page: from 0.
    """

    search: str = ""
    strategy: str = ""
    model: str = ""
    cache: str = ""
    status: str = ""
    cost_from: float | None = None
    cost_to: float | None = None
    time_from: datetime | None = None
    time_to: datetime | None = None
    sort: str = "time"
    descending: bool = True
    page: int = 0
    page_size: int = PAGE_SIZES[1]

    @classmethod
    def read(cls, asked: Mapping[str, Any]) -> Query:
        """A query as the front end writes it: amounts and times are text, the empty text is no limit.

        Raises:
            InputError: something in it cannot be read.
        """
        sort = str(asked.get("sort") or "time")
        if sort not in SHOWN:
            raise UnknownName("column", sort, SHOWN)
        return cls(
            search=str(asked.get("search") or ""),
            **{name: str(asked.get(name) or "") for name in CHOICES},
            cost_from=_amount(asked.get("cost_from")),
            cost_to=_amount(asked.get("cost_to")),
            time_from=_time(asked.get("time_from")),
            time_to=_time(asked.get("time_to")),
            sort=sort,
            descending=bool(asked.get("descending", True)),
            page=max(0, _whole(asked.get("page"), 0)),
            page_size=min(max(1, _whole(asked.get("page_size"), PAGE_SIZES[1])), PAGE_SIZES[-1]),
        )

    def write(self) -> dict[str, Any]:
        """The query without its filters, as the front end writes it."""
        return {"sort": self.sort, "descending": self.descending, "page": self.page, "page_size": self.page_size}

    @property
    def before(self) -> datetime | None:
        """The first moment that is too late."""
        return None if self.time_to is None else self.time_to + timedelta(minutes=1)


def _amount(text: object) -> float | None:
    if text is None or str(text).strip() == "":
        return None
    try:
        value = float(str(text))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{text!r} is no amount.", fix="Give USD as a number, such as 0.001.")
    return value


def _time(text: object) -> datetime | None:
    if text is None or str(text).strip() == "":
        return None
    try:
        value = datetime.fromisoformat(str(text).strip())
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError):  # the second: a date before the first year, once in UTC
        raise InputError(f"{text!r} is no time.", fix="Give it as 2026-11-24 or 2026-11-24 18:30, in UTC.") from None


def _whole(value: object, default: int) -> int:
    try:
        return int(value)  # type: ignore[call-overload,no-any-return]  # whatever the front end sent
    except (TypeError, ValueError, OverflowError):
        return default
