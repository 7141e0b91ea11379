"""The catalog: which models there are, what they cost, which task goes where.

What ships is `catalog.toml` beside this file; the tables of a user's `molt.toml` are read by the same reader.
"""

from __future__ import annotations

from molt_magic.catalog.catalog import Catalog
from molt_magic.catalog.prices import Rates, at_rates, cost_usd, estimate_usd, known_window, prices_of, rates_of, this_hour
from molt_magic.catalog.tables import family_of

__all__ = [
    "Catalog",
    "Rates",
    "at_rates",
    "cost_usd",
    "estimate_usd",
    "family_of",
    "known_window",
    "prices_of",
    "rates_of",
    "this_hour",
]
