"""Strategies: pure descriptions of a decision, one file each, no I/O in any of them.

A strategy is a generator of `Call`s. Whoever drives it (the orchestrator live, a dry run, an evaluation, a unit test)
sends back the `Attempt`s and receives a `Choice` at the end.
"""

from __future__ import annotations

from molt_magic.strategies.arbitrage import Arbitrage
from molt_magic.strategies.cascade import Cascade
from molt_magic.strategies.direct import Direct
from molt_magic.strategies.explore import Explore
from molt_magic.strategies.rule import Rule
from molt_magic.strategies.semantic import Semantic

NAMES = ("rule", "semantic", "arbitrage", "cascade", "direct")

__all__ = ["NAMES", "Arbitrage", "Cascade", "Direct", "Explore", "Rule", "Semantic"]
