"""What a call costs, by the price list that the package `genai-prices` carries. Nothing is fetched.

A price in the user's file stands over the list. What neither knows is None: unknown, never free.
"""

from __future__ import annotations

import math
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from molt_magic.types import UNPRICED, ModelSpec, Prices, Usage

if TYPE_CHECKING:
    from decimal import Decimal

    from genai_prices.types import ModelInfo, ModelPrice

_MTOK = 1_000_000


def cost_usd(spec: ModelSpec, usage: Usage) -> float | None:
    """The price of one call, in USD, at the prices of this moment.

    Cached and cache-write tokens, long-prompt tiers and time-of-day prices count where the list knows them; reasoning
    tokens are output tokens. A local model costs 0.0 unless its user says what it costs.

    Args:
        spec: the model.
        usage: tokens; `cost_usd` in it is not looked at.

    Returns:
        USD, or None where a price is unknown.
    """
    if spec.provider == "local" and spec.prices == UNPRICED:
        return 0.0
    cached = min(usage.cached_tokens, usage.input_tokens)
    written = min(usage.cache_write_tokens, usage.input_tokens - cached)
    own = spec.prices
    if own.input_usd_per_mtok is not None and own.output_usd_per_mtok is not None and not (cached or written):
        return (usage.input_tokens * own.input_usd_per_mtok + usage.output_tokens * own.output_usd_per_mtok) / _MTOK
    if own != UNPRICED:  # any price of the user's: flat arithmetic, the list fills in what the user left out
        return _flat(prices_of(spec), usage, cached, written)
    if not (cached or written):
        kept = _lowest(spec.vendor, spec.model, this_hour())
        if kept is not None and usage.input_tokens <= kept[2]:
            return (usage.input_tokens * kept[0] + usage.output_tokens * kept[1]) / _MTOK
    if _listed(spec.vendor, spec.model) is None:
        return None
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    tokens = Tokens(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=cached or None,
        cache_write_tokens=written or None,
    )
    try:
        return float(calc_price(tokens, spec.model, provider_id=spec.vendor).total_price)
    except (LookupError, ValueError, TypeError):  # a price must never fail a run: what cannot be computed is unknown
        return None


def estimate_usd(spec: ModelSpec, input_tokens: int, output_tokens: int) -> float | None:
    """The expected price in USD of a call with so many tokens, nothing of it cached; None where a price is unknown.

    The same figure as `cost_usd`, without the pains.
    """
    return at_rates(rates_of(spec, this_hour()), spec, input_tokens, output_tokens)


Rates = tuple[float, float, float]


def rates_of(spec: ModelSpec, hour: int) -> Rates | None:
    """USD per million tokens of input and of output in an hour, and up to how many input tokens that makes the price of a call
    with nothing cached; None: of no call."""
    own = spec.prices
    into, out = own.input_usd_per_mtok, own.output_usd_per_mtok
    if into is not None and out is not None:
        return into, out, math.inf
    if own != UNPRICED:
        return None
    return (0.0, 0.0, math.inf) if spec.provider == "local" else _lowest(spec.vendor, spec.model, hour)


def at_rates(rates: Rates | None, spec: ModelSpec, input_tokens: int, output_tokens: int) -> float | None:
    """`estimate_usd` for who knows the model's rates: it is asked of every model for every prompt."""
    if rates is None or input_tokens > rates[2]:
        return cost_usd(spec, Usage(input_tokens=input_tokens, output_tokens=output_tokens))
    return (input_tokens * rates[0] + output_tokens * rates[1]) / _MTOK


def prices_of(spec: ModelSpec) -> Prices:
    """The prices in force now, USD per million tokens: the user's, else the list's (of the lowest tier), else None.

    For showing and comparing; a bill is `cost_usd`.
    """
    if spec.provider == "local" and spec.prices == UNPRICED:
        return Prices(input_usd_per_mtok=0.0, output_usd_per_mtok=0.0, cached_usd_per_mtok=0.0, cache_write_usd_per_mtok=0.0)
    own, listed = spec.prices, _listed(spec.vendor, spec.model)
    price: Any = _price_now(listed) if listed is not None else None
    # the cached rates of the list belong to its input rate: where the user sets the input rate, they say nothing
    cached = price if own.input_usd_per_mtok is None else None
    return Prices(
        input_usd_per_mtok=_first(own.input_usd_per_mtok, price, "input_mtok"),
        output_usd_per_mtok=_first(own.output_usd_per_mtok, price, "output_mtok"),
        cached_usd_per_mtok=_first(own.cached_usd_per_mtok, cached, "cache_read_mtok"),
        cache_write_usd_per_mtok=_first(own.cache_write_usd_per_mtok, cached, "cache_write_mtok"),
    )


def known_window(vendor: str, model: str) -> int | None:
    """The context window in tokens that the list gives for a model, or None."""
    listed = _listed(vendor, model)
    return listed.context_window if listed is not None else None


@lru_cache(maxsize=64)
def vendor_of(base_url: str) -> str | None:
    """Whose endpoint an address is, by the list's patterns of addresses; None for one that it does not know."""
    from genai_prices.data_snapshot import get_snapshot

    try:
        return get_snapshot().find_provider(None, None, base_url).id
    except LookupError:
        return None


def _flat(prices: Prices, usage: Usage, cached: int, written: int) -> float | None:
    into, out = prices.input_usd_per_mtok, prices.output_usd_per_mtok
    if into is None or out is None:
        return None
    read = into if prices.cached_usd_per_mtok is None else prices.cached_usd_per_mtok
    write = into if prices.cache_write_usd_per_mtok is None else prices.cache_write_usd_per_mtok
    plain = usage.input_tokens - cached - written
    return (plain * into + cached * read + written * write + usage.output_tokens * out) / _MTOK


@lru_cache(maxsize=256)
def _listed(vendor: str, model: str) -> ModelInfo | None:
    from genai_prices.data_snapshot import get_snapshot

    try:
        return get_snapshot().find_provider_model(model, None, vendor, None)[1]
    except LookupError:
        return None


def _price_now(listed: ModelInfo) -> ModelPrice:
    from datetime import UTC, datetime

    return listed.get_prices(datetime.now(UTC))


def this_hour() -> int:
    """Since the epoch: prices change on the hour."""
    return int(time.time() // 3600)


@lru_cache(maxsize=256)
def _lowest(vendor: str, model: str, hour: int) -> tuple[float, float, float] | None:  # noqa: ARG001 - the hour is part of the key: prices change on the hour
    """The list's prices of input and output in a model's lowest tier, and up to how many input tokens they hold; None where
    tokens alone do not make the price, or it is not known. They are kept, as the list's own arithmetic takes 170 us."""
    listed = _listed(vendor, model)
    if listed is None:
        return None
    price: Any = _price_now(listed)
    into, out = price.input_mtok, price.output_mtok
    if into is None or out is None:
        return None
    if getattr(price, "requests_kcount", None) is not None:  # a fee per request, as Perplexity has
        return None
    until = min((tier.start for kind in (into, out) for tier in getattr(kind, "tiers", ())), default=math.inf)
    return float(getattr(into, "base", into)), float(getattr(out, "base", out)), until


def _first(own: float | None, price: Any, name: str) -> float | None:
    if own is not None or price is None:
        return own
    listed: Decimal | Any | None = getattr(price, name)
    if listed is None:
        return None
    return float(getattr(listed, "base", listed))  # a tiered price has a base
